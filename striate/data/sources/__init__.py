"""Sources: the formats in which labelled pictures come, one file a format, and the table of them.

To add a format, write a module with ``recognises(path) -> bool`` (cheap; raises nothing) and
``read(path, settings, workers) -> Dataset``, and give it a row in `SOURCES`. Offers SOURCES, Source and `open_data`.
"""

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from striate.base.errors import DataError
from striate.base.nearest import did_you_mean
from striate.data.names import printable

if TYPE_CHECKING:
    from striate.data.records import Dataset
    from striate.data.settings import DataSettings

Has: TypeAlias = Literal["classes", "boxes", "masks", "shapes"]


@dataclass(frozen=True, slots=True)
class Source:
    """One format: the module that reads it (named, so that the table itself loads nothing) and what it looks like.

    ``instead_of`` names formats that data of this one may look like, too: a folder of pictures beside a folder of masks
    could be two classes. They are not meant where this one is recognised. ``has`` says what of each picture: its class,
    boxes, a mask, or shapes of which one is drawn, and ``first_pixel`` that the setting of that name means something
    for it. ``for_tasks`` are modules that read the same data for other tasks than ``module`` does, with what they have.
    """

    module: str
    summary: str
    instead_of: tuple[str, ...] = ()
    has: Has = "classes"
    first_pixel: bool = False
    for_tasks: Mapping[str, tuple[str, Has]] = field(default_factory=dict)

    def recognises(self, path: Path) -> bool:
        """Whether ``path`` looks like this format."""
        return any(import_module(module).recognises(path) for module, _ in self._modules())

    def reader(self, path: Path, task: str | None) -> tuple[str, Has]:
        """The module that reads ``path`` for a task, and what it has; None is the first that recognises it."""
        if task is not None and task in self.for_tasks:
            return self.for_tasks[task]
        if not self.for_tasks:
            return self.module, self.has
        found = [each for each in self._modules() if import_module(each[0]).recognises(path)]
        return found[0] if found and task is None else (self.module, self.has)

    def _modules(self) -> list[tuple[str, Has]]:
        return [(self.module, self.has), *self.for_tasks.values()]


SOURCES: Mapping[str, Source] = {
    "coco": Source(
        "striate.data.sources.coco",
        "COCO's JSON of instances, beside its pictures",
        instead_of=("folders",),
        has="boxes",
        for_tasks={"segment": ("striate.data.sources.coco_masks", "shapes")},
    ),
    "yolo": Source(
        "striate.data.sources.yolo",
        "YOLO's text, class and box in parts of the sides, in labels/ beside images/ or beside each picture",
        instead_of=("folders",),
        has="boxes",
    ),
    "voc": Source(
        "striate.data.sources.pascal_voc",
        "Pascal VOC, an XML file of boxes for each picture, or masks in SegmentationClass",
        instead_of=("folders", "masks"),
        has="boxes",
        first_pixel=True,
        for_tasks={"segment": ("striate.data.sources.pascal_masks", "masks")},
    ),
    "cvat": Source(
        "striate.data.sources.cvat",
        "CVAT's XML for images, of polygons and masks",
        instead_of=("folders",),
        has="shapes",
    ),
    "labelme": Source(
        "striate.data.sources.labelme",
        "Labelme's JSON of polygons, a file for each picture",
        instead_of=("folders",),
        has="shapes",
    ),
    "via": Source(
        "striate.data.sources.via",
        "the VGG Image Annotator's JSON or CSV, beside its pictures",
        instead_of=("folders",),
        has="boxes",
    ),
    "dlib": Source(
        "striate.data.sources.dlib",
        "dlib's XML, as ImgLab writes it, beside its pictures",
        instead_of=("folders",),
        has="boxes",
    ),
    "boxes-csv": Source(
        "striate.data.sources.boxes_csv",
        "a CSV file, a line a box: filename, class, xmin, ymin, xmax, ymax, beside its pictures",
        instead_of=("folders",),
        has="boxes",
    ),
    "masks": Source(
        "striate.data.sources.masks",
        "a mask for each picture, images/a.jpg beside masks/a.png, also in train, val and test; classes.txt",
        instead_of=("folders",),
        has="masks",
    ),
    "folders": Source(
        "striate.data.sources.class_folders",
        "a folder for each class, DATA/<class>/*.jpg or DATA/{train,val,test}/<class>/*.jpg",
    ),
    "classes": Source(
        "striate.data.sources.classes_alone",
        "class folders, DATA/<class>/**/*.jpg, although a name reads as a split; only where it is asked for",
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
    decides where several are recognised. ``task`` chooses where data serve several: COCO's objects are boxes for one
    and masks for another. ``workers`` threads hash the files (by default one a core), and look at the
    pictures where ``settings`` group those that are alike.

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
    name = format_of(path, format=format, settings=settings)
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


def format_of(path: Path, *, format: str | None, settings: "DataSettings") -> str:
    """The key of `SOURCES` by which `open_data` reads a path; raises as it does."""
    if format is not None and format not in SOURCES:
        raise DataError(
            f"--format {format} is not a format of data;{did_you_mean(format, SOURCES)} the formats are {_described()}"
        )
    _check_exists(path)
    return format or _recognised(path, settings)


def meaningless(name: str, has: Has) -> Mapping[str, str]:
    """The settings that mean nothing for data of a format that have this of each picture, with what they are about."""
    from striate.data.settings import MEANT_FOR

    kinds = {each: meant for each, meant in MEANT_FOR.items() if has not in meant}
    found = {each: f"{' or '.join(meant)}, and {name} data have none" for each, meant in kinds.items()}
    if not SOURCES[name].first_pixel:
        counted = ", ".join(key for key, source in SOURCES.items() if source.first_pixel)
        found["first_pixel"] = f"the pixels of {counted} data, and these are {name}"
    return found


def _recognised(path: Path, settings: "DataSettings") -> str:
    """The one format that ``path`` is in."""
    found = [name for name, source in SOURCES.items() if source.recognises(path)]
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
