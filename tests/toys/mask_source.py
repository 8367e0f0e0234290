"""Toy source: ``pictures/NAME.png`` beside ``masks/NAME.png``, whose bytes are class indices."""

from pathlib import Path

from striate.data.records import Classes, Dataset
from striate.data.scan import hash_files
from striate.data.settings import DataSettings
from striate.data.sources.assembly import Columns, assemble
from striate.data.targets import Mask


def recognises(path: Path) -> bool:
    return (path / "masks").is_dir()


def read(path: Path, settings: DataSettings, workers: int) -> Dataset:
    files = sorted((path / "pictures").iterdir())
    masks = [path / "masks" / file.name for file in files]
    hashes = hash_files([*files, *masks], root=path, workers=workers)
    targets = [Mask(mask, digest) for mask, digest in zip(masks, hashes[len(files) :], strict=True)]
    names = (path / "classes.txt").read_text().split()
    columns = Columns(files, targets, hashes[: len(files)], [file.name for file in files], [None] * len(files))
    return assemble(path, "toy-masks", Classes(tuple(names)), columns, channels=3, notices=(), task="toy_masks")
