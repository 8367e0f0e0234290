"""What a benchmark hands back: tables for people, verdicts, and all its figures for programs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from accept import Check, at_least, at_most
from striate.benchmarking.driver import Comparison, Timing, Turn


@dataclass(frozen=True, slots=True)
class Settings:
    """``quick`` is for those who change the benchmarks: few rounds, whose figures mean little."""

    quick: bool = False
    networks: tuple[str, ...] = ()

    def rounds(self, usual: int) -> int:
        return 1 if self.quick else usual

    def takes(self, network: str) -> bool:
        return not self.networks or network in self.networks


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        lines = [self.columns, ("---", *["---:"] * (len(self.columns) - 1)), *self.rows]
        title = [f"**{self.title}**", ""] if self.title else []
        return "\n".join([*title, *("| " + " | ".join(line) + " |" for line in lines)])

    def plain(self) -> str:
        lines = [(self.title, *self.columns[1:]), *[(f"  {name}", *rest) for name, *rest in self.rows]]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.columns))]
        cells = [[line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in lines]
        return "\n".join("  ".join(row).rstrip() for row in cells)


@dataclass(frozen=True, slots=True)
class Section:
    """``how`` says in a paragraph what was done; ``figures`` is everything, as JSON."""

    title: str
    how: str
    tables: tuple[Table, ...]
    checks: tuple[Check, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)


def as_json(comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {
            "name": timing.contender.name,
            "label": timing.contender.label,
            "images": timing.images,
            "seconds": list(timing.seconds),
            "about": dict(timing.about),
            "failure": timing.failure,
        }
        for timing in comparison
    ]


def speed(timing: Timing) -> tuple[str, str]:
    """Pictures a second and their spread, or why there are none."""
    return (f"{timing.images_per_second:,.1f}", percent(timing.spread)) if timing.seconds else (str(timing.failure), "")


def percent(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.0%}"


def times(value: float) -> str:
    """A ratio, or nothing where one of its sides failed."""
    return "" if math.isnan(value) else f"{value:.2f}"


def wanted(id: str, got: float, *, least: float | None = None, most: float | None = None) -> Check:
    """A verdict on a ratio; one that could not be measured misses what is wanted."""
    if least is not None:
        return at_least(id, got, least)
    assert most is not None
    return at_most(id, got, most)


def tell(turn: Turn) -> None:
    """One line on the terminal for each counted turn."""
    if turn.round:
        print(
            f"  round {turn.round}  {turn.contender.label:<70} {turn.seconds / turn.steps:10.4f} s a step", flush=True
        )


def warn(comparison: Comparison) -> None:
    """Say so if contenders that waited did not keep still."""
    if comparison.disturbance > 0.1:
        print(f"  contenders that waited used up to {comparison.disturbance:.0%} of a core; read these with care")
