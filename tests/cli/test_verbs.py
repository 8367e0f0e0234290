"""The verbs as they should go: what stands on stdout and on stderr, the keys of docs/json.md, exit codes, signals."""

import csv
import json
import re
import shutil
import signal
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from striate.data.records import Classes, Dataset
from striate.tasks import task_named

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "json.md"


def documented(heading: str) -> set[str]:
    """The keys in the first column of the table under a heading of docs/json.md."""
    section = re.split(r"^## ", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (text,) = (part for part in section if part.startswith(heading))
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| ")]
    return {key for row in rows for key in re.findall(r"`([a-z0-9_]+)`", row)}


FIGURES = documented("Figures of classification")


def test_the_document_is_read():
    assert {"top1", "top5", "loss", "ece", "interval", "per_class", "images", "confusion"} == FIGURES
    assert {"run", "model", "task", "best", "test", "folds", "pooled"} < documented("`striate train")


# train


def test_train_in_json(train, photos):
    answer = train(photos, "--json")
    result = answer.json
    assert answer.code == 0 and set(result) == documented("`striate train")
    assert set(result["best"]) == FIGURES - {"confusion"} and set(result["test"]) == FIGURES
    assert (result["run"], result["model"], result["task"]) == ("runs/photos-1", "lenet5", "classify")
    assert (result["epochs"], result["images_seen"], result["folds"], result["pooled"]) == (1, 20, [], None)
    assert result["seconds"] > 0 and result["images_per_second"] > 0
    assert [(row["name"], row["id"], row["images"]) for row in result["test"]["per_class"]] == [
        ("disc", None, 1),
        ("square", None, 1),
    ]
    files = {path.name for path in Path("runs/photos-1").iterdir()}
    assert files == {"recipe.toml", "metrics.jsonl", "model.safetensors", "last.safetensors"}
    lines = [json.loads(line) for line in Path("runs/photos-1/metrics.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["step", "epoch"]
    assert lines[1]["validation"] == {key: value for key, value in result["best"].items() if key != "confusion"}


def test_train_in_words(train, photos):
    answer = train(photos)
    assert answer.code == 0
    assert re.fullmatch(
        r"validation: top-1 .*\ntest, 2 pictures never used before: top-1 .*\n"
        r"wrote runs/photos-1/model.safetensors; next: striate predict runs/photos-1/model.safetensors PICTURE\n",
        answer.out,
    )
    assert "training lenet5 on 20 pictures (2 for validation, 2 for the test)" in answer.err
    assert "epoch 1/1: loss " in answer.err and "\r" not in answer.err  # no bar where there is no terminal


def test_blocks_that_do_not_learn_are_told(striate, photos):
    stage = "[[stages]]\nepochs = {}\nrate = 0.01\nfreeze = [{}]\n"
    Path("r.toml").write_text(stage.format(1, '"body"') + stage.format(2, '"stage1", "stem"') + stage.format(1, ""))
    answer = striate("train", photos, "--recipe", "r.toml", "--model", "lenet5", "--out", "run")
    assert (
        "blocks that do not learn: in epoch 1 stem, stage1, stage2; in epochs 2 to 3 stem, stage1; in epoch 4 none\n"
        in answer.err
    )
    told = [line.split(":")[0] for line in answer.err.splitlines() if line.startswith(("epoch ", "from epoch "))]
    assert told == [
        "epoch 1/4",
        "from epoch 2 on stage2 learns, too; the loss may rise at first, as more weights move",
        *("epoch 2/4", "epoch 3/4"),
        "from epoch 4 on stem, stage1 learn, too; the loss may rise at first, as more weights move",
        "epoch 4/4",
    ]
    Path("r.toml").write_text(stage.format(1, ""))
    answer = striate("train", photos, "--recipe", "r.toml", "--model", "lenet5", "--out", "learning")
    assert answer.code == 0 and "do not learn" not in answer.err


def test_quiet_says_nothing_but_the_answer(train, striate, photos):
    (photos / "empty").mkdir()
    answer = train(photos, "--quiet", "--out", "run")
    assert (answer.code, answer.err) == (0, "") and answer.out.startswith("validation: ")
    answer = striate("evaluate", "run", photos, "--quiet")
    assert (answer.code, answer.err) == (0, "") and answer.out.startswith("the test split, 2 pictures: top-1 ")
    (photos / "disc" / "text.jpg").write_text("no picture")
    answer = striate("predict", "run", photos / "disc", "--quiet")
    assert (answer.code, answer.err, answer.out.count("\n")) == (0, "", 12)


def test_each_run_gets_a_folder_of_its_own(train, photos):
    assert [train(photos, "--json").json["run"] for _ in range(3)] == [f"runs/photos-{n}" for n in (1, 2, 3)]
    shutil.rmtree("runs/photos-2")
    assert train(photos, "--json").json["run"] == "runs/photos-2"


def test_force_starts_over(train, photos, run):
    before = (run / "model.safetensors").read_bytes()
    assert train(photos, "--out", run, "--force", "--seed", "5").code == 0
    assert (run / "model.safetensors").read_bytes() != before


def test_extending_a_finished_run(striate, photos, run):
    answer = striate("train", photos, "--out", run, "--extend", "2", "--json")
    assert answer.code == 0 and answer.json["epochs"] == 3


def test_flags_go_over_the_recipe_file(striate, photos):
    Path("r.toml").write_text('model = "lenet5"\nbatch_size = 4\n[augment]\nrotation = 3.0\n')
    striate("train", photos, "--recipe", "r.toml", "--batch-size", "5", "--shift", "1", "--epochs", "1", "--out", "run")
    from striate.recipe import load

    recipe = load(Path("run/recipe.toml"))
    assert (recipe.batch_size, recipe.augment.rotation, recipe.augment.shift) == (5, 3.0, 1)
    answer = striate("train", photos, "--recipe", "run/recipe.toml", "--out", "again", "--json")
    assert answer.code == 0 and Path("again/recipe.toml").read_text() == Path("run/recipe.toml").read_text()
    assert Path("again/model.safetensors").read_bytes() == Path("run/model.safetensors").read_bytes()


def test_cross_validation_in_json(train, photos):
    answer = train(photos, "--folds", "3", "--json")
    result = answer.json
    assert answer.code == 0 and set(result) == documented("`striate train")
    assert result["best"] is None and result["test"] is None
    assert set(result["pooled"]) == FIGURES | {"spread"} and result["pooled"]["images"] == 24
    assert set(result["pooled"]["spread"]) == {"mean", "deviation"}
    assert [set(fold) for fold in result["folds"]] == [FIGURES | {"run"}] * 3
    assert sum(fold["images"] for fold in result["folds"]) == 24
    words = train(photos, "--folds", "3").out
    assert words.startswith("cross-validation: top-1 ") and "over 24 pictures that were held out" in words


# evaluate


def test_evaluate_in_json(striate, photos, run):
    answer = striate("evaluate", run, photos, "--json")
    assert answer.code == 0 and set(answer.json) == documented("`striate evaluate") | FIGURES
    assert (answer.json["model"], answer.json["data"]) == (str(run), str(photos))
    assert sum(map(sum, answer.json["confusion"])) == answer.json["images"] == 2


def test_which_pictures_are_evaluated(striate, photos, run, tmp_path):
    def split(data: Path, *flags: str) -> tuple[str, int]:
        answer = striate("evaluate", run, data, "--json", *flags).json
        return answer["split"], answer["images"]

    assert split(photos) == ("test", 2)  # those of the run, since these are its data
    assert split(photos, "--split", "val") == ("val", 2)
    assert split(photos, "--split", "train") == ("train", 20)
    assert split(photos, "--split", "all") == ("all", 24)
    shutil.copytree(photos, tmp_path / "copy")
    (tmp_path / "copy/disc/0000.jpg").rename(tmp_path / "copy/disc/other name.jpg")
    assert split(tmp_path / "copy") == ("test", 2)  # the same pictures under other names
    (tmp_path / "copy/disc/other name.jpg").unlink()
    assert split(tmp_path / "copy") == ("all", 23)
    parts = tmp_path / "parts"
    for name in ("train", "val", "test"):
        shutil.copytree(tmp_path / "copy", parts / name)
    (parts / "val/disc/0001.jpg").unlink()
    assert split(parts) == ("test", 23)
    shutil.rmtree(parts / "test")
    assert split(parts) == ("val", 22)
    assert split(parts, "--split", "all") == ("all", 45)


def test_the_test_figures_of_the_run_come_again(train, striate, photos):
    told = train(photos, "--json", "--out", "run").json["test"]
    again = striate("evaluate", "run/model.safetensors", photos, "--json").json
    assert again["confusion"] == told["confusion"] and again["per_class"] == told["per_class"]
    assert again["loss"] == pytest.approx(told["loss"], abs=1e-6)


# predict


def test_predict_in_json(striate, photos, run):
    picture = photos / "disc" / "0000.jpg"
    answer = striate("predict", run, picture, "--json", "--top", "2")
    assert answer.code == 0 and answer.err == ""
    (row,) = answer.json["predictions"]
    assert set(row) == {"image", "classes"} and row["image"] == str(picture)
    assert [set(each) for each in row["classes"]] == [{"name", "id", "probability"}] * 2
    first, second = row["classes"]
    assert {first["name"], second["name"]} == {"disc", "square"} and first["id"] is None
    assert first["probability"] >= second["probability"]
    assert first["probability"] + second["probability"] == pytest.approx(1)
    assert len(striate("predict", run, picture, "--json", "--top", "99").json["predictions"][0]["classes"]) == 2


def test_predict_takes_pictures_and_folders_in_order(striate, photos, run):
    (photos / "square" / ".hidden.jpg").write_text("no picture")
    (photos / "square" / "notes.txt").write_text("no picture")
    one, other = photos / "disc" / "0007.jpg", photos / "disc" / "0001.jpg"
    rows = striate("predict", run, one, photos / "square", other, "--json").json["predictions"]
    squares = sorted((photos / "square").glob("0*.*"))
    assert [row["image"] for row in rows] == [str(one), *map(str, squares), str(other)]
    words = striate("predict", run, one, other, "--top", "1")
    assert re.fullmatch(r"\S+0007\.jpg: (disc|square) \d+\.\d%\n\S+0001\.jpg: (disc|square) \d+\.\d%\n", words.out)


def test_a_pretrained_network_by_its_name(striate, photos):
    answer = striate("predict", "efficientnet_lite0", photos / "disc" / "0000.jpg", "--json")
    (row,) = answer.json["predictions"]
    assert len(row["classes"]) == 3 and all(re.fullmatch(r"n\d{8}", each["id"]) for each in row["classes"])


# models, help, and the program itself


def test_models(striate):
    answer = striate("models", "--json")
    rows = answer.json["models"]
    assert answer.code == 0 and answer.err == "" and set(answer.json) == {"models", "heads"}
    assert set(rows[0]) == documented("`striate models [NAME] --json`") - {"models", "heads", "weights", "ladder"}
    by_name = {row["name"]: row for row in rows}
    assert by_name["lenet5"]["parameters"] == 61_706 and by_name["lenet5"]["size"] == [32, 32]
    assert by_name["efficientnet_lite0"]["pretrained"] and by_name["efficientnet_lite0"]["licence"] == "Apache-2.0"
    words = striate("models")
    assert words.code == 0 and all(name in words.out for name in by_name) and words.err == ""


@pytest.mark.parametrize("words", [(), ("--help",), ("train", "--help"), ("evaluate", "-h"), ("predict", "-h")])
def test_help_is_an_answer(striate, words):
    answer = striate(*words)
    assert answer.code == 0 and "striate" in answer.out and answer.err == ""


def test_help_says_what_is_trained_of_which_data(striate, tmp_path):
    said = " ".join(striate("--help").out.split())
    for task, answering in (
        ("classify", "classifier"),
        ("detect", "detector"),
        ("segment", "network for segmentation"),
        ("upscale", "network for super-resolution"),
    ):
        data = Dataset(tmp_path, "any", Classes(("a", "b")), (), 3, task=task)
        assert f"a {answering} ({task_named(task, data.classes).default_model(data)})" in said


@pytest.mark.parametrize("verb", ["train", "evaluate", "predict", "models", "import", "bench"])
def test_help_names_arguments_alike_and_starts_nobody_who_has_started(striate, monkeypatch, verb):
    monkeypatch.setenv("COLUMNS", "100")
    assert striate("--help").out.count("Start with: striate train FOLDER") == 1
    shown = striate(verb, "--help").out
    assert "Start with" not in shown
    usage, *rest = shown.splitlines()
    panel = "\n".join(rest).split("─ Arguments ")[1].split("╰")[0]
    assert re.findall(r"\b[A-Z]+\b", usage.replace("[OPTIONS]", "").replace("--out PATH", "")) == re.findall(
        r"^│[ *]+([A-Z]+)  ", panel, re.MULTILINE
    ), shown


def test_a_fault_of_ours_is_not_hidden(train, photos, monkeypatch):
    monkeypatch.setattr("striate.training.run.fingerprint", lambda dataset: 1 // 0)
    with pytest.raises(ZeroDivisionError):  # which ends the program with a traceback and exit code 1
        train(photos)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_the_run_and_ends_it(train, striate, photos, monkeypatch, tmp_path, number, code):
    from striate.cli.progress import TrainingProgress
    from striate.training.events import StepDone

    shown: Callable[..., None] = TrainingProgress.__call__

    def show(self, event):
        shown(self, event)
        if isinstance(event, StepDone) and event.step == 2:
            signal.raise_signal(number)

    monkeypatch.setattr(TrainingProgress, "__call__", show)
    answer = train(photos, "--batch-size", "5", "--out", "run", "--json")
    assert answer.code == code and answer.json == {
        "error": f"stopped and saved in run; to go on: striate train {photos} --resume --out run"
    }
    assert "\nstopped in epoch 1 after step 2\n" in answer.err
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    answer = striate("train", photos, "--out", "run", "--resume", "--json")
    assert answer.code == 0 and answer.json["images_seen"] == 20
    assert "going on in epoch 1 after step 2" in answer.err


def test_a_program_that_is_told_to_end(process, photos):
    job = process("train", photos, "--model", "lenet5", "--epochs", "100000", "--out", "run")
    await_line(job, "epoch ")
    job.terminate()
    out, err = job.communicate()
    assert job.returncode == 143 and out == ""
    assert f"striate: stopped and saved in run; to go on: striate train {photos} --resume --out run\n" in err
    assert not list(photos.parent.rglob("*.partial"))


def test_a_reader_that_goes_away(process, photos, run):
    job = process("predict", run, photos)
    assert job.stdout is not None and job.stderr is not None
    job.stdout.close()  # as `striate predict ... | head -0` does
    with job.stderr:
        assert "Traceback" not in job.stderr.read()
    assert job.wait() == 0


def await_line(job: subprocess.Popen[str], start: str) -> None:
    """Wait until the program has said a line that starts so."""
    assert job.stderr is not None
    while line := job.stderr.readline():
        if line.startswith(start):
            return
    pytest.fail(f"the program did not say {start!r}")


@pytest.mark.parametrize(("word", "size"), [("32", [32, 32]), ("32x48", [32, 48])])
def test_a_size_is_one_number_or_two(train, photos, word, size) -> None:
    answer = train(photos, "--out", "run", "--model", "mobilenet_v1_025", "--size", word, "--epochs", "1", "--json")
    assert answer.code == 0, answer
    assert tomllib.loads(Path("run/recipe.toml").read_text())["size"] == size


@pytest.mark.parametrize("word", ["big", "32x", "x32", "32x32x3", "3.5"])
def test_a_size_that_is_none(train, photos, word) -> None:
    train(photos, "--size", word).refuses(f"--size is '{word}', expected pixels", "240x320")


def test_evaluate_lists_what_was_answered_wrongly(striate, photos, run, tmp_path):
    answer = striate("evaluate", run, photos, "--split", "all", "--wrong", tmp_path / "wrong.csv", "--json")
    rows = list(csv.DictReader((tmp_path / "wrong.csv").read_text().splitlines()))
    assert [row["image"] for row in rows] == [row["image"] for row in answer.json["wrong"]]
    assert len(rows) == answer.json["images"] - round(answer.json["top1"] * answer.json["images"])
    assert all(row["true"] != row["answered"] and (photos / row["image"]).is_file() for row in rows)
    assert "learnt from are among these" in answer.err
    assert striate("evaluate", run, photos, "--wrong", tmp_path / "none" / "wrong.csv").code == 2
    told = striate("evaluate", run, photos).out.splitlines()
    assert told[2].split() == ["class", "pictures", "recall", "precision"]
