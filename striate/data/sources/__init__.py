"""Sources: the formats in which labelled pictures come, one file a format, and the table of them.

To add a format, write a module with ``recognises(path) -> bool`` (cheap; raises nothing) and
``read(path, settings, workers) -> Dataset``, and give it a row in `SOURCES`. Offers SOURCES, Source and `open_data`.
"""

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from striate.base.errors import DataError
from striate.base.nearest import did_you_mean
from striate.data.names import printable

if TYPE_CHECKING:
    from striate.data.records import Dataset
    from striate.data.settings import DataSettings

Has: TypeAlias = Literal["classes", "boxes", "masks", "shapes", "nothing"]
Reader: TypeAlias = tuple[str, Has]
"""The module that reads data (named, so that the table itself loads nothing), and what it finds of each picture: its
class, boxes, a mask, shapes of which one is drawn, or nothing."""


@dataclass(frozen=True, slots=True)
class Source:
    """One format: who reads it for which task, and what it looks like.

    ``readers`` are by the task that asks; None is for all that have none of their own here, and without it a format is
    met by those tasks alone. ``instead_of`` names formats that data of this one may look like, too: a folder of
    pictures beside a folder of masks could be two classes. They are not meant where this one is recognised.
    ``first_pixel`` says that the setting of that name means something for it.
    """

    readers: Mapping[str | None, Reader]
    summary: str
    instead_of: tuple[str, ...] = ()
    first_pixel: bool = False

    def recognises(self, path: Path, task: str | None) -> bool:
        """Whether ``path`` looks like this format, for whichever task, to one that may meet it."""
        return bool(self.readers.keys() & {task, None}) and self._first(path) is not None

    def reader(self, path: Path, task: str | None) -> Reader:
        """Who reads ``path`` for a task: its own reader, or the first that recognises the path."""
        if task is not None and task in self.readers:
            return self.readers[task]
        usual, *others = self.readers.values()
        return (self._first(path) if others else None) or usual

    def _first(self, path: Path) -> Reader | None:
        return next((each for each in self.readers.values() if import_module(each[0]).recognises(path)), None)


_ANNOTATED = ("folders", "pictures")
"""What pictures look like, too, of which more is known."""

SOURCES: Mapping[str, Source] = {
    "coco": Source(
        {
            None: ("striate.data.sources.coco", "boxes"),
            "segment": ("striate.data.sources.coco_masks", "shapes"),
        },
        "COCO's JSON of instances, beside its pictures",
        instead_of=_ANNOTATED,
    ),
    "yolo": Source(
        {
            None: ("striate.data.sources.yolo", "boxes"),
            "segment": ("striate.data.sources.yolo_outlines", "shapes"),
        },
        "YOLO's text, class and box or outline in parts of the sides, in labels/ beside images/ or beside each picture",
        instead_of=_ANNOTATED,
    ),
    "voc": Source(
        {
            None: ("striate.data.sources.pascal_voc", "boxes"),
            "segment": ("striate.data.sources.pascal_masks", "masks"),
        },
        "Pascal VOC, an XML file of boxes for each picture, or masks in SegmentationClass",
        instead_of=(*_ANNOTATED, "masks"),
        first_pixel=True,
    ),
    "cvat": Source(
        {None: ("striate.data.sources.cvat", "shapes")},
        "CVAT's XML for images, of polygons and masks",
        instead_of=_ANNOTATED,
    ),
    "labelme": Source(
        {None: ("striate.data.sources.labelme", "shapes")},
        "Labelme's JSON of polygons, a file for each picture",
        instead_of=_ANNOTATED,
    ),
    "via": Source(
        {None: ("striate.data.sources.via", "boxes")},
        "the VGG Image Annotator's JSON or CSV, beside its pictures",
        instead_of=_ANNOTATED,
    ),
    "dlib": Source(
        {None: ("striate.data.sources.dlib", "boxes")},
        "dlib's XML, as ImgLab writes it, beside its pictures",
        instead_of=_ANNOTATED,
    ),
    "boxes-csv": Source(
        {None: ("striate.data.sources.boxes_csv", "boxes")},
        "a CSV file, a line a box: filename, class, xmin, ymin, xmax, ymax, beside its pictures",
        instead_of=_ANNOTATED,
    ),
    "masks": Source(
        {None: ("striate.data.sources.masks", "masks")},
        "a mask for each picture, images/a.jpg beside masks/a.png, also in train, val and test; classes.txt",
        instead_of=_ANNOTATED,
    ),
    "folders": Source(
        {None: ("striate.data.sources.class_folders", "classes")},
        "a folder for each class, DATA/<class>/*.jpg or DATA/{train,val,test}/<class>/*.jpg",
    ),
    "classes": Source(
        {None: ("striate.data.sources.classes_alone", "classes")},
        "class folders, DATA/<class>/**/*.jpg, although a name reads as a split; only where it is asked for",
    ),
    "pictures": Source(
        {"upscale": ("striate.data.sources.pictures", "nothing")},
        "pictures without labels, in a folder and all below it; for super-resolution (--task upscale)",
        instead_of=("folders",),
    ),
    "idx": Source(
        {None: ("striate.data.sources.idx", "classes")},
        "the files of MNIST and its kin, train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz",
        instead_of=("pictures",),
    ),
    "arrays": Source(
        {None: ("striate.data.sources.arrays", "classes")},
        "one .npz file with x and y, or x_train, y_train, x_test and y_test",
    ),
}


def open_data(
    path: Path | str,
    *,
    format: str | None = None,
    settings: "DataSettings | None" = None,
    task: str | None = None,
    workers: int | None = None,
) -> "Dataset":
    """Recognise the format of ``path`` and read it: class list, labels and content hashes, but no pictures yet.

    ``format`` is a key of `SOURCES` and overrides the recognition; that of ``settings``, which say how data are read,
    decides where several are recognised. ``task`` chooses where data serve several: COCO's objects are boxes for one
    and masks for another, and class folders are pictures for one that needs no labels. ``workers`` threads hash the
    files (by default one a core), and look at the pictures where ``settings`` group those that are alike.

    Raises:
        DataError: no such path, no format or more than one recognised, settings that mean nothing for it, or the data
            contradict themselves or the groups.

    Example:
        >>> open_data("../shared/data/flowers").classes.names  # doctest: +SKIP
        ('daisy', 'dandelion', 'roses', 'sunflowers', 'tulips')
    """
    from striate.base.hardware import cores
    from striate.data.settings import USUAL

    path, settings = Path(path), settings or USUAL
    workers = cores() if workers is None else workers
    name = format_of(path, format=format, settings=settings, task=task)
    module, has = SOURCES[name].reader(path, task)
    about = meaningless(name, has)
    if vain := [each for each in about if getattr(settings, each) != getattr(USUAL, each)]:
        why = about[vain[0]]
        flags = ", ".join(f"--{each.replace('_', '-')}" for each in vain if about[each] == why)
        raise DataError(f"{printable(path)}: {flags} is about {why}; leave it out")
    dataset: Dataset = import_module(module).read(path, settings, workers)
    if settings.group is None:
        return dataset
    from striate.data.grouping import grouped

    return grouped(dataset, settings.group, workers)


def format_of(path: Path, *, format: str | None, settings: "DataSettings", task: str | None) -> str:
    """The key of `SOURCES` by which `open_data` reads a path; raises as it does."""
    if format is not None and format not in SOURCES:
        raise DataError(
            f"--format {format} is not a format of data;{did_you_mean(format, SOURCES)} the formats are {_described()}"
        )
    _check_exists(path)
    return format or _recognised(path, settings, task)


def meaningless(name: str, has: Has) -> Mapping[str, str]:
    """The settings that mean nothing for data of a format that have this of each picture, with what they are about."""
    from striate.data.settings import MEANT_FOR

    kinds = {each: meant for each, meant in MEANT_FOR.items() if has not in meant}
    found = {each: f"{' or '.join(meant)}, and {name} data have none" for each, meant in kinds.items()}
    if not SOURCES[name].first_pixel:
        counted = ", ".join(key for key, source in SOURCES.items() if source.first_pixel)
        found["first_pixel"] = f"the pixels of {counted} data, and these are {name}"
    return found


def _recognised(path: Path, settings: "DataSettings", task: str | None) -> str:
    """The one format that ``path`` is in."""
    found = [name for name, source in SOURCES.items() if source.recognises(path, task)]
    found = [name for name in found if not any(name in SOURCES[other].instead_of for other in found)]
    if settings.format in found:
        found = [settings.format]
    if len(found) > 1:
        raise DataError(
            f"{printable(path)} holds data in more than one format: {' and '.join(found)}; "
            f"say which is meant with {' or '.join(f'--format {name}' for name in found)}"
        )
    if found:
        return found[0]
    if path.is_dir():
        return "folders"  # which says best what is missing in a folder
    raise DataError(f"{printable(path)} is a file in no format of data that is known here; expected {_described()}")


def _described() -> str:
    return "; ".join(f"{name}: {source.summary}" for name, source in SOURCES.items())


def _check_exists(path: Path) -> None:
    try:
        path.stat()
        if path.is_dir():
            with os.scandir(path):
                pass
    except OSError as error:
        raise DataError(f"{printable(path)}: {_why_not(path, error)}") from error


def _why_not(path: Path, error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "a loop of symbolic links; expected a folder of pictures or a file of arrays"
    if error.errno == errno.EACCES:
        return "permission denied; data must be readable by the user who runs striate"
    if error.errno not in (errno.ENOENT, errno.ENOTDIR):
        return f"{(error.strerror or str(error)).lower()}; expected a folder of pictures or a file of arrays"
    if path.is_symlink():
        return f"a symbolic link to {printable(path.readlink())}, which does not exist"
    try:
        neighbours = [entry.name for entry in os.scandir(path.parent)]
    except OSError:
        neighbours = []
    hint = did_you_mean(path.name, [printable(name) for name in neighbours])
    return f"no such file or folder.{hint}"
