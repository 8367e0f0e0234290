"""The model file: what goes in comes out, and everything else is refused with its reason."""

import dataclasses
import json
import struct

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from striate import modelfile
from striate.base.errors import ModelFileError, OutputError, StriateError
from striate.data.records import Classes
from striate.models import build
from striate.models.table import MODELS
from striate.predictor import Predictor, load


def description(**changes):
    whole = modelfile.Description(
        model="lenet5",
        arguments={"classes": 3, "in_channels": 1},
        task="classify",
        classes=Classes(("zèbre", "b/c", "\udcff"), ("n1", "n2", "n3")),
        preprocess=MODELS["lenet5"].preprocess,
        calibration={"temperature": 1.5},
        provenance={
            "data": "ab" * 32,
            "split": [0.8, 0.1, 0.1],
            "split_seed": 0,
            "fixed_splits": False,
            "folds": 0,
            "fold": None,
            "licence": None,
        },
    )
    return dataclasses.replace(whole, **changes)


@pytest.fixture(scope="module")
def network():
    return build("lenet5", classes=3, in_channels=1, seed=5).eval()


@pytest.fixture
def path(tmp_path, network):
    path = tmp_path / "model.safetensors"
    modelfile.save(path, network.state_dict(), description())
    return path


def test_what_goes_in_comes_out(path, network):
    loaded, described = modelfile.load(path)
    assert described == description() == modelfile.describe(path)
    assert not loaded.training
    assert loaded.state_dict().keys() == network.state_dict().keys()
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


@pytest.mark.parametrize("changes", [{"classes": Classes(("a", "b", "c"))}, {"calibration": None}, {"provenance": {}}])
def test_what_may_be_missing(tmp_path, network, changes):
    modelfile.save(tmp_path / "m", network.state_dict(), description(**changes))
    assert modelfile.load(tmp_path / "m")[1] == description(**changes)


def test_the_metadata_have_one_key(path):
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    assert list(metadata) == ["striate"]
    values = json.loads(metadata["striate"])
    assert sorted(values) == sorted(
        ["format", "model", "task", "classes", "preprocess", "calibration", "data", "provenance"]
    )
    assert values["format"] == 1
    assert values["model"] == {"name": "lenet5", "arguments": {"classes": 3, "in_channels": 1}}
    assert values["task"] == {"name": "classify", "arguments": {}}


@pytest.mark.parametrize("model", ["lenet5", "resnet18"])
def test_answers_are_equal_to_the_bit_after_loading(tmp_path, model):
    torch.manual_seed(3)
    count = MODELS[model].preprocess.count
    preprocess = dataclasses.replace(MODELS[model].preprocess, size=(32, 32))
    network = build(model, classes=3, in_channels=count)
    for name, buffer in network.named_buffers():  # as training would leave them
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2.0)
    described = description(model=model, arguments={"classes": 3, "in_channels": count}, preprocess=preprocess)
    before = Predictor(network.eval(), described)
    modelfile.save(tmp_path / "m", network.state_dict(), described)
    pictures = list(np.random.default_rng(0).integers(0, 256, (5, 40, 50, 3), dtype=np.uint8))
    for one, other in zip(before(pictures), load(tmp_path / "m")(pictures), strict=True):
        assert np.array_equal(one.probabilities, other.probabilities)
        assert one.classes == other.classes


def test_a_failed_write_leaves_the_old_file(path, network):
    old = path.read_bytes()
    with pytest.raises((TypeError, AttributeError)):
        modelfile.save(path, {"weight": "no tensor"}, description())
    assert path.read_bytes() == old and len(list(path.parent.iterdir())) == 1
    with pytest.raises(OutputError):
        modelfile.save(path / "below", network.state_dict(), description())


def rewritten(path, change):
    """The file again with its description changed."""
    with safe_open(path, framework="pt") as file:
        values = json.loads(file.metadata()["striate"])
    change(values)
    save_file(load_file(path), path, metadata={"striate": json.dumps(values)})


def put(*keys):
    *way, last, value = keys

    def change(values):
        for key in way:
            values = values[key]
        values[last] = value

    return change


def drop(*keys):
    *way, last = keys

    def change(values):
        for key in way:
            values = values[key]
        del values[last]

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("format", 2), "newer Striate; this version reads formats up to 1"),
        (put("format", "1"), "damaged"),
        (put("format", None), "damaged"),
        (drop("format"), "damaged"),
        (drop("model"), "damaged"),
        (drop("task"), "damaged"),
        (drop("classes"), "damaged"),
        (drop("preprocess"), "damaged"),
        (drop("provenance"), "damaged"),
        (put("model", "lenet5"), "damaged"),
        (put("classes", ["a", "b", "c"]), "damaged"),
        (put("classes", "names", "abc"), "damaged"),
        (put("preprocess", []), "damaged|hold together|lacks"),
        (put("model", "name", "lenet6"), "no model is called 'lenet6'. Did you mean 'lenet5'"),
        (put("model", "name", ["lenet5"]), "damaged|no model"),
        (put("model", "arguments", "classes", "3"), "whole numbers"),
        (put("model", "arguments", "classes", 3.0), "whole numbers"),
        (put("model", "arguments", "classes", True), "whole numbers"),
        (put("model", "arguments", "depth", 3), "has no argument 'depth'"),
        (drop("model", "arguments", "in_channels"), "whole numbers"),
        (put("classes", "names", ["a", "b"]), "2 names|each class needs one|2 class names|came with"),
        (put("classes", "names", ["a", "b", 3]), "texts"),
        (put("classes", "ids", ["a", "b"]), "each class needs one"),
        (put("model", "arguments", "in_channels", 3), "1 channels for a network of 3"),
        (put("preprocess", "unitt", 3), "Did you mean 'unit'"),
        (drop("preprocess", "scale"), "lacks scale"),
        (put("preprocess", "size", [0, 32]), "size"),
        (put("preprocess", "size", [64, 64]), "hold together"),
    ],
)
def test_a_description_that_cannot_be_is_refused(path, change, words):
    rewritten(path, change)
    with pytest.raises(ModelFileError, match=words) as error:
        modelfile.load(path)
    assert str(path) in str(error.value)


def test_an_unknown_task_is_refused(path):
    rewritten(path, put("task", "name", "clasify"))
    with pytest.raises(ModelFileError, match="Did you mean 'classify'"):
        load(path)


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 100, -1000, -1])
def test_a_truncated_file_is_refused(path, size):
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ModelFileError, match=r"is empty|truncated or damaged"):
        modelfile.load(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04 and so on", "PyTorch"),
        (b"\x80\x02}q\x00.", "PyTorch"),
        (b"\x89HDF\r\n\x1a\n", "Keras"),
        (b"\xff\xd8\xff\xe0 a photograph", "not a safetensors file"),
        (b"hello world, this is text", "not a safetensors file"),
        (struct.pack("<Q", 2**62) + b"{}", "not a safetensors file"),
        (struct.pack("<Q", 4) + b"null", "not a safetensors file"),
    ],
)
def test_a_foreign_file_is_refused(tmp_path, content, words):
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(ModelFileError, match=words):
        modelfile.load(tmp_path / "m")


def test_nothing_is_unpickled(tmp_path):
    """A file that would run a program if it were: the program does not run."""

    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("sprung").touch, ())

    for protocol in (True, False):
        torch.save(Trap(), tmp_path / "m.pth", _use_new_zipfile_serialization=protocol)
        with pytest.raises(ModelFileError):
            load(tmp_path / "m.pth")
    assert not (tmp_path / "sprung").exists()


def test_safetensors_of_others_are_refused(tmp_path, network):
    save_file(network.state_dict(), tmp_path / "m", metadata={"format": "pt"})
    with pytest.raises(ModelFileError, match="not a model file of Striate"):
        modelfile.load(tmp_path / "m")
    save_file(network.state_dict(), tmp_path / "n", metadata={"striate": "{no json"})
    with pytest.raises(ModelFileError, match="damaged"):
        modelfile.load(tmp_path / "n")
    save_file(network.state_dict(), tmp_path / "o", metadata={"striate": "[" * 100_000})
    with pytest.raises(ModelFileError, match="damaged"):
        modelfile.load(tmp_path / "o")


@pytest.mark.parametrize("damage", ["missing", "unexpected", "misshapen"])
def test_tensors_that_do_not_fit_are_refused(path, network, damage):
    tensors = dict(network.state_dict())
    if damage == "missing":
        del tensors["c3.bias"]
    elif damage == "unexpected":
        tensors["extra"] = torch.zeros(3)
    else:
        tensors["c3.bias"] = torch.zeros(3)
    modelfile.save(path, tensors, description())
    with pytest.raises(StriateError, match=damage) as error:
        modelfile.load(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("efficientnet_lite", "Did you mean 'efficientnet_lite0'"),
        ("no/such/file.safetensors", "no such file"),
        ("lenet5", "no pretrained weights of lenet5"),
    ],
)
def test_neither_a_file_nor_a_name(name, words):
    with pytest.raises(ModelFileError, match=words):
        modelfile.open_model(name)


def test_a_run_folder_stands_for_its_best_model(path):
    assert modelfile.open_model(path.parent)[1] == description()
    path.unlink()
    with pytest.raises(ModelFileError):
        modelfile.open_model(path.parent)
