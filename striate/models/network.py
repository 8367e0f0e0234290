"""What every network of ours is: ordered named blocks, and the maps it offers to others."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from striate.base.errors import ModelError
from striate.base.nearest import did_you_mean
from striate.models.building import NO_ARGUMENTS, build, class_count

NO_AUXILIARY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class FeatureInfo:
    """One feature map that a network offers: after which block, how many channels, at which stride."""

    name: str
    channels: int
    stride: int


class Network(nn.Module):
    """A network as an ordered table of blocks, each a sequence of its own submodules.

    ``blocks`` maps a block's name to the paths of the modules that make it, in the order in which they run.
    Freezing, caching, checkpointing, cutting and explaining ask for blocks by name, never by index. Two rules hold
    for all networks: the very first module is the convolution that reads the images, and the block ``head`` comes
    last and holds exactly the layers whose shape depends on the number of classes (with their dropout), so that
    what comes before it fits any classes. ``feature_info`` names the blocks after which ``features`` takes a map,
    finest first. ``size`` is the (height, width) that the network needs, or None if it takes any from ``smallest`` on.
    ``built_as`` is the name by which `striate.models.build` made it, None if something else did, and ``built_with`` the
    further arguments of its builder.
    ``margin`` says of a network that answers place by place how many pixels around each it looks at, so that a large
    picture may be answered in tiles as it would be as a whole; None: it may look at all of it.
    ``auxiliary`` maps a block's name to the path of the auxiliary head that reads the output of its last module while
    training; such heads depend on the classes too and belong to no block.

    A network of another style than one block after the other overrides `compute`, and nothing else: its blocks still
    say which modules are frozen together, but it runs as a whole; if `compute` still calls `run_block` for each of
    them, `computes_by_blocks` says so. If blocks do run one after the other and pass more
    on than one map, it overrides `run_block` instead, as `striate.models.headed.Headed` does.

    Example:
        >>> from striate.models import build
        >>> network = build("resnet18", classes=10)
        >>> list(network.blocks)
        ['stem', 'stage1', 'stage2', 'stage3', 'stage4', 'pool', 'head']
    """

    fewest_classes: ClassVar[int] = 1
    margin: int | None = None
    built_as: str | None = None
    built_with: Mapping[str, Any] = NO_ARGUMENTS

    def __init__(
        self,
        *,
        classes: int,
        in_channels: int,
        blocks: Mapping[str, tuple[str, ...]],
        feature_info: tuple[FeatureInfo, ...],
        size: tuple[int, int] | None = None,
        smallest: tuple[int, int] = (1, 1),
        auxiliary: Mapping[str, str] = NO_AUXILIARY,
    ) -> None:
        super().__init__()
        for name, value, least in (("classes", classes, self.fewest_classes), ("in_channels", in_channels, 1)):
            if value < least:
                raise ModelError(f"{type(self).__name__}: {name} is {value}; it must be at least {least}")
        self.classes, self.in_channels, self.size = classes, in_channels, size
        self.smallest = smallest if size is None else size
        self.blocks, self.feature_info, self.auxiliary = dict(blocks), feature_info, dict(auxiliary)

    def forward(self, images: Tensor) -> Tensor:
        """Images ``[N, C, H, W]`` to logits ``[N, classes]``, in training and evaluation alike.

        Raises:
            ModelError: the images do not fit the network.
        """
        self.check_images(images)
        return self.compute(images)

    def compute(self, x: Tensor) -> Tensor:
        """What the network is: images that fit to its one output; here by one block after the other."""
        return self._chain(x, self.blocks)

    def run_block(self, name: str, x: Any) -> Any:
        """One block, on what the block before it gave."""
        for path in self.blocks[name]:
            x = self.get_submodule(path)(x)
        return x

    @property
    def runs_by_blocks(self) -> bool:
        """Whether `run` can run some of the blocks: whether nobody has overridden what the network computes."""
        return type(self).compute is Network.compute and type(self).forward is Network.forward

    @property
    def computes_by_blocks(self) -> bool:
        """Whether `compute` calls `run_block` for each block once, whatever it does before, between and after."""
        return self.runs_by_blocks

    def run(self, x: Any, start: str | None = None, stop: str | None = None) -> Any:
        """Run the blocks from ``start`` (the first if None) up to and including ``stop`` (the last if None).

        ``x`` is what the block ``start`` takes: images for the first, else what the block before it gave.

        Raises:
            ModelError: ``start`` or ``stop`` is not a block of this network, ``stop`` comes before ``start``, the
                images do not fit the network, or a part is asked for of a network that only runs as a whole.
        """
        names = list(self.blocks)
        first = 0 if start is None else self._position(start)
        last = len(names) - 1 if stop is None else self._position(stop)
        if last < first:
            raise ModelError(f"block {stop!r} comes before block {start!r}; the order is {', '.join(names)}")
        if not self.runs_by_blocks:
            if (first, last) == (0, len(names) - 1):
                return self(x)
            raise ModelError(
                f"{type(self).__name__} does not run one block after the other, so that the part from {names[first]!r} "
                f"to {names[last]!r} cannot run alone; all of it can"
            )
        if first == 0:
            self.check_images(x)
        return self._chain(x, names[first : last + 1])

    def _chain(self, x: Any, names: Iterable[str]) -> Any:
        for name in names:
            x = self.run_block(name, x)
        return x

    def features(self, images: Tensor) -> list[Tensor]:
        """The maps of ``feature_info``, finest first, each ``[N, channels, H / stride, W / stride]``."""
        names = list(self.blocks)
        maps: list[Tensor] = []
        x, done = images, 0
        for info in self.feature_info:
            x = self.run(x, names[done], info.name)
            maps.append(x)
            done = names.index(info.name) + 1
        return maps

    def auxiliary_outputs(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The main output and those of the auxiliary heads (none for most networks); see `TrainingView`.

        Raises:
            ModelError: the images do not fit the network, or it leaves out a block that an auxiliary head reads.
        """
        outputs: dict[str, Tensor] = {}

        def listen(block: str, path: str) -> RemovableHandle:
            def hear(_module: nn.Module, _inputs: object, x: Tensor) -> None:
                outputs[block] = self.get_submodule(path)(x)

            return self.get_submodule(self.blocks[block][-1]).register_forward_hook(hear)

        hooks = [listen(block, path) for block, path in self.auxiliary.items()]
        try:
            main = self(images)
        finally:
            for hook in hooks:
                hook.remove()
        if missing := [block for block in self.auxiliary if block not in outputs]:
            raise ModelError(
                f"{type(self).__name__} never ran the last module of {missing}, which auxiliary heads read"
            )
        return main, tuple(outputs[block] for block in self.auxiliary)

    def refuse_unknown_blocks(self, names: Iterable[str]) -> None:
        """See that these are names of its blocks.

        Raises:
            ModelError: one is not.
        """
        known = list(self.blocks)
        for name in names:
            if name not in known:
                near = did_you_mean(name, known)
                raise ModelError(f"there is no block {name!r}.{near} Its blocks: {', '.join(known)}")

    def freeze(self, blocks: Sequence[str]) -> None:
        """From now on these blocks neither learn nor count statistics.

        Raises:
            ModelError: it has no such block.
        """
        self.refuse_unknown_blocks(blocks)
        for name in blocks:
            for path in self.blocks[name]:
                self.get_submodule(path).eval().requires_grad_(False)

    def reset_head(self, classes: int | Sequence[str], *, seed: int | None = None) -> None:
        """Put a fresh head for ``classes`` (a number, or their names) in place of this one, and of auxiliary ones.

        All else stays as it is; the head is the one that `striate.models.build` makes with the same ``seed``.

        Raises:
            ModelError: there are no such classes, or the network was not built by its name.

        Example:
            >>> from striate.models import build
            >>> network = build("lenet5", classes=10)
            >>> network.reset_head(["cat", "dog", "bird"])
            >>> network.classes, network.output
            (3, Linear(in_features=84, out_features=3, bias=True))
        """
        if self.built_as is None or "head" not in self.blocks:
            raise ModelError(
                f"{type(self).__name__}: only a whole network that striate.create or striate.models.build made by its "
                "name knows how its head is made for other classes"
            )
        count = class_count(self.built_as, classes)
        made = build(self.built_as, classes=count, in_channels=self.in_channels, seed=seed, arguments=self.built_with)
        like = next(self.parameters())
        for path in (*self.blocks["head"], *self.auxiliary.values()):
            head = made.get_submodule(path).train(self.get_submodule(path).training)
            self.set_submodule(path, head.to(like.device, like.dtype))
        self.classes = count

    def _position(self, block: str) -> int:
        names = list(self.blocks)
        if block not in names:
            raise ModelError(
                f"{type(self).__name__} has no block {block!r}.{did_you_mean(block, names)} It has {', '.join(names)}"
            )
        return names.index(block)

    def check_images(self, images: Tensor) -> None:
        """See that images ``[N, C, H, W]`` fit the network.

        Raises:
            ModelError: they do not; says which do.
        """
        name, shape = type(self).__name__, list(images.shape)
        if images.dim() != 4 or images.shape[1] != self.in_channels:
            raise ModelError(
                f"{name} takes images [N, {self.in_channels}, H, W]; got {shape}; build it with in_channels= "
                "for pictures of other channels"
            )
        if self.size is not None and (images.shape[2], images.shape[3]) != self.size:
            height, width = self.size
            raise ModelError(
                f"{name} takes images of {height}x{width}, because its dense layers count the places of its last "
                f"maps; got {shape}"
            )
        if any(got < least for got, least in zip(shape[2:], self.smallest, strict=True)):
            height, width = self.smallest
            raise ModelError(
                f"{name} takes images of {height}x{width} and more; of smaller ones its windows leave nothing; "
                f"got {shape}"
            )


class TrainingView(nn.Module):
    """What the training loop calls: forward gives ``(main, tuple of auxiliary outputs)``.

    The network's own forward returns one tensor in training and evaluation alike, so whoever uses it needs to know
    nothing of auxiliary heads; the loop, which must add their losses, looks through this view.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Images ``[N, C, H, W]`` to the main output and the auxiliary ones."""
        return self.network.auxiliary_outputs(images)


def parameter_count(network: nn.Module) -> int:
    """How many numbers training may change: those of auxiliary heads are among them, running statistics are not."""
    return sum(parameter.numel() for parameter in network.parameters())
