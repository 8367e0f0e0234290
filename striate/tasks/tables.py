"""Tables as people read them on a terminal."""

from collections.abc import Iterator, Sequence


def table(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of equal width: the first cell of each to the left, the others to the right.

    Example:
        >>> list(table([("class", "pictures"), ("daisy", "7")]))
        ['class  pictures', 'daisy         7']
    """
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for first, *others in lines:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        yield "  ".join([first.ljust(widths[0]), *cells])
