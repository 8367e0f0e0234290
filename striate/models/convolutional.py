"""A network's dense layers as convolutions: it then takes larger pictures, and answers every part of them in one pass.

Sermanet and others, "OverFeat: integrated recognition, localization and detection using convolutional networks", 2014,
section 3.5; Long, Shelhamer and Darrell, "Fully convolutional networks for semantic segmentation", 2015, section 3.1.
"""

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from striate.base.errors import ModelError
from striate.layers import AveragePool2d, Conv2d, GlobalAveragePool, SqueezeExcite
from striate.models.building import NO_ARGUMENTS
from striate.models.network import Network
from striate.models.table import architecture

_EACH_ALONE = (
    *(nn.Identity, nn.Dropout, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SiLU, nn.GELU, nn.Hardswish),
    *(nn.Tanh, nn.Sigmoid),
)
"""What does to maps, number by number, what it does to vectors."""


class _Parts(NamedTuple):
    """The paths of a network's modules: those that make maps, the one that makes vectors of them, and the others."""

    maps: tuple[str, ...]
    joint: str
    vectors: tuple[str, ...]


def as_convolutional(network: Network, *, size: tuple[int, int] | None = None) -> Network:
    """A copy whose answers are maps, ``[N, classes, H', W']``: 1x1 for a picture of ``size``, more for larger ones.

    The first dense layer behind a flattening becomes a convolution as large as the maps of a picture of ``size``,
    every other one a convolution of 1x1, and the mean of whole maps becomes one of windows as large, at every place.
    No padding, no stride: of maps of 14x14 a window of 7x7 leaves 8x8. Parameters keep their names and numbers (a dense
    weight ``[out, in]`` becomes ``[out, C, h, w]``); the copy shares none, is in evaluation mode, and has no auxiliary
    heads.

    The answer at row i, column j is that to the part of ``size`` which begins at i and j times the stride of the last
    maps. Where nothing in the network pads, the two are equal; elsewhere windows at the part's border see how the
    picture goes on instead of padding (and with SAME, parts begin a few pixels off where strides do not divide sizes).

    Args:
        network: one whose blocks run one after the other, and end in dense layers or a global pool.
        size: height and width of the pictures that it was trained with. None takes the only ones that it can, or of a
            network of any size those it was published with.

    Raises:
        ModelError: the network is none of these, weighs its maps by means over whole pictures
            (squeeze-and-excitation), or cannot take pictures of ``size``.

    Example:
        >>> from striate.models import build
        >>> network = as_convolutional(build("lenet5", classes=10))
        >>> network.f6, network(torch.zeros(1, 1, 32, 48)).shape
        (Conv2d(120, 84, kernel_size=(1, 1), padding='valid'), torch.Size([1, 10, 1, 5]))
    """
    parts = _parts(network)
    size = _trained_with(network) if size is None else size
    made = copy.deepcopy(network).eval()
    _put_convolutions(made, parts, size)
    for path in made.auxiliary.values():
        parent, _, name = path.rpartition(".")
        delattr(made.get_submodule(parent), name)
    made.auxiliary.clear()
    made.size, made.smallest = None, size
    made.built_as, made.built_with = None, NO_ARGUMENTS  # nobody can build it again by that name
    return made.eval()  # what is new in it, too


def _put_convolutions(network: Network, parts: _Parts, size: tuple[int, int]) -> None:
    """Put convolutions, or windows of means, where vectors were made and read."""
    _, channels, height, width = _last_maps(network, parts.maps, size).shape
    flat = isinstance(network.get_submodule(parts.joint), nn.Flatten)
    window = (height, width) if flat else (1, 1)
    network.set_submodule(parts.joint, nn.Identity() if flat else AveragePool2d((height, width), stride=1))
    for path in parts.vectors:
        if isinstance(dense := network.get_submodule(path), nn.Linear):
            if dense.in_features != channels * window[0] * window[1]:
                raise ModelError(
                    f"{type(network).__name__} was not trained with pictures of {size[0]}x{size[1]}: its last maps of "
                    f"them are {channels}x{height}x{width}, and its {path} reads {dense.in_features} numbers"
                )
            network.set_submodule(path, _convolution(dense, window))
            channels, window = dense.out_features, (1, 1)


@torch.no_grad()
def _last_maps(network: Network, paths: tuple[str, ...], size: tuple[int, int]) -> Tensor:
    """What the modules of these paths make of an empty picture."""
    x = next(network.parameters()).new_zeros(1, network.in_channels, *size)
    network.check_images(x)
    for path in paths:
        x = network.get_submodule(path)(x)
    return x


def _parts(network: Network) -> _Parts:
    """Where the maps of a network end, if what comes behind them can be convolutions."""
    kind = type(network).__name__
    if not isinstance(network, Network):
        raise ModelError(f"as_convolutional takes what striate.create or striate.load(...).network is, not a {kind}")
    if not network.runs_by_blocks or type(network).run_block is not Network.run_block:
        raise ModelError(f"{kind} cannot be made convolutional: it does more than run its blocks one by one")
    if gates := [path for path, module in network.named_modules() if isinstance(module, SqueezeExcite)]:
        raise ModelError(
            f"{kind} cannot slide over a larger picture: its {gates[0]} weighs maps by their means over the whole of "
            "it; take a network without squeeze-and-excitation"
        )
    paths = [path for block in network.blocks.values() for path in block]
    modules = [network.get_submodule(path) for path in paths]
    end = next((place for place, each in enumerate(modules) if isinstance(each, nn.Flatten | GlobalAveragePool)), None)
    if end is None:
        raise ModelError(f"{kind} has no dense layers and no global pool: its answers are maps as it is")
    behind = list(zip(paths, modules, strict=True))[end + 1 :]
    if strange := [f"{p} ({type(m).__name__})" for p, m in behind if not isinstance(m, (nn.Linear, *_EACH_ALONE))]:
        raise ModelError(
            f"{kind} cannot be made convolutional: behind its {paths[end]} there may be dense layers, activations and "
            f"dropout, and there are {', '.join(strange)}"
        )
    if isinstance(modules[end], nn.Flatten) and not any(isinstance(module, nn.Linear) for _, module in behind):
        raise ModelError(f"{kind} has no dense layer behind its {paths[end]} that could become a convolution")
    return _Parts(tuple(paths[:end]), paths[end], tuple(paths[end + 1 :]))


def _trained_with(network: Network) -> tuple[int, int]:
    if network.size is not None:
        return network.size
    if network.built_as is None:
        raise ModelError(
            f"{type(network).__name__} takes pictures of any size; say with size=(height, width) which it learnt from"
        )
    return architecture(network.built_as).preprocess.size


def _convolution(dense: nn.Linear, window: tuple[int, int]) -> Conv2d:
    """The convolution that does to each window what the dense layer did to all numbers of maps of that size."""
    channels = dense.in_features // (window[0] * window[1])
    with torch.device("meta"):  # its weights need not be drawn
        made = Conv2d(channels, dense.out_features, window, bias=dense.bias is not None)
    weight = dense.weight.detach().reshape(dense.out_features, channels, *window)
    made.weight = nn.Parameter(weight, requires_grad=dense.weight.requires_grad)
    made.bias = dense.bias
    return made
