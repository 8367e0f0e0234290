"""A folder for each class: ``root/<class>/**`` or ``root/{train,val,test}/<class>/**``; see `layouts` for other names.

The class list is fixed here, once: the sorted names of all visible class folders that hold a picture in any split.
Empty and hidden folders are reported and get no index, in every split alike.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from striate.base.errors import DataError, DecodeError
from striate.base.nearest import did_you_mean
from striate.data.names import counted, listed, printable
from striate.data.records import Classes, Dataset, Split
from striate.data.scan import hash_files
from striate.data.settings import DataSettings
from striate.data.sources.assembly import Columns, assemble
from striate.data.sources.beside_masks import doubted
from striate.data.sources.folder_tree import Folder, any_picture, walk
from striate.data.sources.layouts import Tops, splits_and_classes
from striate.data.targets import class_targets
from striate.pictures.decode import read_header

_TIFF = frozenset({".tif", ".tiff"})


def recognises(path: Path) -> bool:
    """Whether any visible folder in ``path`` holds a picture, however deep."""
    try:
        children = [entry.path for entry in os.scandir(path) if entry.is_dir() and not entry.name.startswith(".")]
    except OSError:
        return False
    return any(map(any_picture, children))


def read(path: Path, settings: DataSettings, workers: int) -> Dataset:
    """Read class folders; every file with a picture's suffix becomes a record, readable or not.

    Raises:
        DataError: no class folders, or it cannot be told which these are (`striate.data.sources.layouts`); a class in
            val or test that train lacks, a folder that may not be read, a loop of links, TIFFs of different page
            counts.
    """
    return read_as(path, workers, splits_and_classes)


def read_as(path: Path, workers: int, layout: Callable[[Folder], Tops]) -> Dataset:
    """See `read`; ``layout`` says which folders hold the classes."""
    if not path.is_dir():
        raise DataError(f"{printable(path)} is a file; class folders are a folder with a folder for each class")
    tree = walk(path)
    tops = layout(tree)
    _check_holds_classes(tree, tops)
    names = _class_names(tops)
    files: list[Path] = []
    indices: list[int] = []
    splits: list[Split | None] = []
    for split, top in tops.items():
        for folder in top.folders:
            if (pictures := folder.all_pictures()) and folder.path.name in names:
                files += pictures
                indices += [names.index(folder.path.name)] * len(pictures)
                splits += [split] * len(pictures)
    columns = Columns(
        handles=files,
        targets=class_targets(indices),
        contents=hash_files(files, root=path, workers=workers),
        names=[printable(file.relative_to(path)) for file in files],
        splits=splits,
    )
    classes = Classes(tuple(printable(name) for name in names))
    return assemble(
        path, "folders", classes, columns, channels=channels_of(files), notices=_notices(tree, tops), task="classify"
    )


def _check_holds_classes(tree: Folder, tops: Tops) -> None:
    if any(folder.holds_pictures for top in tops.values() for folder in top.folders):
        return
    if tree.pictures:
        what = f"holds {counted(len(tree.pictures), 'picture')} but no class folders"
    elif tree.folders or tree.others or tree.hidden:
        what = "holds no pictures"
    else:
        what = "is an empty folder"
    raise DataError(
        f"{printable(tree.path)} {what}; expected a folder for each class with pictures in it, or pictures with their "
        "boxes (COCO, YOLO, Pascal VOC ...) or masks (images/ beside masks/ ...)"
    )


def _class_names(tops: Tops) -> list[str]:
    """The classes in order; with a train folder, exactly the classes that have pictures there."""
    held = {split: {f.path.name for f in top.folders if f.holds_pictures} for split, top in tops.items()}
    known = held.get("train")
    for split, names in held.items():
        if known is not None and (strange := sorted(names - known)):
            hint = did_you_mean(strange[0], known)
            raise DataError(
                f"{printable(tops[split].path)} holds {counted(len(strange), 'class', 'classes')} of which "
                f"{printable(tops['train'].path)} has no picture: {listed([printable(n) for n in strange])};{hint} "
                "every class needs pictures in train"
            )
    return sorted(set().union(*held.values()))


def channels_of(files: Sequence[Path]) -> int:
    """3, but the number of pages where all files are TIFFs of several pages: pictures of so many bands."""
    if any(file.suffix.lower() not in _TIFF for file in files):
        return 3
    pages: dict[int, Path] = {}
    for file in files:
        try:
            pages.setdefault(read_header(file, name=printable(file)).bands, file)
        except DecodeError:
            continue  # the scan will report it
    if len(pages) > 1 and max(pages) > 4:
        (few, one), (many, other) = min(pages.items()), max(pages.items())
        raise DataError(
            f"the TIFFs differ in their bands: {printable(one)} has {few} and {printable(other)} has {many}; "
            "a network needs the same number in every picture"
        )
    return next(iter(pages)) if len(pages) == 1 else 3


def _notices(tree: Folder, tops: Tops) -> list[str]:
    """Sentences on all that was passed over."""
    empty = [folder.path for top in tops.values() for folder in top.folders if not folder.holds_pictures]
    above = {path for top in tops.values() for path in (top.path, *top.path.parents)}
    beside = [folder for folder in tree.all_folders() if folder.path in above]
    loose = [path for folder in beside for path in folder.pictures]
    aside = [folder.path for folder in tree.holding if None not in tops and folder not in beside]
    return [sentence for top in tops.values() for sentence in doubted(top)] + not_read(
        tree,
        (empty, "empty class folder", "empty class folders"),
        (loose, "picture beside the class folders", "pictures beside the class folders"),
        (aside, "folder of pictures without classes", "folders of pictures without classes"),
    )


def not_read(tree: Folder, *more: tuple[Sequence[Path], str, str]) -> list[str]:
    """Sentences on what is hidden or no picture, and before them on ``more``: paths, and what one and many are."""
    folders = list(tree.all_folders())
    found = (
        *more,
        ([path for each in folders for path in each.hidden], "hidden file or folder", "hidden files or folders"),
        (
            [path for each in folders for path in each.others],
            "file that is not a picture",
            "files that are not pictures",
        ),
    )
    return [
        f"passed over {counted(len(paths), one, many)}: {listed([printable(p.relative_to(tree.path)) for p in paths])}"
        for paths, one, many in found
        if paths
    ]
