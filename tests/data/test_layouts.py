"""Layouts of class folders as people have them: read as what they are, or refused with the folder to give."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from striate.base.errors import DataError
from striate.data import open_data
from striate.data.records import Dataset
from striate.data.settings import DataSettings
from striate.data.sources import classes_alone
from striate.data.sources.layouts import split_names
from striate.tasks.classify import Classify
from tests.data.sources.annotated import picture
from tests.data.sources.masked import mask, rows


def files(layout: str) -> Iterator[str]:
    """``{a,b}/c d`` names ``a/c``, ``b/c`` and ``d``; folders get two pictures."""
    for place in layout.split():
        parts = [part.split(",") for part in re.split(r"[{}]", place)]
        for name in map("".join, itertools.product(*parts)):
            yield from [name] if "." in name.rpartition("/")[2] else [f"{name}/1.png", f"{name}/2.png"]


def laid_out(root: Path, layout: str) -> Path:
    for number, name in enumerate(files(layout)):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"picture %d" % number)  # only hashed here
    return root


def read(path: Path) -> Dataset:
    dataset = open_data(path)
    return Classify(dataset.classes).checked(dataset)


SPLITS = {
    "Training/{a,b} Testing/{a,b}": "Training:train Testing:test",
    "TRAIN/{a,b} TEST/{a,b}": "TRAIN:train TEST:test",
    "TrainSet/{a,b} TestSet/{a,b}": "TrainSet:train TestSet:test",
    "trainset/{a,b} valset/{a,b}": "trainset:train valset:val",
    "training_set/{a,b} test_set/{a,b}": "training_set:train test_set:test",
    "training_set/training_set/{a,b} test_set/test_set/{a,b}": "training_set:train test_set:test",
    "train2017/{a,b} val2017/{a,b} test2017/{a,b}": "train2017:train val2017:val test2017:test",
    "seg_train/seg_train/{a,b} seg_test/seg_test/{a,b}": "seg_train:train seg_test:test",
    "cifar10-train/{a,b} cifar10-valid/{a,b}": "cifar10-train:train cifar10-valid:val",
    "train/train/{a,b} test/test/{a,b}": "train:train test:test",
    "{train,valid,test}/images/{a,b}": "train:train valid:val test:test",
    "train_images/train/{a,b} val_images/val/{a,b}": "train_images:train val_images:val",
    "trn/{a,b} dev/{a,b} hold-out/{a,b}": "trn:train dev:val hold-out:test",
    "train/{a,b} holdout/{a,b}": "train:train holdout:test",
    "train_val/{a,b} test/{a,b}": "train_val:train test:test",
    "training/{a,b} validation/{a,b} evaluation/{a,b}": "training:train validation:val evaluation:test",
    "train/{a,b} eval/{a,b} test/{a,b}": "train:train eval:val test:test",
    "train/{a,b} val/{a,b} __MACOSX/train/a/._1.png .ipynb_checkpoints/1.png": "train:train val:val",
    "train/train/{a,b}": "train:None",
    "train/{a,b}/{s1,s2}": "train:None",
}


@pytest.mark.parametrize("layout", SPLITS)
def test_names_that_read_as_splits(tmp_path: Path, layout: str) -> None:
    dataset = read(laid_out(tmp_path, layout))
    assert dataset.classes.names == ("a", "b")
    assert {f"{record.name.split('/')[0]}:{record.split}" for record in dataset.records} == set(SPLITS[layout].split())
    for record in dataset.records:
        assert dataset.classes.names[record.target.index] in record.name.split("/")


def test_a_class_called_images_is_no_wrapper(tmp_path: Path) -> None:
    dataset = read(laid_out(tmp_path, "train/{drawings,images} test/images"))
    assert dataset.classes.names == ("drawings", "images")
    assert {record.target.index for record in dataset.of_split("test")} == {1}


CLASSES = {
    "{bicycle,bus,car,train}": "bicycle bus car train",
    "{bus,train}": "bus train",
    "{car,bus}/{x,y} train/1.png train/steam": "bus car train",
    "{valid,invalid}": "invalid valid",
    "{bullet,freight}_train": "bullet_train freight_train",
    "train_station test_tube": "test_tube train_station",
    "train/{bus,test,train} test/{bus,test,train}": "bus test train",
    "{cat,dog}/images": "cat dog",
    "cat/1.png {cat,dog}/{x,y}": "cat dog",
    "freight_train/{x,y} bus/{x,z}": "bus freight_train",
    "cat/{indoor,garden} dog/{street,park} fish": "cat dog fish",
    "{cat,dog} cat/.ipynb_checkpoints __MACOSX/cat/._1.png": "cat dog",
}


@pytest.mark.parametrize("layout", CLASSES)
def test_names_that_do_not(tmp_path: Path, layout: str) -> None:
    assert read(laid_out(tmp_path, layout)).classes.names == tuple(CLASSES[layout].split())


ONE_TOO_HIGH = {
    "flowers/{a,b}": "flowers",
    "data/flowers/{a,b}": "data/flowers",
    "images/{train,val}/{a,b} labels/{train,val}/1.txt": "images",
    "archive/data/{train,test}/{a,b}": "archive/data",
    "archive/{Training,Testing}/{a,b} __MACOSX/archive/._1.png": "archive",
    "kagglecatsanddogs_5340/PetImages/{a,b} readme.txt": "kagglecatsanddogs_5340/PetImages",
    "ILSVRC/Data/CLS-LOC/{train,val}/{a,b}": "ILSVRC/Data/CLS-LOC",
    "seg_train/seg_train/{a,b}": "seg_train/seg_train",
    "train/flowers/{a,b}": "train/flowers",
    "train/{Training,Testing}/{a,b}": "train",
    "chest_xray/{train,val,test}/{a,b} {train,val,test}/{a,b}": "chest_xray",
    "{yes,no} brain/{yes,no}": "brain",
    "train/{a,b} test/1.png": "train",
    "asl_train/asl_train/{a,b} asl_test/asl_test/1.png": "asl_train/asl_train",
    "{a,b} train/{a,b}": "train",
    "train/{a,b} test/{a,b} extra/1.png": "train",
    "daisy/{s1,s2}": "daisy",
    "part1/{a,b,c} part2/{a,b}": "part1",
    "{00,01,02}/{palm,fist,thumb}": "00",
}


@pytest.mark.parametrize("layout", ONE_TOO_HIGH)
def test_the_folder_to_give_is_named_and_can_be_read(tmp_path: Path, layout: str) -> None:
    with pytest.raises(DataError) as caught:
        read(laid_out(tmp_path, layout))
    (given, *_) = re.findall(rf"give (?:one of them, )?{re.escape(str(tmp_path))}/([^ ,;]+)", str(caught.value))
    assert given == ONE_TOO_HIGH[layout]
    assert len(read(tmp_path / given).classes) >= 2


UNDECIDED = {
    "{indoor,outdoor}/{s1,s2}": r"folders \(indoor, outdoor\) all hold the same folders \(s1, s2\).*give one of them",
    "{part_a,part_b}/images/{x,y}": "all hold the same folders",
    "fold1/{x,y} fold2/{X,y}": "all hold the same folders",
    "{cat,dog}/{train,test}": "classes that hold splits; expected the other way round, .*/test/cat",
    "{a,b,test}": r"split folders \(test\) and others with pictures \(a, b\); .*train/a",
    "{a,b} test/{x,y}": r"split folders \(test\) and others with pictures \(a, b\); .*train/a",
    "{bench,test,train}": r"split folders \(test, train\) and others with pictures \(bench\)",
    "{training,resting}": r"split folders \(training\) and others with pictures \(resting\)",
    "{bus,car} train/{steam,electric}": r"split folders \(train\) and others with pictures \(bus, car\)",
    "{train,test}": "test holds pictures directly",
    "{train,test}/images": "test/images holds pictures directly",
    "{train_1,train_2}/{x,y}": "both mean the split train",
    "{a,b} holdall/{a,b}": "holds the same folders as .* itself",
}


@pytest.mark.parametrize("layout", UNDECIDED)
def test_what_cannot_be_decided_is_classes_if_the_user_says_so(tmp_path: Path, layout: str) -> None:
    laid_out(tmp_path, layout)
    with pytest.raises(DataError, match=UNDECIDED[layout]) as caught:
        read(tmp_path)
    assert f"give {tmp_path} with --format classes if" in str(caught.value)
    dataset = classes_alone.read(tmp_path, DataSettings(), workers=1)
    tops = sorted(path.name for path in tmp_path.iterdir())
    assert dataset.classes.names == tuple(tops) and not dataset.fixed_splits
    assert len(dataset.records) == len(list(files(layout)))


def test_pictures_to_predict_beside_splits_are_passed_over(tmp_path: Path) -> None:
    for name in ("seg_pred/seg_pred/1.png", "single_prediction/1.png", "unlabeled"):
        root = laid_out(tmp_path / name, f"seg_train/seg_train/{{a,b}} seg_test/seg_test/{{a,b}} {name}")
        dataset = read(root)
        assert dataset.classes.names == ("a", "b") and len(dataset.records) == 8
        assert dataset.notices == (f"passed over 1 folder of pictures without classes: {name.split('/')[0]}",)


def test_loose_pictures_in_wrappers_are_reported(tmp_path: Path) -> None:
    laid_out(tmp_path, "train/train/{a,b} test/test/{a,b} test/test/x.png y.png")
    assert read(tmp_path).notices == ("passed over 2 pictures beside the class folders: y.png, test/test/x.png",)


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        ("train2017 val2017 unlabeled2017", {"train2017": "train", "val2017": "val"}),
        ("seg_train seg_test seg_pred", {"seg_train": "train", "seg_test": "test"}),
        ("bullet_train test_tube devil evaluationist trainer", {}),
        ("valid not_valid", {}),
        ("train test contest", {"train": "train", "test": "test"}),
        ("1-train Test.Images Validation(1)", {"1-train": "train", "Test.Images": "test", "Validation(1)": "val"}),
        ("train_test val", {"val": "val"}),
    ],
)
def test_split_names(names: str, splits: dict[str, str]) -> None:
    assert split_names(names.split()) == splits


BESIDE_MASKS = {
    "{images,masks}": ".",
    "{imgs,gt}": ".",
    "{train,val}/{images,masks}": "train",
    "train/{photos,Labels}": "train",
}


@pytest.mark.parametrize("layout", BESIDE_MASKS)
def test_pictures_beside_their_masks_are_no_classes(tmp_path: Path, layout: str) -> None:
    laid_out(tmp_path, layout)
    holding = tmp_path / BESIDE_MASKS[layout]
    with pytest.raises(DataError) as caught:
        open_data(tmp_path, format="folders")
    assert str(caught.value).startswith(f"{holding} holds pictures beside what reads as their masks")
    assert "--format masks" in str(caught.value) and "--format classes" in str(caught.value)
    assert len(open_data(holding, format="classes").classes) == 2


def test_a_third_class_beside_them_is_one(tmp_path: Path) -> None:
    assert read(laid_out(tmp_path, "{images,masks,costumes}")).classes.names == ("costumes", "images", "masks")


def with_masks(root: Path, names: str, masks: str = "masks", suffix: str = "png") -> Path:
    """Folders of photographs, and one of masks of their sizes with two values."""
    for number, name in enumerate(names.split()):
        picture(root / name / "a.png", 20, 10, seed=number)
        picture(root / name / "b.png", 20, 10, seed=50 + number)
    for stem in "ab":
        mask(root / masks / f"{stem}.{suffix}", rows(0, 1))
    return root


@pytest.mark.parametrize(
    ("names", "masks", "holding"),
    [
        ("images overlays", "masks", "."),
        ("images depth edges", "labels", "."),
        ("train/images train/overlays val/images", "train/masks", "train"),
    ],
)
def test_pictures_their_masks_and_a_folder_beside_them_are_no_classes(tmp_path, names, masks, holding):
    with_masks(tmp_path, names, masks)
    with pytest.raises(DataError) as caught:
        open_data(tmp_path)
    said = str(caught.value)
    assert said.startswith(f"{tmp_path / holding} holds pictures beside what reads as their masks (images, ")
    assert "these are data for segmentation (--format masks), and no classes: move " in said
    assert "--format classes" in said and "\n" not in said


def test_folders_of_photographs_are_classes_whatever_they_are_called_and_that_is_said(tmp_path):
    for number, name in enumerate(files("{images,masks,hats}")):
        picture(tmp_path / name, 20, 10, seed=number)
    data = open_data(tmp_path)
    assert (data.task, data.classes.names) == ("classify", ("hats", "images", "masks"))
    (said,) = data.notices
    assert said.startswith("images and masks are taken for classes; if these are pictures and their masks, move the ")


def test_where_masks_are_missing_is_said(tmp_path):
    picture(tmp_path / "images" / "a.png", 20, 10)
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.npy").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        open_data(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} holds pictures in images and no masks in masks beside it (there is a.npy); expected images/a.jpg "
        f"beside masks/a.png; or give {tmp_path} with --format classes if images is a class"
    )


@pytest.mark.parametrize(("full", "empty"), [("masks", "images"), ("train/masks", "train/images")])
def test_where_pictures_are_missing_is_said(tmp_path, full, empty):
    mask(tmp_path / full / "a.png", rows(0, 1))
    (tmp_path / empty).mkdir(parents=True)
    with pytest.raises(DataError, match="holds masks in masks and no pictures in images beside it; expected"):
        open_data(tmp_path)
