"""How sure a figure is: intervals with 95 % confidence, and what is said where few pictures make them wide."""

import math

import numpy as np
from numpy.typing import NDArray

from striate.data.names import counted

SURE = 1.959963984540054
"""Standard deviations either way that hold 95 % of a normal distribution."""
WIDEST = 0.5
"""The 95 % interval of a share may be so wide: with fewer than 12 pictures it is wider.

Of 11 pictures half may be answered by a network that is right one time in four, and by one that is three times in four.
"""
_HARDLY = {
    "validation": "by it hardly any epoch is better than another",
    "the test": "it tells hardly anything; add pictures, or test with each of them (--folds)",
}


def wilson_interval(right: int, images: int) -> tuple[float, float]:
    """The interval that holds the true rate with 95 % confidence (Wilson 1927).

    Example:
        >>> low, high = wilson_interval(81, 100)
        >>> round(low, 4), round(high, 4)
        (0.7222, 0.8749)
    """
    rate, z = right / images, SURE
    centre = (rate + z * z / (2 * images)) / (1 + z * z / images)
    half = z / (1 + z * z / images) * math.sqrt(rate * (1 - rate) / images + z * z / (4 * images * images))
    return max(0.0, centre - half), min(1.0, centre + half)


def share_margin(share: float, images: int) -> float:
    """How far the true share of right answers may lie below the one of so many, by `wilson_interval`."""
    return share - wilson_interval(round(share * images), images)[0]


def mean_interval(values: NDArray[np.float64]) -> list[float]:
    """The interval that holds the true mean of shares ``[N]`` with 95 % confidence, by their standard error.

    Example:
        >>> [round(end, 3) for end in mean_interval(np.array([0.7, 0.8, 0.9]))]
        [0.687, 0.913]
    """
    half = SURE * float(values.std(ddof=1)) / math.sqrt(len(values))
    return [max(0.0, float(values.mean()) - half), min(1.0, float(values.mean()) + half)]


def jackknife_margin(moved: NDArray[np.float64]) -> float | None:
    """How far a figure may be off with 95 % confidence, by the infinitesimal jackknife (see `detect_margin`).

    ``moved`` ``[N]`` says how it would move if each picture weighed a little more; None for fewer than two.
    """
    images = len(moved)
    return SURE * float(np.sqrt((moved**2).sum() * images / (images - 1))) if images > 1 else None


def interval_width(images: int) -> float:
    """How wide the 95 % interval of a share of so many is at most, 0..1: where half of them are right; 1 of none.

    Example:
        >>> round(interval_width(5), 2), round(interval_width(100), 2)
        (0.65, 0.19)
    """
    if not images:
        return 1.0
    low, high = wilson_interval(images // 2, images)
    return high - low


def too_few(side: str, count: int, what: str, share: str) -> str | None:
    """A sentence if a side, "validation" or "the test", has too few of ``what`` to tell a ``share``.

    Example:
        >>> too_few("validation", 5, "picture", "its top-1")[:75]
        'validation has 5 pictures: the 95 % interval of its top-1 can be 0.65 wide,'
        >>> too_few("the test", 100, "picture", "its top-1")
    """
    if (width := interval_width(count)) <= WIDEST:
        return None
    return (
        f"{side} has {counted(count, what)}: the 95 % interval of {share} can be {width:.2f} wide, so {_HARDLY[side]}"
    )
