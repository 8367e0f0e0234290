"""LeNet-5 of 1998 against the paper's tables and against its formulas written out in NumPy."""

import copy
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from striate.models.lenet5_1998 import CONNECTIONS, LeNet51998, Squash, codes, lenet5_1998
from striate.models.network import parameter_count

# Table I of the paper, copied from it: a row for each map of S2, a column for each map of C3.
TABLE_I = (
    "X...XXX..XXXX.XX",
    "XX...XXX..XXXX.X",
    "XXX...XXX..X.XXX",
    ".XXX..XXXX..X.XX",
    "..XXX..XXXX.XX.X",
    "...XXX..XXXX.XXX",
)


@pytest.fixture
def network() -> LeNet51998:
    torch.manual_seed(0)
    return lenet5_1998(classes=10, in_channels=1)


def squashed(x: np.ndarray) -> np.ndarray:
    return 1.7159 * np.tanh(2 / 3 * x)


def convolved(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """``[C, H, W]`` under ``[out, C, 5, 5]``, place by place."""
    height, width = x.shape[1] - 4, x.shape[2] - 4
    out = np.empty((len(weight), height, width))
    for row in range(height):
        for column in range(width):
            out[:, row, column] = (weight * x[:, row : row + 5, column : column + 5]).sum(axis=(1, 2, 3)) + bias
    return out


def subsampled(x: np.ndarray, coefficient: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The paper's way: the sum of four inputs times a coefficient, which is a quarter of ours."""
    four = x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]
    return four * (coefficient / 4)[:, None, None] + bias[:, None, None]


def test_forward_equals_the_papers_formulas(network: LeNet51998) -> None:
    with torch.no_grad():
        for parameter in network.parameters():  # coefficients and biases too
            parameter += 0.1 * torch.randn_like(parameter)
    image = torch.rand(1, 1, 32, 32) * 1.275 - 0.1
    w = {name: tensor.double().numpy() for name, tensor in network.state_dict().items()}
    c3, pair = np.zeros((16, 6, 5, 5)), 0
    for out in range(16):
        for seen in range(6):
            if TABLE_I[seen][out] == "X":
                c3[out, seen] = w["c3.weight"][pair, 0]
                pair += 1
    x = squashed(convolved(image[0].double().numpy(), w["c1.weight"], w["c1.bias"]))
    x = squashed(subsampled(x, w["s2.weight"], w["s2.bias"]))
    x = squashed(convolved(x, c3, w["c3.bias"]))
    x = squashed(subsampled(x, w["s4.weight"], w["s4.bias"]))
    x = squashed(convolved(x, w["c5.weight"], w["c5.bias"]))
    x = squashed(w["f6.weight"] @ x[:, 0, 0] + w["f6.bias"])
    distances = [((x - centre) ** 2).sum() for centre in w["output.centres"]]
    assert network(image)[0].tolist() == pytest.approx([-distance for distance in distances], rel=1e-4)


def test_each_layer_has_the_papers_parameters(network: LeNet51998) -> None:
    counts = {name: parameter_count(module) for name, module in network.named_children()}
    expected = {"c1": 156, "s2": 12, "c3": 1_516, "s4": 32, "c5": 48_120, "f6": 10_164, "output": 0}
    assert {name: counts[name] for name in expected} == expected
    assert parameter_count(network) == 60_000
    assert {name: buffer.numel() for name, buffer in network.named_buffers()} == {"output.centres": 840}


def test_multiply_adds_and_shapes_are_the_papers(network: LeNet51998) -> None:
    shapes: dict[str, tuple[int, ...]] = {}
    for name, module in network.named_children():
        module.register_forward_hook(lambda _m, _i, out, name=name: shapes.__setitem__(name, tuple(out.shape[1:])))
    network(torch.zeros(1, 1, 32, 32))
    table = {"c1": (6, 28, 28), "s2": (6, 14, 14), "c3": (16, 10, 10), "s4": (16, 5, 5), "c5": (120, 1, 1)}
    assert {name: shapes[name] for name in table} == table
    assert (shapes["f6"], shapes["output"]) == ((84,), (10,))
    places = {"c1": 784, "c3": 100, "c5": 1, "f6": 1}
    adds = [network.get_submodule(name).weight.numel() * count for name, count in places.items()]
    assert adds == [117_600, 150_000, 48_000, 10_080]
    assert sum(adds) == 325_680


def test_connections_are_table_one() -> None:
    columns = [tuple(row for row in range(6) if TABLE_I[row][column] == "X") for column in range(16)]
    assert columns == list(CONNECTIONS)
    assert sum(map(len, columns)) == 60


def test_what_is_not_connected_has_no_influence(network: LeNet51998) -> None:
    x = torch.randn(1, 6, 14, 14)
    before = network.c3(x)
    for seen in range(6):
        other = x.clone()
        other[:, seen] += 1
        same = [torch.equal(network.c3(other)[:, out], before[:, out]) for out in range(16)]
        assert same == [TABLE_I[seen][out] == "." for out in range(16)]


def test_squash_takes_one_to_one() -> None:
    values = torch.tensor([-1.0, 0.0, 1.0, 100.0])
    assert Squash()(values).tolist() == pytest.approx([-1, 0, 1, 1.7159], abs=1e-4)


def test_weights_begin_within_the_papers_bounds(network: LeNet51998) -> None:
    fans = [("c1", 25), ("c5", 400), ("f6", 120)]
    for name, fan_in in fans:
        weight = network.get_submodule(name).weight.detach()
        assert 0.95 < float(weight.abs().max()) / (2.4 / fan_in) <= 1
    first = 0
    for maps in CONNECTIONS:
        seen = network.c3.weight[first : first + len(maps)]
        assert 0.9 < float(seen.detach().abs().max()) / (2.4 / (25 * len(maps))) <= 1
        first += len(maps)


# The codes


def test_codes_are_the_drawn_digits() -> None:
    drawn = codes(10)
    assert drawn.shape == (10, 84)
    assert set(drawn.flatten().tolist()) == {-1.0, 1.0}
    # The 1 as one sees it: a stem, a flag at its top left, a foot.
    rows = ["".join("#" if pixel > 0 else "." for pixel in row) for row in drawn[1].view(12, 7)]
    assert rows[:3] == ["...##..", "..###..", ".####.."]
    assert rows[3:10] == ["...##.."] * 7
    assert rows[10:] == [".######"] * 2
    # Every two digits differ, by the figure that the drawings have; those that look alike less than those that do not.
    differing = (drawn[:, None] != drawn).sum(dim=2)
    assert int((differing + 84 * torch.eye(10)).min()) == 16 == int(differing[2, 3])
    assert int(differing[1, 0]) == 55


def test_further_classes_have_codes_drawn_by_lot() -> None:
    many = codes(300)
    assert torch.equal(many[:10], codes(10))
    assert torch.equal(many[:12], codes(12))
    assert torch.equal(many[:3], codes(3))
    differing = (many[10:, None] != many[10:]).sum(dim=2)[~torch.eye(290, dtype=torch.bool)]
    assert int(differing.min()) > 16
    assert float(differing.double().mean()) == pytest.approx(42, abs=0.5)
    # Golden: a model file holds the codes, but a fresh network for the same classes must have the same.
    assert "".join("#" if pixel > 0 else "." for pixel in many[10, :24]) == "..#.......#.##...#....##"


def test_the_answer_is_the_nearest_code(network: LeNet51998) -> None:
    near = codes(10) + 0.3 * torch.randn(10, 84)
    outputs = network.output(near)
    assert outputs.argmax(dim=1).tolist() == list(range(10))
    assert (outputs <= 0).all()
    assert network.output(codes(10)).diagonal().tolist() == [0.0] * 10


def test_distances_are_float32_under_bfloat16(network: LeNet51998) -> None:
    images = torch.randn(4, 1, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        before = network.run(images, stop="stage2")
        outputs = network.output(before)
    assert outputs.dtype == torch.float32
    assert torch.equal(outputs, network.output(before.float()))


# What a network must stand


def test_classes_channels_and_copies() -> None:
    network = lenet5_1998(classes=23, in_channels=3)
    assert network.c1.weight.shape == (6, 3, 5, 5)
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 23)
    with torch.device("meta"):
        assert {tensor.device.type for tensor in lenet5_1998(classes=10, in_channels=1).state_dict().values()} == {
            "meta"
        }
    assert torch.equal(copy.deepcopy(network.c3).dense(), network.c3.dense())


@pytest.mark.slow
def test_exports(network: LeNet51998) -> None:
    images = torch.randn(2, 1, 32, 32)
    network.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own about its own
        exported = torch.export.export(network, (images,)).module()
    assert torch.allclose(exported(images), network(images), atol=1e-4)


def test_learns_a_few_pictures(network: LeNet51998) -> None:
    torch.manual_seed(1)
    images, targets = torch.randn(32, 1, 32, 32), torch.arange(32) % 10
    optimizer = torch.optim.SGD(network.parameters(), lr=0.005, momentum=0.9)
    for _ in range(80):
        loss = nn.functional.cross_entropy(network(images), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert network(images).argmax(dim=1).eq(targets).float().mean() >= 0.95
