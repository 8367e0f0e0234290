"""Memory over the course of a step, as a filled curve: what it is made of, in which block and phase, and its peak."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from striate.base.errors import ModelError
from striate.planning import Plan
from striate.planning.course import PARTS, Course, Moment
from striate.reporting import figures
from striate.reporting.figures import FAINT, INK, LARGE, SMALL, USUAL
from striate.reporting.stretches import Stretch, apart, named, phases, shared_out, stretches

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {
    "weights": "#8b95a1",
    "averaged weights": "#bcc3cb",
    "optimizer state": "#a98bbd",
    "gradients": "#e3a857",
    "saved for backward": "#4a86b8",
    "temporaries": "#a5d3a0",
}
PHASES = {"forward": "#e4edf6", "loss": "#f5edcf", "backward": "#f9e6df", "optimizer": "#e9e1f1"}
RULER = ("#b9c0c8", "#dfe3e7")
PEAK, BUDGET = "#b3261e", "#6a1b9a"
PAPER = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.5}

# Inches: of the curve, and of what stands around it.
HEIGHT, NARROWEST, WIDEST = 3.4, 6.8, 12.0
LEFT, RIGHT, TITLE, STRIP, HEADROOM, RULED, WORDS = 0.85, 2.95, 0.72, 0.25, 0.6, 0.09, 0.4
SLOT = 0.155
"""Inches of a name that stands upright."""

LONGEST = 26
"""Letters of a block's name."""
FAR = 4
"""A budget of more than so many peaks is named and not drawn, since the curve would lie flat below it."""

UNITS = ((10**11, 10**9, "GB"), (10**6, 10**6, "MB"), (10**3, 10**3, "kB"), (0, 1, "bytes"))


def memory_picture(plan: Plan, path: str | os.PathLike[str], *, budget: int | None = None) -> Path:
    """Draw the memory that a step takes, operation by operation, and return the file's path.

    The areas are what memory is made of, one upon the other; where the step is, is said by its phases above and its
    blocks below. Blocks and phases of few operations are drawn wider than others, so that their names can be read.

    Args:
        plan: of any network; its step of training is drawn, or where only inference was planned, that.
        path: of a PNG or an SVG, by its ending.
        budget: bytes, which a line is drawn at.

    Raises:
        ModelError: nothing runs in the step.
        OutputError: the picture cannot be drawn or written there; says why.
    """
    path = figures.checked_path(path)
    with figures.one_look():
        figures.write(memory_figure(plan, budget), path)
    return path


def memory_figure(plan: Plan, budget: int | None = None) -> "Figure":
    """The same as a figure of matplotlib; made and looked at within `figures.one_look`."""
    if not plan.course.moments:
        raise ModelError(f"{plan.name}: nothing runs in such a step, so that there is nothing to draw over its course")
    along = _Along.of(plan.course)
    names = [figures.drawable(each.block, LONGEST) for each in along.named]
    widths = [figures.measured(name, SMALL)[0] for name in names]
    upright = any(wide > along.width_of(each) - 0.06 for wide, each in zip(widths, along.named, strict=True))
    below = WORDS + RULED + (max(widths) if upright else 0.14) + 0.1
    sheet = figures.figure(LEFT + along.width + RIGHT, TITLE + STRIP + HEADROOM + HEIGHT + below)
    curve = figures.placed(sheet, LEFT, below, along.width, HEIGHT + HEADROOM)
    _draw_curve(curve, plan, along, budget)
    _draw_phases(figures.placed(sheet, LEFT, below + HEIGHT + HEADROOM, along.width, STRIP), curve, along)
    ruler = figures.placed(sheet, LEFT, below - RULED, along.width, RULED)
    left_out = _draw_blocks(ruler, along, names, upright)
    _write_around(sheet, plan, left_out)
    _write_parts(figures.placed(sheet, LEFT + along.width, below, RIGHT, HEIGHT + HEADROOM), plan, budget)
    return sheet


@dataclass(frozen=True)
class _Along:
    """Where in a step's course operations lie, in inches from its beginning."""

    every: tuple[Stretch, ...]
    edges: tuple[float, ...]

    @classmethod
    def of(cls, course: Course) -> "_Along":
        every = stretches(course)
        tried = (_least(every, slot) for slot in (SLOT, SLOT / 2, SLOT / 4, 0.0))
        least = next(each for each in tried if sum(each) < WIDEST)
        width = min(WIDEST, max(NARROWEST, 1.25 * sum(least)))
        given = shared_out([each.end - each.begin for each in every], least, width)
        return cls(every, tuple(accumulate(given, initial=0.0)))

    @property
    def width(self) -> float:
        """Of the whole course."""
        return self.edges[-1]

    @property
    def named(self) -> tuple[Stretch, ...]:
        """What has a name."""
        return named(self.every)

    def at(self, operations: Sequence[int]) -> list[float]:
        """Where these begin."""
        import numpy as np

        begins = [*(each.begin for each in self.every), self.every[-1].end]
        return [float(place) for place in np.interp(operations, begins, self.edges)]

    def width_of(self, stretch: Stretch) -> float:
        """Of one stretch."""
        begin, end = self.at((stretch.begin, stretch.end))
        return end - begin


def _least(every: Sequence[Stretch], slot: float) -> list[float]:
    """How wide stretches must be so that each named one has so much, and each phase room for its name."""
    least = dict.fromkeys(every, 0.0)
    for group, needed in (
        *((each, slot) for each in named(every)),
        *((each, figures.measured(each.phase, USUAL, bold=True)[0] + 0.2) for each in phases(every)),
    ):
        inside = [each for each in every if group.begin <= each.begin < group.end]
        lacking = needed - sum(least[each] for each in inside)
        for each in inside:
            least[each] += max(0.0, lacking) / len(inside)
    return [*least.values()]


def said(size: float, of: float | None = None) -> str:
    """Bytes in words, in the unit that suits ``of``."""
    divisor, unit = _unit(size if of is None else of)
    return f"{size / divisor:,.1f} {unit}" if divisor > 1 else f"{size:,.0f} {unit}"


def _unit(size: float) -> tuple[int, str]:
    return next((divisor, unit) for least, divisor, unit in UNITS if size >= least)


def _draw_curve(axes: "Axes", plan: Plan, along: _Along, budget: int | None) -> None:
    from matplotlib.ticker import MaxNLocator

    peak = plan.peak.bytes
    near = budget if budget is not None and budget <= FAR * peak else 0
    top = max(peak, near, 1)
    divisor, unit = _unit(top)
    axes.set_axis_on()
    axes.set_ylim(0, top * (HEIGHT + HEADROOM) / HEIGHT)
    ticks = [tick for tick in MaxNLocator(6).tick_values(0, top / divisor) if 0 <= tick <= top / divisor]
    axes.set_yticks([tick * divisor for tick in ticks], [f"{tick:,g}" for tick in ticks], fontsize=USUAL)
    axes.set_ylabel(f"memory in use, {unit}", fontsize=USUAL)
    axes.set_xticks([])
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    begins = [moment.begin for moment in plan.course.moments]
    edges = along.at([*begins, plan.course.operations])
    sums = [list(accumulate(moment.parts)) for moment in plan.course.moments]
    for place, part in reversed([*enumerate(PARTS)]):
        if any(moment.parts[place] for moment in plan.course.moments):
            axes.fill(*_outline(edges, [each[place] for each in sums]), facecolor=COLOURS[part], linewidth=0, zorder=2)
    axes.plot(*_outline(edges, [each[-1] for each in sums]), color=INK, linewidth=0.5, zorder=3)
    _mark_peak(axes, plan, along)
    if near:
        _mark_budget(axes, near, along.width)


def _outline(edges: Sequence[float], heights: Sequence[int]) -> tuple[list[float], list[int]]:
    """Corners of an area of steps; those between steps that are equally high are left out."""
    x, y = [edges[0]], [0]
    for place, height in enumerate(heights):
        if height != y[-1]:
            x += [edges[place]] * 2
            y += [y[-1], height]
    return [*x, edges[-1], edges[-1]], [*y, y[-1], 0]


def _mark_peak(axes: "Axes", plan: Plan, along: _Along) -> None:
    moment = plan.course.peak
    assert moment is not None
    end = min(each for each in plan.course.ends if each > moment.begin)
    x = sum(along.at((moment.begin, end))) / 2
    lines = (f"peak {said(moment.bytes)}", _where(moment))
    wide = max(figures.measured(line, USUAL, bold=True)[0] for line in lines)
    middle = min(max(x, wide / 2), along.width - wide / 2) if wide < along.width else along.width / 2
    inch = axes.get_ylim()[1] / (HEIGHT + HEADROOM)
    for line, weight, up in zip(lines, ("bold", "normal"), (0.32, 0.13), strict=True):
        height = axes.get_ylim()[1] - (HEADROOM - up) * inch
        axes.text(
            middle, height, line, fontsize=USUAL, fontweight=weight, color=PEAK, ha="center", bbox=PAPER, zorder=6
        )
    foot = axes.get_ylim()[1] - (HEADROOM - 0.08) * inch
    axes.plot([x, x], [moment.bytes, foot], color=PEAK, linewidth=1, zorder=5)
    axes.plot([x], [moment.bytes], marker="o", markersize=5, color=PEAK, zorder=6)


def _where(moment: Moment) -> str:
    place = f" in {figures.drawable(moment.path, 48)}" if moment.path else ""
    block = f"{figures.drawable(moment.block, LONGEST)}, " if moment.block not in ("", moment.path) else ""
    return f"{moment.operation}{place} ({block}{moment.phase})"


def _mark_budget(axes: "Axes", budget: int, width: float) -> None:
    for colour, thick, line in (("white", 2.6, "solid"), (BUDGET, 1.3, (0, (5, 3)))):
        axes.plot([0, width], [budget, budget], color=colour, linewidth=thick, linestyle=line, zorder=4)
    inch = axes.get_ylim()[1] / (HEIGHT + HEADROOM)
    below = budget > HEIGHT / 2 * inch
    axes.text(
        *(width - 0.06, budget + (-0.06 if below else 0.06) * inch, f"budget {said(budget)}"),
        fontsize=USUAL,
        color=BUDGET,
        ha="right",
        va="top" if below else "bottom",
        bbox=PAPER,
        zorder=5,
    )


def _draw_phases(axes: "Axes", curve: "Axes", along: _Along) -> None:
    for each in phases(along.every):
        begin, end = along.at((each.begin, each.end))
        for where in (axes, curve):
            where.axvspan(begin, end, facecolor=PHASES[each.phase], linewidth=0, zorder=1)
            where.axvline(end, color="white" if where is axes else FAINT, linewidth=0.8, zorder=3)
        axes.text((begin + end) / 2, 0.5, each.phase, fontsize=USUAL, fontweight="bold", ha="center", va="center")


def _draw_blocks(axes: "Axes", along: _Along, names: Sequence[str], upright: bool) -> int:
    """The ruler of blocks, and their names below it; says how many blocks are named nowhere for lack of room."""
    middles, sizes = [], []
    begins, widths = along.at([each.begin for each in along.named]), [along.width_of(each) for each in along.named]
    for odd, colour in enumerate(RULER):
        bars = [*zip(begins, widths, strict=True)][odd::2]
        axes.broken_barh(bars, (0, 1), facecolor=colour, linewidth=0)
    for place, (begin, width) in enumerate(zip(begins, widths, strict=True)):
        middles.append(begin + width / 2)
        sizes.append(SLOT if upright else figures.measured(names[place], SMALL)[0] + 0.06)
    kept = apart(middles, sizes, widths, [each.block for each in along.named])
    for place in kept:
        axes.text(
            *(middles[place], -0.06 / RULED, names[place]),
            fontsize=SMALL,
            ha="center",
            va="top",
            rotation=90 if upright else 0,
        )
    every = {each.block for each in along.named}
    return len(every - {along.named[place].block for place in kept})


def _write_around(sheet: "Figure", plan: Plan, left_out: int) -> None:
    wide, high = sheet.get_size_inches()
    batch, *shape = plan.input
    step = "a step of training" if plan.training else "a forward pass"
    sheet.text(
        *(0.2 / wide, 1 - 0.3 / high, f"{figures.drawable(plan.name, 60)}: memory over {step}"),
        fontsize=LARGE,
        fontweight="bold",
    )
    pictures = "one picture" if batch == 1 else f"{batch} pictures"
    words = [f"{pictures} of {'x'.join(map(str, shape))}", plan.precision]
    words += [plan.optimizer] if plan.optimizer else []
    words += [f"loss: {figures.drawable(plan.loss, 60)}"] if plan.loss else []
    sheet.text(0.2 / wide, 1 - 0.55 / high, ", ".join(words), fontsize=USUAL, color=FAINT)
    course = f"blocks, in the order of the step's {plan.course.operations:,} operations"
    course += f"; there is no room for the names of {left_out}" if left_out else ""
    sheet.text(LEFT / wide, 0.14 / high, course, fontsize=USUAL, color=FAINT)


def _write_parts(axes: "Axes", plan: Plan, budget: int | None) -> None:
    """What the areas are, how much of the peak each is, and what is said of a budget that is not drawn."""
    from matplotlib.patches import Rectangle

    moment, peak = plan.course.peak, plan.peak.bytes
    assert moment is not None
    inch = 1 / (HEIGHT + HEADROOM)
    top = HEIGHT * inch
    axes.text(0.25, top, f"at the peak, of {said(peak)}:", fontsize=USUAL, va="top")
    for place, part in reversed([*enumerate(PARTS)]):
        if any(each.parts[place] for each in plan.course.moments):
            top -= 0.3 * inch
            axes.add_patch(
                Rectangle((0.25, top - 0.15 * inch), 0.17, 0.15 * inch, facecolor=COLOURS[part], linewidth=0)
            )
            for x, side, text in ((0.5, "left", part), (RIGHT - 0.15, "right", said(moment.parts[place], peak))):
                axes.text(x, top - 0.075 * inch, text, fontsize=USUAL, va="center", ha=side)
    if budget is not None and budget > FAR * peak:
        text = f"budget {said(budget)}:\nfar above, {budget / max(peak, 1):,.0f} times the peak"
        axes.text(0.25, top - 0.35 * inch, text, fontsize=USUAL, color=BUDGET, va="top", linespacing=1.4)
