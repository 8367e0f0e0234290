"""What was odd about pictures that were read all the same; said once for all of a data set."""

from collections import Counter
from typing import Literal

Remark = Literal["", "no end marker", "16 bits", "16 bits, dim"]
"""Of one picture: nothing; a JPEG file without its last marker; 16-bit numbers; such that are all below `DIM`."""

DIM = 4096
"""A sixteenth of the range of 16 bits."""

_NAMED = 5


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
        self._endless: list[str] = []

    def add(self, name: str, remark: Remark) -> None:
        """Count the remark on one picture, whose printable name is kept where it will be said."""
        self._count[remark] += 1
        if remark == "no end marker" and len(self._endless) < _NAMED:
            self._endless.append(name)

    def sentences(self) -> list[str]:
        """What a user should hear, a sentence a fault; [] if all is as usual."""
        said = []
        if endless := self._count["no end marker"]:
            names = ", ".join(self._endless) + (", ..." if endless > _NAMED else "")
            said.append(
                f"JPEG files that lack their end marker, but no pixels, were read all the same ({endless}): {names}"
            )
        if (dim := self._count["16 bits, dim"]) and not self._count["16 bits"]:
            said.append(dim_notice(dim))
        return said


def dim_notice(count: int) -> str:
    """The sentence where all 16-bit pictures of a data set, so many, are dim."""
    return (
        f"the 16-bit pictures ({count}) use less than a sixteenth of the range, numbers below {DIM:,} of 65,536, as of "
        "12-bit cameras, so the network sees almost black; unless that is meant, scale them until white is near 65,535"
    )
