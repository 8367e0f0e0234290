"""What the values of masks mean: decided over all masks of a data set, and refused where they are no classes.

Masks with a table of colours are read by their colours, palettes too; all others by their numbers.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from striate.base.errors import DataError
from striate.data.mask_facts import MaskFacts
from striate.data.names import counted, listed
from striate.data.sources.class_table import ClassTable, shown
from striate.data.sources.faults import Fault, Report
from striate.pictures.geometry import UNKNOWN

NAMELESS = 64
"""More values than these are taken for classes only where a file names them: they are mostly smoothed edges."""

_SHOWN = 20  # so many lines of a table are proposed
_SMOOTHED = "where edges were smoothed, save the masks without (by nearest neighbour)"

COLOURED = Fault(
    "mask is in colours, for which no table says the classes",
    "masks are in colours, for which no table says the classes",
    "write classes.txt with a line for each colour, as {lines}",
)
UNLISTED = Fault(
    "mask has colours that are no class's",
    "masks have colours that are no class's",
    f"name each colour in {{table}}, or, {_SMOOTHED}",
)
OUTSIDE = Fault(
    "mask has values outside the classes",
    "masks have values outside the classes",
    f"{{table}} names {{classes}}; name the others there, or, {_SMOOTHED}",
)
PALETTES = Fault(
    "mask has another palette",
    "masks have other palettes",
    "one place means one class in all masks; give the colours in classes.txt (as 128 0 0 road), by which they are told",
)
WIDE = Fault(
    "mask has grey of 16 bits",
    "masks have grey of 16 bits",
    "{table} says the classes by colours; save such masks in colours, or write a table of their values (as 300 road)",
)


@dataclass(frozen=True, slots=True)
class Meaning:
    """The classes, and for each what stands for it: a value, or a colour 0xRRGGBB.

    ``notices`` say what was taken for what.
    """

    names: tuple[str, ...]
    values: tuple[int, ...]
    coloured: bool
    notices: tuple[str, ...] = ()

    def areas(self, facts: MaskFacts) -> dict[int, int]:
        """The pixels of each class that a mask has."""
        counts = facts.by_colour() if self.coloured else facts.by_value()
        return {index: counts[value] for index, value in enumerate(self.values) if value in counts}


def meaning_of(
    masks: Mapping[str, MaskFacts], table: ClassTable | None, report: Report, *, nameless: Sequence[str] = ()
) -> Meaning:
    """What the values of the masks (by name) mean; faults of single masks go into the report.

    ``nameless`` are names for the values from 0 on that are taken where there is no table.

    Raises:
        DataError: no value can be told to be a class; the message has the table that would tell.
    """
    if table is not None and table.coloured:
        return _by_colours(masks, table, report)
    if strange := {name: each for name, each in masks.items() if each.kind == "colour" and not each.all_grey}:
        _refuse_colours(strange, report)
        return Meaning((), (), True)
    _compare_palettes(masks, report)
    values = Counter[int]()
    for each in masks.values():
        values.update(each.by_value())
    if table is None:
        return _by_themselves(masks, values, nameless)
    if set(values) == {0, UNKNOWN} and table.values == (0, 1):
        notice = f"masks have the values 0 and 255 alone: 255 is taken for {table.names[1]}"
        return Meaning(table.names, (0, UNKNOWN), False, (notice,))
    known = {*table.values, *table.ignored, UNKNOWN}
    strange_values = sorted(set(values) - known)
    if strange_values and _are_levels(values) and 2 * len(strange_values) > len(set(values) - {UNKNOWN}):
        raise DataError(_levels(sorted(set(values) - {UNKNOWN}), table))
    fault = replace(OUTSIDE, mend=OUTSIDE.mend.format(table=table.where, classes=_named(table.values)))
    for name, each in masks.items():
        if outside := {value: count for value, count in each.by_value().items() if value not in known}:
            report.add(fault, f"{name} ({_pixels({str(value): count for value, count in outside.items()})})")
    return Meaning(table.names, table.values, False)


def _named(values: Sequence[int]) -> str:
    """The values of a table, in order: ``0 to 11``, ``0, 5, 9``; and that 255 is nobody's, where no class has it."""
    whole = len(values) > 1 and values[-1] - values[0] == len(values) - 1
    said = f"{values[0]} to {values[-1]}" if whole else listed([str(value) for value in values], most=_SHOWN)
    said = f"{said} alone" if len(values) == 1 else said
    return said if UNKNOWN in values else f"{said}, and {UNKNOWN} is nobody's"


def _pixels(counts: Mapping[str, int]) -> str:
    """Values with their pixels: ``7 in 12 pixels, 9 in 1 pixel``."""
    return listed([f"{value} in {counted(count, 'pixel')}" for value, count in counts.items()], most=3)


def _by_colours(masks: Mapping[str, MaskFacts], table: ClassTable, report: Report) -> Meaning:
    known = {*table.values, *table.ignored}
    unlisted, wide = (
        replace(UNLISTED, mend=UNLISTED.mend.format(table=table.where)),
        replace(WIDE, mend=WIDE.mend.format(table=table.where)),
    )
    for name, each in masks.items():
        if each.wide:
            report.add(wide, name)
        elif strange := {colour: count for colour, count in each.by_colour().items() if colour not in known}:
            first = max(strange, key=lambda colour: strange[colour])
            near = min(table.values, key=lambda colour: (_distance(colour, first), colour))
            pixels = _pixels({shown(colour): count for colour, count in sorted(strange.items(), key=lambda p: -p[1])})
            report.add(
                unlisted, f"{name} ({pixels}; nearest is {shown(near)}, {table.names[table.values.index(near)]})"
            )
    return Meaning(table.names, table.values, True)


def _distance(one: int, other: int) -> int:
    return sum((((one >> shift) & 0xFF) - ((other >> shift) & 0xFF)) ** 2 for shift in (0, 8, 16))


def _refuse_colours(masks: Mapping[str, MaskFacts], report: Report) -> None:
    colours = Counter[int]()
    for each in masks.values():
        colours.update(each.by_colour())
    lines = [f"'{shown(colour)} NAME'" for colour, _ in colours.most_common(_SHOWN)]
    more = f" and {len(colours) - _SHOWN} more; {_SMOOTHED}" if len(colours) > _SHOWN else ""
    fault = replace(COLOURED, mend=COLOURED.mend.format(lines=", ".join(lines)) + more)
    for name in masks:
        report.add(fault, name)


def _compare_palettes(masks: Mapping[str, MaskFacts], report: Report) -> None:
    """Places that have one colour in one mask and another in the next."""
    first: dict[int, tuple[int, str]] = {}
    for name, each in masks.items():
        for place, colour in each.colours.items():
            known, other = first.setdefault(place, (colour, name))
            if known != colour:
                report.add(PALETTES, f"{name} (place {place} is {shown(colour)}, and {shown(known)} in {other})")
                break


def _are_levels(values: Mapping[int, int]) -> bool:
    """Whether values are too far apart for indices: less than half of those up to the largest occur."""
    found = set(values) - {UNKNOWN}
    return bool(found) and max(found) >= 2 * len(found)


def _levels(values: Sequence[int], table: ClassTable | None) -> str:
    """What is said of grey values that are no indices, with the table that would map them."""
    names = table.names if table and len(table.names) == len(values) else ["NAME"] * len(values)
    lines = ", ".join(f"'{value} {name}'" for value, name in list(zip(values, names, strict=True))[:_SHOWN])
    more = f" and {len(values) - _SHOWN} more" if len(values) > _SHOWN else ""
    said = f", which are not the indices of {table.where}" if table else ", which are no class indices"
    found = listed([str(value) for value in values], most=_SHOWN)
    smoothed = f"; {_SMOOTHED}" if len(values) > 2 else ""
    return (
        f"masks have the values {found}{said}; write the value in front of each name in classes.txt: {lines}{more}"
        f"{smoothed}"
    )


def _by_themselves(masks: Mapping[str, MaskFacts], values: Mapping[int, int], nameless: Sequence[str]) -> Meaning:
    """Classes by number, where nothing names them."""
    found = sorted(set(values) - {UNKNOWN})
    if set(values) == {0, UNKNOWN} and not nameless:
        notice = "masks have the values 0 and 255 alone, which are taken for two classes, background and foreground"
        return Meaning(("background", "foreground"), (0, UNKNOWN), False, (notice,))
    if nameless and found and found[-1] < len(nameless):
        return Meaning(tuple(nameless), tuple(range(len(nameless))), False)
    if len(found) > NAMELESS or any(each.many for each in masks.values()):
        raise DataError(
            f"masks have {len(found)} different values or more; there may be {UNKNOWN} classes, and of more than "
            f"{NAMELESS} classes.txt must name each; {_SMOOTHED}"
        )
    if _are_levels(values):
        raise DataError(_levels(found, None))
    if not found:
        raise DataError("masks have the value 255 alone, which is nobody's; expected class indices from 0 on")
    names = ("background", "foreground") if found[-1] == 1 else tuple(map(str, range(found[-1] + 1)))
    notice = f"no classes.txt names the classes, so they are called {listed(names, most=4)}"
    return Meaning(names, tuple(range(len(names))), False, (notice,))
