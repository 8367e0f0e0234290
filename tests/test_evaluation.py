"""Which pictures a model file is measured on, and what their folders' names mean."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import striate
from striate import evaluation, modelfile
from striate import recipe as recipes
from striate.base.errors import DataError, DecodeError, RecipeError, StriateError, TrainingError
from striate.data import open_data, split
from striate.data.records import Classes
from striate.evaluation import evaluate
from striate.models import build
from striate.models.table import MODELS

QUICK = {"model": "lenet5", "batch_size": 8, "stages": [{"epochs": 1, "rate": 0.02}]}


@pytest.fixture(scope="module")
def photos(tmp_path_factory, photo_folder):
    return photo_folder(tmp_path_factory.mktemp("photos") / "data", classes=("disc", "square", "tip"), per_class=20)


@pytest.fixture(scope="module")
def trained(photos, tmp_path_factory):
    return striate.train(photos, changes=QUICK, out=tmp_path_factory.mktemp("run") / "run")


def renamed_copy(data, target):
    """All pictures under other names, in another order."""
    for number, path in enumerate(sorted(data.rglob("*.*"), key=lambda path: path.name[::-1])):
        place = target / path.parent.relative_to(data) / f"{number:03d}{path.suffix}"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    return target


def sorted_into(data, target, share):
    """The pictures of class folders in train/ and ``share`` (test or val), the last fifth of each class in that."""
    for folder in sorted(data.iterdir()):
        paths = sorted(folder.iterdir())
        for number, path in enumerate(paths):
            side = "train" if number < len(paths) * 4 // 5 else share
            place = target / side / folder.name
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
    return target


def test_the_runs_own_test_split_is_found_again_in_a_renamed_copy(photos, trained, tmp_path):
    first = evaluate(trained.run, photos)
    copy = evaluate(trained.run / "model.safetensors", renamed_copy(photos, tmp_path / "copy"))
    assert first.split == copy.split == "test" and first.images == copy.images == 6
    assert first.figures == trained.test
    assert copy.figures["confusion"] == first.figures["confusion"]
    assert copy.figures["loss"] == pytest.approx(first.figures["loss"])


def test_the_runs_own_test_split_is_found_again_in_other_folders(photos, trained, tmp_path):
    """Its test pictures now lie in train/ and test/; those it was trained with are not counted for that."""
    again = evaluate(trained.run, sorted_into(photos, tmp_path / "sorted", "test"))
    assert again.split == "test" and again.figures["confusion"] == trained.test["confusion"]


@pytest.fixture
def pairs(photos, tmp_path):
    """The pictures with a smaller copy of each, and a file that groups them by two."""
    data = shutil.copytree(photos, tmp_path / "pairs")
    rows = []
    for path in sorted(data.rglob("*.*")):
        with Image.open(path) as picture:
            picture.resize((40, 40)).save(path.with_name(f"small-{path.stem}.png"))
        name = path.relative_to(data)
        rows += [f"{name},{name}", f"{name.parent}/small-{path.stem}.png,{name}"]
    (tmp_path / "groups.csv").write_text("\n".join(["picture,group", *rows]))
    return data


@pytest.mark.parametrize("group", ["near", "groups.csv"])
def test_the_groups_of_the_run_are_found_again(pairs, tmp_path, monkeypatch, group):
    monkeypatch.chdir(tmp_path)
    (pairs / "disc" / "broken.jpg").write_text("no photograph")  # of which the file speaks like of others
    table = tmp_path / "groups.csv"
    table.write_text(f"{table.read_text()}\ndisc/broken.jpg,disc/0000.jpg")
    changes = QUICK | {"data": {"group": group}}
    run = striate.train(pairs, changes=changes, out="run", skip_unreadable=True)
    assert run.test["images"] == 12
    again = evaluate(run.run, pairs, skip_unreadable=True)
    assert again.split == "test" and again.figures == run.test
    stems = {row["image"].replace("small-", "").partition(".")[0] for row in again.rows}
    assert len(stems) == 6  # each with its copy
    assert modelfile.describe(run.run / "model.safetensors").data.group == group
    assert recipes.load(run.run / "recipe.toml").data.group == group
    assert evaluate(run.run, pairs, split="all", skip_unreadable=True).images == 120


def test_groups_that_are_not_those_of_the_run_any_more_are_refused(pairs, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = tmp_path / "groups.csv"
    run = striate.train(pairs, changes=QUICK | {"data": {"group": "groups.csv"}}, out="run").run
    table.write_text(table.read_text() + " by itself")
    with pytest.raises(DataError, match=r"by groups\.csv other pictures belong together now .*--split all"):
        evaluate(run, pairs)
    with pytest.raises(TrainingError, match="groups"):
        striate.train(pairs, resume=True, out="run")
    table.unlink()
    with pytest.raises(DataError, match=r"group is 'groups\.csv', and there is no such file here or in "):
        evaluate(run, pairs)
    assert evaluate(run, pairs, split="all").images == 120
    notices = []
    assert evaluate(run, photos, on_notice=notices.append).split == "all"  # other pictures, so no group is asked for
    assert any("not the data that the model was trained on" in text for text in notices)


def test_parts_may_be_asked_for(photos, trained):
    parts = {part: evaluate(trained.run, photos, split=part) for part in ("train", "val", "test", "all")}
    assert {name: part.images for name, part in parts.items()} == {"train": 48, "val": 6, "test": 6, "all": 60}
    assert all(part.split == name for name, part in parts.items())
    assert parts["val"].figures["top1"] == trained.best["top1"]
    confusion = [np.array(parts[name].figures["confusion"]) for name in ("train", "val", "test")]
    assert sum(confusion).tolist() == parts["all"].figures["confusion"]


def test_data_that_it_was_not_trained_on_count_as_their_folders_say(photos, trained, tmp_path):
    other = renamed_copy(photos, tmp_path / "other")
    next(iter(sorted((other / "disc").iterdir()))).unlink()
    assert (evaluate(trained.run, other).split, evaluate(trained.run, other).images) == ("all", 59)
    assert evaluate(trained.run, sorted_into(other, tmp_path / "tested", "test")).split == "test"
    assert evaluate(trained.run, sorted_into(other, tmp_path / "validated", "val")).split == "val"
    with pytest.raises(DataError, match=r"has no val pictures.*--split all"):
        evaluate(trained.run, other, split="val")


def test_folders_that_decided_the_split_decide_the_evaluation(photos, tmp_path):
    data = sorted_into(photos, tmp_path / "sorted", "test")
    run = striate.train(data, changes=QUICK, out=tmp_path / "run")
    assert run.test["images"] == 12
    again = evaluate(run.run, data)
    assert again.split == "test" and again.figures == run.test
    # In plain class folders nothing tells which of them it was trained with, and nothing else is called a test.
    assert evaluate(run.run, photos).split == "all"


def test_a_run_without_a_test_is_measured_on_its_validation(photos, tmp_path):
    data = sorted_into(photos, tmp_path / "sorted", "val")
    run = striate.train(data, changes=QUICK, out=tmp_path / "run")
    assert run.test is None
    notices = []
    again = evaluate(run.run, data, on_notice=notices.append)
    assert notices == ["these pictures chose the epoch that was kept, so the figures flatter"]
    assert again.split == "val" and again.figures["top1"] == run.best["top1"]


def test_the_json_has_the_keys_of_the_docs(photos, trained):
    values = json.loads(json.dumps(evaluate(trained.run, photos).as_json()))
    assert list(values) == [
        *("task", "model", "data", "split", "images", "seconds"),
        *("top1", "top5", "loss", "ece", "interval", "per_class", "confusion", "wrong"),
    ]
    assert values["model"] == str(trained.run) and values["data"] == str(photos)


def test_what_cannot_be_read_is_refused_or_left_out(photos, trained, tmp_path):
    other = renamed_copy(photos, tmp_path / "other")
    (other / "disc" / "zzz.jpg").write_text("no photograph")
    with pytest.raises(DataError, match=r"zzz\.jpg") as error:
        evaluate(trained.run, other)
    assert not isinstance(error.value, DecodeError)  # it lists all of them
    notices = []
    again = evaluate(trained.run, other, skip_unreadable=True, on_notice=notices.append)
    assert again.figures["confusion"] == trained.test["confusion"]
    assert any("zzz.jpg" in text for text in notices)


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    """A model of five classes with ids, two of which have one name, two that differ by case."""
    classes = Classes(("crane", "great grey owl", "crane", "Kite", "kite"), ("n01", "n02", "n03", "n04", "n05"))
    network = build("lenet5", classes=5, in_channels=1, seed=0)
    path = tmp_path_factory.mktemp("birds") / "model.safetensors"
    arguments = {"classes": 5, "in_channels": 1}
    description = modelfile.Description("lenet5", arguments, "classify", classes, MODELS["lenet5"].preprocess)
    modelfile.save(path, network.state_dict(), description)
    return path


def true_classes(evaluation):
    return [row["id"] for row in evaluation.figures["per_class"] if row["images"]]


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (("n01", "n03"), ["n01", "n03"]),
        (("n02", "n03"), ["n02", "n03"]),
        (("great grey owl", "n01"), ["n01", "n02"]),
        (("Great_Grey-Owl", "n01"), ["n01", "n02"]),
        (("Kite", "kite"), ["n04", "n05"]),  # a name as it stands comes before one but for its case
        (("kite", "n04"), ["n04", "n05"]),
    ],
)
def test_folders_are_ids_or_names(birds, photo_folder, tmp_path, names, ids):
    data = photo_folder(tmp_path / "data", classes=names, per_class=4)
    found = evaluate(birds, data)
    assert true_classes(found) == ids and found.images == 8
    assert {row["images"] for row in found.figures["per_class"]} == {0, 4}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            ("crane", "n02"),
            r"class 'crane': the model has 2 classes of that name; call the folder by its id, n01 and n03",
        ),
        (("KITE", "n02"), r"2 classes of that name; call the folder by its id, n04 and n05"),
        (("great gray owl", "n01"), r"class 'great gray owl' .* none of the model's 5 classes.*'great grey owl'"),
        (("n06", "n01"), r"class 'n06' .* none of the model's 5 classes"),
    ],
)
def test_a_folder_that_means_no_class_or_two_is_refused(birds, photo_folder, tmp_path, names, words):
    with pytest.raises(DataError, match=words):
        evaluate(birds, photo_folder(tmp_path / "data", classes=names, per_class=3))


def test_the_models_indices_are_used_not_those_of_the_folders(birds, photo_folder, tmp_path):
    """The same pictures under names in another order: the same answers against other truths."""
    data = photo_folder(tmp_path / "data", classes=("n05", "n01"), per_class=6)
    figures = evaluate(birds, data).figures
    predictor = striate.load(birds)
    right = [predictor(path, top=1)[0].id == path.parent.name for path in sorted(data.rglob("*.*"))]
    assert figures["top1"] == pytest.approx(np.mean(right))
    confusion = np.array(figures["confusion"])
    assert confusion.sum(1).tolist() == [6, 0, 0, 0, 6]


def test_the_two_names_that_imagenet_has_twice(photo_folder, tmp_path):
    data = photo_folder(tmp_path / "data", classes=("crane", "tench"), per_class=3)
    with pytest.raises(DataError, match=r"'crane'.*2 classes of that name.*n02012849 and n03126707"):
        evaluate("efficientnet_lite0", data)


@pytest.mark.parametrize("size", [1, 5, 64])
def test_figures_do_not_depend_on_the_batch_size(photos, trained, size):
    again = evaluate(trained.run, photos, batch_size=size, workers=0)
    assert again.figures["confusion"] == trained.test["confusion"]
    assert again.figures["loss"] == pytest.approx(trained.test["loss"], rel=1e-5)


@pytest.mark.parametrize(("size", "most"), [((28, 28), 32), ((224, 224), 32), ((448, 448), 8), ((2000, 3000), 1)])
def test_large_pictures_are_answered_few_at_once(photos, trained, monkeypatch, size, most):
    """Whose answers may be as large as they are."""
    network, description = modelfile.load(trained.run / "model.safetensors")
    told = replace(description, preprocess=replace(description.preprocess, size=size))
    monkeypatch.setattr(modelfile, "open_model", lambda *_, **__: (network, told))
    taken = []
    monkeypatch.setattr(evaluation, "Loader", lambda *_, batch_size, **__: taken.append(batch_size))
    with pytest.raises(AttributeError):  # there is nothing to measure then
        evaluate(trained.run, photos)
    assert taken == [most]
    with pytest.raises(RecipeError, match="batch_size is 0; expected a whole number from 1"):
        evaluate(trained.run, photos, batch_size=0)


def test_neither_model_nor_data(photos, trained, tmp_path):
    with pytest.raises(StriateError, match="no such file"):
        evaluate(tmp_path / "none.safetensors", photos)
    with pytest.raises(DataError):
        evaluate(trained.run, tmp_path / "none")


def test_the_split_of_a_copy_is_the_same_by_content(photos, tmp_path):
    one, other = open_data(photos), open_data(renamed_copy(photos, tmp_path / "copy"))
    for side in ("train", "val", "test"):
        contents = [{record.content for record in split(data).of_split(side)} for data in (one, other)]
        assert contents[0] == contents[1]
