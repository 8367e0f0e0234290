"""Which folders are splits and which are classes: told by their names and by what lies in them, or refused.

A name reads as a split if it has one word for a split and beside that nothing but a number, a word such as "set", or
what a sibling of another split has too: ``Training``, ``test_set``, ``train2017``, ``seg_train`` beside ``seg_test``,
but not ``bullet_train``.
"""

import re
from collections import Counter
from collections.abc import Sequence

from striate.base.errors import DataError
from striate.data.names import listed, printable
from striate.data.records import Split
from striate.data.sources.beside_masks import refuse_masks
from striate.data.sources.folder_tree import Folder

Tops = dict[Split | None, Folder]
"""The folders whose children are the classes, by split; only ``None`` if there are no splits."""

_SPLITS: tuple[Split, ...] = ("train", "val", "test")
_WORDS: dict[str, Split | None] = {
    **dict.fromkeys(("train", "training", "trn", "trainval"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "tst", "holdout"), "test"),
    **dict.fromkeys(("eval", "evaluation"), None),  # the test, unless another is: then what validates
}
_FILLING = "sets?|data|dataset|images?|imgs?|pictures?|photos?|splits?|folder"
_GLUED = re.compile(f"({'|'.join(_WORDS)})({_FILLING})")  # trainset
_MEANINGLESS = re.compile(rf"{_FILLING}|\d+")
_UNLABELLED = re.compile("pred|unlabel", re.IGNORECASE)


def splits_and_classes(tree: Folder) -> Tops:
    """The folders whose children are the classes.

    Raises:
        DataError: it cannot be told which these are; the message names what to give or to move.
    """
    holding = tree.holding
    named = split_names([folder.name for folder in holding])
    splits = [folder for folder in holding if folder.name in named]
    others = [folder for folder in holding if folder.name not in named]
    if any(folder.holding for folder in splits):  # beside these, pictures to predict are no class
        others = [other for other in others if _unwrapped(other).holding or not _UNLABELLED.search(other.name)]
    _refuse_repeated(tree, others)
    vehicles = others and all(folder.name.lower() == "train" and folder.pictures for folder in splits)
    if vehicles or not splits:
        refuse_masks(tree, _as_classes(tree))
        _refuse_one_too_high(tree)
        _refuse_alike(tree)
        return {None: tree}
    if others:
        raise DataError(_mixed(tree, splits, others, named))
    tops: Tops = {}
    for folder in sorted(splits, key=lambda folder: _SPLITS.index(named[folder.name])):
        if (other := tops.setdefault(named[folder.name], folder)) is not folder:
            raise DataError(
                f"{printable(other.path)} and {printable(folder.path)} both mean the split {named[folder.name]}; keep "
                f"one of them, or {_as_classes(tree)} if they are classes"
            )
    for folder in tops.values():
        refuse_masks(folder, _as_classes(folder))
    tops = {split: _unwrapped(folder, splits) for split, folder in tops.items()}
    if flat := [folder for folder in tops.values() if not folder.holding]:
        raise DataError(_flat(tree, list(tops.values()), flat[-1]))
    for folder in tops.values():
        refuse_masks(folder, _as_classes(folder))
    if len(tops) == 1:
        _refuse_one_too_high(next(iter(tops.values())), within=tree)
    return tops


def split_names(names: Sequence[str]) -> dict[str, Split]:
    """Which of the names of folders that lie together read as splits, and as which.

    Example:
        >>> split_names(["seg_train", "seg_test", "bullet_train"])
        {'seg_train': 'train', 'seg_test': 'test'}
    """
    readings = {name: reading for name in names if (reading := _reading(name))}
    kinds = Counter(rest for _, rest in set(readings.values()))
    found = {name: split for name, (split, rest) in readings.items() if not rest or kinds[rest] > 1}
    if any(name.lower().endswith("valid") for name in names if name not in found):  # beside "invalid" it is a class
        found = {name: split for name, split in found.items() if name.lower() != "valid"}
    evaluation: Split = "val" if "test" in found.values() else "test"
    return {name: split or evaluation for name, split in found.items()}


def _reading(name: str) -> tuple[Split | None, tuple[str, ...]] | None:
    """The split for which a name has one word, and its other words but those without meaning; or None."""
    spaced = re.sub("(?<=[a-z])(?=[A-Z])", " ", name).lower()
    joined = re.sub(r"(hold|train)[\W_](out|val)\b", r"\1\2", spaced)
    words = [_GLUED.sub(r"\1", word) if _GLUED.fullmatch(word) else word for word in re.findall(r"[^\W\d_]+", joined)]
    found = [word for word in words if word in _WORDS]
    rest = tuple(word for word in words if word not in _WORDS and not _MEANINGLESS.fullmatch(word))
    return (_WORDS[found[0]], rest) if len(found) == 1 else None


def _unwrapped(folder: Folder, splits: Sequence[Folder] = ()) -> Folder:
    """The folder, or the one inside where that is all it holds and is called alike: train/train, train/images."""
    classes = {child.name for split in splits if len(split.holding) > 1 for child in split.holding}
    while len(folder.holding) == 1 and not folder.pictures and folder.holding[0].name not in classes:
        (inner,) = folder.holding
        one, other = _reading(folder.name), _reading(inner.name)
        alike = folder.name == inner.name or (one and other and one[0] == other[0])
        if not alike and not _MEANINGLESS.fullmatch(inner.name.lower()):
            break
        folder = inner
    return folder


def _refuse_one_too_high(tree: Folder, within: Folder | None = None) -> None:
    """Refuse a folder that only holds the one with the data, and name that."""
    root, inner = within or tree, tree
    while len(inner.holding) == 1 and not inner.holding[0].pictures and not (inner is not tree and _all_splits(inner)):
        (inner,) = inner.holding
    splits = inner is not root and _all_splits(inner) and any(folder.holding for folder in inner.holding)
    if splits or (inner is not tree and len(inner.holding) > 1):
        splits_and_classes(inner)  # what is wrong with that one is to be said first
        raise DataError(
            f"{printable(root.path)} holds pictures in one folder only, {printable(root.holding[0].name)}, and one "
            f"class alone cannot be told from others; if the {'splits' if splits else 'classes'} are {_names(inner)}, "
            f"give {printable(inner.path)} instead"
        )


def _refuse_repeated(tree: Folder, folders: Sequence[Folder]) -> None:
    """Refuse a folder that holds what stands beside it: a copy, or a split without a name."""
    beside = {folder.name.lower() for folder in tree.holding}
    for folder in folders:
        again = [child.name for child in folder.holding if child.name.lower() in beside]
        if len(again) > 1:
            raise DataError(
                f"{printable(folder.path)} holds the same folders as {printable(tree.path)} itself ({_listed(again)}), "
                f"so it is a copy or a split, not a class; move it elsewhere, or give {printable(folder.path)}, or "
                f"{_as_classes(tree)} if it is a class"
            )


def _refuse_alike(tree: Folder) -> None:
    """Refuse folders that all hold the same folders: these are more likely the classes, or splits of them."""
    inside = [{child.name.lower() for child in _innermost(folder).holding} for folder in tree.holding]
    common = sorted(set.intersection(*inside)) if len(inside) > 1 and not any(f.pictures for f in tree.holding) else []
    if len(common) < 2 or 2 * len(common) < len(set.union(*inside)):
        return
    root, one = printable(tree.path), printable(tree.holding[0].name)
    what = f"splits or parts of the data, not classes; call them train, val and test, or give one of them, {root}/{one}"
    if len(split_names(common)) == len(common):
        what = f"classes that hold splits; expected the other way round, {root}/{printable(common[0])}/{one}"
    raise DataError(
        f"{root}: its folders ({_names(tree)}) all hold the same folders ({_listed(common)}), so they are {what}; or "
        f"{_as_classes(tree)} if each of them is a class"
    )


def _innermost(folder: Folder) -> Folder:
    while len(folder.holding) == 1 and not folder.pictures:
        (folder,) = folder.holding
    return folder


def _all_splits(folder: Folder) -> bool:
    return 0 < len(folder.holding) == len(split_names([child.name for child in folder.holding]))


def _names(folder: Folder) -> str:
    return _listed([child.name for child in folder.holding])


def _listed(names: Sequence[str]) -> str:
    return listed([printable(name) for name in names])


def _as_classes(tree: Folder) -> str:
    return f"give {printable(tree.path)} with --format classes"


def _mixed(tree: Folder, splits: Sequence[Folder], others: Sequence[Folder], named: dict[str, Split]) -> str:
    training = [folder for folder in splits if named[folder.name] == "train" and folder.holding]
    way = f"folders of classes belong into the splits, as {printable(tree.path / 'train' / others[0].name)}"
    if not any(folder.holding for folder in splits):
        way = f"{way}, and pictures without classes elsewhere"
    if training:
        way = f"move the others elsewhere, or give {printable(training[0].path)} alone"
    return (
        f"{printable(tree.path)} holds both split folders ({_listed([folder.name for folder in splits])}) and others "
        f"with pictures ({_listed([folder.name for folder in others])}); {way}, or {_as_classes(tree)} if all of them "
        "are classes"
    )


def _flat(tree: Folder, tops: Sequence[Folder], folder: Folder) -> str:
    way = f"{_as_classes(tree)} if the splits are classes"
    if labelled := [top for top in tops if top.holding]:
        way = f"give {printable(labelled[0].path)} to do without it"
    return (
        f"{printable(folder.path)} holds pictures directly; a folder whose name reads as a split must hold a folder "
        f"for each class, as {printable(folder.path)}/<class>/; or {way}"
    )
