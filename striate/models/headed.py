"""Networks whose head reads several maps of a backbone: those that find, cut out or draw, instead of naming."""

from collections.abc import Sequence

from torch import Tensor, nn

from striate.base.errors import ModelError
from striate.models.network import FeatureInfo, Network
from striate.ops.enlarging import size_of


class Headed(Network):
    """A backbone's blocks and one more, ``head`` (neck and heads), which makes one tensor of several maps.

    The backbone is taken over, with the names of its parameters behind ``backbone.``; what it has behind the last map
    that the head reads, and its auxiliary heads, are dropped, so that pictures may have any size.
    What one block gives the next is a tuple: the maps for the head that came before, finest first, and its own last.

    Args:
        backbone: a network that runs block by block.
        head: takes a list of maps ``[N, channels, H / stride, W / stride]``, finest first, and gives one tensor.
        features: which maps it reads, of the backbone's ``feature_info`` and in that order.
        classes: how many the head was made for.
        sized: whether the head must know the pictures' size: ``[N, 0, H, W]`` then stands before its maps, from the
            first block on.

    Raises:
        ModelError: the backbone does not offer these maps, or does not run block by block.

    Example:
        >>> import torch
        >>> from striate.models import build
        >>> class Widths(nn.Module):
        ...     def forward(self, maps): return torch.tensor([[x.shape[3] for x in maps]])
        >>> backbone = build("resnet18", classes=1)
        >>> network = Headed(backbone, Widths(), features=backbone.feature_info[2:], classes=5)
        >>> list(network.blocks), network(torch.zeros(1, 3, 64, 96)).tolist()
        (['stem', 'stage1', 'stage2', 'stage3', 'stage4', 'head'], [[12, 6, 3]])
    """

    def __init__(
        self,
        backbone: Network,
        head: nn.Module,
        *,
        features: Sequence[FeatureInfo],
        classes: int,
        sized: bool = False,
    ) -> None:
        offered = [info for info in backbone.feature_info if info in features]
        if not features or offered != list(features) or not backbone.runs_by_blocks:
            there = ", ".join(info.name for info in backbone.feature_info)
            raise ModelError(
                f"a head cannot read {', '.join(info.name for info in features) or 'nothing'} of a "
                f"{type(backbone).__name__}: it takes some, finest first, of {there}, of a network that runs by blocks"
            )
        _drop_behind(backbone, features[-1].name)
        super().__init__(
            classes=classes,
            in_channels=backbone.in_channels,
            blocks={
                **{name: tuple(f"backbone.{path}" for path in paths) for name, paths in backbone.blocks.items()},
                "head": ("head",),
            },
            feature_info=tuple(features),
            smallest=backbone.smallest,
        )
        self.backbone, self.head, self.sized = backbone, head, sized

    def run_block(self, name: str, x: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
        """One block, on the tuple that the one before it gave; the first on images."""
        *kept, last = x if isinstance(x, tuple) else (size_of(x), x) if self.sized else (x,)
        if name == "head":
            return self.head([*kept, last])
        names = list(self.blocks)
        place = names.index(name)
        if place and names[place - 1] in [info.name for info in self.feature_info]:
            kept.append(last)
        return (*kept, self.backbone.run_block(name, last))

    def features(self, images: Tensor) -> list[Tensor]:
        """The maps that the head reads, finest first."""
        return list(self.run(images, stop=self.feature_info[-1].name))[self.sized :]


def _drop_behind(network: Network, last: str) -> None:
    """Take away the blocks behind ``last`` and the auxiliary heads, and with the dense layers what fixes the size."""
    names = list(network.blocks)
    gone = [network.blocks.pop(name) for name in names[names.index(last) + 1 :]]
    kept = {path for paths in network.blocks.values() for path in paths}
    for path in dict.fromkeys([path for paths in gone for path in paths] + list(network.auxiliary.values())):
        if path not in kept:
            parent, _, name = path.rpartition(".")
            delattr(network.get_submodule(parent), name)
    network.auxiliary.clear()
    network.feature_info = tuple(info for info in network.feature_info if info.name in network.blocks)
    if network.size is not None:
        network.size, network.smallest = None, (1, 1)  # windows that do not fit will say so themselves
