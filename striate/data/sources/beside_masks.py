"""Folders of pictures beside folders of their masks, which are no two classes: told by names and by what lies there."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from striate.base.errors import DataError, DecodeError
from striate.data.names import composed, listed, printable
from striate.data.sources.folder_tree import Folder
from striate.pictures.decode import decode
from striate.pictures.mask_files import read_mask

PICTURE_WORDS = {"image", "images", "imgs", "pictures", "photos", "inputs"}
MASK_WORDS = {"mask", "masks", "label", "labels", "annotations", "gt", "groundtruth", "segmentation", "segmentations"}

_LOOKED_AT = 5  # pairs
_FEW = 64  # values or colours, as masks have that nobody smoothed


def refuse_masks(folder: Folder, as_classes: str) -> None:
    """Refuse pictures beside their masks; ``as_classes`` says how they are read as classes all the same.

    Of two folders alone the names tell. A third one could be a third class: then the masks must look like masks.

    Raises:
        DataError: these are data for segmentation, or would be, if there were masks (or pictures).
    """
    _refuse_empty(folder, as_classes)
    if (found := _both(folder)) is None:
        return
    others = [child.name for child in folder.holding if child not in found]
    if others and not _look_like_masks(*found):
        return
    names = _listed([child.name for child in (found if others else folder.holding)])
    way, each = "these are data for segmentation (--format masks), and no classes", "each of them"
    if others:
        way = f"{way}: move {_listed(others)} elsewhere, since of each picture a mask is wanted"
        each = f"each of {_listed([child.name for child in folder.holding])}"
    raise DataError(
        f"{printable(folder.path)} holds pictures beside what reads as their masks ({names}); {way}; or {as_classes} "
        f"if {each} is one"
    )


def doubted(folder: Folder) -> list[str]:
    """A sentence where folders are read as classes whose names read as pictures and their masks."""
    if (found := _both(folder)) is None:
        return []
    pictures, masks = (printable(child.name) for child in found)
    said = f"{pictures} and {masks} are taken for classes; if these are pictures and their masks"
    return [f"{said}, move the other folders elsewhere"]


def _both(folder: Folder) -> tuple[Folder, Folder] | None:
    """The folders called like pictures and like masks, if there is one of each."""
    found = [[child for child in folder.holding if child.name.lower() in words] for words in _WORDS]
    return (found[0][0], found[1][0]) if all(len(each) == 1 for each in found) else None


_WORDS = (PICTURE_WORDS, MASK_WORDS)


def _refuse_empty(folder: Folder, as_classes: str) -> None:
    """Refuse pictures beside an empty folder for masks, and masks beside an empty folder for pictures."""
    if len(folder.holding) != 1 or not folder.holding[0].pictures:  # in folders they may be classes
        return
    (full,) = folder.holding
    for (what, own), (missing, other) in (_KINDS, _KINDS[::-1]):
        empty = [child for child in folder.folders if child is not full and child.name.lower() in other]
        if full.name.lower() in own and empty:
            inside = [each.name for each in (*empty[0].others, *(part.path for part in empty[0].folders))]
            there = f" (there {'is' if len(inside) == 1 else 'are'} {_listed(inside)})" if inside else ""
            raise DataError(
                f"{printable(folder.path)} holds {what} in {printable(full.name)} and no {missing} in "
                f"{printable(empty[0].name)} beside it{there}; expected images/a.jpg beside masks/a.png; or "
                f"{as_classes} if {printable(full.name)} is a class"
            )


_KINDS = (("pictures", PICTURE_WORDS), ("masks", MASK_WORDS))


def _look_like_masks(pictures: Folder, masks: Folder) -> bool:
    """Whether some that are called alike are of one size, and the masks of so few values as photographs never have."""
    found = list(islice(_pairs(pictures, masks), _LOOKED_AT))
    return bool(found) and all(_looks_like_mask(*pair) for pair in found)


def _pairs(pictures: Folder, masks: Folder) -> Iterator[tuple[Path, Path]]:
    by_stem = {composed(path.stem): path for path in pictures.all_pictures()}
    for mask in masks.all_pictures():
        stem = composed(mask.stem)
        if picture := by_stem.get(stem) or by_stem.get(stem.rpartition("_")[0]):
            yield picture, mask


def _looks_like_mask(picture: Path, mask: Path) -> bool:
    try:
        photograph, numbers = decode(picture, "rgb"), read_mask(mask).numbers
    except DecodeError:
        return False
    return numbers.shape == photograph.pixels.shape[:2] and len(np.unique(numbers)) <= _FEW


def _listed(names: list[str]) -> str:
    return listed([printable(name) for name in names])
