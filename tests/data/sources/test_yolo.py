"""YOLO's text: parts of the sides, where the texts lie, and what the YAML file says."""

import numpy as np
import pytest

from striate.base.errors import DataError
from striate.data import open_data
from striate.data.settings import DataSettings
from tests.data.sources.annotated import picture


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_texts_lie_in_labels_or_beside_the_pictures(tmp_path):
    for seed, name in enumerate(("images/a.png", "images/deep/b.png", "c.png")):
        picture(tmp_path / name, seed=seed)
    text(tmp_path / "classes.txt", "cat\nbig dog\n\n")
    text(tmp_path / "labels" / "a.txt", "1 0.5 0.5 1 1\n\n0 .25 0.5 0.1 2e-1\n")
    text(tmp_path / "labels" / "deep" / "b.txt", "")
    text(tmp_path / "c.txt", "0 0.5 0.5 0.5 0.5")
    dataset = open_data(tmp_path)
    assert (dataset.format, dataset.classes.names, dataset.notices) == ("yolo", ("cat", "big dog"), ())
    found = {record.name: record.target.xyxy.tolist() for record in dataset.records}
    assert found["images/deep/b.png"] == [] and found["c.png"] == [[5, 2.5, 15, 7.5]]
    assert np.allclose(found["images/a.png"], [[0, 0, 20, 10], [4, 4, 6, 6]], atol=1e-12)


@pytest.mark.parametrize("names", ["names: [no, on]", "names:\n  0: no\n  1: 'on'"])
@pytest.mark.parametrize("before", ["", "../", "path: .\n"])
def test_a_yaml_file_names_classes_and_splits(tmp_path, names, before):
    """Names are words, whatever YAML makes of them; paths may be those of where the data once lay."""
    for part in ("train", "valid", "more"):
        picture(tmp_path / part / "images" / "a.png", seed=ord(part[0]))
        text(tmp_path / part / "labels" / "a.txt", "1 0.5 0.5 1 1")
    up = "../" if before == "../" else ""
    path = (
        f"{before if 'path' in before else ''}train: {up}train/images\nval: [{up}valid/images]\ntest:\nnc: 2\n{names}\n"
    )
    file = text(tmp_path / "data.yaml", path)
    text(tmp_path / "other.yaml", "learning rate: 3\n")
    for given in (tmp_path, file):
        dataset = open_data(given)
        assert dataset.classes.names == ("no", "on")
        assert [(record.name, record.split) for record in dataset.records] == [
            ("train/images/a.png", "train"),
            ("valid/images/a.png", "val"),
        ]
        assert dataset.notices == ("passed over 1 picture that the annotations do not list: more/images/a.png",)


def test_a_picture_that_cannot_be_read_has_its_boxes_still(tmp_path):
    """Who wants an object on each picture does not take it for one without."""
    (tmp_path / "a.png").write_bytes(picture(tmp_path / "b.png").read_bytes()[:20])
    text(tmp_path / "classes.txt", "cat\n")
    for name in "ab":
        text(tmp_path / f"{name}.txt", "0 0.5 0.5 0.5 1")
    found = {record.name: record.target.xyxy.tolist() for record in open_data(tmp_path).records}
    assert found == {"a.png": [[0.25, 0, 0.75, 1]], "b.png": [[5, 0, 15, 10]]}


def test_lists_of_pictures(tmp_path):
    for seed, name in enumerate("ab"):
        picture(tmp_path / "images" / f"{name}.png", seed=seed)
        text(tmp_path / "labels" / f"{name}.txt", "0 0.5 0.5 1 1")
    text(tmp_path / "train.txt", "./images/a.png\n")
    text(tmp_path / "val.txt", "/elsewhere/images/b.png\n")
    text(tmp_path / "data.yaml", "train: train.txt\nval: val.txt\nnames: [cat]")
    assert [record.split for record in open_data(tmp_path).records] == ["train", "val"]
    text(tmp_path / "val.txt", "\nimages/c.png\n")
    with pytest.raises(DataError, match=r"val\.txt:2: there is no such picture \('images/c\.png'\. Did you mean"):
        open_data(tmp_path)


PLACES = {
    "from path": ("path: ../datasets/coco8\ntrain: images/train\nval: [images/val]\n", "images/"),
    "absolute": ("path: {root}/datasets/coco8\ntrain: images/train\nval: images/val\n", "images/"),
    "absolute, each": ("train: {root}/datasets/coco8/images/train\nval: {root}/datasets/coco8/images/val\n", "images/"),
    "above": ("train: ../datasets/coco8/images/train\nval: ../datasets/coco8/images/val\n", "images/"),
    "by lists": ("path: ../datasets/coco8\ntrain: train.txt\nval: val.txt\n", "images/"),
    "in two data sets": (
        "train: ../datasets/coco8/images/train\nval: ../datasets/other/val\n",
        "coco8/images/train/0.png other/val/0.png",
    ),
}


@pytest.mark.parametrize(("places", "names"), PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("relative", [False, True])
def test_a_yaml_file_may_lie_elsewhere_than_the_pictures(tmp_path, monkeypatch, places, names, relative):
    """Nothing but what it names is looked at: beside it, a loop of links would be refused."""
    data = tmp_path / "datasets"
    for seed, (images, labels) in enumerate(
        [(f"coco8/images/{part}", f"coco8/labels/{part}") for part in ("train", "val", "test")] + [("other/val",) * 2]
    ):
        picture(data / images / "0.png", seed=seed)
        text(data / labels / "0.txt", f"{seed % 2} 0.5 0.5 1 1")
    for part in ("train", "val"):
        text(data / "coco8" / f"{part}.txt", f"./images/{part}/0.png\n")
    (tmp_path / "datasets" / "loop").symlink_to(tmp_path)
    file = text(tmp_path / "cfgs" / "coco8.yaml", places.format(root=tmp_path) + "names:\n  0: cat\n  1: dog\n")
    monkeypatch.chdir(tmp_path)
    dataset = open_data(file.relative_to(tmp_path) if relative else file)
    names = names.split() if " " in names else [f"{names}{part}/0.png" for part in ("train", "val")]
    assert [(record.name, record.split) for record in dataset.records] == list(
        zip(names, ("train", "val"), strict=True)
    )
    assert [record.target.classes.tolist() for record in dataset.records] == [[0], [1]]
    text(file, "path: ../datasets\ntrain: photos\nnames: [cat]\n")
    with pytest.raises(DataError, match=r"^coco8\.yaml:2: there is no 'photos', neither from 'path' nor from"):
        open_data(file)


def test_a_yaml_file_beside_pictures_may_name_others_elsewhere(tmp_path):
    for seed, name in enumerate(("here/a.png", "there/b.png")):
        picture(tmp_path / name, seed=seed)
        text((tmp_path / name).with_suffix(".txt"), "0 0.5 0.5 1 1")
    text(tmp_path / "here" / "data.yaml", "train: .\nval: ../there\nnames: [cat]\n")
    records = open_data(tmp_path / "here").records
    assert [(record.name, record.split) for record in records] == [("here/a.png", "train"), ("there/b.png", "val")]


@pytest.mark.parametrize("lists", ["lists", "obj.data"])
def test_splits_by_lists_without_yaml(tmp_path, monkeypatch, lists):
    """As darknet has them: the lists lie elsewhere than the paths in them say."""
    for seed, name in enumerate("abc"):
        picture(tmp_path / "obj" / f"{name}.png", seed=seed)
        text(tmp_path / "obj" / f"{name}.txt", "0 0.5 0.5 1 1")
    text(tmp_path / "classes.txt" if lists == "lists" else tmp_path / "my.names", "cat\ndog\n")
    for name, pictures in {"train": "data/obj/a.png\n", "test": "data/obj/b.png\n", "all": "data/obj/c.png\n"}.items():
        text(tmp_path / f"{name}.txt", pictures)
    data = "classes= 2\ntrain  = data/train.txt\nvalid = data/test.txt\nnames = data/my.names\nbackup = backup/\n"
    text(tmp_path / "obj.data", data if lists == "obj.data" else "a = 1\n")
    second = "test" if lists == "lists" else "val"
    monkeypatch.chdir(tmp_path.parent)
    for given in (tmp_path, tmp_path.relative_to(tmp_path.parent)):
        dataset = open_data(given)
        assert [(record.name, record.split) for record in dataset.records] == [
            ("obj/a.png", "train"),
            ("obj/b.png", second),
        ]
        assert dataset.classes.names == ("cat", "dog")
        assert dataset.notices == ("passed over 1 picture that the annotations do not list: obj/c.png",)


LISTS = {
    "train alone": ({"train.txt": "a.png\n"}, None),
    "test alone": ({"test.txt": "a.png\n"}, r": test\.txt lists pictures of a split, and nothing those to train on; "),
    "a picture of both": (
        {"train.txt": "a.png\n", "val.txt": "a.png"},
        r"val\.txt: a\.png is in train, too; expected one",
    ),
    "no picture": ({"train.txt": "a.png\n", "val.txt": "c.png"}, r"val\.txt:1: there is no such picture \('c\.png'"),
    "together": ({"train.txt": "a.png\n", "val.txt": "b.png", "trainval.txt": "a.png\nb.png\n"}, None),
    "no list": ({"obj.data": "train = data/train.txt"}, r"obj\.data:1: there is no 'data/train\.txt', neither beside"),
    "two": ({f"{x}.data": "names = classes.txt" for x in "xy"}, r"several files that name lists \(x\.data, y\.data\)"),
    "a count": (
        {"o.data": "names=classes.txt\n\nclasses=2"},
        r"o\.data:3: classes is '2', but classes\.txt has 1 name",
    ),
    "names": ({"o.data": "names = n", "n": "dog\n"}, r"o\.data and classes\.txt name the classes differently"),
}


@pytest.mark.parametrize(("files", "said"), LISTS.values(), ids=LISTS)
def test_lists_that_contradict_themselves(tmp_path, files, said):
    for seed, name in enumerate("ab"):
        picture(tmp_path / f"{name}.png", seed=seed)
        text(tmp_path / f"{name}.txt", "0 0.5 0.5 1 1")
    for name, content in ({"classes.txt": "cat"} | files).items():
        text(tmp_path / name, content)
    if said is None:
        assert (
            {record.split for record in open_data(tmp_path).records} == {"train", "val"} if len(files) > 1 else {None}
        )
        return
    with pytest.raises(DataError, match=said):
        open_data(tmp_path)


def test_rounding_is_no_fault_and_outlines_are_taken_for_boxes_and_told(tmp_path):
    picture(tmp_path / "a.png", 1000, 1000)
    text(tmp_path / "classes.txt", "cat")
    text(tmp_path / "a.txt", "0 0.833333 0.5 0.333335 1\n0 0.1 0.1 0.5 0.2 0.3 0.9")
    dataset = open_data(tmp_path)
    assert np.allclose(dataset.records[0].target.xyxy, [[666.6655, 0, 1000, 1000], [100, 100, 500, 900]], atol=1e-9)
    assert dataset.records[0].target.xyxy.max() == 1000
    assert dataset.notices == ("1 outline taken for the boxes around: a.txt:2",)
    text(tmp_path / "a.txt", "0 0.833333 0.5 0.333337 1")
    with pytest.raises(DataError, match=r"1 box reaches out of its picture: a\.txt:1 "):
        open_data(tmp_path)


def test_keypoints_are_no_outline(tmp_path):
    picture(tmp_path / "a.png")
    text(tmp_path / "data.yaml", "names: [cat]\nkpt_shape: [2, 3]\n")
    text(tmp_path / "a.txt", "0 0.5 0.5 0.5 0.5 0.1 0.9 2 0 0 0\n")
    dataset = open_data(tmp_path)
    assert dataset.records[0].target.xyxy.tolist() == [[5, 2.5, 15, 7.5]]
    assert dataset.notices == ("keypoints passed over, the boxes before them taken (kpt_shape in data.yaml)",)


def test_coco128_has_the_boxes_of_its_json_but_for_crowds(shared_data):
    """To the six decimals of the text; 42 boxes there are beyond the border by rounding."""
    folder = shared_data / "coco128"
    with pytest.raises(
        DataError, match=r"2 pictures have no annotations: images/000000000250\.jpg, images/000000000508\.jpg"
    ):
        open_data(folder, format="yolo")
    dataset = open_data(folder, format="yolo", settings=DataSettings(unlabelled="background"))
    theirs = {record.name: record.target for record in open_data(folder, format="coco").records}
    assert len(dataset.records) == 128 and sum(len(record.target) for record in dataset.records) == 929
    for record in dataset.records:
        other = theirs[record.name]
        rows = [(c, *box) for c, box in zip(record.target.classes, record.target.xyxy, strict=True)]
        expected = [
            (c, *box) for c, box, crowd in zip(other.classes, other.xyxy, other.crowd, strict=True) if not crowd
        ]
        order = [
            sorted(range(len(each)), key=lambda i: [round(v) for v in each[i]] + list(each[i]))
            for each in (rows, expected)
        ]
        assert np.allclose(np.array([rows[i] for i in order[0]]), np.array([expected[i] for i in order[1]]), atol=1e-3)
