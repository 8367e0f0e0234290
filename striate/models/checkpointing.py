"""Training with activation checkpointing: some of a network's blocks keep only what goes in, and are computed again."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import pairwise
from math import isqrt
from typing import Any

from torch import Tensor, nn

from striate.base.errors import ModelError
from striate.models.network import Network, TrainingView
from striate.ops.checkpointing import checkpointed


class CheckpointedView(TrainingView):
    """A `TrainingView` that keeps for backward what goes into the parts of ``blocks``, not what is computed in them.

    A block that is a row of n units is cut into parts of √(n/2) of them, any other is one part: while backward is in
    one, the others need no room (Chen et al. 2016, section 4.1, has √n, for units that need as much room as goes into
    them; these need about twice that). What stands first in a block and has no parameters, such as a pool, goes with
    the part before it, since it makes maps smaller. Outputs and running statistics are those of a `TrainingView`, and
    gradients too, but for the order of sums where a head reads a map as well. A part in which nothing learns now is
    left as it is.

    Raises:
        ModelError: the network has no such block, or does not run block by block.

    Example:
        >>> import torch
        >>> from striate.models import build
        >>> view = CheckpointedView(build("resnet18", classes=10), ["stage1", "stage2"])
        >>> view(torch.zeros(2, 3, 64, 64))[0].shape
        torch.Size([2, 10])
    """

    def __init__(self, network: Network, blocks: Sequence[str]) -> None:
        super().__init__(network)
        refuse_blocks(network, blocks)
        self.blocks = frozenset(blocks)

    def forward(self, images: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Images ``[N, C, H, W]`` to the main output and the auxiliary ones."""
        network, answers = self.network, dict[str, Tensor]()
        parts = self._parts_of(network)
        if network.runs_by_blocks:
            _join_pools(parts, network)
        inner = [each for each in network.modules() if isinstance(each, Network) and each is not network]

        def outer(run_block: _RunBlock, name: str, x: Any) -> Any:
            handed_down = any(name in each.blocks for each in inner)
            x = run_block(name, x) if handed_down else self._run(network, parts, run_block, name, x)
            if name in network.auxiliary:  # which must not be in what is computed again
                answers[name] = network.get_submodule(network.auxiliary[name])(x)
            return x

        with ExitStack() as held:
            for each in inner:
                held.enter_context(_running_by(each, partial(self._run, each, self._parts_of(each))))
            held.enter_context(_running_by(network, outer))
            main = network(images)
        return main, tuple(answers[name] for name in network.auxiliary)

    def _run(self, network: Network, parts: "_Parts", run_block: "_RunBlock", name: str, x: Any) -> Any:
        """A block of the network, or of one that it is made of."""
        if name in parts:
            for part in parts[name]:
                x = _again(partial(_one_after_the_other, part), x, part)
            return x
        run = partial(run_block, name)
        return _again(run, x, _modules(network, name)) if name in self.blocks else run(x)

    def _parts_of(self, network: Network) -> "_Parts":
        """The parts of those blocks that are nothing but their modules, one after the other."""
        plain = type(network).run_block is Network.run_block
        return {name: _parts(_modules(network, name)) for name in network.blocks if plain and name in self.blocks}


_RunBlock = Callable[[str, Any], Any]
_Parts = dict[str, list[list[nn.Module]]]


def training_view(network: Network, blocks: Sequence[str]) -> TrainingView:
    """What a step of training calls: the network, of which these blocks are computed again, if there are any.

    Raises:
        ModelError: as `CheckpointedView`.
    """
    return CheckpointedView(network, blocks) if blocks else TrainingView(network)


def refuse_blocks(network: Network, blocks: Sequence[str]) -> None:
    """See that these blocks of a network can be computed again, one by one.

    Raises:
        ModelError: the network has no such block, or does not run block by block.
    """
    network.refuse_unknown_blocks(blocks)
    if blocks and not network.computes_by_blocks:
        raise ModelError(
            f"{type(network).__name__} runs as a whole and not one block after the other, so that no block of it can "
            "be computed again alone"
        )


def _again(part: Callable[[Any], Any], x: Any, modules: Sequence[nn.Module]) -> Any:
    learns = any(each.requires_grad for module in modules for each in module.parameters())
    return checkpointed(part, x, modules) if learns else part(x)


def _parts(modules: Sequence[nn.Module]) -> list[list[nn.Module]]:
    """Parts between which something is kept; what stands before or behind a row goes with its first or last units."""
    parts: list[list[nn.Module]] = [[]]
    for module in modules:
        if isinstance(module, nn.Sequential) and _is_row_of_units(module):
            units = list(module)
            size = max(1, isqrt(len(units) // 2))
            parts[-1] += units[:size]
            parts += [units[start : start + size] for start in range(size, len(units), size)]
        else:
            parts[-1].append(module)
    return parts


def _modules(network: Network, name: str) -> list[nn.Module]:
    return [network.get_submodule(path) for path in network.blocks[name]]


def _join_pools(parts: _Parts, network: Network) -> None:
    """Let what begins a block without parameters go with the part before it, where nobody reads what is between."""
    for before, name in pairwise(network.blocks):
        if before in parts and name in parts and before not in network.auxiliary:
            first = parts[name][0]
            while first and not any(True for _ in first[0].parameters()):
                parts[before][-1].append(first.pop(0))


def _is_row_of_units(row: nn.Sequential) -> bool:
    as_listed = type(row).forward is nn.Sequential.forward
    return as_listed and len(row) > 1 and all(any(unit.children()) for unit in row)


def _one_after_the_other(modules: Sequence[nn.Module], x: Any) -> Any:
    for module in modules:
        x = module(x)
    return x


@contextmanager
def _running_by(network: Network, run: Callable[[_RunBlock, str, Any], Any]) -> Iterator[None]:
    """Within, the network runs its blocks by this, which is given its own way."""
    network.__dict__["run_block"] = partial(run, network.run_block)
    try:
        yield
    finally:
        del network.__dict__["run_block"]
