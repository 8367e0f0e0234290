"""A head on a backbone: what is kept of it, what passes between blocks, and how it is asked for by name."""

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from striate.base.errors import ModelError
from striate.layers import Conv2d
from striate.models import HEADS, MODELS, architecture, build
from striate.models.headed import Headed
from striate.models.layer_table import layer_table
from striate.models.network import FeatureInfo, Network, TrainingView, parameter_count
from striate.models.table import counts, is_model
from tests.models.light import PAPERS, light
from tests.models.toys import PLACES, Skipping, places


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    monkeypatch.setitem(HEADS, "toy", PLACES)
    monkeypatch.setitem(HEADS, "toy/every", PLACES.__class__("tests.models.toys:places", "all maps", "boxes", 3))


def headed(name: str, **changes) -> Headed:
    backbone = light(name)
    features = backbone.feature_info
    return Headed(backbone, places(features, classes=5), features=features, classes=5)


@pytest.mark.parametrize("name", PAPERS)
def test_what_is_kept_of_a_backbone(name):
    with torch.device("meta"):
        whole = build(name, classes=1)
        network = build(f"toy/every/{name}", classes=5)
    last = network.feature_info[-1].name
    names = list(whole.blocks)
    assert list(network.blocks) == [*names[: names.index(last) + 1], "head"]
    assert network.feature_info == whole.feature_info and network.auxiliary == {}
    paths = {f"backbone.{path}." for block in names[: names.index(last) + 1] for path in whole.blocks[block]}
    kept = {f"backbone.{path}" for path in whole.state_dict() if f"backbone.{path}".startswith(tuple(paths))}
    own = {f"head.{path}" for path in network.head.state_dict()}
    assert set(network.state_dict()) == kept | own
    assert network.blocks["stem"][0] == f"backbone.{whole.blocks['stem'][0]}"
    assert len(network.state_dict()) > len(own) and network.size is None


def test_another_head_keeps_the_backbone_and_its_arguments():
    network = build("toy/resnet18", classes=7, arguments={"width": 4, "scales": [2.0]})
    backbone, before = network.backbone, network.head
    network.reset_head(3, seed=5)
    built = build("toy/resnet18", classes=3, seed=5, arguments={"width": 4, "scales": [2.0]})
    assert network.backbone is backbone and network.head is not before and network.head.scales == (2.0,)
    for path, tensor in network.head.state_dict().items():
        assert torch.equal(tensor, built.head.state_dict()[path]), path
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 3, 8 * 8 + 4 * 4)


@pytest.mark.parametrize("name", PAPERS)
def test_cut_at_every_block_it_answers_alike(name):
    network, size = headed(name).eval(), light(name).size
    stride = network.feature_info[-1].stride
    sides = [max(2 * stride, side) for side in network.smallest] if size is None else [5 * stride] * 2
    images = torch.randn(1, network.in_channels, *sides)
    with torch.no_grad():
        whole = network(images)
        x = images
        for block in network.blocks:
            x = network.run(x, block, block)
            assert isinstance(x, tuple) == (block != "head")
        assert torch.equal(x, whole)
        for block, after in zip(list(network.blocks), list(network.blocks)[1:], strict=False):
            assert torch.equal(network.run(network.run(images, stop=block), after), whole)
        maps = network.features(images)
        alone = [network.run(images, stop=info.name)[-1] for info in network.feature_info]
    assert all(torch.equal(*pair) for pair in zip(maps, alone, strict=True))
    assert whole.shape == (1, 5, sum(x.shape[2] * x.shape[3] for x in maps))


def test_some_of_the_maps_are_the_backbones_own():
    backbone = build("resnet18", classes=3, seed=1).eval()
    features = backbone.feature_info[1:4]
    network = Headed(copy.deepcopy(backbone), places(features, classes=5), features=features, classes=5).eval()
    images = torch.randn(2, 3, 64, 40)
    with torch.no_grad():
        wanted = backbone.features(images)[1:4]
        assert all(torch.equal(*pair) for pair in zip(network.features(images), wanted, strict=True))
        assert torch.equal(network(images), network.head(wanted))
    assert list(network.blocks) == ["stem", "stage1", "stage2", "stage3", "head"]
    assert not any(path.startswith("backbone.layer4") for path in network.state_dict())


def test_learns_alike_under_checkpointing_by_blocks():
    whole = headed("mobilenet_v2").train()
    networks = whole, copy.deepcopy(whole)
    images = torch.randn(2, 3, 64, 64)
    TrainingView(networks[0])(images)[0].square().sum().backward()
    x = images
    for block in networks[1].blocks:
        x = checkpoint(networks[1].run, x, block, block, use_reentrant=False)
    x.square().sum().backward()
    for one, other in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        assert one.grad is not None and torch.equal(one.grad, other.grad)


def test_what_a_head_cannot_stand_on():
    backbone = build("lenet5")
    with pytest.raises(ModelError, match="a head cannot read nothing of a LeNet5"):
        Headed(backbone, nn.Identity(), features=(), classes=5)
    with pytest.raises(ModelError, match="a head cannot read stage1, stem of a LeNet5"):
        Headed(backbone, nn.Identity(), features=backbone.feature_info[::-1], classes=5)
    with pytest.raises(ModelError, match="of a network that runs by blocks"):
        Headed(Skipping(), nn.Identity(), features=Skipping().feature_info, classes=5)


# By name


def test_a_head_and_a_backbone_have_a_row():
    row, of = architecture("toy/efficientnet_lite0"), MODELS["efficientnet_lite0"]
    assert (row.classes, row.task, row.backbone) == (7, "boxes", "efficientnet_lite0")
    assert row.summary == "scores for each place, on efficientnet_lite0"
    assert (row.preprocess.size, row.preprocess.mean) == ((96, 64), of.preprocess.mean)
    assert (row.parameters, row.multiply_adds) == (None, None)
    assert architecture("toy/every/resnet18").preprocess == MODELS["resnet18"].preprocess
    assert (of.task, of.backbone) == ("classify", None)


def test_counts_and_table():
    network = build("toy/resnet18")
    table = layer_table("toy/resnet18")
    assert counts("toy/resnet18") == (table.parameters, table.multiply_adds)
    assert table.parameters == parameter_count(network)
    assert table.input == (3, 96, 64)
    assert table.rows[-1].block == "head" and table.rows[-1].shape == (7, 12 * 8 + 6 * 4)
    assert counts("resnet18") == (11_689_512, 1_814_073_344)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("toi/resnet18", r"none is called 'toi'\. Did you mean 'toy'\? There are box, .*, toy"),
        ("toy/resnet81", r"none of these backbones is called 'resnet81'\. Did you mean 'resnet18'\?"),
        ("toy/", r"none of these backbones is called ''"),
        ("/resnet18", r"none is called ''"),
    ],
)
def test_wrong_heads_and_backbones(name, said):
    assert not is_model(name)
    with pytest.raises(ModelError, match=said):
        architecture(name)


def test_is_model():
    assert is_model("resnet18") and is_model("toy/resnet18") and not is_model("resnet") and not is_model("toy")


def test_a_seed_fixes_backbone_and_head():
    one, same, other = (build("toy/resnet18", seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(tensor, same[name]) for name, tensor in one.items())
    assert not torch.equal(one["backbone.conv1.weight"], other["backbone.conv1.weight"])
    assert not torch.equal(one["head.scores.weight"], other["head.scores.weight"])


def test_channels_and_classes():
    network = build("toy/resnet18", in_channels=5, classes=2)
    assert network(torch.zeros(1, 5, 64, 64)).shape == (1, 2, 64 + 16)
    assert (network.classes, network.in_channels) == (2, 5)
    with pytest.raises(ModelError, match="classes is 0"):
        build("toy/resnet18", classes=0)
    with pytest.raises(ModelError, match=r"takes images \[N, 3, H, W\]"):
        build("toy/resnet18")(torch.zeros(1, 1, 64, 64))


def test_a_backbone_without_the_maps():
    with pytest.raises(ModelError, match=r"strides \(8, 16\), and lenet5 has none of \[8, 16\], only of \[2, 4\]"):
        build("toy/lenet5")


def test_arguments_are_the_heads():
    network = build("toy/resnet18", arguments={"width": 6, "scales": [0.5, 2]})
    assert network.head.necks[0].out_channels == 6
    assert network.head.scales == (0.5, 2.0)


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("toy/resnet18", {"widht": 6}, r"has no argument 'widht'\. Did you mean 'width'\? It has width, scales"),
        ("toy/resnet18", {"width": "6"}, r"the argument width is '6'; .*integer"),
        ("toy/resnet18", {"width": 6.5}, r"the argument width is 6\.5;"),
        ("toy/resnet18", {"scales": [1, None]}, r"the argument scales is \[1, None\]; .*number"),
        ("toy/resnet18", {"scales": {1, 2}}, r"the argument scales is \{1, 2\};"),
        ("toy/resnet18", {"width": 513}, r"cannot be built for .*\{'width': 513\}: nobody needs so many"),
        ("toy/resnet18", {"feature_info": []}, "has no argument 'feature_info'"),
        ("toy/resnet18", {"classes": 3}, "has no argument 'classes'"),
        ("resnet18", {"zero_init_last_norms": True}, "Did you mean 'zero_init_last_norm'"),
        ("resnet18", {"zero_init_last_norm": 1}, "the argument zero_init_last_norm is 1; .*boolean"),
        ("efficientnet_lite0", {"stochastic_depth": 17}, "rate is"),
        ("lenet5", {"width": 3}, "lenet5 has no argument 'width'. It has none but classes and in_channels"),
    ],
)
def test_wrong_arguments(name, arguments, said):
    with pytest.raises(ModelError, match=said):
        build(name, arguments=arguments)


def test_arguments_of_a_plain_network():
    network = build("efficientnet_lite0", classes=2, arguments={"stochastic_depth": 0.2})
    assert network.stage7[0].drop is None and network.stage6[1].drop.rate > 0


def test_usual_classes():
    assert [build(name).classes for name in ("lenet5", "toy/resnet18")] == [10, 7]


class Doubling(Network):
    def __init__(self) -> None:
        blocks = {"stem": ("first",), "head": ("last",)}
        info = (FeatureInfo("stem", 4, 1),)
        super().__init__(classes=2, in_channels=3, blocks=blocks, feature_info=info)
        self.first, self.last = Conv2d(3, 4, 1), nn.Linear(4, 2)

    def run_block(self, name: str, x: Any) -> Any:
        return 2 * super().run_block(name, x)


def test_a_backbone_that_runs_its_blocks_in_a_way_of_its_own_goes_on_doing_so() -> None:
    backbone, images = Doubling(), torch.randn(1, 3, 4, 4)
    (wanted,) = backbone.features(images)
    (found,) = Headed(backbone, nn.Identity(), features=backbone.feature_info, classes=2).features(images)
    assert torch.equal(found, wanted)
