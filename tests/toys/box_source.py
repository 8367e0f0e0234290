"""Toy source: a folder with ``boxes.csv`` (picture, left, top, right, bottom, class), a line an object."""

import csv
from pathlib import Path

from striate.base.errors import DataError
from striate.data.names import printable
from striate.data.records import Classes, Dataset
from striate.data.scan import hash_files
from striate.data.settings import DataSettings
from striate.data.sources.assembly import Columns, assemble
from striate.data.targets import Boxes


def recognises(path: Path) -> bool:
    return (path / "boxes.csv").is_file()


def read(path: Path, settings: DataSettings, workers: int) -> Dataset:
    rows: dict[str, list[list[str]]] = {}
    with (path / "boxes.csv").open(newline="") as file:
        for number, (name, *row) in enumerate(csv.reader(file), start=1):
            if row and len(row) != 5:
                raise DataError(f"{printable(path / 'boxes.csv')}:{number}: expected picture, four numbers and a class")
            rows.setdefault(name, []).extend([row] if row else [])  # a picture alone in its line has no objects
    names = sorted({row[4] for objects in rows.values() for row in objects})
    files = [path / name for name in rows]
    targets = [
        Boxes.of([[float(word) for word in row[:4]] for row in objects], [names.index(row[4]) for row in objects])
        for objects in rows.values()
    ]
    columns = Columns(files, targets, hash_files(files, root=path, workers=workers), list(rows), [None] * len(files))
    return assemble(path, "toy-boxes", Classes(tuple(names)), columns, channels=3, notices=(), task="toy_boxes")
