"""Which pictures and masks belong together: told by the names of folders and of files.

Folders for masks are called so (``masks``, ``labels``, ...) or as the pictures' with a word behind (``trainannot``,
``train_masks``); a mask has its picture's name, perhaps with a suffix. Without such folders masks lie beside their
pictures and have the suffix.
"""

import os
import re
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from striate.data.names import composed, printable
from striate.data.records import Split
from striate.data.sources.beside_masks import MASK_WORDS, PICTURE_WORDS
from striate.data.sources.folder_tree import Folder, any_picture, glimpsed, is_picture
from striate.data.sources.layouts import split_names

SUFFIXES = ("_gt", "_mask", "_label")
"""What a mask's name may have behind its picture's, where nothing else is said."""

_PUBLISHED = {
    "701_StillsRaw_full": False,  # CamVid's
    "LabeledApproved_full": True,
    "leftImg8bit": False,  # Cityscapes'
    "gtFine": True,
    "gtCoarse": True,
}
"""Folders of data sets that many have, and whether they are of masks."""

TRAIN_IDS, IDS = "_labelTrainIds", "_labelIds"  # of Cityscapes, where a picture has several masks
_FIRST = "_leftImg8bit"  # what its pictures have behind their names
_TOLD = re.compile(r"[-_. ][A-Za-z]\w*")  # what is proposed as a suffix

_MASKS_BEHIND = re.compile(r"(.+?)(?:annot|[-_ ](?:masks?|labels?|annotations?|annot|gt))", re.IGNORECASE)
_PICTURES_BEHIND = re.compile(r"(.+?)[-_ ](?:images?|imgs?|pictures|photos)", re.IGNORECASE)


@dataclass(slots=True)
class Pairs:
    """Pictures with their masks, in the pictures' order, and what has no partner or several."""

    pairs: list[tuple[Path, Path]] = field(default_factory=list)
    splits: list[Split | None] = field(default_factory=list)
    without_mask: list[Path] = field(default_factory=list)
    without_picture: list[Path] = field(default_factory=list)
    several: list[str] = field(default_factory=list)
    passed_over: list[Path] = field(default_factory=list)


_Key = tuple[tuple[str, ...], str]


def role(name: str) -> tuple[bool, str]:
    """Whether a folder's name says masks, and what it says beside its word for masks or pictures.

    Example:
        >>> role("masks"), role("trainannot"), role("train_images"), role("train")
        ((True, ''), (True, 'train'), (False, 'train'), (False, 'train'))
    """
    if name in _PUBLISHED:
        return _PUBLISHED[name], ""
    if name.lower() in MASK_WORDS | PICTURE_WORDS:
        return name.lower() in MASK_WORDS, ""
    for of_masks, pattern in ((True, _MASKS_BEHIND), (False, _PICTURES_BEHIND)):
        if behind := pattern.fullmatch(name):
            return of_masks, behind[1]
    return False, name


def pairs_in(tree: Folder, suffix: str | None) -> Pairs:
    """The pairs below a folder; with ``suffix`` all masks have it, and other files among masks are passed over."""
    found = Pairs()
    suffixes = SUFFIXES if suffix is None else (composed(suffix),)
    paths = tree.all_pictures()
    roles = {path: [role(part) for part in path.relative_to(tree.path).parts[:-1]] for path in paths}
    masks = [path for path in paths if any(of_masks for of_masks, _ in roles[path])]
    if not masks:
        stems = {(path.parent, composed(path.stem)) for path in paths}
        masks = [path for path in paths if _bare(path, suffixes, stems)]
    of_masks = set(masks)
    keys = {path: tuple(composed(rest) for _, rest in roles[path] if rest) for path in paths}
    pictures: dict[_Key, list[Path]] = {}
    for path in paths:
        if path not in of_masks:
            pictures.setdefault((keys[path], _stem(path, tree)), []).append(path)
    partners: dict[_Key, list[Path]] = {}
    for path in masks:
        name = composed(path.stem)
        stems_meant = [name] * (suffix is None) + [name.removesuffix(each) for each in suffixes if name.endswith(each)]
        meant = [(keys[path], stem) for stem in stems_meant if (keys[path], stem) in pictures]
        if meant:
            partners.setdefault(meant[0], []).append(path)
        else:
            (found.without_picture if stems_meant else found.passed_over).append(path)
    splits = split_names(sorted({part for path in paths if path not in of_masks for part in keys[path]}))
    for key, same in pictures.items():
        several = partners.get(key, [])
        if not several:
            found.without_mask += same
        elif len(same) > 1 or len(several) > 1:
            found.several.append(" = ".join(printable(path.relative_to(tree.path)) for path in (*same, *several)))
        else:
            found.pairs.append((same[0], several[0]))
            found.splits.append(next((splits[part] for part in key[0] if part in splits), None))
    return found


def proposed_suffix(tree: Folder, pairs: Pairs) -> str | None:
    """What the masks without pictures have behind the names of pictures without masks; None if that is not one thing.

    Where none reads as a mask, they are among the pictures.
    """
    stems = {_stem(path, tree) for path in pairs.without_mask}
    found = Counter[str]()
    for path in pairs.without_picture or pairs.without_mask:
        name = composed(path.stem)
        cut = next((cut for cut in range(len(name) - 1, 0, -1) if name[:cut] in stems), len(name))
        found[name[cut:]] += 1
    told = [suffix for suffix, count in found.items() if _TOLD.fullmatch(suffix) and 2 * count >= len(stems)]
    several = [suffix for ids in (TRAIN_IDS, IDS) for suffix in told if suffix.endswith(ids)]
    return several[0] if several else told[0] if len(told) == 1 else None


def _stem(path: Path, tree: Folder) -> str:
    """What a picture is called, as its masks have it."""
    stem = composed(path.stem)
    return stem.removesuffix(_FIRST) if _FIRST[1:] in path.relative_to(tree.path).parts[:-1] else stem


def _bare(path: Path, suffixes: Sequence[str], stems: Set[tuple[Path, str]]) -> bool:
    """Whether a file beside its picture is a mask: it has a suffix behind the name of another file."""
    name = composed(path.stem)
    return any(name.endswith(each) and (path.parent, name.removesuffix(each)) in stems for each in suffixes)


def looks_like_pairs(path: Path) -> bool:
    """Whether a folder, or one of those in the levels below it, has pictures and masks in one of these ways."""
    return any(_side_by_side(folders) or _in_one_folder(names) for _, names, folders in glimpsed(path))


def _side_by_side(folders: Sequence[Path]) -> bool:
    """Folders of pictures beside folders of masks, and beside no others: classes may be called so, too."""
    if not any(role(folder.name)[0] for folder in folders):
        return False
    roles = [role(folder.name) for folder in folders if any_picture(folder)]
    masks = {rest for of_masks, rest in roles if of_masks}
    pictures = {rest for of_masks, rest in roles if not of_masks}
    return masks == pictures if "" in masks else bool(masks) and masks <= pictures


def _in_one_folder(names: Sequence[str]) -> bool:
    """At least half of the pictures have a mask beside them, or all by CamVid's suffix, which is then asked for."""
    stems = {composed(os.path.splitext(name)[0]) for name in names if is_picture(name)}  # noqa: PTH122 (many)
    masked = {stem for stem in stems for each in SUFFIXES if f"{stem}{each}" in stems}
    left = {stem for stem in stems if f"{stem}_L" in stems}
    return 0 < len(stems) <= max(3 * len(masked), 2 * len(left))
