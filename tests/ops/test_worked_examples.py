"""Every worked example of the chapter on convolutional networks, with the numbers that TensorFlow gives."""

import hashlib
import itertools

import numpy as np
import pytest
import torch

from striate import layers, ops
from striate.ops import from_tensorflow, output_size, same_padding, to_tensorflow


def wide(values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


LINE = torch.arange(1.0, 14, dtype=torch.float64).reshape(1, 1, 13)
SQUARE = torch.arange(1.0, 10, dtype=torch.float64).reshape(1, 1, 3, 3)
DIFFERENT = wide([[4, 3], [2, 1]]).reshape(1, 1, 2, 2)
NEGATIVE = wide([[-4, -3], [-2, -1]]).reshape(1, 1, 2, 2)
DEEP = torch.arange(1.0, 25, dtype=torch.float64).reshape(1, 2, 2, 6)  # as TensorFlow prints it, NHWC


@pytest.mark.parametrize(("padding", "wanted"), [("valid", [184, 389]), ("same", [143, 348, 204])])
def test_a_line_of_thirteen(padding: str, wanted: list[float]) -> None:
    window = wide([2, 3, 5, 7, 11, 13]).reshape(1, 1, 6)
    assert ops.conv1d(LINE, window, stride=5, padding=padding).flatten().tolist() == wanted
    assert same_padding(13, 6, 5) == (1, 2)
    cut = LINE.clone()
    cut[..., 11:] = 999  # under VALID the last two are never read
    assert ops.conv1d(cut, window, stride=5).flatten().tolist() == [184, 389]


@pytest.mark.parametrize(
    ("padding", "wanted"),
    [("valid", [[12, 16], [24, 28]]), ("same", [[12, 16, 9], [24, 28, 15], [15, 17, 9]])],
)
def test_a_square_of_nine_under_one_and_three_filters(padding: str, wanted: list[list[float]]) -> None:
    assert same_padding(3, 2) == (0, 1)
    ones = torch.ones(1, 1, 2, 2, dtype=torch.float64)
    assert ops.conv2d(SQUARE, ones, padding=padding)[0, 0].tolist() == wanted
    three = ones * wide([1, 10, -1]).reshape(3, 1, 1, 1)
    maps = ops.conv2d(SQUARE, three, padding=padding)
    assert to_tensorflow(maps, "NHWC").shape == (1, len(wanted), len(wanted), 3)
    for factor, found in zip((1, 10, -1), maps[0], strict=True):
        assert torch.equal(found, wide(wanted) * factor)


@pytest.mark.parametrize(
    ("pool", "x", "padding", "wanted"),
    [
        (ops.max_pool2d, DIFFERENT, "valid", [[4]]),
        (ops.max_pool2d, DIFFERENT, "same", [[4, 3], [2, 1]]),
        (ops.average_pool2d, DIFFERENT, "valid", [[2.5]]),
        (ops.average_pool2d, DIFFERENT, "same", [[2.5, 2], [1.5, 1]]),
        (ops.max_pool2d, NEGATIVE, "same", [[-1, -1], [-1, -1]]),
        (ops.max_pool2d, wide([[1, 5], [3, 2]])[None, None], "valid", [[5]]),
        (ops.average_pool2d, wide([[1, 5], [3, 2]])[None, None], "valid", [[2.75]]),
    ],
)
def test_small_pools(pool, x: torch.Tensor, padding: str, wanted: list[list[float]]) -> None:
    assert pool(x, 2, stride=1, padding=padding)[0, 0].tolist() == wanted


def test_shapes() -> None:
    assert (output_size(5, 3, 2), output_size(7, 3, 2)) == (3, 4)
    assert same_padding(5, 3, 2) == same_padding(7, 3, 2) == (1, 1)
    assert ops.conv2d(torch.zeros(1, 1, 5, 7), torch.zeros(1, 1, 3, 3), stride=2, padding="same").shape == (1, 1, 3, 4)
    for filters in (1, 6):
        assert layers.Conv2d(3, filters, 5)(torch.zeros(1, 3, 32, 32)).shape == (1, filters, 28, 28)
    strided = layers.Conv2d(1, 5, 3, stride=2, padding="same")(torch.zeros(1, 1, 28, 28))
    assert strided.shape == (1, 5, 14, 14) and same_padding(28, 3, 2) == (0, 1)
    assert layers.MaxPool2d(2, stride=2, padding="same")(strided).shape == (1, 5, 7, 7)


def test_pools_over_depth_and_over_all() -> None:
    x = wide([3, 1, 2, 0, -1, -5, 7, 7, 8]).reshape(1, 9, 1, 1)
    assert ops.depth_max_pool(x, 3).flatten().tolist() == [3, 0, 8]
    deep = from_tensorflow(DEEP, "NHWC")
    found = to_tensorflow(layers.DepthPool(3)(deep), "NHWC")
    assert found.tolist() == [[[[3, 6], [9, 12]], [[15, 18], [21, 24]]]]
    means = ops.global_average_pool(deep)
    assert means.tolist() == [[10, 11, 12, 13, 14, 15]]
    assert torch.equal(means, DEEP.mean((1, 2)))


@pytest.mark.parametrize(
    ("padding", "wanted"),
    [("valid", [38, 44, 50, 56, 62]), ("same", [17, 22, 27, 32, 38, 44, 50, 56, 62, 26, 29, 32, 35])],
)
def test_holes(padding: str, wanted: list[float]) -> None:
    holes = wide([1, 0, 0, 0, 2, 0, 0, 0, 3]).reshape(1, 1, 9)
    taps = holes[..., ::4]
    assert taps.flatten().tolist() == [1, 2, 3]
    assert ops.conv1d(LINE, taps, dilation=4, padding=padding).flatten().tolist() == wanted
    assert ops.conv1d(LINE, holes, padding=padding).flatten().tolist() == wanted
    assert same_padding(13, 3, 1, 4) == (4, 4)


def test_transposed() -> None:
    x, window = wide([[1, 2], [3, 4]])[None, None], torch.arange(1.0, 10, dtype=torch.float64).reshape(1, 1, 3, 3)
    valid = [[1, 2, 5, 4, 6], [4, 5, 14, 10, 12], [10, 14, 36, 24, 30], [12, 15, 34, 20, 24], [21, 24, 55, 32, 36]]
    assert ops.conv_transpose2d(x, window, stride=2)[0, 0].tolist() == valid
    same = ops.conv_transpose2d(x, window, stride=2, padding="same")
    assert same[0, 0].tolist() == [row[:4] for row in valid[:4]]
    asked = ops.conv_transpose2d(x, window, stride=2, padding="same", output_size=3)
    assert asked[0, 0].tolist() == [row[1:4] for row in valid[1:4]]


# The vertical and the horizontal line of the textbook, over the two photographs that scikit-learn ships.
# Stride, photograph, map: exact sum, and the exact values in the first corner, the middle and the last corner; maximum.
LINES_SEEN = [
    (1, "china", 0, 821_403_623, (2421, 4245, 157), 5335),
    (1, "china", 1, 822_653_508, (2424, 3135, 243), 5340),
    (1, "flower", 0, 354_054_848, (130, 1334, 308), 4393),
    (1, "flower", 1, 354_673_430, (151, 1817, 317), 4429),
    (2, "china", 0, 205_542_132, (2424, 4085, 157), 5334),
    (2, "china", 1, 206_153_137, (3030, 3584, 243), 5340),
    (2, "flower", 0, 88_572_371, (145, 2193, 308), 4390),
    (2, "flower", 1, 88_857_118, (192, 2223, 317), 4418),
]
PHOTOGRAPHS = {
    "china": (117_812_912, "e701459344fd69797154c91add3bb5d70e5ed1a61d8bed889bab3a796104698d"),
    "flower": (50_751_787, "3202904ed246795bf616c66d7859cd7c6080eff736c6e38dc5cc62779742033f"),
}


@pytest.fixture(scope="module")
def photographs() -> dict[str, np.ndarray]:
    datasets = pytest.importorskip("sklearn.datasets")
    found = {name: datasets.load_sample_image(f"{name}.jpg") for name in PHOTOGRAPHS}
    for name, (total, digest) in PHOTOGRAPHS.items():
        if hashlib.sha256(found[name].tobytes()).hexdigest() != digest:
            pytest.skip(f"this Pillow decodes {name}.jpg otherwise: {found[name].sum()} instead of {total}")
    return found


def test_the_photographs(photographs) -> None:
    assert photographs["china"].sum() == PHOTOGRAPHS["china"][0] and photographs["china"].shape == (427, 640, 3)
    places = ((0, 0), (213, 319), (426, 639))
    assert [photographs["china"][at].tolist() for at in places] == [[174, 201, 231], [169, 96, 79], [15, 24, 7]]
    assert photographs["flower"].sum() == PHOTOGRAPHS["flower"][0]
    assert [photographs["flower"][at].tolist() for at in places] == [[2, 19, 13], [189, 46, 4], [9, 43, 27]]


@pytest.mark.parametrize("stride", [1, 2])
def test_lines_over_photographs(photographs, stride: int) -> None:
    theirs = torch.zeros(7, 7, 3, 2, dtype=torch.float64)
    theirs[:, 3, :, 0] = 1
    theirs[3, :, :, 1] = 1
    windows = from_tensorflow(theirs, "HWIO")
    pictures = np.stack([photographs["china"], photographs["flower"]])
    x = from_tensorflow(torch.from_numpy(pictures).double(), "NHWC")
    maps = ops.conv2d(x, windows, stride=stride, padding="same")
    height, width = (427, 640) if stride == 1 else (214, 320)
    assert maps.shape == (2, 2, height, width)
    assert same_padding(427, 7, stride) == (3, 3)
    assert same_padding(640, 7, stride) == ((3, 3) if stride == 1 else (2, 3))
    narrow = ops.conv2d(x.float() / 255, windows.float(), stride=stride, padding="same")
    for _, name, number, total, values, largest in (row for row in LINES_SEEN if row[0] == stride):
        found = maps[list(PHOTOGRAPHS).index(name), number]
        assert found.sum().item() == total and found.max().item() == largest
        places = ((0, 0), (height // 2, width // 2), (height - 1, width - 1))
        assert tuple(found[at].item() for at in places) == values
        scaled = narrow[list(PHOTOGRAPHS).index(name), number]
        assert scaled.double().sum().item() == pytest.approx(total / 255, rel=1e-6)
        assert [scaled[at].item() for at in places] == pytest.approx([v / 255 for v in values], rel=1e-6)


def on_meta(layer: torch.nn.Module, *shape: int) -> torch.Tensor:
    return layer.to("meta")(torch.empty(shape, device="meta"))


def parameters(layer: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in layer.parameters())


def test_what_a_layer_of_200_maps_costs() -> None:
    layer = layers.Conv2d(3, 200, 5, padding="same")
    assert parameters(layer) == (5 * 5 * 3 + 1) * 200 == 15_200
    y = on_meta(layer, 100, 3, 150, 100)
    one = y[0]
    assert layer.weight[0].numel() * one.numel() == 225_000_000  # products
    assert one.nbytes == 12_000_000 and one.nbytes * 8 == 96_000_000
    assert one.nbytes / 2**20 == pytest.approx(11.444, abs=5e-4)
    assert y.nbytes == 1_200_000_000 and y.nbytes / 2**30 == pytest.approx(1.1176, abs=5e-5)
    with torch.device("meta"):
        one_map = torch.nn.Linear(150 * 100 * 3, 150 * 100)
        assert (one_map.weight.numel(), parameters(one_map)) == (675_000_000, 675_015_000)
        all_maps = torch.nn.Linear(150 * 100 * 3, one.numel())
        assert (all_maps.weight.numel(), parameters(all_maps)) == (135_000_000_000, 135_003_000_000)


def test_what_the_exercises_network_needs() -> None:
    x = torch.empty(1, 3, 200, 300, device="meta")
    outputs, counts = [x], []
    for channels in (100, 200, 400):
        layer = layers.Conv2d(outputs[-1].shape[1], channels, 3, stride=2, padding="same")
        counts.append(parameters(layer))
        outputs.append(layer.to("meta")(outputs[-1]))
    assert [tuple(y.shape[1:]) for y in outputs[1:]] == [(100, 100, 150), (200, 50, 75), (400, 25, 38)]
    assert counts == [2_800, 180_200, 720_400] and sum(counts) * 4 == 3_613_600
    sizes = [y.nbytes for y in outputs]
    assert sizes == [720_000, 6_000_000, 3_000_000, 1_520_000]
    assert sum(sizes[1:]) == 10_520_000
    two_at_once = max(a + b for a, b in itertools.pairwise(sizes))
    assert two_at_once + sum(counts) * 4 == 12_613_600
    assert 50 * sum(sizes) + sum(counts) * 4 == 565_613_600
