"""Anybody's file of weights into a model file: what is known, what must be said, what is measured, what is refused."""

import dataclasses
import hashlib
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from striate import modelfile
from striate.base.errors import DataError, ModelError, OutputError, StriateError, WeightsError
from striate.data.alignment import aligned
from striate.data.records import Classes, Record
from striate.data.targets import ClassIndex
from striate.importing import Imported, import_weights
from striate.importing.classes import classes_from
from striate.importing.constants import KINDS, changed, for_channels, of_kind
from striate.importing.trial import Trial, distinct
from striate.models import build
from striate.models.table import MODELS
from striate.pictures.preprocess import PREPROCESSING, Preprocess
from striate.weights import pretrained
from striate.weights.foreign import Foreign
from striate.weights.pretrained import PRETRAINED

DIGITS = MODELS["lenet5"].preprocess


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """LeNet-5 with random weights for 3 classes, by our own names."""
    path = tmp_path / "theirs.safetensors"
    save_file(build("lenet5", classes=3, seed=2).state_dict(), path)
    return path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read in this process: starting another for each costs a second."""

    def read(path: Path, *, config: Path | None = None, state: str | None = None) -> Foreign:
        arrays = {name: tensor.numpy() for name, tensor in load_file(path).items()}
        return Foreign(path, "safetensors", "safetensors", arrays, hashlib.sha256(path.read_bytes()).hexdigest())

    monkeypatch.setattr("striate.importing.weights.read", read)


@pytest.fixture
def bring(file: Path, tmp_path: Path, quick: None) -> Callable[..., Imported]:
    """``bring(flags...)`` imports that file as lenet5 into ``ours.safetensors``."""

    def call(**flags: object) -> Imported:
        given = {"classes": 3, "preprocess": DIGITS} | flags
        return import_weights(given.pop("file", file), given.pop("model", "lenet5"), OUT(tmp_path), **given)

    return call


def OUT(folder: Path) -> Path:  # noqa: N802
    return folder / "ours.safetensors"


# What comes of it


def test_the_model_file_answers_and_says_where_it_is_from(file: Path, tmp_path: Path) -> None:
    out = OUT(tmp_path)
    result = import_weights(file, "lenet5", out, classes=["a", "b", "c"], preprocess=DIGITS, licence="MIT")
    network, description = modelfile.load(out)
    wanted = build("lenet5", classes=3, seed=2).eval()
    images = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(network(images), wanted(images), rtol=0, atol=0)
    assert (description.model, description.classes, description.preprocess) == (
        "lenet5",
        Classes(("a", "b", "c")),
        DIGITS,
    )
    provenance = description.provenance
    assert provenance["source"] == "theirs.safetensors" and provenance["licence"] == "MIT"
    assert provenance["source_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest() == result.source_sha256
    assert (provenance["origin"], provenance["scheme"], provenance["fresh"]) == ("safetensors", "own", [])
    assert (result.decision.chosen, result.decision.best, result.fresh) == ("given", None, ())
    assert repr(result) == "Imported(ours.safetensors, lenet5, 3 classes, its own preprocessing)"


@pytest.mark.usefixtures("one_reader")
def test_a_file_of_torch(tmp_path: Path) -> None:
    path = tmp_path / "theirs.pth"
    torch.save({"state_dict": {f"module.{n}": t for n, t in build("lenet5", classes=10).state_dict().items()}}, path)
    result = import_weights(path, "lenet5", OUT(tmp_path), classes="digits", preprocess=DIGITS)
    assert result.origin == "torch" and modelfile.describe(OUT(tmp_path)).classes.names == tuple("0123456789")


@pytest.mark.usefixtures("one_reader")
def test_which_of_two_sets_is_told(tmp_path: Path) -> None:
    path = tmp_path / "theirs.pth"
    raw, averaged = (build("lenet5", classes=3, seed=seed).state_dict() for seed in (1, 2))
    torch.save({"state_dict": raw, "state_dict_ema": averaged, "args": Namespace(out=tmp_path)}, path)
    with pytest.raises(WeightsError, match=r"theirs.pth: holds more than one .*--state state_dict_ema, or in Python"):
        import_weights(path, "lenet5", OUT(tmp_path), classes=3, preprocess=DIGITS)
    assert not OUT(tmp_path).exists()
    for state, tensors in (("state_dict", raw), ("state_dict_ema", averaged)):
        result = import_weights(path, "lenet5", OUT(tmp_path), classes=3, preprocess=DIGITS, state=state, force=True)
        network, description = modelfile.load(OUT(tmp_path))
        assert result.state == result.as_json()["state"] == description.provenance["state"] == state
        assert all(torch.equal(tensor, tensors[name]) for name, tensor in network.state_dict().items())


def test_a_published_file_is_known(bring, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = dataclasses.replace(
        PRETRAINED["lenet_caffe"],
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        preprocess=dataclasses.replace(DIGITS, mean=(0.25,)),
        origin="somebody",
    )
    monkeypatch.setattr(pretrained, "PRETRAINED", {"lenet5": row})
    monkeypatch.setattr("striate.importing.weights.class_list", lambda name: Classes(("x", "y", "z")))
    said: list[str] = []
    result = bring(classes=None, preprocess=None, on_notice=said.append)
    assert said == ["this is a published file: somebody (BSD-2-Clause); its preprocessing and classes are taken"]
    assert (result.decision.chosen, result.decision.preprocess.mean) == ("known", (0.25,))
    assert result.classes.names == ("x", "y", "z") and result.licence == "BSD-2-Clause"
    said.clear()
    monkeypatch.setattr(pretrained, "PRETRAINED", {"lenet5_1998": row})
    result = bring(preprocess="raw", licence="own", force=True, on_notice=said.append)
    assert said.pop() == "these weights were trained in lenet5_1998; lenet5 will answer otherwise, likely worse"
    assert said == ["this is a published file: somebody (BSD-2-Clause)"]
    assert (result.decision.chosen, result.decision.kind, result.licence) == ("given", "raw", "own")


def test_another_network_that_is_meant_is_said(bring, monkeypatch: pytest.MonkeyPatch) -> None:
    from striate.importing import weights

    def place(foreign, model, *, classes, fresh_head=False, arguments):
        return dataclasses.replace(weights_place(foreign, "lenet5", classes=classes, fresh_head=fresh_head))

    weights_place = weights.place
    monkeypatch.setattr(weights, "place", place)
    said: list[str] = []
    result = bring(model="lenet_caffe", on_notice=said.append)
    assert said == [f"lenet_caffe in safetensors files is lenet5 here: {MODELS['lenet5'].summary}"]
    assert (result.asked, result.model) == ("lenet_caffe", "lenet5")


def test_a_fresh_head_is_said_and_kept_in_mind(bring, tmp_path: Path) -> None:
    said: list[str] = []
    result = bring(classes=7, fresh_head=True, on_notice=said.append)
    assert result.fresh == ("output.weight", "output.bias") or set(result.fresh) == {"output.weight", "output.bias"}
    (text,) = said
    assert text.startswith("output.bias, output.weight are random")
    assert set(modelfile.describe(OUT(tmp_path)).provenance["fresh"]) == set(result.fresh)
    network, _ = modelfile.load(OUT(tmp_path))
    assert network.classes == 7
    assert torch.equal(network.c1.weight, build("lenet5", classes=3, seed=2).c1.weight)


# What must be said


@pytest.mark.parametrize(
    ("flags", "kind", "words"),
    [
        ({"model": "lenet"}, ModelError, ["no model is called 'lenet'", "lenet5"]),
        ({"classes": None}, WeightsError, ["theirs.safetensors: answers with 3 classes", "the number alone (3)"]),
        ({"classes": 4}, WeightsError, ["answers with 3 classes, 4 were asked for"]),
        ({"classes": 0}, DataError, ["classes is 0"]),
        ({"classes": "nowhere.txt"}, DataError, ["nowhere.txt cannot be read", "digits, coco, voc, a number"]),
        ({"preprocess": None}, WeightsError, ["not known", "caffe: BGR", "--try DATA", "--preprocess"]),
        ({"preprocess": "imagnet"}, ModelError, ["no kind 'imagnet'", "Did you mean 'imagenet'", "raw: the bytes"]),
        ({"changes": {"units": 3}}, ModelError, ["no field 'units'", "Did you mean 'unit'"]),
        ({"changes": {"unit": 0.0}}, ModelError, ["unit is 0.0"]),
        ({"changes": {"channels": "rgb"}}, ModelError, ["channels is 'rgb'", "reads 1 a picture"]),
        ({"changes": {"channels": "red"}}, ModelError, ["channels is 'red'"]),
        ({"changes": {"size": (28, 28), "border": 0}}, ModelError, ["size is 28x28", "lenet5 takes pictures of 32x32"]),
        ({"preprocess": PREPROCESSING["raw"]}, ModelError, ["channels is 'rgb'", "reads 1"]),
        ({"fresh_head": True, "classes": None}, DataError, ["--fresh-head", "--classes"]),
        ({"fresh_head": True, "data": "x"}, WeightsError, ["--try", "--fresh-head"]),
        ({"model": "fashion_cnn"}, WeightsError, ["does not fit fashion_cnn of 3 classes", "missing", "unexpected"]),
        ({"data": "nowhere"}, DataError, ["nowhere: no such file or folder"]),
    ],
)
def test_what_is_refused(bring, tmp_path: Path, flags: dict, kind: type[StriateError], words: list[str]) -> None:
    with pytest.raises(kind) as error:
        bring(**flags)
    for word in words:
        assert word in str(error.value), str(error.value)
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["theirs.safetensors"]


def test_where_it_cannot_be_written(bring, file: Path, tmp_path: Path) -> None:
    before = file.read_bytes()
    for out, words in (
        (tmp_path / "x.pth", "ends in .safetensors"),
        (tmp_path / "no" / "x.safetensors", "its folder does not exist"),
        (file / "x.safetensors", "a part of its path is a file"),
        (file, "it is the file that is read"),
    ):
        with pytest.raises(OutputError, match=words):
            import_weights(file, "lenet5", out, classes=3, preprocess=DIGITS, force=True)
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(OutputError, match="a folder of that name is in the way"):
        import_weights(file, "lenet5", tmp_path / "folder.safetensors", classes=3, preprocess=DIGITS)
    bring()
    written = OUT(tmp_path).read_bytes()
    with pytest.raises(OutputError, match="there is such a file already; --force replaces it"):
        bring(classes=["a", "b", "c"])
    assert OUT(tmp_path).read_bytes() == written and file.read_bytes() == before
    bring(classes=["a", "b", "c"], force=True)
    assert OUT(tmp_path).read_bytes() != written


def test_numbers_that_are_not_finite(bring, file: Path) -> None:
    state = build("lenet5", classes=3).state_dict()
    state["c3.bias"][1] = float("nan")
    save_file(state, file)
    with pytest.raises(WeightsError, match=r"theirs.safetensors: c3.bias hold numbers that are not finite"):
        bring()


# Classes


@pytest.mark.parametrize(
    ("text", "names", "ids"),
    [
        ("cat\ndog\n", ("cat", "dog"), None),
        ("cat\r\nlarge dog\r\n\r\n", ("cat", "large dog"), None),
        ("\ufeffcat\ndog", ("cat", "dog"), None),
        ("white shark, Carcharodon\ntench, Tinca\n", ("white shark, Carcharodon", "tench, Tinca"), None),
        ("n1\tcrane\nn2\tcrane\n", ("crane", "crane"), ("n1", "n2")),
        ("n1,crane\nn2,large crane\n", ("crane", "large crane"), ("n1", "n2")),
        ("n01440764 tench, Tinca\nn01443537 carp\n", ("tench, Tinca", "carp"), ("n01440764", "n01443537")),
        ("class_index,wnid,name\n1,n2,b\n0,n1,a\n", ("a", "b"), ("n1", "n2")),
        ("name,colour\nb,red\na,blue\n", ("b", "a"), None),
        ('id,name\nn1,"a, b"\nn2,c\n', ("a, b", "c"), ("n1", "n2")),
    ],
)  # fmt: skip
def test_files_of_classes(tmp_path: Path, text: str, names: tuple[str, ...], ids: tuple[str, ...] | None) -> None:
    path = tmp_path / "classes.txt"
    path.write_bytes(text.encode())
    assert classes_from(path) == classes_from(str(path)) == Classes(names, ids)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"cat\n\ndog\n", "line 2 is empty"),
        (b"cat\ndog\ncat\n", "name 'cat' stands there twice, for the classes 0 and 2; classes of one name need ids"),
        (b"n1\tcat\nn1\tdog\n", "id 'n1' stands there twice"),
        (b"caf\xe9\n", "is not text in UTF-8"),
        (b"cat\x1b[2J\n", "line 1 holds characters that cannot be printed"),
        (b"index,name\n0,a\n2,b\n", "its indices are not 0 to 1, each once"),
        (b"id,name\nn1\n", "line 2 has 1 field, its header 2"),
        (b"id,name\n", "names no class"),
        (b"id,name\nn1,a\n,b\n", "only 1 of 2 classes have an id"),
        (b"id,name\nn1,\nn2,b\n", "1 of 2 classes have no name"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is not text"),
    ],
)
def test_files_that_are_no_classes(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "classes.txt"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        classes_from(path)
    assert words in str(error.value) and str(error.value).isprintable()


def test_classes_otherwise(tmp_path: Path) -> None:
    assert len(classes_from("imagenet")) == 1000
    assert classes_from("12").names[11] == "11"
    assert classes_from(["b", "a"]) == Classes(("b", "a"))
    with pytest.raises(DataError, match="cannot be read"):
        classes_from(tmp_path)
    with pytest.raises(DataError, match="the classes given: the name 'a' stands there twice"):
        classes_from(["a", "a"])


def test_the_samples_classes_are_imagenets(shared_data: Path) -> None:
    assert classes_from(shared_data / "imagenet-samples" / "classes.csv") == classes_from("imagenet")


# Constants


def test_every_kind_is_described() -> None:
    assert set(KINDS) == set(PREPROCESSING)


def test_a_kind_at_the_networks_own_size() -> None:
    way = of_kind("tf", MODELS["xception"].preprocess, 3)
    assert (way.size, way.mean, way.unit) == ((299, 299), (1.0,), 127.5)
    way = of_kind("lite", MODELS["resnet20"].preprocess, 3)
    assert (way.size, way.resize, way.interpolation) == ((32, 32), "stretch", "bicubic")
    way = of_kind("imagenet", DIGITS, 1)
    assert (way.channels, way.border, way.count) == ("grey", 2, 1)
    assert way.mean == pytest.approx(((0.485 + 0.456 + 0.406) / 3,))
    assert for_channels(way, 3).channels == "rgb" and for_channels(way, 5).channels == 5


def test_each_colour_keeps_its_constants() -> None:
    imagenet = PREPROCESSING["imagenet"]
    turned = changed(imagenet, {"channels": "bgr"})
    assert turned.mean == imagenet.mean[::-1] and turned.scale == imagenet.scale[::-1]
    picture = torch.randint(0, 256, (1, 3, 4, 4), dtype=torch.uint8)
    assert torch.equal(turned.normalise(picture.flip(1)).flip(1), imagenet.normalise(picture))
    assert changed(imagenet, {"channels": "bgr", "mean": (0.5,)}).mean == (0.5,)
    assert changed(imagenet, {}) == imagenet


# Trials


@pytest.fixture
def shades(tmp_path: Path) -> Path:
    """60 pictures of noise in an .npz: bytes about 50 (class 0) and about 90 (class 1)."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    x = rng.integers(30, 71, (60, 32, 32), dtype=np.uint8) + (y * 40)[:, None, None].astype(np.uint8)
    np.savez(tmp_path / "shades.npz", x=x, y=y)
    return tmp_path / "shades.npz"


@pytest.fixture
def threshold(tmp_path: Path) -> Path:
    """A LeNet-5 that says 1 where what it sees is above -0.38 in the mean.

    That tells the shades apart as "tf" and "lite" prepare them (-0.6 and -0.3); for "imagenet" (-1.1 and -0.4) and
    "caffe" both lie below, for "raw" above.
    """
    state = {name: torch.zeros_like(tensor) for name, tensor in build("lenet5", classes=2).state_dict().items()}
    small = 1e-3  # where tanh is a straight line
    state["c1.weight"][0] = small / 25
    state["c3.weight"][0, 0] = state["c5.weight"][0, 0] = 1 / 25
    state["f6.weight"][0, 0] = 1
    state["output.weight"][1, 0] = 10 / small
    state["output.bias"][1] = 3.8
    path = tmp_path / "theirs.safetensors"
    save_file(state, path)
    return path


@pytest.fixture
def tried(bring, shades: Path, threshold: Path) -> Callable[..., tuple[Imported, list[str]]]:
    """Imports the threshold, tried on the shades; gives what came of it and what was said."""

    def call(**flags: object) -> tuple[Imported, list[str]]:
        said: list[str] = []
        given = {"classes": 2, "preprocess": None, "changes": {"border": 0}, "data": shades} | flags
        return bring(file=threshold, on_notice=said.append, force=True, **given), said

    return call


def test_the_best_kind_is_found_and_taken(tried) -> None:
    result, said = tried()
    decision = result.decision
    assert {trial.kind: trial.top1 for trial in decision.trials} == {
        **dict.fromkeys(("tf", "lite"), 1.0),
        **dict.fromkeys(("imagenet", "caffe", "raw"), 0.5),
    }
    assert (decision.chosen, decision.kind, decision.best, decision.distinct) == ("measured", "lite", "lite", False)
    assert modelfile.describe(result.out).preprocess == decision.preprocess
    assert decision.preprocess == changed(of_kind("lite", DIGITS, 1), {"border": 0})
    assert said == [
        "best: lite, top-1 1.000 of 60 pictures; tf, the second, cannot be told from it with 95 % confidence"
    ]
    first, second, third, *_ = decision.trials
    assert first.loss < second.loss and distinct(first, third)


def test_what_is_given_is_taken_whatever_is_best(tried) -> None:
    result, said = tried(preprocess="imagenet")
    assert (result.decision.chosen, result.decision.kind, result.decision.best) == ("given", "imagenet", "lite")
    assert said[-1] == "imagenet, which you gave, is taken, though lite is measured better"
    way = Preprocess(channels="grey", mean=(0.35,), scale=(0.2,), size=(32, 32), resize="stretch")
    result, _ = tried(preprocess=way)
    assert {trial.kind for trial in result.decision.trials} == {*KINDS, "given"}
    assert (result.decision.preprocess, result.decision.kind, result.decision.best) == (way, None, "given")
    figures = result.as_json()
    assert figures["best"] == "given" and figures["kind"] is None and len(figures["tried"]) == 6


def test_kinds_that_changes_make_the_same_are_tried_once(tried) -> None:
    result, _ = tried(changes={"border": 0, "unit": 127.5, "mean": (1.0,), "scale": (1.0,)})
    assert {trial.kind for trial in result.decision.trials} == {"imagenet", "lite"}  # which differ in interpolation


def test_answers_that_may_be_chance_are_said(tried) -> None:
    result, said = tried(changes={"border": 0, "unit": 1e9})
    assert {trial.top1 for trial in result.decision.trials} == {0.5}
    assert said[-1].startswith("even the best may be chance: the classes may be in another order")


def test_at_most_so_many_pictures_are_looked_at(tried, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("striate.importing.trial.MOST", 10)
    result, _ = tried()
    assert {trial.images for trial in result.decision.trials} == {10}


def test_a_trial_agrees_with_evaluation(tried, shades: Path) -> None:
    from striate.evaluation import evaluate

    result, _ = tried()
    figures = evaluate(result.out, shades, split="all").figures
    best = result.decision.trials[0]
    assert (best.top1, list(best.interval)) == (figures["top1"], figures["interval"])
    assert best.loss == pytest.approx(figures["loss"], abs=1e-12)  # the pictures come in another order


def trial(kind: str, right: list[int]) -> Trial:
    return Trial(kind, len(right), sum(right) / len(right), 1.0, 0.5, (0.0, 1.0), tuple(map(bool, right)))


@pytest.mark.parametrize(
    ("gained", "lost", "differ"),
    # Exact two-sided tests: 2 / 2**5 = 0.0625; 2 / 2**6 = 0.031; (2 * 8) / 2**7 = 0.125; (2 * 10) / 2**9 = 0.039
    [(5, 0, False), (6, 0, True), (6, 1, False), (8, 1, True), (0, 6, True), (0, 0, False), (40, 40, False)],
)
def test_two_kinds_are_told_apart_by_the_pictures_they_disagree_on(gained: int, lost: int, differ: bool) -> None:
    one = trial("a", [1] * gained + [0] * lost + [1] * 100)
    other = trial("b", [0] * gained + [1] * lost + [1] * 100)
    assert distinct(one, other) is differ


# Classes of data and of models


def record(target: int) -> Record:
    return Record(Path("x"), ClassIndex(target), b"", "x")


def test_data_that_know_their_classes_by_number_mean_indices() -> None:
    names = Classes(("airplane", "automobile", "bird"))
    assert [r.target.index for r in aligned((record(0), record(1)), Classes(("2", "0")), names)] == [2, 0]
    assert [r.target.index for r in aligned((record(0),), Classes(("1",)), Classes(("3", "1")))] == [
        1
    ]  # names, not indices
    with pytest.raises(DataError, match="class '3' of the data is none of the model's 3 classes; by number"):
        aligned((record(0),), Classes(("3",)), names)
    with pytest.raises(DataError, match="class '01' of the data"):
        aligned((record(0),), Classes(("01",)), names)


# The real files


@pytest.mark.parametrize(
    ("source", "model", "flags", "data", "best", "at_least"),
    [
        pytest.param("lenet_iter_10000.caffemodel", "lenet_caffe", {}, "mnist", "known", 0.975, id="lenet"),
        pytest.param(
            "resnet20-12fca82f.th",
            "resnet20",
            {"classes": 10, "preprocess": "imagenet"},
            "cifar10-test-2000.npz",
            "imagenet",
            0.88,
            id="resnet20",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_real_weights(shared_data: Path, tmp_path: Path, source, model, flags, data, best, at_least) -> None:
    file = shared_data / "weights" / source
    result = import_weights(file, model, tmp_path / "ours.safetensors", data=shared_data / data, **flags)
    assert result.decision.best == best and result.decision.trials[0].top1 >= at_least
    assert result.licence == "BSD-2-Clause"


def test_weights_of_super_resolution_need_no_words(tmp_path: Path) -> None:
    """Neither classes nor preprocessing are a question; the factor may be said."""
    source, out = tmp_path / "theirs.safetensors", tmp_path / "vdsr.safetensors"
    save_file(build("vdsr", seed=1).state_dict(), source)
    result = import_weights(source, "vdsr", out, arguments={"factor": 3})
    assert (result.decision.chosen, result.classes.names) == ("described", ())
    network, description = modelfile.load(out)
    assert (network.factor, description.task_arguments) == (3, {"factor": 3})
    assert description.preprocess == MODELS["vdsr"].preprocess
    with pytest.raises(WeightsError, match="is always the same"):
        import_weights(source, "vdsr", out, data=tmp_path, force=True)
    with pytest.raises(ModelError, match="has no argument 'scale'"):
        import_weights(source, "vdsr", out, arguments={"scale": 3}, force=True)


def test_the_real_vdsr(shared_data: Path, tmp_path: Path) -> None:
    """Its file is known by its hash; `accept/upscale/line2.py` measures what it answers."""
    out = tmp_path / "vdsr.safetensors"
    result = import_weights(shared_data / "weights" / "vdsr-epoch50-state-dict.pth", "vdsr", out)
    assert (result.decision.chosen, result.licence, result.scheme) == ("known", "MIT", "own")
