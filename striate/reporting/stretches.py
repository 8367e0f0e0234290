"""Where on an axis the stretches of a course lie, so that each is wide enough for its name; and which names fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from striate.planning.course import Course


@dataclass(frozen=True, slots=True)
class Stretch:
    """Operations that follow each other in one block and phase: the first one, and the first one after them."""

    phase: str
    block: str
    begin: int
    end: int


def stretches(course: Course) -> tuple[Stretch, ...]:
    """All of a course, in their order."""
    moments = zip(course.moments, course.ends, strict=True)
    found = []
    for (phase, block), together in groupby(moments, key=lambda each: (each[0].phase, each[0].block)):
        own = list(together)
        found.append(Stretch(phase, block, own[0][0].begin, own[-1][1]))
    return tuple(found)


def named(every: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """Those that have a name; what of one block only the whole interrupts is one."""
    found: list[Stretch] = []
    for each in every:
        if not each.block:
            continue
        if found and (found[-1].phase, found[-1].block) == (each.phase, each.block):
            found[-1] = Stretch(each.phase, each.block, found[-1].begin, each.end)
        else:
            found.append(each)
    return tuple(found)


def phases(every: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """The phases, as stretches of no block."""
    found = []
    for phase, together in groupby(every, key=lambda each: each.phase):
        own = list(together)
        found.append(Stretch(phase, "", own[0].begin, own[-1].end))
    return tuple(found)


def shared_out(amounts: Sequence[float], least: Sequence[float], width: float) -> list[float]:
    """A width shared out in proportion to amounts, where none gets less than its least.

    Where there is not room for the least of all, these are what it is shared out in proportion to.

    Example:
        >>> shared_out([1, 1, 8], [2, 0, 0], 10)
        [2, 0.8888888888888888, 7.111111111111111]
    """
    if sum(least) >= width:
        return [each * width / sum(least) for each in least]
    given = [0.0] * len(amounts)
    while True:
        free = [place for place, each in enumerate(given) if not each]
        left, of = width - sum(given), sum(amounts[place] for place in free)
        short = [place for place in free if amounts[place] * left < least[place] * of]
        if not short:
            return [each or amounts[place] * left / of for place, each in enumerate(given)]
        for place in short:
            given[place] = least[place]


def apart(
    middles: Sequence[float], sizes: Sequence[float], importance: Sequence[float], names: Sequence[str]
) -> list[int]:
    """Of names with these middles and sizes those that can be kept without two of them touching.

    The important come first, but none comes a second time before all others had theirs.

    Example:
        >>> apart([0, 1, 2], [1.5, 1.5, 1.5], [1, 3, 2], ["a", "b", "c"])
        [1]
        >>> apart([0, 1, 2, 3], [1.5, 1.5, 1.5, 1.5], [1, 1, 1, 1], ["a", "b", "b", "a"])
        [0, 2]
    """
    kept: list[int] = []
    order = sorted(range(len(middles)), key=lambda each: -importance[each])
    for again in (False, True):
        for place in order:
            said = any(names[each] == names[place] for each in kept)
            near = (abs(middles[place] - middles[each]) - (sizes[place] + sizes[each]) / 2 for each in kept)
            if said == again and all(gap > -1e-6 for gap in near):
                kept.append(place)
    return sorted(kept)


def spread(places: Sequence[float], gap: float, end: float) -> list[float]:
    """Places in ascending order, moved as far as needed for a gap between each two, and none beyond an end.

    Example:
        >>> spread([0.0, 0.5, 4.0], 1.0, 9.0), spread([3.0, 3.0], 1.0, 3.0)
        ([0.0, 1.0, 4.0], [2.0, 3.0])
    """
    found: list[float] = []
    for place in places:
        found.append(max(place, found[-1] + gap) if found else place)
    for back, place in enumerate(reversed(range(len(found)))):
        found[place] = min(found[place], end - gap * back)
    return found
