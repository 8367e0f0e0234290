"""Networks of which blocks are computed again learn as they do without: to the bit, in all styles of networks."""

import copy
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from striate.base.errors import ModelError
from striate.layers import StochasticDepth
from striate.models import MODELS, build
from striate.models import checkpointing as views
from striate.models.checkpointing import CheckpointedView
from striate.models.network import Network, TrainingView
from tests.models.light import light
from tests.ops.native.levels import computing_with, needs_kernels
from tests.ops.storages import born_in

QUICK = ("resnet20", "mobilenet_v1_025", "espcn", "fsrcnn")
STYLES = (
    *("resnet50", "efficientnet_lite0", "mobilenet_v2", "googlenet", "se_resnet18", "vgg11", "squeezenet1_1", "vdsr"),
    *("tood/efficientnet_lite0", "yolov3/mobilenet_v2", "box/mobilenet_v2", "unet"),
    *("unet/efficientnet_lite0", "deeplabv3/resnet18", "fcn8s_same/vgg11"),
)


def pictures(network: Network) -> Tensor:
    sides = network.size or tuple(max(64, side) for side in network.smallest)
    drawn = torch.randn(2, network.in_channels, *sides, generator=torch.Generator().manual_seed(1))
    return drawn.contiguous(memory_format=torch.channels_last)


def step(network: Network, blocks: Sequence[str], dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Gradients, running statistics and what is drawn after a step."""
    network = copy.deepcopy(network).to(memory_format=torch.channels_last).train()
    view = CheckpointedView(network, blocks) if blocks else TrainingView(network)
    torch.manual_seed(2)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        main, auxiliary = view(pictures(network).to(next(network.parameters()).dtype))
    torch.clear_autocast_cache()
    assert len(auxiliary) == len(network.auxiliary)
    sum(each.float().square().mean() for each in (main, *auxiliary)).backward()
    assert "run_block" not in network.__dict__
    gradients = [parameter.grad for parameter in network.parameters()]
    assert all(gradient is not None for gradient in gradients)
    return [*(each for each in gradients if each is not None), *network.buffers(), torch.rand(3)]


def same(network: Network, blocks: Sequence[str], dtype: torch.dtype = torch.float32) -> None:
    for ours, wanted in zip(step(network, blocks, dtype), step(network, (), dtype), strict=True):
        assert torch.equal(ours, wanted) and ours.stride() == wanted.stride()


def named(name: str) -> Network:
    return light(name) if name in MODELS and MODELS[name].classes else build(name, classes=5 * ("/" in name), seed=0)


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in STYLES)])
def test_all_blocks_computed_again(name: str) -> None:
    network = named(name)
    same(network, list(network.blocks))


@needs_kernels
@pytest.mark.parametrize("name", ["mobilenet_v1_025", pytest.param("resnet50", marks=pytest.mark.slow)])
def test_in_bfloat16_too(name: str) -> None:
    network = named(name)
    with computing_with("auto"):
        same(network, list(network.blocks)[:-1], torch.bfloat16)


@pytest.mark.slow
def test_where_a_head_reads_what_a_unit_reads_twice_sums_have_another_order() -> None:
    """Of convolution, shortcut and head; in float64 that is a difference in the last places."""
    network = named("yolov3/resnet18").double()
    blocks = list(network.blocks)
    for ours, wanted in zip(step(network, blocks, torch.float64), step(network, (), torch.float64), strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-9, atol=1e-12)


def test_some_blocks_and_those_that_draw() -> None:
    network = named("resnet20")
    network.layer2.append(Dropping())  # type: ignore[operator]
    same(network, ["stage2", "head"])


class Dropping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.drop, self.depth, self.last = nn.Dropout(0.5), StochasticDepth(0.5), nn.BatchNorm2d(32)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x + self.depth(self.drop(x)))


def test_a_row_of_units_is_cut_into_parts() -> None:
    network = named("resnet20")
    assert [len(part) for part in views._parts([network.layer1])] == [1, 1, 1]
    unit = nn.Sequential(nn.ReLU())
    parts = views._parts([nn.MaxPool2d(2), nn.Sequential(*[unit] * 8), nn.ReLU()])
    assert [len(part) for part in parts] == [3, 2, 2, 3]
    assert [len(part) for part in views._parts([nn.ReLU(), nn.Sequential(nn.ReLU(), nn.ReLU())])] == [2]
    assert [len(part) for part in views._parts([nn.Sequential()])] == [1]


def test_what_does_not_learn_is_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    network = named("resnet20").train()
    again: list[nn.Module] = []
    real = views.checkpointed
    monkeypatch.setattr(views, "checkpointed", lambda part, x, modules: again.extend(modules) or real(part, x, modules))
    network.layer1.requires_grad_(False).eval()
    CheckpointedView(network, ["stage1", "stage2", "pool"])(pictures(network))
    assert again == list(network.layer2)


@needs_kernels
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_less_is_kept_and_the_peak_falls(name: str) -> None:
    network = build(name, classes=5, seed=0).to(memory_format=torch.channels_last).train()
    images = pictures(network)
    kept = []
    with computing_with("auto"):
        for view in (TrainingView(network), CheckpointedView(network, list(network.blocks)[:-1])):
            births, _ = born_in(network, images, lambda view=view: view(images)[0])
            kept.append(births.alive)
    assert kept[1] < 0.5 * kept[0]


def test_blocks_that_are_not_there() -> None:
    with pytest.raises(ModelError, match=r"no block 'stage9'. Did you mean 'stage1'.*Its blocks: stem, stage1, "):
        CheckpointedView(named("resnet20"), ["stem", "stage9"])
    network = build("darknet", classes=3)
    with pytest.raises(ModelError, match="Darknet runs as a whole"):
        CheckpointedView(network, ["stem"])


def test_a_pool_goes_with_the_part_before_it() -> None:
    """ResNet's second block begins with one; nobody needs the large maps before it but the first."""
    network = build("resnet18", classes=5)
    view = CheckpointedView(network, ["stem", "stage1"])
    parts = view._parts_of(network)
    views._join_pools(parts, network)
    assert parts["stem"] == [[network.conv1, network.bn1, network.maxpool]]
    assert parts["stage1"] == [[unit] for unit in network.layer1]
    alone = CheckpointedView(network, ["stage1"])._parts_of(network)
    views._join_pools(alone, network)
    assert alone == {"stage1": [[network.maxpool, network.layer1[0]], [network.layer1[1]]]}
