"""Multi-scale training: batches of other sizes (Redmon and Farhadi, "YOLO9000", CVPR 2017, section 2)."""

import math
from collections.abc import Callable

import numpy as np
import torch

from striate.base.errors import RecipeError
from striate.base.seeds import uniforms
from striate.models.network import Network
from striate.pictures.preprocess import Preprocess
from striate.recipe import Recipe

STEP = 32
"""Sides are multiples of it, the stride of the coarsest map that usual networks have, so that no cell is cut."""
_SIZES = 6  # the stream of the sizes' numbers


def size_of(recipe: Recipe, network: Network, preprocess: Preprocess) -> Callable[[int, int], tuple[int, int]] | None:
    """What says the height and width of a batch, of any epoch; None where all have the recipe's.

    Raises:
        RecipeError: the network takes one size only, or no size of the steps lies between the two.
        ModelError: the network does not take one of the sizes.
    """
    least, most = recipe.augment.multi_scale
    if (least, most) == (1.0, 1.0):
        return None
    if network.size is not None:
        raise RecipeError(
            f"augment: multi_scale = {[least, most]}, but {recipe.model} takes pictures of "
            f"{network.size[0]} x {network.size[1]} only; leave multi_scale at [1, 1]"
        )
    shorter = min(preprocess.size)
    steps = range(math.ceil(least * shorter / STEP - 1e-9), math.floor(most * shorter / STEP + 1e-9) + 1)
    if not steps or not steps[0]:
        raise RecipeError(
            f"augment: multi_scale = {[least, most]} of {shorter} pixels have no multiple of {STEP} between them"
        )

    sizes = [_of_shorter(step * STEP, preprocess.size) for step in steps]
    for height, width in sizes:
        network.check_images(torch.empty(1, preprocess.count, height, width, device="meta"))

    def size(epoch: int, batch: int) -> tuple[int, int]:
        draw = float(uniforms(recipe.seed, epoch, np.array([batch], dtype=np.uint64), 1, stream=_SIZES)[0, 0])
        return sizes[int(draw * len(sizes))]

    return size


def _of_shorter(side: int, size: tuple[int, int]) -> tuple[int, int]:
    """The multiples of `STEP` nearest to ``size`` brought to this shorter side."""
    height, width = (max(1, round(whole * side / min(size) / STEP)) * STEP for whole in size)
    return height, width
