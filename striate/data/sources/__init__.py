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
from typing import TYPE_CHECKING

from striate.base.errors import DataError
from striate.base.nearest import did_you_mean
from striate.data.names import printable

if TYPE_CHECKING:
    from striate.data.records import Dataset
    from striate.data.settings import DataSettings


@dataclass(frozen=True, slots=True)
class Source:
    """One format: the module that reads it (named, so that the table itself loads nothing) and what it looks like.

    ``instead_of`` names formats that data of this one may look like, too: a folder of pictures beside a folder of masks
    could be two classes. They are not meant where this one is recognised. ``boxes`` says that it has boxes. With a
    ``task`` it is for that one alone, and taken where that is asked for and nothing but ``instead_of`` is recognised.
    """

    module: str
    summary: str
    instead_of: tuple[str, ...] = ()
    boxes: bool = False
    task: str | None = None

    def recognises(self, path: Path) -> bool:
        """Whether ``path`` looks like this format."""
        return bool(import_module(self.module).recognises(path))

    def read(self, path: Path, settings: "DataSettings", workers: int) -> "Dataset":
        """Read ``path`` as this format; raises DataError where it cannot be."""
        dataset: Dataset = import_module(self.module).read(path, settings, workers)
        return dataset


SOURCES: Mapping[str, Source] = {
    "coco": Source(
        "striate.data.sources.coco",
        "COCO's JSON of instances, beside its pictures",
        instead_of=("folders",),
        boxes=True,
    ),
    "yolo": Source(
        "striate.data.sources.yolo",
        "YOLO's text, class and box in parts of the sides, in labels/ beside images/ or beside each picture",
        instead_of=("folders",),
        boxes=True,
    ),
    "voc": Source(
        "striate.data.sources.pascal_voc",
        "Pascal VOC, an XML file of boxes for each picture",
        instead_of=("folders",),
        boxes=True,
    ),
    "via": Source(
        "striate.data.sources.via",
        "the VGG Image Annotator's JSON or CSV, beside its pictures",
        instead_of=("folders",),
        boxes=True,
    ),
    "dlib": Source(
        "striate.data.sources.dlib",
        "dlib's XML, as ImgLab writes it, beside its pictures",
        instead_of=("folders",),
        boxes=True,
    ),
    "boxes-csv": Source(
        "striate.data.sources.boxes_csv",
        "a CSV file, a line a box: filename, class, xmin, ymin, xmax, ymax, beside its pictures",
        instead_of=("folders",),
        boxes=True,
    ),
    "folders": Source(
        "striate.data.sources.class_folders",
        "a folder for each class, DATA/<class>/*.jpg or DATA/{train,val,test}/<class>/*.jpg",
    ),
    "classes": Source(
        "striate.data.sources.classes_alone",
        "class folders, DATA/<class>/**/*.jpg, although a name reads as a split; only where it is asked for",
    ),
    "pictures": Source(
        "striate.data.sources.pictures",
        "pictures without labels, in a folder and all below it; for super-resolution (--task upscale)",
        instead_of=("folders",),
        task="upscale",
    ),
    "idx": Source(
        "striate.data.sources.idx",
        "the files of MNIST and its kin, train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz",
    ),
    "arrays": Source(
        "striate.data.sources.arrays",
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
    decides where several are recognised. ``task`` is what the data are asked for (None: what they are for themselves),
    since some tasks need no labels. ``workers`` threads hash the files (by default one a core), and look at the
    pictures where ``settings`` group those that are alike.

    Raises:
        DataError: no such path, no format or more than one recognised, or the data contradict themselves or the groups.

    Example:
        >>> open_data("../shared/data/flowers").classes.names  # doctest: +SKIP
        ('daisy', 'dandelion', 'roses', 'sunflowers', 'tulips')
    """
    from striate.base.hardware import cores
    from striate.data.settings import OF_BOXES, USUAL

    path, settings = Path(path), settings or USUAL
    workers = cores() if workers is None else workers
    if format is not None and format not in SOURCES:
        raise DataError(
            f"--format {format} is not a format of data;{did_you_mean(format, SOURCES)} the formats are {_described()}"
        )
    _check_exists(path)
    name = format or _recognised(path, settings, task)
    vain = [f"--{field.replace('_', '-')}" for field in OF_BOXES if getattr(settings, field) != getattr(USUAL, field)]
    if vain and not SOURCES[name].boxes:
        raise DataError(f"{printable(path)}: {', '.join(vain)} is about boxes, and {name} data have none; leave it out")
    dataset = SOURCES[name].read(path, settings, workers)
    if settings.group is None:
        return dataset
    from striate.data.grouping import grouped

    return grouped(dataset, settings.group, workers)


def _recognised(path: Path, settings: "DataSettings", task: str | None) -> str:
    """The one format that ``path`` is in."""
    found = [name for name, source in SOURCES.items() if source.task is None and source.recognises(path)]
    found = [name for name in found if not any(name in SOURCES[other].instead_of for other in found)]
    if settings.format in found:
        found = [settings.format]
    for name, source in SOURCES.items():
        if task is not None and source.task == task and {*found} <= {*source.instead_of} and source.recognises(path):
            return name
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
