"""The names of well-known Caffe networks.

Caffe numbers the arrays of a layer: ``conv1/0`` are its weights, ``conv1/1`` its biases, in shapes that PyTorch has
too, but for old files, whose arrays all have four axes. A batch norm is two layers: "BatchNorm" has sums of means
(``/0``) and of variances (``/1``) and by what to divide both (``/2``), "Scale" has factor and bias.

What the numbers do not tell:

- LeNet, AlexNet and VGG have names that ours have. CaffeNet's names and shapes are AlexNet's too, but it normalises
  behind its pools, AlexNet before them: its weights fit ``alexnet`` and answer differently.
- ResNet (He and others) and SE-ResNet stride in the first 1x1 window: ``resnet50`` means ``resnet50_2015``. The
  authors' max pool behind the first convolution has no padding, that of ``resnet50_2015`` is symmetric: answers differ
  a little. ResNet-50's first convolution has a bias, which goes into the batch norm's mean here.
- SqueezeNet 1.0's last convolution pads its maps by 1, which ours does not.
- MobileNet's paddings are symmetric, so it is our ``mobilenet_v1_symmetric``.

Most of these networks see pictures as blue, green, red, 0 to 255, less a mean; that is for whoever prepares them.
"""

import re
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor, nn

from striate.weights.foreign import Foreign
from striate.weights.layouts import fold_bias
from striate.weights.schemes.renaming import layers_in_order, move_epsilons, reshaped, shared_tensor, units_in_order

if TYPE_CHECKING:
    from striate.models.network import Network

_EPSILON = 1e-5

_WEIGHTS = {"0": "weight", "1": "bias"}
_STATISTICS = {"0": "running_mean", "1": "running_var"}

_RESNET = re.compile(r"(res|bn|scale)([2-5])([a-z]|b\d{1,3})_branch(1|2[abc])")
_RESNET_OUTSIDE = {"conv1": "conv1", "bn_conv1": "bn1", "scale_conv1": "bn1", "fc1000": "fc"}

_SE_RESNET = re.compile(
    r"conv([2-5])_(\d{1,3})_(1x1_reduce|3x3|1x1_increase|1x1_proj|1x1_down|1x1_up)(/bn(?:/scale)?)?"
)
_SE_RESNET_PARTS = {
    "1x1_reduce": ("conv1", "bn1"),
    "3x3": ("conv2", "bn2"),
    "1x1_increase": ("conv3", "bn3"),
    "1x1_proj": ("downsample.0", "downsample.1"),
    "1x1_down": ("se.fc1", None),
    "1x1_up": ("se.fc2", None),
}
_SE_RESNET_OUTSIDE = {
    "conv1/7x7_s2": "conv1",
    "conv1/7x7_s2/bn": "bn1",
    "conv1/7x7_s2/bn/scale": "bn1",
    "classifier": "fc",
}

_INCEPTION = re.compile(r"inception_([345][a-e])/(1x1|3x3_reduce|3x3|5x5_reduce|5x5|pool_proj)")
_INCEPTION_PARTS = {
    "1x1": "branch1.conv",
    "3x3_reduce": "branch2.0.conv",
    "3x3": "branch2.1.conv",
    "5x5_reduce": "branch3.0.conv",
    "5x5": "branch3.1.conv",
    "pool_proj": "branch4.1.conv",
}
_GOOGLENET_OUTSIDE = {
    "conv1/7x7_s2": "conv1.conv",
    "conv2/3x3_reduce": "conv2.conv",
    "conv2/3x3": "conv3.conv",
    "loss1/conv": "aux1.conv.conv",
    "loss1/fc": "aux1.fc1",
    "loss1/classifier": "aux1.fc2",
    "loss2/conv": "aux2.conv.conv",
    "loss2/fc": "aux2.fc1",
    "loss2/classifier": "aux2.fc2",
    "loss3/classifier": "fc",
}

_FIRE = re.compile(r"(fire[2-9])/(squeeze|expand)([13]x[13])")

_MOBILENET = re.compile(r"conv(?:([2-5])_([1-6])|6)/(dw|sep)(/bn|/scale)?")
_MOBILENET_OUTSIDE = {"conv1": "conv_stem", "conv1/bn": "bn1", "conv1/scale": "bn1", "fc7": "classifier"}


def as_named(foreign: Foreign, network: "Network") -> dict[str, Tensor]:
    """LeNet, AlexNet and VGG: their names are ours."""
    return _placed(foreign, network, lambda layer: layer)


def resnet(foreign: Foreign, network: "Network") -> dict[str, Tensor]:
    """``res4b22_branch2a`` with ``bn4b22_branch2a`` and ``scale4b22_branch2a``: ``layer3.22.conv1`` and ``.bn1``."""

    def rename(layer: str) -> str | None:
        if (found := _RESNET.fullmatch(layer)) is None:
            return _RESNET_OUTSIDE.get(layer)
        kind, stage, unit, branch = found.groups()
        number = int(unit[1:]) if len(unit) > 1 else ord(unit) - ord("a")
        if branch == "1":
            last = "downsample.0" if kind == "res" else "downsample.1"
        else:
            last = f"{'conv' if kind == 'res' else 'bn'}{'abc'.index(branch[1]) + 1}"
        return f"layer{int(stage) - 1}.{number}.{last}"

    return _placed(foreign, network, rename)


def se_resnet(foreign: Foreign, network: "Network") -> dict[str, Tensor]:
    """``conv2_1_1x1_reduce`` with ``/bn`` and ``/bn/scale``: ``layer1.0.conv1`` and ``.bn1``."""

    def rename(layer: str) -> str | None:
        if (found := _SE_RESNET.fullmatch(layer)) is None:
            return _SE_RESNET_OUTSIDE.get(layer)
        stage, unit, part, norm = found.groups()
        last = _SE_RESNET_PARTS[part][norm is not None]
        return None if last is None else f"layer{int(stage) - 1}.{int(unit) - 1}.{last}"

    return _placed(foreign, network, rename)


def googlenet(foreign: Foreign, network: "Network") -> dict[str, Tensor]:
    """``inception_3a/5x5_reduce``: ``inception3a.branch3.0.conv``; ``loss1`` and ``loss2`` are the auxiliary heads."""

    def rename(layer: str) -> str | None:
        found = _INCEPTION.fullmatch(layer)
        return f"inception{found[1]}.{_INCEPTION_PARTS[found[2]]}" if found else _GOOGLENET_OUTSIDE.get(layer)

    return _placed(foreign, network, rename)


def squeezenet(foreign: Foreign, network: "Network") -> dict[str, Tensor]:
    """``fire2/squeeze1x1``: ``fire2.squeeze``."""

    def rename(layer: str) -> str | None:
        if layer in ("conv1", "conv10"):
            return layer
        found = _FIRE.fullmatch(layer)
        return f"{found[1]}.{'squeeze' if found[2] == 'squeeze' else found[2] + found[3]}" if found else None

    return _placed(foreign, network, rename)


def mobilenet(foreign: Foreign, network: "Network") -> dict[str, Tensor]:
    """``conv5_6/sep`` with ``/bn`` and ``/scale``: the pointwise convolution of the twelfth unit."""
    units = units_in_order(network)

    def rename(layer: str) -> str | None:
        if (found := _MOBILENET.fullmatch(layer)) is None:
            return _MOBILENET_OUTSIDE.get(layer)
        row, place, kind, norm = found.groups()
        # conv2 to conv4 have two units each, conv5 six, conv6 is one.
        number = 12 if row is None else 2 * (int(row) - 2) + int(place) - 1
        last = ("conv_dw", "bn1") if kind == "dw" else ("conv_pw", "bn2")
        return f"{units[number]}.{last[norm is not None]}" if number < len(units) else None

    return _placed(foreign, network, rename)


def _placed(foreign: Foreign, network: "Network", rename: Callable[[str], str | None]) -> dict[str, Tensor]:
    """Every array by our names; ``rename`` takes a layer's name and gives our layer's, None if there is none."""
    wanted = network.state_dict()
    norms = {path for path, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}
    tensors: dict[str, Tensor] = {}
    for layer, blobs in foreign.layers().items():
        path = rename(layer)
        if path in norms and len(blobs) == 3:
            leaves, blobs = _STATISTICS, _divided(blobs)
        else:
            leaves = _WEIGHTS
        for number, array in blobs.items():
            name = f"{layer}/{number}" if path is None else f"{path}.{leaves.get(number, number)}"
            name = f"{layer}/{number} (a second {name})" if name in tensors else name
            tensor = shared_tensor(array)
            tensors[name] = reshaped(tensor, wanted[name]) if name in wanted else tensor
    return move_epsilons(network, _without_biases(network, tensors), theirs=_epsilon(foreign))


def _epsilon(foreign: Foreign) -> float:
    """The epsilon that the file's batch norms state, if they state one; Caffe's own else."""
    layers = [layer for layer in foreign.facts.get("layers", ()) if layer["type"] == "BatchNorm"]
    stated = {float(f"{layer.get('epsilon', _EPSILON):.6g}") for layer in layers}
    return stated.pop() if len(stated) == 1 else _EPSILON


def _divided(blobs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Mean and variance from the three arrays of a batch norm.

    The divisor 0, of a network that has seen nothing, makes both 0, as in Caffe.
    """
    factor = blobs.get("2")
    if factor is None or factor.size != 1:
        return blobs
    divisor = float(factor.reshape(-1)[0])
    scale = 0.0 if divisor == 0 else 1 / divisor
    with np.errstate(all="ignore"):  # a damaged file may have anything here
        return {number: (array * scale).astype(np.float32) for number, array in blobs.items() if number != "2"}


def _without_biases(network: "Network", tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Biases of convolutions that have none here go into the mean of the batch norm behind them."""
    wanted, layers = network.state_dict(), layers_in_order(network)
    folded = dict(tensors)
    for layer, after in pairwise(layers):
        bias, mean = tensors.get(f"{layer}.bias"), tensors.get(f"{after}.running_mean")
        if f"{layer}.bias" in wanted or bias is None or mean is None or bias.numel() != mean.numel():
            continue
        folded[f"{after}.running_mean"] = fold_bias(mean, bias.reshape(mean.shape))
        del folded[f"{layer}.bias"]
    return folded
