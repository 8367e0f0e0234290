"""Networks by darknet's layers: against our own YOLOv3-tiny, folded, from a model file, and rows that make none."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from striate import modelfile
from striate.answering import FoldedNetwork
from striate.base.errors import ModelError, ModelFileError
from striate.data.records import Classes
from striate.models import MODELS, build
from striate.models.darknet import YOLOV3_TINY, Darknet
from striate.models.darknet_rows import Convolution, Detections, MaxPool, Route, Row, Shortcut, Upsample

STEM = Convolution(filters=8, size=3, stride=2, padding=1, norm=True, activation="relu")
LAST = (Convolution(filters=None), Detections(anchors=2))
SMALL: tuple[Row, ...] = (
    *(STEM, Convolution(filters=8, norm=True), Shortcut(layers=(0,), activation="leaky")),
    *(MaxPool(size=2, stride=2, padding=1), *LAST),
    *(Route(layers=(3,)), Upsample(factor=2), Route(layers=(7, 2)), *LAST),
)


def plain(rows: tuple[Row, ...]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(row) for row in rows]


def test_by_itself_it_is_yolov3_tiny() -> None:
    """Its layers, in darknet's order, are those of our own YOLOv3-tiny, and so are its answers, place by place."""
    ours, network = build("yolov3_tiny", classes=3, seed=1).eval(), build("darknet", classes=3, seed=2).eval()
    theirs = network.state_dict()
    for name, tensor in zip(theirs, ours.state_dict().values(), strict=True):
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        theirs[name].copy_(tensor)
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(network(images), ours(images), rtol=1e-4, atol=1e-4)
    assert MODELS["darknet"].form_arguments == MODELS["yolov3_tiny"].form_arguments


def test_folded_it_answers_alike() -> None:
    network = Darknet(SMALL, classes=2, in_channels=3).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 2)
    images = torch.randn(3, 3, 16, 24)
    with torch.no_grad():
        torch.testing.assert_close(FoldedNetwork(network)(images), network(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(16, 18), (18, 16), (2, 16)])
def test_sides_are_multiples_of_the_coarsest_stride(size: tuple[int, int]) -> None:
    network = Darknet(SMALL, classes=2, in_channels=3)
    assert network(torch.zeros(1, 3, 8, 12)).shape == (1, 2 * (4 * 6 + 2 * 3), 7)
    with pytest.raises(ModelError, match=r"multiples of 4|4x4 and more"):
        network(torch.zeros(1, 3, *size))


def test_another_head() -> None:
    network = build("darknet", classes=4, arguments={"rows": plain(SMALL)}, seed=1)
    network.reset_head(9, seed=5)
    assert network(torch.zeros(1, 3, 8, 8)).shape[2] == 5 + 9
    assert all(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ((), "no layer says detections"),
        ((STEM,), "no layer says detections"),
        ((MaxPool(size=2, stride=2, padding=0), *LAST), "layer 0, max pool: the first layer is a convolution"),
        ((STEM, Route(layers=(1,)), *LAST), r"layer 1, route: reads the layers \[1\], and 1 stand before it"),
        ((STEM, Route(layers=()), *LAST), r"reads the layers \[\]"),
        ((STEM, Convolution(filters=None)), "layer 1, convolution: says no filters, and no detections come next"),
        ((STEM, Convolution(filters=None), Shortcut(layers=(0,)), *LAST), "says no filters"),
        ((STEM, Convolution(filters=7), Detections(anchors=1)), "layer 2, detections: reads layer 1, convolution"),
        ((STEM, *LAST, Convolution(filters=7), *LAST), "layer 3, convolution: reads layer 2, detections"),
        ((STEM, *LAST, Route(layers=(0, 1)), *LAST), "layer 3, route: reads layer 1, convolution"),
        ((STEM, Convolution(filters=9, groups=4), *LAST), "layer 1, convolution: .*do not divide into 4 groups"),
        ((STEM, Upsample(factor=4), *LAST), "layer 1, upsample: would make a map of stride 2 larger"),
        ((STEM, Route(layers=(0,), groups=2, part=2), *LAST), "layer 1, route: takes part 2 of 2, counted from 0"),
        ((STEM, Convolution(filters=4), Shortcut(layers=(0,)), *LAST), r"layer 2, shortcut: adds maps that differ"),
        (
            (STEM, MaxPool(size=2, stride=2, padding=0), Route(layers=(0, 1)), *LAST),
            r"layer 2, route: joins maps of the strides \[2, 4\]",
        ),
    ],
)
def test_rows_that_make_no_network(rows: tuple[Row, ...], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        Darknet(rows, classes=2, in_channels=3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    arguments = {"classes": 2, "in_channels": 3, "rows": plain(SMALL)}
    network = build("darknet", classes=2, arguments={"rows": plain(SMALL)}, seed=3)
    preprocess = dataclasses.replace(MODELS["darknet"].preprocess, size=(16, 24))
    description = modelfile.Description("darknet", arguments, "detect", Classes(("a", "b")), preprocess)
    modelfile.save(tmp_path / "x.safetensors", network.state_dict(), description)
    return tmp_path / "x.safetensors"


def test_the_model_file_holds_the_rows(path: Path) -> None:
    network, description = modelfile.load(path)
    again = build("darknet", classes=2, arguments={"rows": plain(SMALL)}, seed=3).eval()
    images = torch.randn(1, 3, 16, 24)
    with torch.no_grad():
        assert torch.equal(network(images), again(images))
    assert [row["kind"] for row in description.arguments["rows"]] == [row.kind for row in SMALL]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"filters": 10**9}, "less than or equal to 65536"),
        ({"filters": "8"}, "valid integer"),
        ({"size": 0}, "at 0.convolution.size: Input should be greater than or equal to 1"),
        ({"padding": 0}, "a window of 3 with stride 2 and 0 places of padding"),
        ({"activation": "__import__"}, "'linear', 'leaky'"),
        ({"kind": "wheel"}, "wheel"),
        ({"groups": 2}, "do not divide into 2 groups"),
        ({"antialiasing": 1}, "antialiasing"),
    ],
)
def test_damaged_rows_are_refused(path: Path, change: dict[str, Any], said: str) -> None:
    with safe_open(path, framework="pt") as file:
        values = json.loads(file.metadata()["striate"])
    values["model"]["arguments"]["rows"][0] |= change
    save_file(load_file(path), path, metadata={"striate": json.dumps(values)})
    with pytest.raises(ModelFileError, match=said) as error:
        modelfile.load(path)
    assert len(str(error.value)) < 600 and "\n" not in str(error.value)


def test_the_rows_of_the_smallest_are_darknets_own() -> None:
    """As many layers as ``yolov3-tiny.cfg`` has sections, and the published file's length by arithmetic."""
    network = build("darknet")
    numbers = [t.numel() for name, t in network.state_dict().items() if not name.endswith("num_batches_tracked")]
    assert len(YOLOV3_TINY) == 24 and 20 + 4 * sum(numbers) == 35_434_956
