"""Networks of any style: folded if they are layers that end in one tensor, else as written, and never by a part."""

import threading

import pytest
import torch
from torch import Tensor, nn

from striate.answering import FoldedNetwork, FoldingError, chaining, folding
from striate.base.errors import ModelError
from striate.inference import answering
from striate.layers import BatchNormAct2d, Conv2d, GlobalAveragePool
from striate.models import build
from striate.models.headed import Headed
from striate.models.network import FeatureInfo, Network
from tests.answering.test_folding import trained
from tests.models.toys import Ending, Skipping, TwoOutputs, places

CPU = torch.device("cpu")
IMAGES = torch.randn(3, 3, 8, 12, generator=torch.Generator().manual_seed(0))


def alike(network: nn.Module, images: Tensor) -> None:
    with torch.inference_mode():
        torch.testing.assert_close(FoldedNetwork(network)(images), network(images), rtol=1e-4, atol=1e-5)


def test_skips_are_folded() -> None:
    network = Skipping(auxiliary=True).eval()
    network.norm.running_mean.uniform_(-0.5, 0.5, generator=torch.Generator().manual_seed(1))
    alike(network, IMAGES)
    assert network.norm in [layer.norm for layer in FoldedNetwork(network)._layers.layers]


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0", "googlenet"])
def test_a_head_on_a_backbone_is_folded(name: str) -> None:
    backbone = trained(name)
    features = backbone.feature_info
    network = Headed(backbone, places(features, classes=5), features=features, classes=5).eval()
    for size in ((64, 64), (65, 96)):
        alike(network, torch.randn(2, 3, *size))


class Wild(nn.Module):
    """What torch.fx cannot trace: it asks the numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.same = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.same(x).mean((2, 3)) if x.sum() > 0 else x.amax((2, 3))


class Trailing(nn.Module):
    """What goes on after the answer is known."""

    def __init__(self) -> None:
        super().__init__()
        self.same = Conv2d(8, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.same(x)
        y.mul_(2)
        return y


class Wrapped(nn.Sequential):
    """A head inside another, whose outputs stand in a list."""

    def forward(self, x: Tensor) -> list[Tensor]:
        return [super().forward(x)]


class Overriding(Ending):
    def forward(self, images: Tensor) -> Tensor:
        return self.end(images)


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (Ending(TwoOutputs()), "Ending gives something else than the one tensor of its last layer"),
        (Ending(Wrapped(Conv2d(8, 4, 1))), "something else than the one tensor"),
        (Ending(Trailing()), "something else than the one tensor"),
        (Ending(Wild()), r"Ending cannot be traced, .*TraceError: symbolically traced"),
        (Overriding(nn.Identity()), "Overriding overrides forward instead of compute"),
    ],
)
def test_what_cannot_be_folded_runs_as_written_and_says_why(network: Ending, said: str) -> None:
    network.eval()
    with pytest.raises(FoldingError, match=said):
        FoldedNetwork(network)
    notices: list[str] = []
    answer = answering(network, CPU, notices.append)
    assert answer is network and answering(network, CPU) is network
    assert (len(notices) == 1 and notices[0].endswith("runs as written")) or "so it runs as written" in notices[0]


def test_two_outputs_come_back_both() -> None:
    network = Ending(TwoOutputs()).eval()
    with torch.inference_mode():
        classes, boxes = answering(network, CPU)(IMAGES)
    assert classes.shape == boxes.shape == (3, 4, 8, 12)


class Split(nn.Module):
    """One layer, by what can be seen from outside, with two outputs."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return x.split(4, dim=1)


def test_a_last_layer_of_two_outputs_is_refused() -> None:
    with pytest.raises(ModelError, match="answers with one tensor; this one's last layer gives a tuple"):
        FoldedNetwork(Ending(Split()).eval())(IMAGES)


class Positional(nn.Module):
    """A residual, a convolution and a dropout called otherwise than ours call them; a number that comes first."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.drop = Conv2d(8, 8, 1), BatchNormAct2d(8, act="relu"), nn.Dropout()
        self.last, self.pool = Conv2d(8, 4, 1), GlobalAveragePool()

    def forward(self, x: Tensor) -> Tensor:
        y = self.drop(input=self.norm(self.conv(x), x))
        return self.pool(self.last(x=y))


class Scaling(Ending):
    def __init__(self) -> None:
        super().__init__(Positional())
        self.scale = nn.Parameter(torch.tensor(0.5))

    def compute(self, x: Tensor) -> Tensor:
        return super().compute(self.scale * x)


@pytest.mark.parametrize("network", [Ending(Positional()), Scaling()])
def test_layers_may_be_called_in_any_way(network: Ending) -> None:
    alike(network.eval(), IMAGES)


def test_maps_of_one_place_stay_maps() -> None:
    network = Ending(Conv2d(8, 4, 3)).eval()  # a chain of kernels would give [N, 4]
    with torch.inference_mode():
        images = torch.randn(2, 3, 3, 3)
        assert FoldedNetwork(network)(images).shape == network(images).shape == (2, 4, 1, 1)
    alike(network, images)


# Plans, one for each size


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """The sizes for which weights were packed, in order; layers run one by one."""
    sizes: list[torch.Size] = []

    def none(_: object, images: Tensor) -> None:
        sizes.append(images.shape[2:])

    monkeypatch.setattr(folding, "chained", none)
    monkeypatch.setattr(chaining, "kernels_at_hand", lambda: None)
    return sizes


def test_weights_are_packed_once_a_size(planned: list[torch.Size]) -> None:
    network = build("mobilenet_v2_same", classes=5, seed=0).eval()
    answer = FoldedNetwork(network)
    with torch.inference_mode():
        for side in (33, 40) * 3:
            answer(torch.zeros(1, 3, side, side))
        assert planned == [(33, 33), (40, 40)]
        for side in range(41, 41 + folding.PLANS - 1):
            answer(torch.zeros(1, 3, side, side))
        answer(torch.zeros(1, 3, 40, 40))
        assert len(planned) == len(answer._plans) + 1 == folding.PLANS + 1
        answer(torch.zeros(1, 3, 33, 33))  # the oldest had to go
    assert planned[-1] == (33, 33)


class Interrupted(FoldedNetwork):
    """Whenever it remembers something, another thread asks for pictures of another size."""

    other: Tensor | None = None

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name != "other" and (images := self.other) is not None:
            self.other = None
            thread = threading.Thread(target=inferred, args=(self, images))
            thread.start()
            thread.join()


def inferred(network: FoldedNetwork | nn.Module, images: Tensor) -> Tensor:
    with torch.inference_mode():
        return network(images)


def test_threads_with_two_sizes_do_not_mix_them_up(planned: list[torch.Size]) -> None:
    network = Ending(nn.Sequential(Conv2d(8, 4, 3, stride=2, padding="same"), GlobalAveragePool())).eval()
    answer, images = Interrupted(network), [torch.randn(1, 3, side, side) for side in (8, 9)]  # padded otherwise
    answer.other = images[1]
    for each in (*images, *images):
        torch.testing.assert_close(inferred(answer, each), inferred(network, each), rtol=1e-4, atol=1e-5)
    assert answer.other is None and len(planned) == 2


class Twice(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class Odd(Network):
    """Layers that compute something else than those they are of, and images that are changed in place."""

    def __init__(self) -> None:
        super().__init__(
            classes=2,
            in_channels=3,
            blocks={"stem": ("first", "norm"), "head": ("last",)},
            feature_info=(FeatureInfo("stem", 4, 1),),
        )
        self.first, self.norm, self.last = Conv2d(3, 4, 3, padding="same"), BatchNormAct2d(4, act="relu"), Twice(4, 2)

    def compute(self, x: Tensor) -> Tensor:
        x = x.sub_(0.5)
        return self.last(self.norm(self.first(x)).mean((2, 3)))


@pytest.mark.parametrize("hooked", [False, True])
def test_what_subclasses_hooks_and_steps_in_place_do_is_not_dropped(hooked: bool) -> None:
    torch.manual_seed(0)
    network = Odd().eval()
    if hooked:
        network.norm.register_forward_hook(lambda module, inputs, output: output + 1)
    folded = FoldedNetwork(network)
    for _ in range(2):
        images = torch.randn(2, 3, 8, 8)
        with torch.no_grad():
            assert torch.allclose(folded(images.clone()), network(images.clone()), atol=1e-5)


def test_a_network_with_hooks_of_its_own_runs_as_written() -> None:
    network = Odd().eval()
    network.register_forward_hook(lambda module, inputs, output: output + 1)
    with pytest.raises(FoldingError, match="forward hooks"):
        FoldedNetwork(network)
