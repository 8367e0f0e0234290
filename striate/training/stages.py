"""Stages: which blocks learn in which, and where in the run a step stands."""

import dataclasses
import itertools
from collections.abc import Sequence

from torch import nn

from striate.base.errors import RecipeError
from striate.base.nearest import did_you_mean
from striate.models.network import Network
from striate.recipe import BODY, Recipe, Stage


def named_blocks(recipe: Recipe, network: Network) -> Recipe:
    """The recipe with "body" replaced by the network's blocks, and every frozen block known to the network.

    Raises:
        RecipeError: a stage freezes a block that the network does not have, or all of them.
    """
    names = list(network.blocks)
    stages = []
    for stage in recipe.stages:
        frozen: list[str] = []
        for name in stage.freeze:
            if name == BODY:
                frozen += names[:-1]
            elif name in names:
                frozen.append(name)
            else:
                raise RecipeError(
                    f"a stage freezes {name!r}, which {recipe.model} does not have.{did_you_mean(name, names)} "
                    f'Its blocks: {", ".join(names)}; "{BODY}" is all but the last'
                )
        kept = tuple(name for name in names if name in frozen)
        if len(kept) == len(names):
            raise RecipeError("a stage freezes every block, so nothing would learn; leave at least one out of `freeze`")
        stages.append(dataclasses.replace(stage, freeze=kept))
    return dataclasses.replace(recipe, stages=tuple(stages))


def stage_at(stages: Sequence[Stage], epoch: int) -> tuple[int, int]:
    """The index of the stage that an epoch (from 0) is in, and the epoch's number within it."""
    for index, stage in enumerate(stages):
        if epoch < stage.epochs:
            return index, epoch
        epoch -= stage.epochs
    raise IndexError(f"epoch {epoch} lies behind the last stage")


def epochs_alike(stages: Sequence[Stage], epoch: int) -> int:
    """How many epochs follow this one (from 0) before other blocks learn, or the run ends.

    Example:
        >>> stages = (Stage(epochs=2, rate=0.1, freeze=("stem",)), Stage(epochs=3, rate=0.1))
        >>> [epochs_alike(stages, epoch) for epoch in range(5)]
        [1, 0, 2, 1, 0]
    """
    frozen = [stage.freeze for stage in stages for _ in range(stage.epochs)]
    return sum(1 for _ in itertools.takewhile(lambda names: names == frozen[epoch], frozen[epoch + 1 :]))


def set_mode(network: Network, stage: Stage) -> None:
    """Put the network into training mode but for the frozen blocks, which neither learn nor count statistics.

    With ``keep_statistics`` no batch norm counts statistics; the scales and shifts of those that are not frozen learn.
    """
    network.train().requires_grad_(True)
    if stage.keep_statistics:
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
    network.freeze(stage.freeze)


def mosaic_epochs(recipe: Recipe) -> int:
    """How many epochs, from the first on, have mosaics: the recipe's part of all but an extension's."""
    return round(recipe.augment.mosaic_epochs * sum(stage.epochs for stage in recipe.stages if stage.mosaic))
