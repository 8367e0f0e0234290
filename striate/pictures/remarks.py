"""What was odd about pictures that were read all the same; said once for all of a data set."""

from collections import Counter
from collections.abc import Mapping
from typing import Literal

Remark = Literal["", "no end marker", "first page", "16 bits", "16 bits, dim"]
"""Of one picture: nothing; a JPEG file without its last marker; the first of several pages or frames of a file; 16-bit
numbers; such that are all below `DIM`."""

DIM = 4096
"""A sixteenth of the range of 16 bits."""

_NAMED = 5
_SAID: Mapping[Remark, str] = {
    "no end marker": "JPEG files that lack their end marker, but no pixels, were read all the same",
    "first page": "of files of several pages or frames the first alone is looked at",
}
"""Of pictures that are named."""


class Remarks:
    """Collects the remarks on any number of pictures, in little memory.

    Example:
        >>> remarks = Remarks()
        >>> remarks.add("a.jpg", "no end marker")
        >>> remarks.sentences()
        ['JPEG files that lack their end marker, but no pixels, were read all the same (1): a.jpg']
    """

    def __init__(self) -> None:
        self._count: Counter[Remark] = Counter()
        self._names: dict[Remark, list[str]] = {remark: [] for remark in _SAID}

    def add(self, name: str, remark: Remark) -> None:
        """Count the remark on one picture, whose printable name is kept where it will be said."""
        self._count[remark] += 1
        if len(names := self._names.get(remark, [])) < _NAMED:
            names.append(name)

    def sentences(self) -> list[str]:
        """What a user should hear, a sentence a fault; [] if all is as usual."""
        said = []
        for remark, sentence in _SAID.items():
            if count := self._count[remark]:
                names = ", ".join(self._names[remark]) + (", ..." if count > _NAMED else "")
                said.append(f"{sentence} ({count}): {names}")
        if (dim := self._count["16 bits, dim"]) and not self._count["16 bits"]:
            said.append(dim_notice(dim))
        return said


def dim_notice(count: int) -> str:
    """The sentence where all 16-bit pictures of a data set, so many, are dim."""
    return (
        f"the 16-bit pictures ({count}) use less than a sixteenth of the range, numbers below {DIM:,} of 65,536, as of "
        "12-bit cameras, so the network sees almost black; unless that is meant, scale them until white is near 65,535"
    )
