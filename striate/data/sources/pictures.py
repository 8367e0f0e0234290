"""Pictures of which nothing need be known, in a folder and all below it, for tasks that learn from pictures alone.

Where the folder holds nothing but folders whose names read as splits, of which one trains, these decide.
"""

from pathlib import Path

from striate.base.errors import DataError
from striate.data.names import printable
from striate.data.records import Classes, Dataset
from striate.data.scan import hash_files
from striate.data.settings import DataSettings
from striate.data.sources.assembly import Columns, assemble
from striate.data.sources.class_folders import channels_of, not_read
from striate.data.sources.folder_tree import any_picture, walk
from striate.data.sources.layouts import split_names
from striate.data.targets import LARGER


def recognises(path: Path) -> bool:
    """Whether it is a folder that holds a picture, however deep."""
    return any_picture(path)


def read(path: Path, settings: DataSettings, workers: int) -> Dataset:
    """Read all pictures, readable or not.

    Raises:
        DataError: no folder or no picture, a folder that may not be read, a loop of links.
    """
    if not path.is_dir():
        raise DataError(f"{printable(path)} is a file; expected a folder of pictures")
    tree = walk(path)
    files = tree.all_pictures()
    if not files:
        raise DataError(f"{printable(path)} holds no pictures; expected some, in it or in folders below it")
    named = {} if tree.pictures else split_names([folder.name for folder in tree.holding])
    decide = len(named) == len(tree.holding) and "train" in named.values()
    columns = Columns(
        handles=files,
        targets=[LARGER] * len(files),
        contents=hash_files(files, root=path, workers=workers),
        names=[printable(file.relative_to(path)) for file in files],
        splits=[named[file.relative_to(path).parts[0]] if decide else None for file in files],
    )
    return assemble(
        path, "pictures", Classes(()), columns, channels=channels_of(files), notices=not_read(tree), task="upscale"
    )
