"""Networks of another style than one block after the other: whoever asks a network goes through what it computes."""

import copy

import pytest
import torch
from torch import nn

from striate.base.errors import ModelError
from striate.models.layer_table import AUXILIARY, Row, rows_of
from striate.models.network import Network, TrainingView, parameter_count
from striate.recipe import Stage
from striate.training.stages import set_mode
from tests.models.toys import Skipping

IMAGES = torch.randn(3, 3, 8, 12, generator=torch.Generator().manual_seed(0))


def test_the_training_view_and_a_whole_run_are_what_it_computes() -> None:
    network = Skipping().eval()
    with torch.no_grad():
        flat = network.norm(network.first(IMAGES))
        wanted = network.last(torch.cat([flat, network.back(network.deep(flat))], dim=1))
        main, auxiliary = TrainingView(network)(IMAGES)
        assert torch.equal(main, wanted) and auxiliary == ()
        assert torch.equal(network(IMAGES), wanted)
        assert torch.equal(network.run(IMAGES), wanted)
        assert torch.equal(network.run(IMAGES, "stem", "head"), wanted)


@pytest.mark.parametrize(("start", "stop"), [(None, "stem"), ("down", None), ("down", "up")])
def test_it_runs_in_no_parts(start: str | None, stop: str | None) -> None:
    with pytest.raises(ModelError, match="does not run one block after the other"):
        Skipping().run(IMAGES, start, stop)


def test_its_auxiliary_head_reads_what_the_block_gives() -> None:
    network = Skipping(auxiliary=True).eval()
    with torch.no_grad():
        main, (side,) = TrainingView(network)(IMAGES)
        assert torch.equal(main, network(IMAGES))
        assert torch.equal(side, network.side(network.deep(network.norm(network.first(IMAGES)))))
    assert not any(module._forward_hooks for module in network.modules())


def test_an_auxiliary_head_of_a_block_that_never_runs_is_said() -> None:
    network = Skipping(auxiliary=True)
    network.blocks["down"] = ("elsewhere",)
    network.elsewhere = nn.Identity()
    with pytest.raises(ModelError, match=r"never ran the last module of \['down'\]"):
        TrainingView(network)(IMAGES)


def test_frozen_blocks_stay_and_the_others_learn() -> None:
    network = Skipping()
    set_mode(network, Stage(epochs=1, rate=0.1, freeze=("stem", "up")))
    before = copy.deepcopy(network.state_dict())
    torch.manual_seed(0)
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    TrainingView(network)(IMAGES)[0].square().mean().backward()
    optimizer.step()
    changed = {name.split(".")[0] for name, tensor in network.state_dict().items() if not tensor.equal(before[name])}
    assert changed == {"deep", "last"}


def test_its_table_of_layers() -> None:
    network = Skipping(auxiliary=True).eval()
    assert rows_of(network, torch.zeros(1, 3, 8, 12)) == [
        Row("stem", "first", "convolution 3x3, same", (8, 8, 12), 3 * 8 * 9, 3 * 8 * 9 * 96),
        Row("stem", "norm", "batch norm", (8, 8, 12), 16, 0),
        Row("down", "deep.0", "max pool 2x2, stride 2, valid", (8, 4, 6), 0, 0),
        Row("down", "deep.1", "convolution 3x3, same", (16, 4, 6), 8 * 16 * 9 + 16, 8 * 16 * 9 * 24),
        Row(AUXILIARY, "side", "convolution 1x1", (4, 4, 6), 16 * 4 + 4, 16 * 4 * 24),
        Row("up", "back", "transposed convolution 2x2, stride 2, valid", (8, 8, 12), 16 * 8 * 4 + 8, 16 * 8 * 4 * 24),
        Row("head", "last", "convolution 1x1", (4, 8, 12), 16 * 4 + 4, 16 * 4 * 96),
    ]


class Sharing(Skipping):
    """Its last layer runs twice; its `up` never by itself."""

    def compute(self, x):
        flat = self.norm(self.first(x))
        both = torch.cat([flat, nn.functional.interpolate(self.deep(flat), scale_factor=2)[:, :8]], dim=1)
        return self.last(both) + self.last(-both)


def test_a_table_counts_parameters_once_and_uses_each_time_and_misses_nothing() -> None:
    network = Sharing().eval()
    with pytest.raises(ModelError, match="Sharing never calls its back,"):
        rows_of(network, torch.zeros(1, 3, 8, 12))
    del network.blocks["up"], network.back
    rows = rows_of(network, torch.zeros(1, 3, 8, 12))
    assert sum(row.parameters for row in rows) == parameter_count(network)
    assert [(row.parameters, row.multiply_adds) for row in rows if row.path == "last"] == [(68, 6144), (0, 6144)]


class Overriding(Network):
    """What overrides `forward` alone, as networks did before `compute`."""

    def __init__(self) -> None:
        super().__init__(classes=4, in_channels=3, blocks={"stem": ("a",), "head": ("b",)}, feature_info=())
        self.a, self.b = nn.Identity(), nn.Identity()

    def forward(self, images):
        return images + self.b(self.a(images))


def test_a_forward_of_its_own_is_what_runs() -> None:
    network = Overriding()
    assert torch.equal(network.run(IMAGES), 2 * IMAGES)
    assert torch.equal(TrainingView(network)(IMAGES)[0], 2 * IMAGES)
    with pytest.raises(ModelError, match="does not run one block after the other"):
        network.run(IMAGES, stop="stem")
