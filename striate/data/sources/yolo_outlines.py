"""YOLO's text for segmentation: a line for each object, ``class x y x y x y ...``, its outline in parts of the sides.

Where the texts and names lie is as with boxes (`yolo`). A box among outlines is no outline and is refused, as two
points are: the programs that learn from such texts drop the outlines of mixed data, or take a box's numbers for points.
"""

from pathlib import Path

from striate.base.errors import DataError
from striate.data.names import counted, printable
from striate.data.records import Dataset
from striate.data.settings import DataSettings
from striate.data.sources import yolo
from striate.data.sources.shapes import shapes_dataset


def recognises(path: Path) -> bool:
    """As boxes are."""
    return yolo.recognises(path)


def read(path: Path, settings: DataSettings, workers: int) -> Dataset:
    """Read what `striate.data.sources.yolo.read` reads.

    Raises:
        DataError: as `yolo.annotated`, boxes alone, and what `shapes_dataset` refuses.
    """
    outlines: list[str] = []
    index, pictures, names, notices = yolo.annotated(path, outlines, drawn=True)
    boxes = [each.where for picture in pictures for each in picture.objects or ()]
    if boxes and not outlines:
        raise DataError(
            f"{printable(index.root)} has boxes alone ({counted(len(boxes), 'object')}, the first in {boxes[0]}), and "
            "segmentation learns from outlines, a line each: class x y x y x y and so on; draw them, or learn the "
            "boxes with --task detect"
        )
    return shapes_dataset(index, "yolo", pictures, names, settings, workers, notices=notices, relative=True)
