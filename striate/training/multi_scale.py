"""Multi-scale training: batches of other sizes (Redmon and Farhadi, "YOLO9000", CVPR 2017, section 2)."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch

from striate.base.errors import RecipeError
from striate.base.seeds import uniforms
from striate.data.names import counted
from striate.models.network import Network
from striate.pictures.preprocess import Preprocess
from striate.recipe import Recipe

STEP = 32
"""Sides are multiples of it, the stride of the coarsest map that usual networks have, so that no cell is cut."""
_FAR = 1024  # pixels: nobody who asked for a size means one so far from it
_SIZES = 6  # the stream of the sizes' numbers


def size_of(recipe: Recipe, network: Network, preprocess: Preprocess) -> Callable[[int, int], tuple[int, int]] | None:
    """What says the height and width of a batch, of any epoch; None where all have the recipe's.

    Raises:
        RecipeError, ModelError: as `sizes_of`.
    """
    sizes = sizes_of(recipe, network, preprocess)
    if not sizes:
        return None

    def size(epoch: int, batch: int) -> tuple[int, int]:
        draw = float(uniforms(recipe.seed, epoch, np.array([batch], dtype=np.uint64), 1, stream=_SIZES)[0, 0])
        return sizes[int(draw * len(sizes))]

    return size


def sizes_of(recipe: Recipe, network: Network, preprocess: Preprocess) -> list[tuple[int, int]]:
    """The heights and widths that batches have, from the smallest on; none where all have the recipe's.

    Raises:
        RecipeError: the network takes one size only, or no size of the steps lies between the two.
        ModelError: the network does not take one of the sizes.
    """
    least, most = recipe.augment.multi_scale
    if (least, most) == (1.0, 1.0):
        return []
    if network.size is not None:
        raise RecipeError(
            f"augment: multi_scale = {[least, most]}, but {recipe.model} takes pictures of "
            f"{network.size[0]} x {network.size[1]} only; leave multi_scale at [1, 1]"
        )
    shorter = min(preprocess.size)
    steps = _steps(shorter, least, most)
    if not steps:
        near = next((side for side in _nearest(shorter) if _steps(side, least, most)), None)
        hint = f"; the nearest --size with one has a shorter side of {near}" if near else ""
        raise RecipeError(
            f"augment: multi_scale = {[least, most]} of {counted(shorter, 'pixel')} have no multiple of {STEP} between "
            f"them{hint}, and --multi-scale 1 1 leaves all batches at one size"
        )
    sizes = [_of_shorter(step * STEP, preprocess.size) for step in steps]
    for height, width in sizes:
        network.check_images(torch.empty(1, preprocess.count, height, width, device="meta"))
    return sizes


def _steps(shorter: int, least: float, most: float) -> range:
    """The multiples of `STEP` from 1 on between the two parts of a shorter side."""
    return range(max(1, math.ceil(least * shorter / STEP - 1e-9)), math.floor(most * shorter / STEP + 1e-9) + 1)


def _nearest(side: int) -> Iterator[int]:
    """Sides near this one, the nearest first."""
    for far in range(1, _FAR):
        yield from (other for other in (side - far, side + far) if other > 0)


def _of_shorter(side: int, size: tuple[int, int]) -> tuple[int, int]:
    """The multiples of `STEP` nearest to ``size`` brought to this shorter side."""
    height, width = (max(1, round(whole * side / min(size) / STEP)) * STEP for whole in size)
    return height, width
