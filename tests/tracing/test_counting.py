"""Multiply-adds and parameters: of every network of ours as published, of modules in other styles as by hand."""

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.models.layer_table import layer_table
from striate.models.table import MODELS, architecture
from striate.tracing import rows_by_path, trace
from tests.tracing.networks import traced

# Each kind of operation; all networks in `make test-all`.
SOME = {"lenet5_1998", "lenet5", "alexnet", "vgg16", "googlenet", "resnet18", "espcn"}
HEADED = (
    *("yolov3/resnet18", "tood/mobilenet_v2", "yolo_grid/efficientnet_lite0", "unet/efficientnet_lite0"),
    *("deeplabv3/resnet18", "fcn8s/vgg16"),
)
# Whose partial connections are a dense window with zeros in it: what is multiplied is more than what is a weight.
MULTIPLIED_ZEROS = {"lenet5_1998": (16 * 6 - 60) * 25 * 10 * 10}


def sampled(names: Iterable[str]) -> list[Any]:
    return [pytest.param(name, marks=[] if name in SOME else [pytest.mark.slow]) for name in names]


@pytest.mark.parametrize("name", sampled(MODELS))
def test_every_network_counts_as_published(name: str) -> None:
    row, (_, found) = architecture(name), traced(name)
    assert found.multiply_adds == (row.multiply_adds or 0) + MULTIPLIED_ZEROS.get(name, 0)
    auxiliary = sum(each.parameters for each in layer_table(name).rows if each.block == "auxiliary")
    assert found.whole.trainable - auxiliary == row.parameters
    assert found.whole.frozen == 0


@pytest.mark.parametrize("name", sampled(HEADED))
def test_heads_count_as_their_tables(name: str) -> None:
    table, (_, found) = layer_table(name), traced(name)
    assert (found.multiply_adds, found.whole.trainable) == (table.multiply_adds, table.parameters)


def test_running_statistics_are_counted_apart() -> None:
    assert traced("resnet18")[1].whole.buffers == 9_600


# Modules as other people write them


class Functional(nn.Module):
    """Weights by hand, calls of functions, a shared weight, and a filter that learns nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.empty(8, 3, 3, 3))
        self.depth = nn.Parameter(torch.empty(8, 1, 3, 3))
        self.spread = nn.Parameter(torch.empty(8, 4, 2, 2))
        self.dense = nn.Parameter(torch.empty(10, 4))
        self.register_buffer("blur", torch.ones(8, 1, 3, 3) / 9)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(F.conv2d(x, self.first, padding=1))
        x = F.conv2d(x, self.blur, padding=1, groups=8)
        x = F.conv2d(F.conv2d(x, self.depth, padding=1, groups=8), self.depth, stride=2, padding=1, groups=8)
        x = F.conv_transpose2d(x, self.spread, stride=2)
        return F.linear(x.mean((2, 3)), self.dense)


class Nested(nn.Module):
    """Containers in containers, in Python's own lists, too."""

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleDict({"a": nn.ModuleList([nn.Conv2d(4, 6, 1), nn.Sequential(nn.Conv2d(6, 6, 3))])})
        self.plan = [("a", 1), ("a", 0)]
        self.last = {"layer": nn.Linear(6 * 4 * 4, 5)}
        self.add_module("registered", self.last["layer"])

    def forward(self, x: Tensor) -> Tensor:
        for name, place in reversed(self.plan):
            x = self.branches[name][place](x)
        return self.last["layer"](x.flatten(1))


class Attention(nn.Module):
    """Attention written with einsum, and once more with torch's own function."""

    def __init__(self) -> None:
        super().__init__()
        self.all = nn.Linear(16, 48)
        self.out = nn.Parameter(torch.empty(4, 4, 16))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.all(x.flatten(2).transpose(1, 2)).unflatten(-1, (3, 4, 4)).unbind(2)
        weights = torch.einsum("nqhd,nkhd->nhqk", query, key).softmax(-1)
        first = torch.einsum("nhqk,nkhd->nqhd", weights, value)
        again = F.scaled_dot_product_attention(*(each.transpose(1, 2) for each in (first, key, value)))
        return torch.einsum("nhqd,hde->nqe", again, self.out)


PICTURES, PLACES = 2, 6 * 6
FOREIGN = [
    (
        Functional,
        (3, 6, 6),
        36 * 8 * 27 + 36 * 8 * 9 + 9 * 8 * 9 + 9 * 8 * 16 + 10 * 4,
        8 * 27 + 8 * 9 + 8 * 16 + 40,
    ),
    (Nested, (4, 6, 6), 36 * 4 * 6 + 16 * 6 * 54 + 96 * 5, 4 * 6 + 6 + 6 * 54 + 6 + 96 * 5 + 5),
    (
        Attention,
        (16, 6, 6),
        PLACES * 16 * 48 + 4 * (PLACES * PLACES * 16) + PLACES * 16 * 16,
        16 * 48 + 48 + 256,
    ),
]


@pytest.mark.parametrize(("make", "shape", "multiply_adds", "parameters"), FOREIGN)
@pytest.mark.parametrize("mode", ["inference", "training"])
def test_foreign_modules_count_as_by_hand(make, shape, multiply_adds: int, parameters: int, mode) -> None:
    found = trace(make(), torch.empty(PICTURES, *shape), mode=mode)
    assert found.multiply_adds == PICTURES * multiply_adds
    assert found.whole.trainable == parameters


def test_rows_are_of_modules_with_all_that_is_in_them() -> None:
    module = Nested()
    module.branches["a"][0].requires_grad_(False)
    rows = rows_by_path(trace(module, torch.empty(1, 4, 6, 6)).rows)
    assert list(rows) == ["", "branches.a.0", "branches.a.1", "branches.a.1.0", "registered"]
    inner = rows["branches.a.1.0"]
    assert (inner.what, inner.shape, inner.output_bytes, inner.leaf) == ("Conv2d", (1, 6, 4, 4), 4 * 96, True)
    assert rows["branches.a.1"].multiply_adds == inner.multiply_adds == 16 * 6 * 54
    assert (rows[""].frozen, rows[""].trainable) == (30, 6 * 54 + 6 + 485)


def test_recurrent_layers() -> None:
    for layer, gates in ((nn.LSTM(4, 6), 4), (nn.GRU(4, 6), 3)):
        assert trace(layer, torch.empty(5, 2, 4)).multiply_adds == 5 * 2 * gates * 6 * (4 + 6)


def test_inputs_of_several_kinds() -> None:
    class Told(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.word = nn.Conv2d(3, 4, 3), nn.Embedding(5, 4)

        def forward(self, inputs: dict[str, Tensor], times: int) -> tuple[Tensor, int]:
            said = self.word(inputs["words"]).mean(1)
            return self.layer(inputs["images"]) * said[:, :, None, None], times

    found = trace(Told(), {"images": torch.empty(2, 3, 8, 8), "words": torch.zeros(2, 7, dtype=torch.long)}, 3)
    assert found.multiply_adds == 2 * 36 * 27 * 4
    assert [each.size for each in found.whole.field or ()] == [3, 3]


def test_a_module_that_runs_twice_is_one_row() -> None:
    layer = nn.Conv2d(4, 4, 1)
    rows = rows_by_path(trace(nn.Sequential(layer, nn.ReLU(), layer), torch.empty(1, 4, 5, 5)).rows)
    assert (rows["0"].runs, rows["0"].multiply_adds, rows[""].trainable) == (2, 2 * 16 * 25, 20)


@pytest.mark.parametrize("training", [False, True])
def test_torchs_own_transformer_layer(training: bool) -> None:
    """Which is one operation where nothing learns; queries, keys, values, scores, values, and three dense layers."""
    layer = nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, batch_first=True)
    found = trace(layer, torch.empty(3, 5, 8), mode="training" if training else "inference")
    assert found.multiply_adds == 3 * (4 * 5 * 64 + 2 * 25 * 8 + 2 * 5 * 8 * 16)
