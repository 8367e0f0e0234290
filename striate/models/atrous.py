"""A network's last strides made dilations: its maps stay fine, and its weights are those that it has.

Chen, Papandreou, Schroff and Adam, "Rethinking atrous convolution for semantic image segmentation", 2017, sections 3.1
and 3.2. A window that would step by two steps by one, and all behind it lay their taps twice as far apart, so that each
place sees what it saw; between the places that there were, there are others now.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from striate.base.errors import ModelError
from striate.layers import Conv2d
from striate.layers.pooling import Pool
from striate.models.network import Network
from striate.ops.axes import Paddings, Size, each_axis
from striate.ops.shapes import reach

PLACES = 1024
"""Of the coarsest map when strides are measured, so that the few places that VALID windows lose do not matter."""

_Windowed = Conv2d | Pool


def make_atrous(network: Network, output_stride: int) -> None:
    """Let no map that the network offers have more than ``output_stride`` pixels a place, in place.

    Of ``feature_info`` the last map at each stride remains. Windows behind the last map stay as they are. Where windows
    pad symmetrically, or SAME over an odd number of places, every so-manieth place of the new map is the old one's;
    over an even number SAME now pads its odd place on neither side, and the old places are the last of each group.
    Means over whole maps (squeeze-and-excitation) are now over more places.

    Raises:
        ModelError: the network has no map of that stride, or does not run by blocks.

    Example:
        >>> from striate.models import build
        >>> network = build("resnet18", classes=1)
        >>> make_atrous(network, 8)
        >>> [x.shape[2] for x in network.features(torch.zeros(1, 3, 64, 64))]
        [32, 16, 8]
    """
    offered = [info.stride for info in network.feature_info]
    if output_stride not in offered or not network.runs_by_blocks:
        raise ModelError(
            f"{type(network).__name__} cannot keep {output_stride} pixels a place; it can keep one of its own strides, "
            f"{offered}, if it runs by blocks"
        )
    for module, (before, after) in _strides(network).items():
        _spread(module, finer=max(1, before // output_stride), stride=_kept(after, output_stride, before))
    last = {min(info.stride, output_stride): info for info in network.feature_info}
    network.feature_info = tuple(replace(info, stride=stride) for stride, info in last.items())


def _kept(after: int, output_stride: int, before: int) -> int:
    return min(after, output_stride) // min(before, output_stride)


def _spread(module: _Windowed, *, finer: int, stride: int) -> None:
    """Let a window step by ``stride`` over a map that is so many times finer than it was."""
    axes = [each_axis("make_atrous", "a window", size, 2) for size in (module.kernel_size, module.dilation)]
    before = each_axis("make_atrous", "stride", module.kernel_size if module.stride is None else module.stride, 2)
    if (stride, stride) == before and finer == 1:
        return
    reaches = [reach(*axis) for axis in zip(*axes, strict=True)]
    module.padding = _wider(module.padding, finer, [min(*both) - 1 for both in zip(before, reaches, strict=True)])
    module.stride, module.dilation = stride, _times(module.dilation, finer)


def _wider(padding: Paddings, finer: int, left_over: list[int]) -> Paddings:
    """The padding of a map that is so many times finer: amounts grow, "ceil" becomes the amounts that it meant."""
    if padding == "ceil":
        padding = tuple((0, count) for count in left_over)
    if isinstance(padding, str):
        return padding
    if isinstance(padding, int):
        return padding * finer
    return tuple((first * finer, second * finer) for first, second in padding)


def _times(sides: Size, factor: int) -> Size:
    return sides * factor if isinstance(sides, int) else tuple(side * factor for side in sides)


class _UpToTheLastMap(nn.Module):
    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> None:
        for name in self.network.blocks:
            x = self.network.run_block(name, x)
            if name == self.network.feature_info[-1].name:
                return


def _strides(network: Network) -> dict[_Windowed, tuple[int, int]]:
    """Of each window up to the last map how many pixels a place it reads and writes, seen in a run without numbers."""
    side, found = PLACES * network.feature_info[-1].stride, dict[_Windowed, tuple[int, int]]()

    def see(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, Conv2d | Pool):
            found[module] = round(side / inputs[0].shape[2]), round(side / output.shape[2])

    hooks = [module.register_forward_hook(see) for module in network.modules() if isinstance(module, Conv2d | Pool)]
    run = _UpToTheLastMap(network)
    numberless = {name: tensor.to("meta") for name, tensor in run.state_dict().items()}
    training = {module for module in network.modules() if module.training}
    try:
        network.eval()
        with torch.no_grad():
            images = torch.zeros(1, network.in_channels, side, side, device="meta")
            torch.func.functional_call(run, numberless, (images,))
    finally:
        for hook in hooks:
            hook.remove()
        for module in network.modules():
            module.training = module in training
    return found
