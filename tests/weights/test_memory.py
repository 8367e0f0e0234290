"""Weights in memory: anybody's names into a network, a network's by anybody's names, and both after another."""

import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from striate.base.errors import WeightsError
from striate.models import MODELS, build
from striate.models.meta import build_on_meta
from striate.weights import as_named, load_into, memory
from striate.weights.schemes.table import NAMINGS, SCHEMES
from tests.models.toys import Skipping
from tests.weights.schemes.test_torch_names import ALEXNET, VGG11, VGG11_BN, squeezenet, tensors_of

PAIRS = [(library, model) for library, rows in NAMINGS.items() for row in rows for model in row.models]
QUICK = ("resnet18", "squeezenet1_1", "mobilenet_v2", "efficientnet_lite0", "mobilenet_v1_symmetric", "se_resnet18")
QUICK += ("googlenet_bn", "resnet50_2015", "xception")


def same(one: nn.Module, other: nn.Module) -> bool:
    theirs = other.state_dict()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in one.state_dict().items())


def drawn(model: str, classes: int, seed: int) -> nn.Module:
    """A network whose norms' numbers are none that a fresh one has."""
    network = build(model, classes=classes, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.uniform_(0.5, 1.5, generator=generator)
            for tensor in (module.bias.data, module.running_mean):
                tensor.normal_(0, 0.3, generator=generator)
            module.num_batches_tracked.fill_(7)
    return network


@pytest.mark.parametrize(
    ("library", "model"),
    [pytest.param(*pair, marks=[pytest.mark.slow] * (pair[1] not in QUICK)) for pair in PAIRS],
)
def test_there_and_back(library: str, model: str) -> None:
    network, other = drawn(model, 3, seed=1), build(model, classes=3, seed=2)
    tensors = as_named(network, library)
    assert len(tensors) == len(network.state_dict())
    scheme = load_into(other, tensors)
    assert SCHEMES[scheme].models[model] == model
    if (library, model) in {("timm", "mobilenet_v1_symmetric"), ("timm", "xception")}:  # another epsilon there
        assert not same(network, other)
        images = torch.randn(1, 3, 75, 75, generator=torch.Generator().manual_seed(3))
        with torch.no_grad():
            torch.testing.assert_close(other.eval()(images), network.eval()(images), rtol=1e-4, atol=1e-4)
    else:
        assert same(network, other)


@pytest.mark.parametrize(
    ("model", "layers"),
    [
        ("alexnet_single", ALEXNET),
        ("vgg11", VGG11),
        ("vgg11_bn", VGG11_BN),
        ("squeezenet1_0", squeezenet("squeezenet1_0")),
        ("squeezenet1_1", squeezenet("squeezenet1_1")),
    ],
)
def test_torchvisions_names(model: str, layers: dict[str, str]) -> None:
    network = build_on_meta(model, classes=3)
    names = dict(zip(as_named(network, "torchvision"), network.state_dict(), strict=True))
    assert {theirs: ours for theirs, ours in names.items() if not theirs.endswith("tracked")} == tensors_of(layers)


def test_torchvisions_real_file(shared_data: Path) -> None:
    theirs = torch.load(shared_data / "weights" / "mobilenet_v2-b0353104.pth", weights_only=True)
    network = build("mobilenet_v2", seed=1)
    assert load_into(network, theirs) == "torchvision"
    back = as_named(network, "torchvision")
    assert back.keys() == theirs.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in theirs.items())


PROGRAM = """
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from tests.oracle.torch_weights import network

library, folder, *names = sys.argv[1:]
for name in names:
    module = network(library, name).eval()
    file = Path(folder, f"{name}.safetensors")
    module.load_state_dict(load_file(file), strict=True)
    with torch.no_grad():
        answers = module(torch.load(Path(folder, "images.pt"), weights_only=True))
    torch.save(answers if isinstance(answers, torch.Tensor) else answers.logits, file.with_suffix(".answers"))
"""
THEIRS = {
    "torchvision": {
        **{name: name for name in ("mobilenet_v2", "squeezenet1_1", "resnet18", "vgg11_bn")},
        "googlenet": "googlenet_bn",
        "alexnet": "alexnet_single",
    },
    "timm": {
        "resnet18": "resnet18",
        "tf_efficientnet_lite0": "efficientnet_lite0",
        "mobilenetv1_100": "mobilenet_v1_symmetric",
        "mobilenetv2_100": "mobilenet_v2",
        "legacy_seresnet18": "se_resnet18",
        "legacy_xception": "xception",
    },
    "transformers": {"resnet-50": "resnet50"},
}
OTHER_AT_96 = (
    "vgg11_bn",
    "alexnet",
    "legacy_xception",
)  # they average to a size, or pad otherwise: names and shapes only


@pytest.mark.oracle
@pytest.mark.slow
@pytest.mark.parametrize("library", THEIRS)
def test_their_own_networks_take_them(library: str, oracle_python: Path, tmp_path: Path) -> None:
    images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(5))
    torch.save(images, tmp_path / "images.pt")
    for theirs, model in THEIRS[library].items():
        tensors = as_named(drawn(model, 1000, seed=4), library)
        save_file({name: each.contiguous() for name, each in tensors.items()}, tmp_path / f"{theirs}.safetensors")
    command = [oracle_python, "-c", PROGRAM, library, tmp_path, *THEIRS[library]]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    for theirs, model in THEIRS[library].items():
        (tmp_path / f"{theirs}.safetensors").unlink()  # half a gigabyte for some, and pytest keeps folders
        wanted = torch.load(tmp_path / f"{theirs}.answers", weights_only=True)
        if theirs not in OTHER_AT_96:
            with torch.no_grad():
                ours = drawn(model, 1000, seed=4).eval()(images)
            assert (ours - wanted).abs().max() <= 1e-4 * (wanted.max() - wanted.min()), theirs


def test_libraries_and_networks_that_cannot_be_written() -> None:
    for model, library, said in (
        ("mobilenet_v2_same", "torchvision", "mobilenet_v2_same cannot be written by torchvision's names"),
        (
            "resnet18",
            "torchvison",
            r"Did you mean 'torchvision'\? Written are torchvision, timm, transformers, lukemelas",
        ),
        (
            "resnet50_2015",
            "keras",
            r"these have it: transformers\. Written are .*; Keras', Caffe's and darknet's .*only",
        ),
        ("efficientnet_lite0", "torchvision", "these have it: timm, lukemelas"),
    ):
        with pytest.raises(WeightsError, match=said):
            as_named(build_on_meta(model, classes=3), library)
    with pytest.raises(WeightsError, match="Skipping cannot be written by timm's names"):
        as_named(Skipping(), "timm")


# Into a network


def test_kerass_names() -> None:
    network, want = build("squeezenet1_1", classes=3, seed=1), build("squeezenet1_1", classes=3, seed=2)
    arrays = {}
    for name, tensor in want.state_dict().items():
        layer, _, leaf = name.rpartition(".")
        layer = layer.replace(".squeeze", "/squeeze1x1").replace(".expand", "/expand")
        value = tensor.permute(2, 3, 1, 0) if leaf == "weight" else tensor
        arrays[f"{layer}/{'kernel' if leaf == 'weight' else 'bias'}:0"] = value.numpy()
    assert load_into(network, arrays) == "keras_squeezenet"
    assert same(network, want)


@pytest.mark.parametrize(
    ("names", "origin"),
    [
        (("features.0.weight", "a.b"), "torch"),
        (("conv1/kernel", "conv1/bias"), "keras"),
        (("bn/gamma", "bn/moving_mean"), "keras"),
        (("conv1/0", "conv1/1"), "caffe"),
        (("conv0/weight", "conv0/bias", "conv0/variance"), "darknet"),
    ],
)
def test_whose_names(names: tuple[str, ...], origin: str) -> None:
    assert memory._origin(names) == origin


def test_caffes_and_darknets_names() -> None:
    network, want = build("lenet_caffe", seed=1), build("lenet_caffe", seed=2)
    state = {name.replace(".weight", "/0").replace(".bias", "/1"): each for name, each in want.state_dict().items()}
    assert load_into(network, state) == "caffe" and same(network, want)


def test_kinds_of_tensors() -> None:
    """Half precision, gradients, parameters, arrays; the network keeps its own kind and layout."""
    want = build("lenet5", seed=2)
    state = want.state_dict()
    for change in (
        lambda each: each.double(),
        lambda each: each.clone().requires_grad_(),
        nn.Parameter,
        lambda each: each.numpy(),
        lambda each: each.numpy().astype(np.float64).tolist(),
    ):
        network = build("lenet5", seed=1).to(memory_format=torch.channels_last)
        load_into(network, {name: change(each) for name, each in state.items()})
        assert same(network, want) and {each.dtype for each in network.state_dict().values()} == {torch.float32}
        assert network.c3.weight.is_contiguous(memory_format=torch.channels_last)
    network.c1.weight.data.zero_()
    assert state["c1.weight"].abs().sum() > 0  # nothing is shared


def test_what_is_missing_or_left_over_is_listed_and_nothing_changes() -> None:
    network = build("mobilenet_v2", classes=3, seed=1)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    given = as_named(build("mobilenet_v2", classes=3, seed=2), "torchvision")
    less = {name: each for name, each in given.items() if name != "features.0.0.weight"}
    more = given | {"odd.weight": torch.ones(2)}
    for tensors, said in (
        (
            more,
            r"^the weights given: does not fit mobilenet_v2 of 3 classes, read as torch.*1 unexpected \(odd\.weight\)",
        ),
        (less, "missing"),
        (as_named(build("mobilenet_v2", classes=4), "timm"), "answer with 4 classes, the network with 3; .*skip_head"),
        ({n: each for n, each in given.items() if "classifier" not in n}, "leave them as they are: skip_head=True"),
        ({"state_dict": given}, "'state_dict' is a dict; expected a name and a tensor"),
        (build("mobilenet_v2"), "are a MobileNetV2; expected names and tensors, as module.state_dict"),
        ({1: torch.ones(2)}, "1 is a Tensor; expected a name"),
        (
            {f"body.{n}": each for n, each in given.items()},
            "314 of its 314 tensors begin with 'body.'; give those alone",
        ),
    ):
        with pytest.raises(WeightsError, match=said):
            load_into(network, tensors)
        assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_the_head_can_be_left_alone() -> None:
    network, given = build("mobilenet_v2", classes=3, seed=1), build("mobilenet_v2", classes=4, seed=2)
    head = network.classifier.weight.clone()
    load_into(network, as_named(given, "timm"), skip_head=True)
    assert torch.equal(network.classifier.weight, head)
    assert torch.equal(network.conv_head.weight, given.conv_head.weight)


def test_auxiliary_heads_that_are_missing_stay() -> None:
    network, given = build("googlenet_bn", classes=3, seed=1), build("googlenet_bn", classes=3, seed=2)
    aux = network.aux1.fc1.weight.clone()
    tensors = {name: each for name, each in as_named(given, "torchvision").items() if not name.startswith("aux")}
    assert load_into(network, tensors) == "torchvision_googlenet"
    assert torch.equal(network.aux1.fc1.weight, aux) and torch.equal(network.fc.weight, given.fc.weight)


def test_other_channels() -> None:
    network, given = build("resnet18", classes=3, in_channels=1), build("resnet18", classes=3)
    load_into(network, given.state_dict())
    torch.testing.assert_close(network.conv1.weight, given.conv1.weight.sum(1, keepdim=True))


def test_a_network_that_answers_otherwise_is_named() -> None:
    state = as_named(build("mobilenet_v1_symmetric", classes=3), "timm")
    with pytest.raises(WeightsError, match=r"is mobilenet_v1_symmetric here, which answers otherwise; .*create\('mob"):
        load_into(build("mobilenet_v1", classes=3), state)


def test_somebodys_own_network_takes_its_own_names() -> None:
    network, given = Skipping(), Skipping()
    state = {f"module.{name}": tensor for name, tensor in given.state_dict().items()}
    assert load_into(network, state) == "own" and same(network, given)
    with pytest.raises(WeightsError, match=r"the weights given does not fit Skipping: 1 missing \(last\.bias\)"):
        load_into(network, {name: each for name, each in given.state_dict().items() if name != "last.bias"})


ALIKE = ("alexnet_single", "googlenet_bn", "resnet50", "resnet50_2015", "se_resnet50", "resnet20", "xception")
ALIKE += ("mobilenet_v1", "mobilenet_v1_symmetric", "mobilenet_v1_025", "mobilenet_v2", "mobilenet_v2_same")


@pytest.mark.parametrize(
    "model", [*ALIKE, *(pytest.param(m, marks=pytest.mark.slow) for m in MODELS if m not in ALIKE)]
)
def test_a_network_knows_the_name_by_which_it_was_built(model: str) -> None:
    arguments = {"stochastic_depth": 0.2} if model.startswith("efficientnet") else {}
    with torch.device("meta"):
        network = build(model, classes=min(7, MODELS[model].classes), in_channels=2, arguments=arguments)
    assert network.built_as == model and copy.deepcopy(network).built_as == model


def test_importing_the_room_loads_no_torch() -> None:
    program = "import sys, striate.weights; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
