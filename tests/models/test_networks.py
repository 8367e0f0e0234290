"""One contract, all networks: every test of the first half runs over MODELS.

What really computes runs for one network a paper in `make test`, and for all in `make test-all`.
"""

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from striate.base.errors import ModelError
from striate.data.records import Classes
from striate.models import MODELS, build, dense_layers
from striate.models import layer_table as layer_tables
from striate.models.building import class_count
from striate.models.headed import Headed
from striate.models.layer_table import AUXILIARY
from striate.models.lenet5 import lenet5
from striate.models.network import Network, TrainingView, parameter_count
from striate.models.resnet import resnet18
from tests.models.light import CLASSIFIERS, PAPERS, is_large, layer_table, light, on_meta

TABLES = Path(__file__).parent / "layer_tables"
NAMES = list(MODELS)
RUN = [pytest.param(name, marks=[] if name in PAPERS else [pytest.mark.slow]) for name in CLASSIFIERS]

# As published: parameters without auxiliary heads, running statistics without theirs, multiply-adds of one picture.
PUBLISHED = {
    "lenet5_1998": (60_000, 840, 325_680),
    "lenet5": (61_706, 0, 416_520),
    "lenet_caffe": (431_080, 0, 2_293_000),
    "fashion_cnn": (1_413_834, 0, 89_466_496),
    "alexnet": (60_965_224, 0, 724_406_816),
    "alexnet_single": (61_100_840, 0, 714_188_480),
    "zfnet": (62_357_608, 0, 1_168_032_896),
    "vgg11": (132_863_336, 0, 7_609_090_048),
    "vgg13": (133_047_848, 0, 11_308_466_176),
    "vgg16": (138_357_544, 0, 15_470_264_320),
    "vgg19": (143_667_240, 0, 19_632_062_464),
    "vgg11_bn": (132_868_840, 5_504, 7_609_090_048),
    "vgg13_bn": (133_053_736, 5_888, 11_308_466_176),
    "vgg16_bn": (138_365_992, 8_448, 15_470_264_320),
    "vgg19_bn": (143_678_248, 11_008, 19_632_062_464),
    "googlenet": (6_998_552, 0, 1_582_671_872),
    "googlenet_bn": (6_624_904, 14_560, 1_498_376_192),
    "resnet18": (11_689_512, 9_600, 1_814_073_344),
    "resnet34": (21_797_672, 17_024, 3_663_761_408),
    "resnet50": (25_557_032, 53_120, 4_089_184_256),
    "resnet101": (44_549_160, 105_344, 7_801_405_440),
    "resnet152": (60_192_808, 151_424, 11_513_626_624),
    "resnet50_2015": (25_557_032, 53_120, 3_857_973_248),
    "resnet101_2015": (44_549_160, 105_344, 7_570_194_432),
    "resnet152_2015": (60_192_808, 151_424, 11_282_415_616),
    "resnet20": (269_722, 1_376, 40_551_040),
    "resnet32": (464_154, 2_272, 68_862_592),
    "resnet44": (658_586, 3_168, 97_174_144),
    "resnet56": (853_018, 4_064, 125_485_696),
    "resnet110": (1_727_962, 8_096, 252_887_680),
    "xception": (22_855_952, 54_528, 8_357_403_496),
    "se_resnet18": (11_778_592, 9_600, 1_814_160_384),
    "se_resnet34": (21_958_868, 17_024, 3_663_918_592),
    "se_resnet50": (28_088_024, 53_120, 3_860_488_192),
    "se_resnet101": (49_326_872, 105_344, 7_574_937_600),
    "se_resnet152": (66_821_848, 151_424, 11_288_993_792),
    "squeezenet1_0": (1_248_424, 0, 818_924_576),
    "squeezenet1_1": (1_235_496, 0, 349_151_936),
    "mobilenet_v1": (4_231_976, 21_888, 568_740_352),
    "mobilenet_v1_symmetric": (4_231_976, 21_888, 568_740_352),
    "mobilenet_v1_075": (2_585_560, 16_416, 325_400_448),
    "mobilenet_v1_050": (1_331_592, 10_944, 149_497_088),
    "mobilenet_v1_025": (470_072, 5_472, 41_030_272),
    "mobilenet_v2": (3_504_872, 34_112, 300_774_272),
    "mobilenet_v2_same": (3_504_872, 34_112, 300_774_272),
    "efficientnet_lite0": (4_652_008, 42_016, 385_187_552),
    "efficientnet_lite1": (5_416_680, 53_664, 600_185_232),
    "efficientnet_lite2": (6_092_072, 58_096, 859_736_272),
    "efficientnet_lite3": (8_197_096, 76_672, 1_383_321_872),
    "efficientnet_lite4": (13_006_568, 112_368, 2_553_034_336),
    "darknet53": (41_609_928, 35_712, 9_285_115_904),
    "yolov3": (61_949_149, 52_608, 32_932_037_632),
    "yolov3_tiny": (8_852_366, 6_368, 2_782_480_896),
    "darknet": (8_852_366, 6_368, 2_782_480_896),
    # By arithmetic: each window's weights for each of 96 x 96 places and of those beyond the border that the network
    # adds, VDSR's for each of 192 x 192.
    "espcn": (21_284, 0, (64 * 25 + 64 * 32 * 9 + 32 * 4 * 9) * (96 + 8) ** 2),
    "fsrcnn": (12_464 + 173 + 172, 0, 12_464 * (96 + 16) ** 2),  # as the paper counts, biases, slopes
    "vdsr": (664_704, 0, 664_704 * 192**2),
    # By arithmetic: googlenet_bn, and behind each module of C channels two dense layers with biases, C to C / 16 to C.
    "se_inception": (
        6_624_904 + sum(2 * c * (c // 16) + c + c // 16 for c in (256, 480, 512, 512, 512, 528, 832, 832, 1024)),
        14_560,
        1_498_376_192 + sum(2 * c * (c // 16) for c in (256, 480, 512, 512, 512, 528, 832, 832, 1024)),
    ),
    "unet": (31_030_658, 0, 150_428_424_448),
}
WITH_AUXILIARY = {"googlenet": 13_378_280, "googlenet_bn": 13_004_888}
# Dense layers on maps, or windows of the old digit networks, fix the size; all others end in a global pool.
ONE_SIZE = {
    *("lenet5_1998", "lenet5", "lenet_caffe", "fashion_cnn", "alexnet", "alexnet_single", "zfnet"),
    *(f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")),
}


@pytest.fixture(scope="module", params=RUN)
def ready(request: pytest.FixtureRequest) -> tuple[str, Network]:
    """A network by name, for tests that only look: five classes, evaluation mode, channels-last."""
    network = light(request.param).eval()
    return request.param, network.to(memory_format=torch.channels_last)


def images_for(network: Network, count: int = 2, least: int = 1) -> Tensor:
    """So many pictures of the smallest size, of a network of large ones one alone."""
    if is_large(network):
        count = 1
    height, width = (max(side, least) for side in network.smallest) if network.size is None else network.size
    images = torch.randn(count, network.in_channels, height, width)
    return images.contiguous(memory_format=torch.channels_last)


def paths_outside_auxiliary(network: Network) -> list[str]:
    heads = tuple(f"{path}." for path in network.auxiliary.values())
    return [path for path, _ in network.named_parameters() if not path.startswith(heads)]


def test_every_network_is_measured() -> None:
    assert PUBLISHED.keys() == MODELS.keys()


@pytest.mark.parametrize("name", NAMES)
def test_counts_are_the_published_ones(name: str) -> None:
    parameters, statistics, adds = PUBLISHED[name]
    row = MODELS[name]
    network = on_meta(name)
    heads = [network.get_submodule(path) for path in network.auxiliary.values()]
    assert parameter_count(network) == WITH_AUXILIARY.get(name, parameters)
    assert parameter_count(network) - sum(map(parameter_count, heads)) == parameters == row.parameters
    of_heads = {id(buffer) for head in heads for buffer in head.buffers()}
    buffers = [b for n, b in network.named_buffers() if not n.endswith("tracked") and id(b) not in of_heads]
    assert sum(buffer.numel() for buffer in buffers) == statistics
    assert row.multiply_adds == adds


@pytest.mark.parametrize("name", NAMES)
def test_the_table_is_the_kept_one_and_its_sums_are_the_published_ones(name: str) -> None:
    kept = (TABLES / f"{name}.txt").read_text(encoding="utf-8")
    # Written with: python -c "from striate.models.layer_table import layer_table; print(layer_table(NAME).text())"
    assert layer_table(name).text() == kept
    *steps, last = kept.splitlines()[2:]
    counted = [line.split()[-2:] for line in steps if not line.startswith(AUXILIARY)]
    sums = tuple(sum(int(row[column].replace(",", "")) for row in counted) for column in (0, 1))
    assert sums == (PUBLISHED[name][0], PUBLISHED[name][2])
    apart = ["without auxiliary heads"] if len(counted) < len(steps) else []
    assert " ".join(last.split()) == " ".join(["sum", *apart, *(f"{total:,}" for total in sums)])


@pytest.mark.parametrize("name", [*RUN, *(name for name in NAMES if name not in CLASSIFIERS)])
def test_unfolded_all_layers_that_learn_are_there_once(name: str) -> None:
    folded, table, network = layer_table(name), layer_tables.layer_table(name, unfold=True), on_meta(name)
    assert (table.parameters, table.multiply_adds) == (folded.parameters, folded.multiply_adds)
    learning = {path for row in table.rows for path in [row.path] if row.parameters}
    assert sum(bool(row.parameters) for row in table.rows) == len(learning)
    parents = {path.rpartition(".")[0] for path, _ in network.named_parameters()}
    assert all(any(f"{path}.".startswith(f"{layer}.") for layer in learning) for path in parents)


class Computed(TorchDispatchMode):
    """Counts the numbers that torch makes elsewhere than on the meta device, where they take no time."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        made = operation(*args, **(kwargs or {}))
        results = made if isinstance(made, tuple | list) else (made,)
        self.numbers += sum(each.numel() for each in results if isinstance(each, Tensor) and not each.is_meta)
        return made


@pytest.mark.parametrize("name", NAMES)
def test_builds_on_meta_at_once(name: str) -> None:
    with Computed() as computed:
        network = on_meta.__wrapped__(name)
    assert computed.numbers == 0
    assert {tensor.device.type for tensor in network.state_dict().values()} == {"meta"}


def test_the_account_of_numbers_sees_some() -> None:
    with Computed() as computed:
        build("lenet5", classes=5)
    assert computed.numbers >= MODELS["lenet5"].parameters / 2


@pytest.mark.parametrize("name", RUN)
def test_runs_for_other_channels_and_classes(name: str) -> None:
    channels = 3 if MODELS[name].preprocess.count == 1 else 1
    network = light(name, in_channels=channels)
    images = images_for(network, least=33)
    kinds = set()
    for mode in (True, False):
        with torch.no_grad():
            logits = network.train(mode)(images)
        kinds.add(type(logits))
        assert logits.shape == (len(images), 5)
        assert logits.isfinite().all()
    assert kinds == {Tensor}


@pytest.mark.parametrize("name", RUN)
@pytest.mark.parametrize("bfloat16", [False, True])
def test_every_parameter_learns_at_the_smallest_size(name: str, bfloat16: bool) -> None:
    network = light(name).to(memory_format=torch.channels_last)
    torch.manual_seed(1)
    images = images_for(network, 16)  # norms over one place need several
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        main, auxiliary = TrainingView(network)(images)
    targets = torch.arange(len(images)) % 5
    losses = [nn.functional.cross_entropy(logits.float(), targets) for logits in (main, *auxiliary)]
    assert all(loss.isfinite() for loss in losses)
    torch.stack(losses).sum().backward()
    for path, parameter in network.named_parameters():
        assert parameter.grad is not None, path
        assert parameter.grad.isfinite().all(), path
        assert parameter.grad.abs().sum() > 0, path


def test_features_are_as_declared(ready: tuple[str, Network]) -> None:
    _, network = ready
    size = network.size or (max(64, network.smallest[0]), max(96, network.smallest[1]))
    images = torch.randn(1 if is_large(network) else 2, network.in_channels, *size)
    with torch.no_grad():
        maps = network.features(images)
    strides = [info.stride for info in network.feature_info]
    assert strides == sorted(set(strides))
    assert len(maps) == len(strides) >= 2
    for info, found in zip(network.feature_info, maps, strict=True):
        assert found.shape[:2] == (len(images), info.channels)
        # VALID windows lose places at the border, at most as many as the windows before have them
        for side, places in zip(size, found.shape[2:], strict=True):
            assert side // info.stride - 4 <= places <= math.ceil(side / info.stride)


def test_running_block_by_block_is_forward(ready: tuple[str, Network]) -> None:
    _, network = ready
    images = images_for(network, least=40)
    with torch.no_grad():
        whole = network(images)
        x = images
        for block in network.blocks:
            x = network.run(x, block, block)
        assert torch.equal(x, whole)
        before_head = list(network.blocks)[-2]
        assert torch.equal(network.run(network.run(images, stop=before_head), start="head"), whole)
        main, auxiliary = TrainingView(network)(images)
        assert torch.equal(main, whole)
        assert [tuple(logits.shape) for logits in auxiliary] == [(len(images), 5)] * len(network.auxiliary)


@pytest.mark.parametrize("name", RUN)
def test_can_be_copied(name: str) -> None:
    network = on_meta(name)
    copied = copy.deepcopy(network)
    assert copied.state_dict().keys() == network.state_dict().keys()
    assert (copied.blocks, copied.auxiliary) == (network.blocks, network.auxiliary)


@pytest.mark.parametrize("name", RUN)
def test_blocks_hold_every_parameter_once(name: str) -> None:
    network = on_meta(name)
    paths = [path for block in network.blocks.values() for path in block]
    for parameter in paths_outside_auxiliary(network):
        assert sum(parameter.startswith(f"{path}.") for path in set(paths)) == 1, parameter
    assert next(iter(network.blocks)) == "stem"


@pytest.mark.parametrize("name", RUN)
def test_the_heads_are_what_depends_on_the_classes_and_the_entry_on_the_channels(name: str) -> None:
    one, other = on_meta(name, classes=7, in_channels=3), on_meta(name, classes=9, in_channels=4)
    tensors, others = one.state_dict(), other.state_dict()
    changed = {n for n, tensor in tensors.items() if tensor.shape != others[n].shape}
    entry = f"{one.blocks['stem'][0]}.weight"
    head = tuple(f"{path}." for path in (*one.blocks["head"], *one.auxiliary.values()))
    assert list(one.blocks)[-1] == "head"
    assert {n for n in changed if not n.startswith(head)} == {entry}
    in_head = {n for n in tensors if n.startswith(tuple(f"{path}." for path in one.blocks["head"]))}
    assert in_head and in_head <= changed
    assert tensors[entry].shape[1] == 3


def test_safetensors_round_trip(ready: tuple[str, Network]) -> None:
    name, network = ready
    copies = load(save({path: tensor.contiguous() for path, tensor in network.state_dict().items()}))
    with torch.device("meta"):
        light(name).load_state_dict(copies, assign=True)  # every name and shape
    for path, tensor in network.state_dict().items():
        assert torch.equal(tensor, copies[path]), path


def test_sizes(ready: tuple[str, Network]) -> None:
    name, network = ready
    channels = network.in_channels
    assert (network.size is not None) == (name in ONE_SIZE)
    with torch.no_grad():
        if network.size is not None:
            height, width = network.size
            assert network.size == MODELS[name].preprocess.size
            with pytest.raises(ModelError, match=f"takes images of {height}x{width}"):
                network(torch.randn(1, channels, height + 8, width + 8))
            return
        height, width = network.smallest
        for size in ((height, width), (height + 20, width + 33)):
            assert network(torch.randn(1, channels, *size)).shape == (1, 5)
        if (height, width) != (1, 1):
            with pytest.raises(ModelError, match=f"images of {height}x{width} and more"):
                network(torch.randn(1, channels, height - 1, width))


def test_channels_last_stays_channels_last(ready: tuple[str, Network]) -> None:
    _, network = ready
    with torch.no_grad():
        for found in network.features(images_for(network, least=40)):
            assert found.is_contiguous(memory_format=torch.channels_last)


# Inception's and ResNet's modules export as GoogLeNet's and SENet's do, separable windows as MobileNet's and Lite's.
EXPORTED_ALIKE = ("se_inception", "xception", "mobilenet_v2")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name in EXPORTED_ALIKE else name for name in PAPERS]
    + [pytest.param(name, marks=pytest.mark.slow) for name in CLASSIFIERS if name not in PAPERS],
)
def test_exports(name: str) -> None:
    network = light(name).eval().to(memory_format=torch.channels_last)
    images = images_for(network, least=64)
    program = torch.export.export(network, (images,))
    with torch.no_grad():
        # Exported programs pad where the eager network may cut its output instead: sums that are rounded otherwise.
        torch.testing.assert_close(program.module()(images), network(images), rtol=1e-4, atol=1e-5)


# Another head


@pytest.mark.parametrize("name", RUN)
def test_another_head_is_the_one_that_is_built_and_all_else_is_kept(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dense_layers, "HIDDEN", 64)
    network, built = light(name, in_channels=2).eval(), build(name, classes=7, in_channels=2, seed=3).state_dict()
    before = {path: tensor.clone() for path, tensor in network.state_dict().items()}
    network.reset_head(7, seed=3)
    after, images = network.state_dict(), images_for(network)
    heads = tuple(f"{path}." for path in (*network.blocks["head"], *network.auxiliary.values()))
    assert after.keys() == before.keys() and any(path.startswith(heads) for path in after)
    for path, tensor in after.items():
        assert torch.equal(tensor, (built if path.startswith(heads) else before)[path]), path
    assert network.classes == 7 and not any(module.training for module in network.modules())
    with torch.no_grad():
        outputs = TrainingView(network)(images)
    assert [tuple(logits.shape) for logits in (outputs[0], *outputs[1])] == [(len(images), 7)] * (
        1 + len(network.auxiliary)
    )


def test_another_head_has_the_networks_precision_and_a_copy_can_have_one() -> None:
    network = build("lenet5", classes=5).double()
    copied = copy.deepcopy(network)
    copied.reset_head(["cat", "dog"])
    assert (copied.classes, network.classes) == (2, 5)
    assert copied(torch.zeros(1, 1, 32, 32, dtype=torch.float64)).shape == (1, 2)


def test_heads_that_cannot_be_are_refused() -> None:
    network = build("lenet5", classes=10)
    kept = network.output
    for classes, words in ((0, "lenet5 always ends in layers that answer"), ("cat", "a single word"), (2.5, "number")):
        with pytest.raises(ModelError, match=words):
            network.reset_head(classes)
    with pytest.raises(ModelError, match="classes is -1; it must be at least 1"):
        network.reset_head(-1)
    assert network.output is kept and network.classes == 10
    with pytest.raises(ModelError, match=r"LeNet5: only a whole network that striate\.create"):
        lenet5(classes=10, in_channels=1).reset_head(3)
    body = build("resnet20", classes=10)
    Headed(body, nn.Identity(), features=body.feature_info[-1:], classes=3)
    with pytest.raises(ModelError, match="only a whole network"):
        body.reset_head(3)


@pytest.mark.parametrize(
    "classes", [np.unique(["b", "a", "b"]), Classes(("a", "b")), {"a": 0, "b": 1}, {"a": 0}.keys() | {"b"}, np.int64(2)]
)
def test_classes_are_whatever_has_a_length_or_counts(classes: Any) -> None:
    assert class_count("lenet5", classes) == 2


@pytest.mark.parametrize("classes", [b"ab", "ab", True, 2.0, None])
def test_what_is_no_number_and_no_list_of_classes_is_refused(classes: Any) -> None:
    with pytest.raises(ModelError, match="give the number of classes or a list of their names"):
        class_count("lenet5", classes)


def test_unfolded_pools_and_response_norms_are_shown_that_keep_the_shape() -> None:
    paths = [row.path for row in layer_tables.layer_table("googlenet", unfold=True).rows]
    assert "inception3a.branch4.0" in paths and "norm1" in paths


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
    usual = {"classes": min(5, MODELS[name].classes), "in_channels": 3}
    value = 0 if usual[wrong] else -1  # networks that make pictures have no classes
    with pytest.raises(ModelError, match=f"{wrong} is {value}"):
        build(name, **{**usual, wrong: value})
