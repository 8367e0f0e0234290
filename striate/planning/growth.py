"""How the memory of a step grows with its batch: of each moment what stays and what comes with every picture."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from striate.tracing import Kind, Trace

MOST = 1 << 16
"""No batch of more pictures is looked for."""
STAYING: tuple[Kind, ...] = ("parameters", "buffers", "optimizer state", "gradients")


@dataclass(frozen=True, slots=True)
class Growth:
    """What is in use at most, by the number of pictures.

    ``moments`` are the bytes of moments that do not depend on the pictures, and those for each. A step's moments grow
    in straight lines, its peak along the highest of them.

    Example:
        >>> Growth.of([(100, 1.0), (40, 3.0)]).bytes_of(10)
        110
        >>> Growth.of([(100, 1.0), (40, 3.0)]).largest(160)
        40
    """

    moments: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, moments: Iterable[tuple[float, float]]) -> "Growth":
        """Of all moments those that are ever the highest."""
        found: list[tuple[float, float]] = []
        for fixed, each in sorted(moments, key=lambda moment: (-moment[1], -moment[0])):
            if not found or fixed > found[-1][0]:
                found.append((fixed, each))
        return cls(tuple(found))

    @classmethod
    def between(cls, one: Trace, few: int, other: Trace, many: int) -> "Growth":
        """Of the traces of two steps that differ in their pictures alone; ``few`` and ``many`` are how many.

        Exact where both run the same operations, else a line through their peaks.
        """
        courses = [(one.course, other.course)]
        if len(one.operations) != len(other.operations):
            courses = [((one.peak().bytes,), (other.peak().bytes,))]
        slopes = [(less, max(0.0, (more - less) / (many - few))) for less, more in zip(*courses[0], strict=True)]
        return cls.of((less - slope * few, slope) for less, slope in slopes)

    @classmethod
    def from_one(cls, step: Trace, pictures: int) -> "Growth":
        """Of one trace, exact for as many pictures, and not too little for more: all but weights counts as theirs."""
        fixed = [sum(each) for each in zip(*(step.kinds[kind] for kind in STAYING), strict=True)]
        return cls.of(
            (staying, (whole - staying) / pictures) for staying, whole in zip(fixed, step.course, strict=True)
        )

    def plus(self, fixed: int = 0, each: float = 0.0) -> "Growth":
        """The same with so much more, whatever happens."""
        return Growth(tuple((stays + fixed, grows + each) for stays, grows in self.moments))

    def bytes_of(self, pictures: int) -> int:
        """At the peak of a step of so many pictures."""
        return math.ceil(max(fixed + each * pictures for fixed, each in self.moments) - 1e-3)

    def largest(self, room: int) -> int:
        """The most pictures, up to `MOST`, with which a step takes no more than this; 0 if there are none."""
        fits = [(room - fixed) / each if each else math.inf if fixed <= room else 0 for fixed, each in self.moments]
        return max(0, math.floor(min([*fits, MOST]) + 1e-9))
