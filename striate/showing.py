"""What a run would feed its network: augmented pictures of a data set, with what is known of them drawn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.base.errors import DataError, RecipeError
from striate.base.hardware import cores
from striate.data.names import counted, printable
from striate.data.records import Dataset, Split
from striate.data.splits import split
from striate.models.meta import build_on_meta
from striate.ops.own_state import own_state
from striate.pictures.contact_sheet import contact_sheet
from striate.pictures.preprocess import Preprocess
from striate.recipe import AUTO, Recipe
from striate.tasks import task_named
from striate.training import resolving
from striate.training.loaders import loader_for

COUNT = 24
"""Pictures that are shown when nobody says how many."""
PARTS = {"train": "training", "val": "validation", "test": "test"}


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture as the network sees it, uint8 ``[H, W, 3]``, with what is known of it drawn, and in words."""

    name: str
    pixels: NDArray[np.uint8]
    known: str


@dataclass(frozen=True, slots=True)
class Samples:
    """The first pictures of an epoch (from 1) of a run by this recipe, of so many ``images`` in that part.

    ``preprocess`` is how they are brought to the network's size.
    """

    recipe: Recipe
    preprocess: Preprocess
    part: Split
    epoch: int
    images: int
    samples: tuple[Sample, ...]

    def __str__(self) -> str:
        height, width = self.preprocess.size
        seen = f" as epoch {self.epoch} sees them" if self.part == "train" else ""
        own = self.preprocess.resize == "none"
        size = "in their own pixels" if own else f"{self.preprocess.resize} {height}x{width}"
        of = counted(self.images, f"{PARTS[self.part]} picture")
        return f"{len(self.samples)} of {of}{seen}, for {self.recipe.model} ({size})"

    def sheet(self, *, columns: int | None = None) -> NDArray[np.uint8]:
        """All on one sheet, uint8 ``[H, W, 3]``, each with what is known of it and its name below."""
        rows = [(each.pixels, ": ".join(filter(None, (each.known, each.name)))) for each in self.samples]
        return contact_sheet(rows, columns=columns)


@own_state()
def show(
    data: str | Path,
    *,
    model: str | None = None,
    task: str | None = None,
    recipe: Recipe | str | Path | None = None,
    changes: Mapping[str, Any] | None = None,
    part: Split = "train",
    epoch: int = 1,
    count: int = COUNT,
    format: str | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> Samples:
    """What a run on these data would feed its network: the first pictures of an epoch, augmented as its recipe says.

    Only those that are shown are decoded. (A run looks at all before it splits them, and where some cannot be read, has
    others on either side.)

    Args:
        data, model, task, recipe, changes, format: as for `striate.train`.
        part: "train", "val" or "test"; the last two are not augmented.
        epoch: which, from 1: each has an order and draws of its own.
        count: how many pictures at most.
        on_notice: told what was odd about the data.

    Raises:
        StriateError: data or recipe are not usable, or a picture that is to be shown cannot be read.

    Example:
        >>> print(show("streets", count=6))             # doctest: +SKIP
        6 of 367 training pictures as epoch 1 sees them, for unet/efficientnet_lite0 (letterbox 360x480)
    """
    for name, value in (("epoch", epoch), ("count", count)):
        if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
            raise RecipeError(f"{name} is {value!r}; expected a whole number from 1")
    overrides = resolving.asked_for(recipe, changes, model=model, task=task, format=format)
    opened = resolving.opened(Path(data), overrides)
    return _shown(opened, resolving.resolve(opened, overrides), part, epoch, count, on_notice)


def _shown(
    data: Dataset, recipe: Recipe, part: Split, epoch: int, count: int, on_notice: Callable[[str], None] | None
) -> Samples:
    task = task_named(recipe.task, data.classes)
    data = task.checked(data)
    if on_notice is not None:
        for text in data.notices:
            on_notice(text)
    parts = split(data, recipe.split, recipe.split_seed, every_class=task.every_class)
    if not parts.of_split(part):
        raise DataError(f"{printable(data.root)}: no {PARTS[part]} pictures are split off here; take another part")
    if recipe.batch_size == AUTO:  # which decides how many pictures share a size, and nothing else that is seen
        recipe = replace(recipe, batch_size=resolving.default_batch(data, recipe, task))
    task = task.fitted(recipe, parts.of_split("train"))
    preprocess = resolving.preprocess_for(data, recipe)
    counts = len(data.classes), preprocess.count
    network = build_on_meta(recipe.model, classes=counts[0], in_channels=counts[1], arguments=task.network_arguments)
    loader = loader_for(parts, part, recipe, preprocess, network, workers=cores())
    samples: list[Sample] = []
    for batch in loader.epoch(epoch - 1):
        for image, target, record in zip(batch.images, batch.targets, batch.records, strict=True):
            pixels, known = task.exhibit(in_colours(image.permute(1, 2, 0).numpy()), target)
            samples.append(Sample(record.name, pixels, known))
        if len(samples) >= count:
            break
    return Samples(recipe, preprocess, part, epoch, len(parts.of_split(part)), tuple(samples[:count]))


def in_colours(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Uint8 ``[H, W, C]`` as ``[H, W, 3]``: grey in three channels alike, of more than three bands the first three.

    Example:
        >>> in_colours(np.array([[[7]]], np.uint8)).tolist(), in_colours(np.array([[[1, 2]]], np.uint8)).tolist()
        ([[[7, 7, 7]]], [[[1, 2, 2]]])
    """
    bands = [min(band, image.shape[2] - 1) for band in range(3)]
    return np.ascontiguousarray(image[:, :, bands])
