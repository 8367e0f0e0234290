"""One contract, all networks: every test of the first half runs over MODELS."""

import time

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from striate.base.errors import ModelError
from striate.layers import Conv2d
from striate.models import MODELS, build
from striate.models.efficientnet_lite import EfficientNetLite, Scale, efficientnet_lite0, scaled_rows
from striate.models.lenet5 import lenet5
from striate.models.network import Network, TrainingView, parameter_count
from striate.models.resnet import BasicUnit, resnet18

NAMES = list(MODELS)
# What really computes runs for one network a paper here, and for all in `make test-all`.
SECOND_OF_A_PAPER = {"resnet34"}
RUN = [pytest.param(name, marks=[pytest.mark.slow] * (name in SECOND_OF_A_PAPER)) for name in NAMES]
# As published: parameters, running statistics, multiply-adds of one picture, and the classes they are counted with.
PUBLISHED = {
    "lenet5": (61_706, 0, 416_520, 10),
    "fashion_cnn": (1_413_834, 0, 89_466_496, 10),
    "resnet18": (11_689_512, 9_600, 1_814_073_344, 1000),
    "resnet34": (21_797_672, 17_024, 3_663_761_408, 1000),
    "efficientnet_lite0": (4_652_008, 42_016, 385_187_552, 1000),
}
ANY_SIZE = {"resnet18", "resnet34", "efficientnet_lite0"}


def small_images(network: Network, count: int = 2) -> torch.Tensor:
    images = torch.randn(count, network.in_channels, *(network.size or (40, 33)))
    return images.contiguous(memory_format=torch.channels_last)


def on_meta(name: str, **arguments) -> Network:
    with torch.device("meta"):
        return build(name, **arguments)


def shapes_of(network: Network, size: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    """The output shape of every module that a meta picture passes, by the module's path; the last pass counts."""
    seen: dict[str, tuple[int, ...]] = {}
    for path, module in network.named_modules():
        module.register_forward_hook(lambda _m, _i, out, path=path: seen.__setitem__(path, tuple(out.shape[1:])))
    network.eval()(torch.zeros(1, network.in_channels, *size, device="meta"))
    return seen


def multiply_adds(network: Network, size: tuple[int, int]) -> int:
    seen = shapes_of(network, size)
    total = 0
    for path, module in network.named_modules():
        if isinstance(module, Conv2d):
            _, height, width = seen[path]
            total += module.weight.numel() * height * width
        elif isinstance(module, nn.Linear):
            total += module.weight.numel()
    return total


@pytest.mark.parametrize("name", NAMES)
def test_counts_are_the_published_ones(name: str) -> None:
    parameters, statistics, adds, classes = PUBLISHED[name]
    network = on_meta(name, classes=classes)
    assert parameter_count(network) == parameters == MODELS[name].parameters
    assert sum(b.numel() for n, b in network.named_buffers() if not n.endswith("tracked")) == statistics
    assert multiply_adds(network, MODELS[name].preprocess.size) == adds


@pytest.mark.parametrize("name", NAMES)
def test_builds_on_meta_at_once(name: str) -> None:
    on_meta(name)  # imports
    start = time.process_time()
    network = on_meta(name)
    assert time.process_time() - start < 1
    assert {p.device.type for p in network.parameters()} == {"meta"}


@pytest.mark.parametrize("name", RUN)
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_runs_for_any_channels_and_classes(name: str, channels: int) -> None:
    network = build(name, classes=5, in_channels=channels)
    for mode in (True, False):
        logits = network.train(mode)(small_images(network))
        assert isinstance(logits, torch.Tensor)
        assert logits.shape == (2, 5)
        assert logits.isfinite().all()


@pytest.mark.parametrize("name", RUN)
@pytest.mark.parametrize("bfloat16", [False, True])
def test_every_parameter_learns(name: str, bfloat16: bool) -> None:
    network = build(name, classes=5, seed=0).to(memory_format=torch.channels_last)
    # lenet5 and fashion_cnn have no norm, and the rest needs some places for its norms at stride 32
    images = small_images(network, 8) if network.size else torch.randn(4, 3, 70, 64)
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        logits = network(images)
    nn.functional.cross_entropy(logits.float(), torch.arange(len(images)) % 5).backward()
    for path, parameter in network.named_parameters():
        assert parameter.grad is not None, path
        assert parameter.grad.isfinite().all(), path
        assert parameter.grad.abs().sum() > 0, path


@pytest.mark.parametrize("name", RUN)
def test_features_are_as_declared(name: str) -> None:
    network = build(name, classes=5).eval()
    images = small_images(network) if network.size else torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        maps = network.features(images)
    strides = [info.stride for info in network.feature_info]
    assert strides == sorted(set(strides))
    assert len(maps) == len(strides)
    for info, found in zip(network.feature_info, maps, strict=True):
        # LeNet's windows are VALID and the 7 of fashion_cnn is odd, so only its own ladder knows the exact size
        if network.size is None:
            assert found.shape == (2, info.channels, 64 // info.stride, 96 // info.stride)
        assert found.shape[:2] == (2, info.channels)
    if network.size is None:
        assert strides == [2, 4, 8, 16, 32]


@pytest.mark.parametrize("name", RUN)
def test_running_block_by_block_is_forward(name: str) -> None:
    network = build(name, classes=5).eval()
    images = small_images(network)
    with torch.no_grad():
        whole = network(images)
        x = images
        for block in network.blocks:
            x = network.run(x, block, block)
        assert torch.equal(x, whole)
        before_head = list(network.blocks)[-2]
        assert torch.equal(network.run(network.run(images, stop=before_head), start="head"), whole)


@pytest.mark.parametrize("name", NAMES)
def test_blocks_hold_every_parameter_once(name: str) -> None:
    network = on_meta(name)
    paths = [path for block in network.blocks.values() for path in block]
    for parameter, _ in network.named_parameters():
        assert sum(parameter.startswith(f"{path}.") for path in paths) == 1, parameter
    assert next(iter(network.blocks)) == "stem"


@pytest.mark.parametrize("name", NAMES)
def test_the_head_is_what_depends_on_the_classes_and_the_entry_on_the_channels(name: str) -> None:
    one, other = on_meta(name, classes=7, in_channels=3), on_meta(name, classes=9, in_channels=4)
    changed = [n for n, tensor in one.state_dict().items() if tensor.shape != other.state_dict()[n].shape]
    entry = f"{one.blocks['stem'][0]}.weight"
    head = tuple(f"{path}." for path in one.blocks["head"])
    assert list(one.blocks)[-1] == "head"
    assert set(changed) == {entry} | {n for n in one.state_dict() if n.startswith(head)}
    assert one.state_dict()[entry].shape[1] == 3


@pytest.mark.parametrize("name", RUN)
def test_safetensors_round_trip(name: str) -> None:
    network, other = build(name, classes=5, seed=1), build(name, classes=5, seed=2)
    other.load_state_dict(load(save(network.state_dict())))
    for path, tensor in network.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[path]), path


@pytest.mark.parametrize("name", RUN)
def test_training_view_has_no_auxiliary_outputs(name: str) -> None:
    network = build(name, classes=5).eval()
    images = small_images(network)
    main, auxiliary = TrainingView(network)(images)
    assert torch.equal(main, network(images))
    assert auxiliary == ()


@pytest.mark.parametrize("name", RUN)
def test_sizes(name: str) -> None:
    network = build(name, classes=5).eval()
    assert (network.size is None) == (name in ANY_SIZE)
    with torch.no_grad():
        if name in ANY_SIZE:
            for size in ((1, 1), (33, 50)):
                assert network(torch.randn(1, 3, *size)).shape == (1, 5)
        else:
            assert network.size == MODELS[name].preprocess.size
            with pytest.raises(ModelError, match=f"takes images of {network.size[0]}x{network.size[1]}"):
                network(torch.randn(1, 1, 40, 40))


@pytest.mark.parametrize("name", RUN)
def test_channels_last_stays_channels_last(name: str) -> None:
    network = build(name, classes=5).to(memory_format=torch.channels_last)
    with torch.no_grad():
        for found in network.features(small_images(network)):
            assert found.is_contiguous(memory_format=torch.channels_last)


# Ladders and what the single networks promise


def test_lenet5_ladder() -> None:
    seen = shapes_of(on_meta("lenet5", classes=10), (32, 32))
    ladder = ("c1", "s2", "c3", "s4", "c5", "f6", "output")
    assert [seen[p] for p in ladder] == [(6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (120, 1, 1), (84,), (10,)]


def test_fashion_cnn_ladder() -> None:
    network = on_meta("fashion_cnn", classes=10)
    seen = shapes_of(network, (28, 28))
    convs = [seen[f"conv{number}"] for number in range(1, 6)]
    assert convs == [(64, 28, 28), (128, 14, 14), (128, 14, 14), (256, 7, 7), (256, 7, 7)]
    assert [seen[p] for p in ("pool", "flatten", "dense1", "dense2", "output")] == [
        (256, 3, 3),
        (2304,),
        (128,),
        (64,),
        (10,),
    ]
    layers = [network.get_submodule(p) for p in ("conv1", "conv2", "conv3", "conv4", "conv5", "dense1", "dense2")]
    counts = [parameter_count(layer) for layer in [*layers, network.output]]
    assert counts == [3_200, 73_856, 147_584, 295_168, 590_080, 295_040, 8_256, 650]


def test_fashion_cnn_drops_half_behind_each_dense_layer() -> None:
    network = build("fashion_cnn", classes=10)
    dropouts = {path: m.p for path, m in network.named_modules() if isinstance(m, nn.Dropout)}
    assert dropouts == {"dropout1": 0.5, "dropout2": 0.5}
    order = [path for block in network.blocks.values() for path in block]
    for dense, dropout in (("dense1", "dropout1"), ("dense2", "dropout2")):
        assert order[order.index(dense) : order.index(dense) + 3] == [dense, "relu", dropout]


def test_resnet34_ladder() -> None:
    network = on_meta("resnet34")
    seen = shapes_of(network, (224, 224))
    assert [seen[p] for p in ("conv1", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc")] == [
        (64, 112, 112),
        (64, 56, 56),
        (64, 56, 56),
        (128, 28, 28),
        (256, 14, 14),
        (512, 7, 7),
        (512,),
        (1000,),
    ]
    assert [len(network.get_submodule(f"layer{n}")) for n in range(1, 5)] == [3, 4, 6, 3]


def test_efficientnet_lite0_ladder() -> None:
    seen = shapes_of(on_meta("efficientnet_lite0"), (224, 224))
    assert [seen[p] for p in ("conv_stem", *(f"stage{n}" for n in range(1, 8)), "conv_head", "classifier")] == [
        (32, 112, 112),
        (16, 112, 112),
        (24, 56, 56),
        (40, 28, 28),
        (80, 14, 14),
        (112, 14, 14),
        (192, 7, 7),
        (320, 7, 7),
        (1280, 7, 7),
        (1000,),
    ]


@pytest.mark.parametrize(
    ("scale", "parameters", "statistics", "adds"),
    [
        (Scale(1.0, 1.1, 240, 0.2), 5_416_680, 53_664, 600_185_232),
        (Scale(1.1, 1.2, 260, 0.3), 6_092_072, 58_096, 859_736_272),
        (Scale(1.2, 1.4, 280, 0.3), 8_197_096, 76_672, 1_383_321_872),
        (Scale(1.4, 1.8, 300, 0.3), 13_006_568, 112_368, 2_553_034_336),
    ],
)
def test_the_rows_scale_to_lite1_to_lite4(scale: Scale, parameters: int, statistics: int, adds: int) -> None:
    with torch.device("meta"):
        network = EfficientNetLite(scale, classes=1000, in_channels=3)
    assert parameter_count(network) == parameters
    assert sum(b.numel() for n, b in network.named_buffers() if not n.endswith("tracked")) == statistics
    assert multiply_adds(network, (scale.size, scale.size)) == adds


def test_torchvision_names() -> None:
    names = set(on_meta("resnet18").state_dict())
    assert len(names) == 122
    assert {"conv1.weight", "bn1.running_var", "layer1.0.conv1.weight", "layer4.1.bn2.bias", "fc.bias"} <= names
    assert {"layer2.0.downsample.0.weight", "layer2.0.downsample.1.running_mean"} <= names
    assert "layer1.0.downsample.0.weight" not in names


def test_units_that_begin_as_the_identity() -> None:
    network = resnet18(classes=5, in_channels=3, zero_init_last_norm=True)
    unit = network.get_submodule("layer1.1")
    assert isinstance(unit, BasicUnit)
    x = torch.rand(2, 64, 6, 6)
    assert torch.equal(unit(x), x)
    assert not torch.equal(resnet18(classes=5, in_channels=3).get_submodule("layer1.1")(x), x)


def test_efficientnet_norms_and_paddings() -> None:
    network = on_meta("efficientnet_lite0")
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.01)}
    windows = [m for m in network.modules() if isinstance(m, Conv2d) and m.window != (1, 1)]
    assert {conv.padding for conv in windows} == {"same"}
    assert network.get_submodule("dropout").p == 0.2


def test_stochastic_depth_rises_with_depth() -> None:
    network = efficientnet_lite0(classes=5, in_channels=3, stochastic_depth=0.2)
    rates = [module.rate for path, module in network.named_modules() if path.endswith(".drop")]
    units = sum(row.units for row in scaled_rows(Scale(1.0, 1.0, 224, 0.2)))
    assert units == 16
    # The residual units are 2, 4, 6, 7, 9, 10, 12, 13 and 14 of the sixteen, counted from 0.
    assert rates == pytest.approx([0.2 * unit / units for unit in (2, 4, 6, 7, 9, 10, 12, 13, 14)])
    assert {m.rate for p, m in efficientnet_lite0(classes=5, in_channels=3).named_modules() if p.endswith("drop")} == {
        0
    }


# Errors


def test_wrong_blocks_are_refused() -> None:
    network = lenet5(classes=10, in_channels=1)
    with pytest.raises(ModelError, match=r"no block 'hed'\. Did you mean 'head'\? It has stem, stage1"):
        network.run(torch.zeros(1, 1, 32, 32), stop="hed")
    with pytest.raises(ModelError, match="comes before"):
        network.run(torch.zeros(1, 120), start="head", stop="stem")


@pytest.mark.parametrize("shape", [(1, 1, 64, 64), (3, 64, 64)])
def test_images_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=r"takes images \[N, 3, H, W\]"):
        resnet18(classes=5, in_channels=3)(torch.zeros(shape))


@pytest.mark.parametrize("wrong", ["classes", "in_channels"])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_below_one(name: str, wrong: str) -> None:
    with pytest.raises(ModelError, match=f"{wrong} is 0"):
        build(name, **{"classes": 5, "in_channels": 3, wrong: 0})
