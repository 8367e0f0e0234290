"""COCO's JSON of instances as masks: the polygons and run-lengths of `striate.data.sources.coco`.

Crowds, of which nobody drew each member, are nobody's, beneath all others.
"""

from pathlib import Path

from striate.data.records import Dataset
from striate.data.settings import DataSettings
from striate.data.sources import coco
from striate.data.sources.shapes import shapes_dataset


def recognises(path: Path) -> bool:
    """As boxes are."""
    return coco.recognises(path)


def read(path: Path, settings: DataSettings, workers: int) -> Dataset:
    """Read what `striate.data.sources.coco.read` reads.

    Raises:
        DataError: as it does, and what `shapes_dataset` refuses.
    """
    index, pictures, classes, notices = coco.annotated(path)
    return shapes_dataset(index, "coco", pictures, classes.names, settings, workers, notices=notices)
