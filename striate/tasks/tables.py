"""Tables as people read them on a terminal."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from striate.data.names import counted, printable

MOST_CLASSES = 40


def table(lines: Sequence[Sequence[str]], *, left: Collection[int] = (0,)) -> Iterator[str]:
    """Lines of equal columns: the cells of those in ``left`` to the left, the others to the right.

    Example:
        >>> list(table([("class", "pictures"), ("daisy", "7")]))
        ['class  pictures', 'daisy         7']
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = enumerate(zip(line, widths, strict=True))
        yield "  ".join([cell.ljust(width) if at in left else cell.rjust(width) for at, (cell, width) in cells])


def table_of_classes(
    titles: Sequence[str],
    classes: Sequence[Mapping[str, Any]],
    cells: Callable[[Mapping[str, Any]], Sequence[str]],
    *,
    quality: Callable[[Mapping[str, Any]], float],
    done: str,
) -> Iterator[str]:
    """Lines, the first empty: the ``name`` of each class, and its cells below the titles.

    Of more than 40 classes those of the least ``quality`` are shown; the others are ``done`` ("recognised") better.
    """
    worst = sorted(classes, key=quality)[:MOST_CLASSES] if len(classes) > MOST_CLASSES else classes
    yield ""
    yield from table([("class", *titles), *((printable(row["name"]), *cells(row)) for row in worst)])
    if len(worst) < len(classes):
        yield f"and {counted(len(classes) - len(worst), 'class', 'classes')} that are {done} better"
