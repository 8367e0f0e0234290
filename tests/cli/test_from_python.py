"""What a program that trains sees of it: lines by default, a bar where it asks, nothing where it says so."""

import dataclasses
import logging
import re
import sys
import types

import pytest
import rich.console

import striate
from striate.cli.progress import TrainingProgress
from striate.recipe import Recipe, Stage
from striate.training.events import EpochDone, Notice, RunStarted, Saved, StepDone

QUICK = {"model": "lenet5", "epochs": 2, "workers": 0}


@pytest.fixture
def copied(photos):
    """With an empty folder, of which a notice tells."""
    (photos / "empty").mkdir()
    return photos


def test_by_default_a_run_says_its_notices_and_a_line_an_epoch(copied, tmp_path, capfd):
    events = []
    result = striate.train(copied, **QUICK, out=tmp_path / "run", on_event=events.append)
    out, err = capfd.readouterr()
    assert re.fullmatch(r"Result\(run, lenet5, 2 epochs; test: top-1 \S+, with 95 % .*; loss \S+\)", repr(result))
    assert len(repr(result)) <= 120
    lines = err.splitlines()
    assert out == "" and "\r" not in err and "\x1b" not in err
    assert sum(line.startswith("epoch ") for line in lines) == 2
    notices = [event.text for event in events if isinstance(event, Notice)]
    assert notices and all(text in lines for text in notices)
    assert len([event for event in events if isinstance(event, EpochDone)]) == 2  # the listener hears them, too
    assert any(isinstance(event, RunStarted) for event in events)
    (cached,) = [line for line in lines if "GiB" in line]
    assert cached.startswith("pictures are decoded once and kept") and cached.endswith("free memory")


def test_what_kept_means_is_said_once(photos, tmp_path, capfd):
    events = []
    striate.train(photos, **QUICK, changes={"metric": "top5"}, out=tmp_path / "run", on_event=events.append)
    lines = capfd.readouterr().err.splitlines()
    (meaning,) = [line for line in lines if line.startswith("kept:")]
    assert "top5 is as good as the best, but for what may be chance" in meaning and "by loss" in meaning
    epochs = [line for line in lines if line.startswith("epoch ")]
    assert lines.index(meaning) < lines.index(epochs[0])
    kept = [event.kept for event in events if isinstance(event, EpochDone)]
    assert [", kept;" in line for line in epochs] == kept


def test_a_run_can_be_mute(copied, tmp_path, capfd, caplog):
    events = []
    with caplog.at_level(logging.DEBUG):
        striate.train(copied, **QUICK, out=tmp_path / "run", progress=False, on_event=events.append)
    assert capfd.readouterr() == ("", "") and events
    assert not [record for record in caplog.records if record.name.startswith("striate")]


@pytest.mark.parametrize(
    ("progress", "terminal", "notebook", "bar"),
    [
        (True, False, False, False),
        (True, True, False, False),
        ("rich", True, False, True),
        ("rich", False, False, False),
        (True, False, True, True),
        ("rich", False, True, True),
        (False, True, True, False),
    ],
)
def test_where_there_is_a_bar(monkeypatch, progress, terminal, notebook, bar):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: notebook)
    monkeypatch.setitem(sys.modules, "ipywidgets", module := types.ModuleType("ipywidgets"))
    module.__spec__ = types.SimpleNamespace()
    assert (TrainingProgress(progress)._bar is not None) == bar
    monkeypatch.setitem(sys.modules, "ipywidgets", None)  # rich would show nothing but a warning
    if notebook:
        assert TrainingProgress(progress)._bar is None


def test_the_time_that_is_left_counts_what_learns_now(monkeypatch, tmp_path):
    """Ten steps an epoch: a second each while the head learns alone, for two epochs; then five seconds, for four."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    clock, frozen = [0.0], ("stem", "stage1")
    stages = (Stage(epochs=2, rate=0.1, freeze=frozen), Stage(epochs=3, rate=0.1), Stage(epochs=1, rate=0.01))
    shown = TrainingProgress("rich")
    shown._bar.get_time = lambda: clock[0]
    recipe = Recipe(model="lenet5", stages=stages)
    images = {"train": 10, "val": 2, "test": 2}
    shown(RunStarted(tmp_path, recipe, "float32", "", "cpu", 1, 0, images, ("a", "b"), 10, 0, 0, None))
    said = []
    for epoch in range(6):
        for step in range(1, 11):
            clock[0] += 1 if epoch < 2 else 5
            shown(StepDone(epoch, step, 10, step, 1.0))
            (task,) = shown._bar.tasks
            said.append(str(shown._bar.columns[-1].render(task)))
    assert said[0] == "-:--:--" and said[2] == "0:00:17 to the end of epoch 2" and said[18].startswith("0:00:01 to")
    assert said[20] == "-:--:--" and said[22] == "0:03:05 left"
    assert said[50] == "0:00:45 left" and said[59] == "0:00:00 left"


@pytest.mark.parametrize(
    ("model", "line"),
    [
        ("unet/resnet34", "those of resnet34 .* do not come with Striate; --weights pretrained fetches them once"),
        ("resnet20", "those of resnet20 .*; --weights pretrained takes them, striate models resnet20 says what"),
        ("lenet5", None),
        ("unet/efficientnet_lite0", None),
    ],
)
def test_weights_that_are_known_and_not_here_have_a_line(model, line, tmp_path, capfd):
    recipe = Recipe(model=model, weights="none", stages=(Stage(epochs=1, rate=0.1),))
    images = {"train": 10, "val": 2, "test": 2}
    started = RunStarted(tmp_path, recipe, "float32", "", "cpu", 1, 0, images, ("a", "b"), 10, 0, 0, None)
    TrainingProgress(True)(started)
    told = [each for each in capfd.readouterr().err.splitlines() if each.startswith("this run starts from random")]
    assert len(told) == (line is not None) and (line is None or re.search(line, told[0]))
    TrainingProgress(True)(dataclasses.replace(started, recipe=dataclasses.replace(recipe, weights="pretrained")))
    assert "random weights" not in capfd.readouterr().err


def test_a_program_goes_on_by_an_argument_and_not_by_a_flag(tmp_path, capfd):
    run = tmp_path / "run"
    for progress in (TrainingProgress(True, resume="resume=True, out='{}'"), TrainingProgress(True)):
        progress(Saved(run / "last.safetensors", 0, 2))
    first, second = capfd.readouterr().err.splitlines()
    assert first == f"stopped in epoch 1 after step 2; saved; resume=True, out='{run}' goes on from there"
    assert second == "stopped in epoch 1 after step 2"  # the command line says the rest


def test_what_is_said_of_a_run_is_short_and_plain(tmp_path, capfd):
    alike = (Stage(epochs=2, rate=0.1, freeze=("stem",)), Stage(epochs=1, rate=0.01, freeze=("stem",)))
    images = {"train": 10, "val": 2, "test": 2}
    for stages in (alike, (*alike, Stage(epochs=1, rate=0.1))):
        recipe = Recipe(model="lenet5", metric="top1", stages=stages)
        progress = TrainingProgress(True)
        progress(RunStarted(tmp_path, recipe, "float32", "", "cpu", 1, 0, images, ("a", "b"), 10, 0, 0, None))
    for speed in (0.44, 9.949, 9.96, 70.0):
        progress(EpochDone(0, 4, 1.0, 0.1, {}, "top-1 0.5", True, round(speed * 1000), 1000.0))
    lines = capfd.readouterr().err.splitlines()
    assert [each for each in lines if "blocks" in each] == [
        "blocks that do not learn: in all epochs stem",
        "blocks that do not learn: in epochs 1 to 3 stem; in epoch 4 none",
    ]
    assert [each.rpartition("; ")[2] for each in lines if each.startswith("epoch 1/4")] == [
        *("0.4 images/s", "9.9 images/s", "10 images/s", "70 images/s")
    ]
    said = "kept: the latest epoch whose top1 is as good as the best"
    assert any(each.startswith(said) for each in lines)


def test_a_run_that_goes_on_computes_as_when_it_began(photos, tmp_path):
    events = []
    striate.train(photos, **QUICK, out=tmp_path / "run", progress=False, on_event=events.append)
    striate.train(photos, out=tmp_path / "run", extend=1, progress=False, on_event=events.append)
    first, second = (event.reason for event in events if isinstance(event, RunStarted))
    assert "when the run began" not in first and second.startswith("as when the run began")


def test_a_closed_stderr_stops_no_run(photos, tmp_path, monkeypatch):
    with (tmp_path / "log").open("w") as closed:
        pass
    monkeypatch.setattr(sys, "stderr", closed)
    assert striate.train(photos, **QUICK, out=tmp_path / "run").epochs == 2


def test_what_a_listener_raises_comes_through(photos, tmp_path):
    def listen(event):
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        striate.train(photos, **QUICK, out=tmp_path / "run", on_event=listen)
