"""Fields of our networks as published: Araujo, Norris and Sim's table, and gradient tests of other implementations."""

from functools import cache
from typing import Any

import pytest
import torch

from striate.models.meta import build_on_meta
from striate.tracing import AxisField, Trace, rows_by_path, trace
from tests.tracing.networks import traced


def field(name: str, place: str) -> AxisField:
    """Of the last module of a block, or of the one whose path ends so; along both axes."""
    network, found = traced(name)
    wanted = network.blocks[place][-1] if place in network.blocks else place
    rows = [row for row in found.rows if row.path == wanted] or [row for row in found.rows if row.path.endswith(wanted)]
    down, across = rows[0].field or ()
    assert (len(rows), down.size, down.stride, down.padding) == (1, across.size, across.stride, across.padding)
    return down


@cache
def traced_unet() -> Trace:
    network = build_on_meta("unet", classes=2, arguments={"mirrors": False})
    return trace(network, torch.empty(1, 1, 572, 572, device="meta"))


# Each kind of operation; all networks in `make test-all`.
SOME = {"lenet5", "alexnet", "vgg16", "googlenet", "resnet18"}


def sampled(rows: list[tuple[Any, ...]]) -> list[Any]:
    return [pytest.param(*row, marks=[] if row[0] in SOME else [pytest.mark.slow]) for row in rows]


PUBLISHED: list[tuple[Any, ...]] = [
    *(("lenet5", *wanted) for wanted in (("c1", 5, 1, 0), ("s2", 6, 2, 0), ("c3", 14, 2, 0), ("s4", 16, 4, 0))),
    ("lenet5", "c5", 32, 4, 0),
    *(("alexnet", *wanted) for wanted in (("conv1", 11, 4, 0), ("pool1", 19, 8, 0), ("conv2", 51, 8, 16))),
    *(("alexnet", *wanted) for wanted in (("pool2", 67, 16, 16), ("conv3", 99, 16, 32), ("conv4", 131, 16, 48))),
    *(("alexnet", *wanted) for wanted in (("conv5", 163, 16, 64), ("pool5", 195, 32, 64))),
    ("alexnet_single", "pool5", 195, 32, 66),
    *(("vgg16", *wanted) for wanted in (("pool1", 6, 2, 2), ("pool2", 16, 4, 6), ("pool3", 44, 8, 18))),
    *(("vgg16", *wanted) for wanted in (("pool4", 100, 16, 42), ("pool5", 212, 32, 90))),
    ("googlenet", "stage3", 91, 8, 39),
    ("googlenet", "stage4a", 171, 16, 71),
    ("googlenet", "stage4d", 363, 16, 167),
    ("googlenet", "stage5", 715, 32, 327),
    ("googlenet_bn", "stage5", 379, 32, 167),
    *(("resnet18", *wanted) for wanted in (("stage1", 43, 4, 21), ("stage2", 99, 8, 49), ("stage3", 211, 16, 105))),
    ("resnet18", "stage4", 435, 32, 217),
    *(("resnet34", *wanted) for wanted in (("stage1", 59, 4, 29), ("stage2", 179, 8, 89), ("stage3", 547, 16, 273))),
    ("resnet34", "stage4", 899, 32, 449),
    *(("resnet50", *wanted) for wanted in (("stage1", 35, 4, 17), ("stage2", 91, 8, 45), ("stage3", 267, 16, 133))),
    ("resnet50", "stage4", 427, 32, 213),
    *(("resnet50_2015", *wanted) for wanted in (("stage2", 99, 8, 49), ("stage3", 291, 16, 145))),
    ("resnet50_2015", "stage4", 483, 32, 241),
    ("resnet101", "stage4", 971, 32, 485),
    ("resnet101_2015", "stage4", 1027, 32, 513),
    ("resnet152", "stage4", 1451, 32, 725),
    ("resnet152_2015", "stage4", 1507, 32, 753),
    ("squeezenet1_0", "fire9", 155, 16, 60),
    ("squeezenet1_1", "fire9", 207, 16, 88),
    ("mobilenet_v1_symmetric", "stage5", 315, 32, 157),
    ("mobilenet_v1", "stage5", 315, 32, 126),
    ("mobilenet_v2", "stage8", 491, 32, 245),
    *(("yolov3", *wanted) for wanted in ((".stages.2.blocks", 165, 8, 82), (".stages.3.blocks", 437, 16, 218))),
    *(("yolov3", *wanted) for wanted in ((".stages.4.blocks", 725, 32, 362), (".scales.0.numbers", 917, 32, 458))),
]


@pytest.mark.parametrize(("name", "place", "size", "stride", "padding"), sampled(PUBLISHED))
def test_published_fields(name: str, place: str, size: int, stride: int, padding: int) -> None:
    found = field(name, place)
    assert (found.size, found.stride, found.padding) == (size, stride, padding)


@pytest.mark.parametrize(
    ("name", "place", "size"),
    sampled([("xception", "bn4", 1083), ("efficientnet_lite0", "bn2", 851), ("zfnet", "pool5", 171)]),
)
def test_published_sizes_where_paddings_are_others(name: str, place: str, size: int) -> None:
    assert field(name, place).size == size


def test_a_dense_layer_on_a_map_sees_the_whole_and_reaches_as_far_as_a_window_that_large() -> None:
    """404 is the published field of fc6 as a window of 7x7."""
    found = field("vgg16", "fc6")
    assert (found.size, found.stride) == (404, None)
    assert found.whole == "addmm in fc6"
    assert field("vgg16", "pool5").whole is None


def test_an_output_of_unet_sees_by_its_place() -> None:
    rows = rows_by_path(traced_unet().rows)
    (bottom, _), (output, _) = rows["conv4_2"].field or (), rows[""].field or ()
    assert (bottom.size, bottom.stride, bottom.padding) == (140, 16, 0)
    assert (output.size, output.stride) == (204, 1)
    assert output.spans is not None and output.spans.period == 16
    sizes = [last - first + 1 for first, last in filter(None, map(output.spans.at, range(16)))]
    assert sorted(sizes) == [188] * 4 + [204] * 12


def test_mirrors_around_a_picture_count_as_padding() -> None:
    down, _ = traced("unet")[1].whole.field or ()
    mirrored, _ = traced_unet().whole.field or ()
    assert (down.size, down.stride) == (mirrored.size, 1)
    assert down.padding == (mirrored.padding or 0) + 92


def test_squeeze_and_excitation_sees_the_whole() -> None:
    found = field("se_resnet18", "stage1")
    assert found.whole is not None and found.whole.startswith("mean in layer1.0")
