"""Whole runs by `striate.train`: files, figures, going on, cross-validation, signals."""

import dataclasses
import json
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import striate
from striate import modelfile
from striate import recipe as recipes
from striate.base.errors import OutputError, RecipeError, TrainingError
from striate.data import open_data, split
from striate.data.splits import folds
from striate.recipe import Stage
from striate.training import checkpoint, one_network
from striate.training.events import EpochDone, Notice, RunStarted, StepDone
from striate.training.one_network import RunStopped

SHORT = {
    "model": "lenet5",
    "batch_size": 8,
    "ema_decay": 0.9,
    "log_every": 2,
    "save_every": 1e9,  # seconds: where a checkpoint is wanted, the test says so
    "augment": {"rotation": 0.0},
    "stages": [{"epochs": 1, "rate": 0.02, "freeze": ["body"]}, {"epochs": 2, "rate": 0.02}],
}


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """60 pictures of bars, three classes told apart by where the bar is; labels of 6 are wrong."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = rng.integers(0, 120, (60, 28, 28)).astype(np.uint8)
    for picture, label in zip(x, y, strict=True):
        picture[8 * label : 8 * label + 8] += 100
    y[:6] = (y[:6] + 1) % 3
    path = tmp_path_factory.mktemp("data") / "bars.npz"
    np.savez(path, x=x, y=y)
    return path


@pytest.fixture(scope="module")
def whole(digits, tmp_path_factory):
    """A run that nothing disturbed."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    return striate.train(digits, changes=SHORT, out=path, workers=0)


class Killed(BaseException):
    """Ends a run as SIGKILL would: nothing of ours runs any more."""


def killer(turn):
    """Kills at the n-th event of a step or an epoch."""
    turns = iter(range(turn + 1))

    def on_event(event):
        if isinstance(event, StepDone | EpochDone) and next(turns) == turn:
            raise Killed

    return on_event


def assert_same_run(one, other, metrics_of):
    for name in ("model.safetensors", "last.safetensors"):
        ours, theirs = load_file(one / name), load_file(other / name)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(tensor, theirs[key]) for key, tensor in ours.items())
    assert metrics_of(one) == metrics_of(other)
    assert (one / "recipe.toml").read_text() == (other / "recipe.toml").read_text()


def test_a_run_leaves_its_files_and_its_figures(digits, whole, metrics_of):
    assert sorted(path.name for path in whole.run.iterdir()) == [
        *("last.safetensors", "metrics.jsonl", "model.safetensors", "recipe.toml")
    ]
    assert (whole.model, whole.task, whole.epochs, whole.images_seen) == ("lenet5", "classify", 3, 3 * 48)
    assert (whole.best["images"], whole.test["images"], whole.pooled, whole.folds) == (6, 6, None, [])
    epochs = [line for line in metrics_of(whole.run) if line["kind"] == "epoch"]
    assert whole.best == [line["validation"] for line in epochs if line["kept"]][-1]
    assert json.loads(json.dumps(whole.as_json()))["run"] == str(whole.run)


@pytest.mark.parametrize(
    ("changes", "sides"),
    [({}, ["validation has 6", "the test has 6"]), ({"folds": 2}, ["validation has 3"])],  # all 60 are tested with
)
def test_sets_that_are_too_small_are_told_once_before_the_run(digits, tmp_path, changes, sides):
    events = []
    stages = [{"epochs": 1, "rate": 0.02}]
    striate.train(
        digits, changes=SHORT | {"stages": stages} | changes, out=tmp_path / "run", workers=0, on_event=events.append
    )
    told = [event for event in events if isinstance(event, Notice) and "95 % interval" in event.text]
    assert [event.text.partition(" pictures")[0] for event in told] == sides
    assert all(
        events.index(event) < events.index(each) for event in told for each in events if type(each) is RunStarted
    )


def test_the_test_figures_are_those_of_the_file(digits, whole):
    again = striate.evaluate(whole.run, digits)
    assert again.split == "test"
    assert again.figures == whole.test


def test_a_checkpoint_answers_with_the_averaged_weights(digits, whole):
    network, description = modelfile.load(whole.run / "last.safetensors")
    tensors = load_file(whole.run / "last.safetensors")
    assert network.state_dict().keys() == {name[8:] for name in tensors if name.startswith("average.")}
    assert all(torch.equal(tensor, tensors[f"average.{name}"]) for name, tensor in network.state_dict().items())
    assert description == modelfile.describe(whole.run / "model.safetensors")
    last = [line for line in (whole.run / "metrics.jsonl").read_text().splitlines() if '"epoch", "epoch": 2' in line]
    validation = striate.evaluate(whole.run / "last.safetensors", digits, split="val")
    assert json.loads(last[-1])["validation"]["loss"] == pytest.approx(validation.figures["loss"], rel=1e-6)


def test_a_checkpoint_without_an_average_answers_with_the_network(digits, tmp_path):
    changes = {**SHORT, "ema_decay": 0, "stages": [{"epochs": 1, "rate": 0.02}]}
    run = striate.train(digits, changes=changes, out=tmp_path / "run", workers=0).run
    ours, kept = (modelfile.load(run / name)[0].state_dict() for name in ("last.safetensors", "model.safetensors"))
    assert all(torch.equal(tensor, kept[name]) for name, tensor in ours.items())


def test_the_recipe_leaves_nothing_to_a_rule_and_runs_the_run_again(digits, whole, tmp_path, metrics_of):
    recipe = recipes.load(whole.run / "recipe.toml")
    assert recipe.size == (32, 32) and recipe.fit == "stretch" and recipe.precision == "float32"
    assert recipe.stages[0].freeze == ("stem", "stage1", "stage2")
    text = (whole.run / "recipe.toml").read_text()
    fields = {field.name for field in dataclasses.fields(recipe)} - {"settings", "data"} | {recipe.task}
    assert all(f"\n{name} = " in text or f"[{name}]" in text for name in fields)
    again = striate.train(digits, recipe=whole.run / "recipe.toml", out=tmp_path / "again")
    assert_same_run(again.run, whole.run, metrics_of)


@pytest.mark.parametrize("turn", [0, 5, 6, 7, 20])
def test_a_killed_run_goes_on_as_if_it_had_not_been(digits, whole, tmp_path, metrics_of, turn):
    out = tmp_path / "run"
    changes = {**SHORT, "save_every": 1e-9 if turn == 20 else 1e9}
    with pytest.raises(Killed):
        striate.train(digits, changes=changes, out=out, on_event=killer(turn))
    (out / ".last.safetensors.1-ab.partial").write_text("half")
    result = striate.train(digits, out=out, resume=True, workers=2)
    assert not list(out.glob(".*"))
    assert result.test == whole.test and result.best == whole.best
    if turn != 20:
        assert_same_run(out, whole.run, metrics_of)


def test_resume_begins_a_run_that_was_killed_before_it_had_begun(digits, whole, tmp_path, metrics_of):
    out = tmp_path / "run"
    out.mkdir()
    (out / "metrics.jsonl").write_text("")
    striate.train(digits, changes=SHORT, out=out, resume=True)
    assert_same_run(out, whole.run, metrics_of)


def test_resume_does_not_take_a_folder_of_other_things(digits, tmp_path):
    (tmp_path / "model.safetensors").write_text("somebody's weights")
    with pytest.raises(OutputError, match="holds no run of ours"):
        striate.train(digits, changes=SHORT, out=tmp_path, resume=True)
    assert (tmp_path / "model.safetensors").read_text() == "somebody's weights"


@pytest.mark.parametrize("controls", [{"resume": True}, {"extend": 1}])
def test_a_finished_run_without_a_checkpoint_is_not_started_over(digits, whole, tmp_path, controls):
    out = shutil.copytree(whole.run, tmp_path / "run")
    (out / "last.safetensors").unlink()
    with pytest.raises(TrainingError, match=r"has no checkpoint \(last\.safetensors\)"):
        striate.train(digits, out=out, **controls)
    assert (out / "model.safetensors").read_bytes() == (whole.run / "model.safetensors").read_bytes()


def test_resume_of_a_finished_run_gives_its_result_again(digits, whole, tmp_path):
    out = shutil.copytree(whole.run, tmp_path / "run")
    again = striate.train(digits, out=out, resume=True)
    assert (again.best, again.test, again.epochs) == (whole.best, whole.test, whole.epochs)


def test_resume_refuses_other_data(digits, whole, tmp_path):
    with np.load(digits) as arrays:
        x, y = arrays["x"].copy(), arrays["y"]
    x[3, 0, 0] ^= 1  # one bit
    np.savez(tmp_path / "other.npz", x=x, y=y)
    out = shutil.copytree(whole.run, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(TrainingError, match="made with other pictures"):
        striate.train(tmp_path / "other.npz", out=out, resume=True)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"changes": {"batch_size": 9}}, "batch_size"),
        ({"epochs": 7}, "epochs"),
        ({"changes": {"augment": {"flip": True}}}, "augment"),
        ({"model": "fashion_cnn"}, "model"),
    ],
)
def test_resume_refuses_another_recipe(digits, whole, tmp_path, wish, field):
    out = shutil.copytree(whole.run, tmp_path / "run")
    with pytest.raises(RecipeError, match=rf"differs.*{field}"):
        striate.train(digits, out=out, resume=True, **wish)


def test_resume_takes_the_wishes_that_the_run_was_made_with(digits, whole, tmp_path):
    out = shutil.copytree(whole.run, tmp_path / "run")
    changes = {name: value for name, value in SHORT.items() if name != "stages"}
    again = striate.train(digits, out=out, resume=True, changes=changes, epochs=3)
    assert again.test == whole.test


def test_resume_notices_a_recipe_that_was_changed_by_hand(digits, whole, tmp_path):
    out = shutil.copytree(whole.run, tmp_path / "run")
    recipe = dataclasses.replace(recipes.load(out / "recipe.toml"), batch_size=4)
    (out / "recipe.toml").write_text(recipes.as_toml(recipe))
    with pytest.raises(TrainingError, match="not the recipe that the checkpoint was made with"):
        striate.train(digits, out=out, resume=True)


def test_an_extension_is_an_explicit_tail(digits, whole, tmp_path, metrics_of):
    out = shutil.copytree(whole.run, tmp_path / "run")
    result = striate.train(digits, out=out, extend=2)
    before = recipes.load(whole.run / "recipe.toml")
    tail = Stage(epochs=2, rate=before.stages[-1].rate / 10, warmup=0.0)
    assert recipes.load(out / "recipe.toml") == dataclasses.replace(before, stages=(*before.stages, tail))
    assert result.epochs == 5 and result.images_seen == 5 * 48
    lines = metrics_of(out)
    assert lines[: len(metrics_of(whole.run))] == metrics_of(whole.run)
    rates = [line["rate"] for line in lines if line["kind"] == "step"][-6:]
    assert rates == sorted(rates, reverse=True) and rates[0] < 0.002
    with pytest.raises(RecipeError, match="epochs"):
        striate.train(digits, out=out, resume=True, epochs=3)


def test_an_extension_can_be_killed_too(digits, whole, tmp_path, metrics_of):
    straight = shutil.copytree(whole.run, tmp_path / "straight")
    striate.train(digits, out=straight, extend=2)
    killed = shutil.copytree(whole.run, tmp_path / "killed")
    with pytest.raises(Killed):
        striate.train(digits, out=killed, extend=2, on_event=killer(8))
    with pytest.raises(TrainingError, match="not at its end yet"):
        striate.train(digits, out=killed, extend=2)
    striate.train(digits, out=killed, resume=True)
    assert_same_run(killed, straight, metrics_of)


@pytest.mark.parametrize("patience", [0, 1])
def test_an_extension_cut_off_between_recipe_and_checkpoint_is_not_lost(
    digits, tmp_path, metrics_of, monkeypatch, patience
):
    """The folder is then as before but for the recipe: --resume or --extend, one of them goes on."""
    changes = {**SHORT, "patience": patience, "metric": "ece", "stages": [{"epochs": 4, "rate": 1e-6}]}
    straight = tmp_path / "straight"
    first = striate.train(digits, changes=changes, out=straight)
    cut_off = shutil.copytree(straight, tmp_path / "cut-off")
    assert (first.epochs < 4) == bool(patience)
    striate.train(digits, out=straight, extend=2)
    shutil.copy(straight / "recipe.toml", cut_off / "recipe.toml")
    striate.train(digits, out=cut_off, **({"extend": 2} if patience else {"resume": True}))
    assert_same_run(cut_off, straight, metrics_of)


def test_an_early_stopped_run_is_extended_from_where_it_stopped(digits, tmp_path, metrics_of):
    """Its recipe then says how many epochs were run, and what came behind them."""
    changes = {**SHORT, "patience": 1, "metric": "loss", "stages": [{"epochs": 9, "rate": 1e-9}]}
    # So small a rate moves nothing: no figure gets strictly better for long.
    first = striate.train(digits, changes=changes, out=tmp_path)
    stopped = first.epochs
    result = striate.train(digits, out=tmp_path, extend=1)
    stages = recipes.load(tmp_path / "recipe.toml").stages
    assert [stage.epochs for stage in stages] == [stopped, 1]
    assert stages[1].rate == pytest.approx(1e-10)
    assert result.epochs == stopped + 1
    assert [line["epoch"] for line in metrics_of(tmp_path) if line["kind"] == "epoch"] == list(range(stopped + 1))


def test_a_run_says_whose_kernels_it_has_and_when_they_change(digits, tmp_path, monkeypatch):
    changes = {"model": "mobilenet_v1_025", "size": [32, 32], "batch_size": 16, "stages": [{"epochs": 1, "rate": 0.01}]}
    events = []
    monkeypatch.setattr(one_network, "kernels_for", lambda network, device, tell: "kernels of one machine")
    striate.train(digits, changes=changes, out=tmp_path, on_event=events.append)
    (began,) = [event for event in events if isinstance(event, RunStarted)]
    assert began.reason.endswith("; trained with kernels of one machine")
    assert checkpoint.read_header(tmp_path / "last.safetensors").kernels == "kernels of one machine"
    monkeypatch.setattr(one_network, "kernels_for", lambda network, device, tell: "torch alone")
    striate.train(digits, out=tmp_path, extend=1, on_event=events.append)
    (text,) = [event.text for event in events if isinstance(event, Notice) and "kernels" in event.text]
    assert "until here the run was trained with kernels of one machine, from here on with torch alone" in text


def test_there_must_be_a_run_to_extend(digits, tmp_path):
    with pytest.raises(OutputError, match="no run to extend"):
        striate.train(digits, out=tmp_path / "none", extend=3)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("share", [[1.0, 0.0, 0.0], [0.9, 0.0, 0.1], [0.0, 0.5, 0.5]])
def test_there_must_be_pictures_to_train_and_to_validate_with(digits, tmp_path, share):
    with pytest.raises(RecipeError, match="split"):
        striate.train(digits, changes={**SHORT, "split": share}, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_without_a_test_share_there_are_no_test_figures(digits, tmp_path):
    result = striate.train(digits, changes={**SHORT, "split": [0.8, 0.2, 0.0]}, out=tmp_path, epochs=None)
    assert result.test is None and result.best["images"] == 12


@pytest.fixture(scope="module")
def crossed(digits, tmp_path_factory):
    path = tmp_path_factory.mktemp("folds") / "crossed"
    return striate.train(digits, changes={**SHORT, "folds": 3}, out=path)


def test_every_picture_is_held_out_once_and_never_trained_with(digits):
    data = open_data(digits)
    runs = folds(data, 3, 0, 0.1 / 0.9)
    tested = [record.content for run in runs for record in run.of_split("test")]
    assert sorted(tested) == sorted(record.content for record in data.records)
    for run in runs:
        sides = [{record.content for record in run.of_split(side)} for side in ("train", "val", "test")]
        assert sum(map(len, sides)) == len(set.union(*sides)) == 60


def test_pooled_figures_are_those_of_all_held_out_predictions(digits, crossed):
    """By hand: each fold's file, its own pictures, one table of predictions."""
    logs, targets, accuracies = [], [], []
    data = open_data(digits)
    for number, run in enumerate(folds(data, 3, 0, 0.1 / 0.9), start=1):
        network, description = modelfile.load(crossed.run / f"fold-{number}" / "model.safetensors")
        assert description.provenance["fold"] == number and description.provenance["folds"] == 3
        held_out = run.of_split("test")
        array = np.stack([np.pad(record.handle.array[record.handle.index], 2) for record in held_out])
        images = torch.tensor((array / 255 - 0.1307) / 0.3081, dtype=torch.float32)[:, None]
        with torch.no_grad():
            part = torch.log_softmax(network(images).double(), 1).numpy()
        labels = [record.target.index for record in held_out]
        logs.append(part)
        targets += labels
        accuracies.append(np.mean(part.argmax(1) == labels))
        assert crossed.folds[number - 1]["top1"] == pytest.approx(accuracies[-1])
    table, true = np.concatenate(logs), np.array(targets)
    pooled = crossed.pooled
    assert pooled["images"] == len(true) == 60
    assert pooled["top1"] == pytest.approx(np.mean(table.argmax(1) == true))
    assert pooled["loss"] == pytest.approx(-table[np.arange(60), true].mean(), rel=1e-4)
    assert pooled["spread"]["mean"] == pytest.approx(np.mean(accuracies))
    assert pooled["spread"]["deviation"] == pytest.approx(np.std(accuracies, ddof=1))
    confusion = np.zeros((3, 3), int)
    np.add.at(confusion, (true, table.argmax(1)), 1)
    assert pooled["confusion"] == confusion.tolist()
    assert crossed.best is None and crossed.test is None


def test_a_fold_is_evaluated_on_what_it_held_out(digits, crossed):
    for fold in crossed.folds:
        again = striate.evaluate(fold["run"], digits)
        assert again.split == "test" and again.images == 20
        assert again.figures["top1"] == fold["top1"] and again.figures["loss"] == pytest.approx(fold["loss"])


def test_the_recipe_of_a_cross_validation_is_resolved_too(crossed):
    recipe = recipes.load(crossed.run / "recipe.toml")
    assert recipe == recipes.load(crossed.run / "fold-2" / "recipe.toml")
    assert recipe.folds == 3 and recipe.size == (32, 32) and recipe.precision == "float32"


def test_a_killed_cross_validation_goes_on(digits, crossed, tmp_path, metrics_of):
    out = tmp_path / "run"
    with pytest.raises(Killed):
        striate.train(digits, changes={**SHORT, "folds": 3}, out=out, on_event=killer(23))
    assert not (out / "fold-3").exists()
    started = []
    again = striate.train(
        digits,
        out=out,
        resume=True,
        on_event=lambda event: started.append(event) if isinstance(event, RunStarted) else None,
    )
    assert [(event.fold, event.epoch) for event in started] == [(1, 3), (2, 0), (3, 0)]
    assert again.pooled == crossed.pooled
    for number in (1, 2, 3):
        assert_same_run(out / f"fold-{number}", crossed.run / f"fold-{number}", metrics_of)


def test_a_cross_validation_is_not_extended(digits, crossed):
    with pytest.raises(RecipeError, match="cross-validation, which cannot be extended"):
        striate.train(digits, out=crossed.run, extend=2)


PROGRAM = """
import sys
import striate
from striate.training.events import StepDone
from striate.training.one_network import RunStopped

def on_event(event):
    if isinstance(event, StepDone):
        print(event.epoch, event.step, flush=True)
        sys.stdin.readline()

data, recipe, *runs = sys.argv[1:]
for run in runs:
    try:
        striate.train(data, recipe=recipe, out=run, on_event=on_event)
    except RunStopped as stop:
        print("stopped", stop.run, stop.signal, flush=True)
"""


def test_a_signal_saves_the_run(digits, whole, tmp_path, metrics_of):
    """Two runs in one program, each ended by another signal: the second also shows that the first left no trace."""
    signals = {tmp_path / "one": signal.SIGTERM, tmp_path / "two": signal.SIGINT}
    words = [sys.executable, "-c", PROGRAM, str(digits), str(whole.run / "recipe.toml"), *map(str, signals)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        for out, number in signals.items():
            for expected in ("0 1", "0 2", "0 3"):
                assert process.stdout.readline().strip() == expected
                if expected == "0 3":
                    process.send_signal(number)
                process.stdin.write("\n")
                process.stdin.flush()
            assert process.stdout.readline().split() == ["stopped", str(out), str(int(number))]
    assert process.returncode == 0
    for out in signals:
        progress = checkpoint.read_header(out / "last.safetensors").progress
        assert (progress.epoch, progress.step) == (0, 3)
        assert not (out / "model.safetensors").exists()
        striate.train(digits, out=out, resume=True)
        assert_same_run(out, whole.run, metrics_of)


def test_a_signal_in_a_fold_names_the_whole_run(digits, tmp_path):
    def on_event(event):
        if isinstance(event, StepDone):
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(RunStopped) as stop:
        striate.train(digits, changes={**SHORT, "folds": 3}, out=tmp_path / "run", on_event=on_event)
    assert stop.value.run == tmp_path / "run" and stop.value.signal == signal.SIGTERM
    assert "stopped and saved" in str(stop.value)


def test_the_same_photographs_in_another_folder_go_on_too(photo_folder, tmp_path, metrics_of):
    """Order and names of files decide nothing, even in the middle of an epoch."""
    data = photo_folder(tmp_path / "photos", per_class=12, size=40)
    copy = shutil.copytree(data, tmp_path / "copy")
    for number, path in enumerate(sorted(copy.glob("*/*"), reverse=True)):
        path.rename(path.with_name(f"{number:02d}{path.suffix}"))
    changes = {**SHORT, "augment": {"crop": [0.5, 1.0], "flip": True, "colour": 0.2}, "batch_size": 4}
    whole = striate.train(data, changes=changes, out=tmp_path / "whole")
    with pytest.raises(Killed):
        striate.train(data, changes={**changes, "save_every": 1e-9}, out=tmp_path / "run", on_event=killer(8))
    result = striate.train(copy, out=tmp_path / "run", resume=True)
    ours, theirs = load_file(tmp_path / "run" / "last.safetensors"), load_file(tmp_path / "whole" / "last.safetensors")
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    assert result.test["top1"] == whole.test["top1"]
    assert {record.content for record in split(open_data(data)).of_split("test")} == {
        record.content for record in split(open_data(copy)).of_split("test")
    }
