"""The classes of some data against the classes of a model: which index of the model each picture's class is."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from striate.base.errors import DataError
from striate.base.nearest import did_you_mean
from striate.data.names import counted, listed, printable, unspaced
from striate.data.records import Classes, Record, occurring_in

SAME: Mapping[str, str] = MappingProxyType(
    {"aeroplane": "airplane", "motorbike": "motorcycle", "sofa": "couch", "tvmonitor": "tv"}
)
"""Pascal VOC's words for classes of COCO; darknet's list of COCO's 80 has them, too."""


def aligned(records: tuple[Record, ...], theirs: Classes, ours: Classes) -> tuple[Record, ...]:
    """The records with the model's class indices (``ours``) for the data's (``theirs``).

    A class of the data is the model's class of that id, else of that name, else of that name but for case and
    spacing, and for four of Pascal VOC's words (`SAME`). Data that know their classes by numbers alone, as arrays do,
    mean the model's indices.

    Raises:
        DataError: a class of the data is unknown to the model, or its name fits two classes of it.

    Example:
        >>> from pathlib import Path
        >>> from striate.data.targets import ClassIndex
        >>> cat = Record(handle=Path("cat.jpg"), target=ClassIndex(0), content=b"", name="cat.jpg")
        >>> aligned((cat,), Classes(("Cat",)), Classes(("dog", "cat")))[0].target
        ClassIndex(index=1)
    """
    if theirs.names == ours.names:
        return records
    index_of = _numbered if _by_number(theirs.names, ours) else _named
    indices = {index: index_of(theirs.names[index], ours) for index in sorted(_occurring(records, theirs))}
    return tuple(replace(record, target=record.target.renumbered(indices)) for record in records)


def _occurring(records: Sequence[Record], classes: Classes) -> set[int]:
    """The classes that some picture has; all of them where a picture would have to be read for that."""
    if any(record.target.occurring() is None for record in records):
        return set(range(len(classes)))
    return occurring_in(records)


def _by_number(names: Sequence[str], classes: Classes) -> bool:
    """Whether the data's names are plain numbers, and the model has names of another kind."""
    return all(_is_index(name) for name in names) and not any(_is_index(name) for name in classes.names)


def _is_index(name: str) -> bool:
    return name.isascii() and name.isdecimal() and str(int(name)) == name


def _numbered(name: str, classes: Classes) -> int:
    if int(name) < len(classes):
        return int(name)
    raise DataError(
        f"class {name!r} of the data is none of the model's {counted(len(classes), 'class', 'classes')}; "
        f"by number they are 0 to {len(classes) - 1}"
    )


def _named(name: str, classes: Classes) -> int:
    """The index of the class that a name means: an id, else a name, else one that means the same."""
    if classes.ids and name in classes.ids:
        return classes.ids.index(name)
    found = [index for index, each in enumerate(classes.names) if each == name]
    found = found or [index for index, each in enumerate(classes.names) if _plain(each) == _plain(name)]
    if len(found) == 1:
        return found[0]
    if found:
        ids = " and ".join(classes.ids[index] for index in found) if classes.ids else ""
        mend = f"; call the folder by its id, {ids}" if ids else ""
        raise DataError(f"class {name!r}: the model has {len(found)} classes of that name{mend}")
    raise DataError(
        f"class {name!r} of the data is none of the model's {counted(len(classes), 'class', 'classes')}."
        f"{did_you_mean(name, classes.names)} It knows {listed([printable(each) for each in classes.names], most=10)}"
    )


def _plain(name: str) -> str:
    return SAME.get(unspaced(name), unspaced(name))
