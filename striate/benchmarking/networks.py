"""The same network made of torch's own modules, and how much it computes."""

import copy
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from striate.layers import (
    BatchNormAct2d,
    Conv2d,
    DepthwiseConv2d,
    GlobalAveragePool,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
)
from striate.models.layer_table import counted_multiply_adds
from striate.models.network import Network
from striate.ops.axes import Size, each_axis, each_padding
from striate.ops.plain import (
    Sides,
    plain_convolution,
    plain_global_average_pool,
    plain_max_pool,
    plain_response_norm,
)
from striate.ops.shapes import padding_amounts

_Windowed = Conv2d | MaxPool2d
_REPLACED = (BatchNormAct2d, LocalResponseNorm, GlobalAveragePool, Linear, MaxPool2d, Conv2d, DepthwiseConv2d)


class PlainNorm(nn.Module):
    """`torch.nn.BatchNorm2d`, an addition and an activation one after the other, as torchvision writes them."""

    def __init__(self, norm: BatchNormAct2d) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(norm.num_features, eps=norm.eps, momentum=norm.momentum)
        self.norm.load_state_dict(norm.state_dict())
        acts: dict[str, Callable[[], nn.Module]] = {
            "none": nn.Identity,
            "relu": lambda: nn.ReLU(inplace=True),
            "relu6": lambda: nn.ReLU6(inplace=True),
        }
        self.act = acts[norm.act]()

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """``act(norm(x) + residual)``, ``[N, C, H, W]``."""
        x = self.norm(x)
        if residual is not None:
            x += residual
        return self.act(x)


def plain_torch(network: Network, size: tuple[int, int], *, float32_depthwise: bool = False) -> Network:
    """A copy of a network in which convolutions, norms, pools and dense layers are torch's own modules.

    Weights are copied too. SAME paddings become the amounts that they are for pictures of ``size`` (height, width), so
    the copy is for that size alone. Layers that torch has no module for, and average pools, stay as they are.
    ``float32_depthwise`` lets the depthwise windows for which torch has no fast bfloat16 backward compute in float32.
    """
    sides = _sides(network, size)
    plain = copy.deepcopy(network)
    for path, module in list(plain.named_modules()):
        replaced = _plain(module, sides.get(path), float32_depthwise)
        if replaced is not None:
            plain.set_submodule(path, replaced.train(module.training))
    return plain


def multiply_adds(network: Network, size: tuple[int, int]) -> int:
    """One for each use of a weight by a convolution or a dense layer, for one picture of ``size``."""
    ghost = _ghost(network)
    with counted_multiply_adds(ghost) as counted:
        _run(ghost, size)
    return sum(counted)


def with_statistics(network: Network, size: tuple[int, int]) -> Network:
    """The network in evaluation mode, the statistics of its norms those of a few random pictures.

    With fresh ones the maps of a deep network grow from layer to layer, which no trained network does.
    """
    published = {module: module.momentum for module in network.modules() if isinstance(module, nn.BatchNorm2d)}
    for norm in published:
        norm.momentum = 1.0
    with torch.no_grad():
        drawn = torch.Generator().manual_seed(0)
        network.train()(torch.randn(4, network.in_channels, *size, generator=drawn))
    for norm, momentum in published.items():
        norm.momentum = momentum
    return network.eval()


def _sides(network: Network, size: tuple[int, int]) -> dict[str, Sides]:
    """Of each module with a window, by its path, the places before and after each axis."""
    found: dict[str, Sides] = {}

    def look(path: str, layer: _Windowed, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        paddings = each_padding(path, layer.padding, 2, pools=True)
        axes = zip(inputs[0].shape[2:], *_window(layer), paddings, strict=True)
        found[path] = [padding_amounts(*axis) for axis in axes]

    ghost = _ghost(network)
    for path, module in ghost.named_modules():
        if isinstance(module, _Windowed):
            module.register_forward_hook(partial(look, path))
    _run(ghost, size)
    return found


def _ghost(network: Network) -> Network:
    """A copy of the network without numbers, in evaluation mode."""
    return copy.deepcopy(network).to("meta").eval()


def _run(ghost: Network, size: tuple[int, int]) -> None:
    """One picture of ``size`` through it, without numbers either."""
    with torch.no_grad():
        ghost(torch.zeros(1, ghost.in_channels, *size, device="meta"))


def _window(layer: _Windowed) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Window, stride and dilation, each (height, width)."""
    stride = layer.kernel_size if layer.stride is None else layer.stride
    return _both("kernel_size", layer.kernel_size), _both("stride", stride), _both("dilation", layer.dilation)


def _both(name: str, value: Size) -> tuple[int, int]:
    height, width = each_axis("plain_torch", name, value, 2)
    return height, width


def _plain(module: nn.Module, sides: Sides | None, float32_depthwise: bool) -> nn.Module | None:
    """What stands for a module, or None if it stays: classes made from these compute something else."""
    if type(module) not in _REPLACED:
        return None
    match module:
        case Linear():
            plain = nn.Linear(module.in_features, module.out_features, bias=module.bias is not None)
            plain.load_state_dict(module.state_dict())
            return plain
        case BatchNormAct2d():
            return PlainNorm(module)
        case LocalResponseNorm():
            return plain_response_norm(module.norm)
        case GlobalAveragePool():
            return plain_global_average_pool()
        case MaxPool2d() if sides is not None and module.padding != "ceil":
            window, stride, dilation = _window(module)
            return plain_max_pool(window, stride=stride, dilation=dilation, sides=sides)
        case Conv2d() if sides is not None:
            _, stride, dilation = _window(module)
            return plain_convolution(
                module.weight,
                module.bias,
                stride=stride,
                dilation=dilation,
                groups=module.groups,
                sides=sides,
                float32_depthwise=float32_depthwise,
            )
    return None
