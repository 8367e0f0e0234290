"""The settings of all tasks as flags: a second task is a row in each table here, and nothing in the product."""

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import Field

from striate.task_settings import SETTINGS
from striate.tasks import TASKS
from striate.tasks.classify import Classify
from tests.data.sources.annotated import picture, voc, voc_object


@dataclasses.dataclass(frozen=True, kw_only=True)
class GuessSettings:
    loss: Annotated[Literal["cross_entropy", "hinge"], Field(description="how guesses are punished")] = "hinge"
    guesses: Annotated[int, Field(ge=1, description="guesses a picture")] = 2


class Guess(Classify):
    """Classification under another name, with other settings."""

    name: ClassVar[str] = "guess"
    metric: ClassVar[str] = "top5"

    def default_recipe(self, data, model, *, scratch=False):
        recipe = Classify.default_recipe(self, data, model, scratch=scratch)
        return dataclasses.replace(recipe, task="guess", settings=GuessSettings(guesses=4))

    def fitted(self, recipe, records):
        assert isinstance(recipe.settings, GuessSettings)
        return self


@pytest.fixture
def guess(monkeypatch):
    monkeypatch.setitem(TASKS, "guess", f"{__name__}:Guess")
    monkeypatch.setitem(SETTINGS, "guess", GuessSettings)


def help_of(striate):
    """The flags of ``striate train --help``, each with what is said of it."""
    answer = striate("train", "--help")
    assert answer.code == 0
    rows = re.findall(r"^│ (?:\* )? ?(--[a-z0-9-]+)?(.*)│$", answer.out, re.MULTILINE)
    said, name = {}, ""
    for flag, text in rows:
        name = flag or name
        assert not flag or name not in said, f"{name} stands there twice"
        said[name] = said.get(name, "") + " " + text.strip()
    return said


def test_a_flag_of_two_tasks_stands_there_once_with_both_meanings(striate, guess):
    said = help_of(striate)
    assert "classify: " in said["--loss"] and "guess: how guesses are punished" in said["--loss"]
    assert all(word in said["--loss"] for word in ("cross_entropy", "map", "hinge"))
    assert "guesses a picture" in said["--guesses"] and "label" not in said["--guesses"]
    assert "classify, localize, detect, segment, upscale, guess" in said["--task"] and "[choices" in said["--task"]


def test_a_flag_of_one_task_says_whose_it_is(striate, guess):
    said = help_of(striate)
    assert said["--guesses"].removeprefix(" INT").strip().startswith("guess: ")
    assert said["--label-smoothing"].removeprefix(" FLOAT").strip().startswith("classify: ")
    assert "classify" not in said["--seed"] + said["--crop"] + said["--format"]


@pytest.mark.parametrize("word", ["--lr", "--learning-rate", "--rate", "--lr=0.1", "--freeze"])
def test_a_field_of_a_stage_is_said_to_be_one(striate, word):
    said = "is a field of the recipe's [[stages]]: edit a run's recipe.toml and give it to --recipe"
    answer = striate("train", "photos", word, *["0.1"] * ("=" not in word))
    answer.refuses(said)
    assert "Did you mean" not in answer.err
    striate("evaluate", "model", "photos", "--freeze", "stem").refuses("Unknown option: --freeze")


@pytest.mark.parametrize(
    ("words", "ours"),
    [
        (("train", "photos", "--imgsz", "640"), "--size"),
        (("train", "photos", "--batch=8"), "--batch-size"),
        (("train", "photos", "--project", "runs"), "--out"),
        (("train", "photos", "--iou", "0.5"), "--iou-threshold"),
        (("predict", "model", "photo.jpg", "--conf", "0.1"), "--score-threshold"),
    ],
)
def test_options_of_other_programs_are_told_by_their_names_here(striate, words, ours):
    word = next(each for each in words if each.startswith("--")).partition("=")[0]
    striate(*words).refuses(f"{word}: is called {ours} here")
    striate("bench", "--imgsz", "640").refuses("Unknown option: --imgsz")  # which has no size


def test_what_is_missing_is_said_once(striate):
    answer = striate("train", "--resume", "--out", "run")
    answer.refuses("striate: train: DATA requires an argument")
    assert answer.err.count("striate:") == 1


def test_weights_of_a_loss_that_are_all_nothing_are_refused(striate, tmp_path):
    picture(tmp_path / "data" / "a.png")
    voc(tmp_path / "data", "a", voc_object("cat", 1, 1, 20, 5))
    flags = ("--task", "localize", "--loss-weights", 0, 0, "--out", "run")
    striate("train", "data", *flags).refuses("loss_weights are both 0, so there is nothing to learn from")
    assert not (tmp_path / "run").exists()


def test_a_wrong_loss_says_whose_choices_are_which(striate):
    answer = striate("train", "photos", "--loss", "dice")
    answer.refuses(
        "--loss is 'dice': classify takes cross_entropy or map; upscale takes l1 or mse; segment has a weight for each "
        "loss, --cross-entropy-weight, --dice-weight, --focal-weight"
    )
    assert "Literal" not in answer.err


def test_flags_whose_values_a_table_decides_list_them(striate, monkeypatch):
    formats = "coco, yolo, voc, cvat, labelme, via, dlib, boxes-csv, masks, folders, classes, pictures, idx, arrays"
    assert f": {formats}" in " ".join(help_of(striate)["--format"].split())
    assert ": top1 top5 loss ece (classify), mean_iou top1 accuracy_iou50 loss (localize), ap ap50 " in " ".join(
        help_of(striate)["--metric"].split()
    )
    with monkeypatch.context() as patch:
        patch.setitem(TASKS, "guess", f"{__name__}:Guess")
        patch.setitem(SETTINGS, "guess", GuessSettings)
        said = " ".join(help_of(striate)["--metric"].split())
        assert "top1 top5 loss ece (classify), mean_iou " in said and "(upscale), top1 top5 loss ece (guess)" in said


def test_flags_are_those_of_the_tasks_that_there_are(striate, monkeypatch):
    """Also where the command line was used before a task came."""
    assert "--guesses" not in help_of(striate)
    with monkeypatch.context() as patch:
        patch.setitem(SETTINGS, "guess", GuessSettings)
        assert "--guesses" in help_of(striate)
    said = help_of(striate)
    assert "--guesses" not in said and "guess" not in said["--loss"]


def test_a_run_of_a_second_task(train, striate, photos, guess):
    answer = train(photos, "--task", "guess", "--loss", "cross_entropy", "--out", "run")
    assert answer.code == 0, answer.err
    saved = tomllib.loads(Path("run/recipe.toml").read_text())
    assert (saved["task"], saved["metric"]) == ("guess", "top5")
    assert saved["guess"] == {"loss": "cross_entropy", "guesses": 4} and "classify" not in saved
    assert striate("train", photos, "--out", "run", "--extend", "1").code == 0
    assert striate("train", photos, "--out", "run", "--resume", "--guesses", "4").code == 0
    answer = striate("train", photos, "--out", "run", "--resume", "--guesses", "5")
    answer.refuses("differs from it in guess;")
    assert striate("train", photos, "--recipe", "run/recipe.toml", "--out", "again").code == 0
    assert Path("again/recipe.toml").read_text() == Path("run/recipe.toml").read_text()


def test_a_shared_flag_is_the_own_tasks(train, photos, guess):
    assert train(photos, "--loss", "map", "--out", "run").code == 0
    assert tomllib.loads(Path("run/recipe.toml").read_text())["classify"]["loss"] == "map"
    train(photos, "--loss", "hinge").refuses('classify.loss is "hinge"', "'cross_entropy' or 'map'")


def test_a_flag_of_another_task_is_refused(train, photos, guess, leftovers, tmp_path):
    words = ['task "classify"', "no field 'guesses'", "loss, label_smoothing, class_weights"]
    train(photos, "--guesses", "3").refuses(*words)
    train(photos, "--task", "guess", "--label-smoothing", "0.1").refuses('task "guess"', "'label_smoothing'", "guesses")
    Path("r.toml").write_text("task = 'guess'\n[classify]\nloss = 'map'\n")
    train(photos, "--recipe", "r.toml").refuses("r.toml: has a table [classify]", 'task is "guess"')
    Path("r.toml").write_text("task = 'gues'\n")
    train(photos, "--recipe", "r.toml").refuses("r.toml: there is no task 'gues'. Did you mean 'guess'?")
    assert leftovers(tmp_path) == []


def test_a_setting_called_like_a_field_of_the_recipe_is_our_fault_and_says_so(striate, monkeypatch):
    @dataclasses.dataclass
    class Clash:
        seed: Annotated[int, Field(description="another seed")] = 1

    monkeypatch.setitem(SETTINGS, "clash", Clash)
    with pytest.raises(TypeError, match=r"Clash\.seed is called like another field"):
        striate("train", "--help")


def test_a_format_that_is_told_is_kept_and_need_not_be_told_again(train, striate, photos, tmp_path):
    (photos / "more.npz").write_bytes(b"no array")
    train(photos).refuses("--format folders or --format arrays")
    assert train(photos, "--format", "folders", "--out", "run").code == 0
    usual = {"clip": False, "drop_degenerate": False, "drop_duplicates": False, "unlabelled": "error"}
    usual |= {"largest": False, "first_pixel": 1}
    assert tomllib.loads(Path("run/recipe.toml").read_text())["data"] == {"format": "folders", **usual}
    assert striate("train", photos, "--out", "run", "--extend", "1").code == 0
    assert striate("train", photos, "--recipe", "run/recipe.toml", "--out", "again").code == 0
    striate("train", photos, "--out", "run", "--resume", "--format", "arrays").refuses("photos")
    Path("r.toml").write_text("data = 3\n")
    train(photos, "--recipe", "r.toml").refuses("r.toml: data is 3; expected a table, [data]")


def test_a_run_that_was_not_told_its_format_takes_it_when_it_goes_on(train, striate, photos):
    assert train(photos, "--out", "run").code == 0
    assert "format" not in tomllib.loads(Path("run/recipe.toml").read_text())["data"]
    (photos / "more.npz").write_bytes(b"no array")
    striate("train", photos, "--out", "run", "--resume").refuses("--format folders or --format arrays")
    assert striate("train", photos, "--out", "run", "--resume", "--format", "folders").code == 0
