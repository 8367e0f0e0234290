"""Sets of instructions that the kernels are compiled for, and which of them are asked for and possible."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass

from striate.base.hardware import instructions

VARIABLE = "STRIATE_NATIVE"
"""Environment variable: "auto" (also unset), "off" for torch alone, or names of levels, separated by commas."""


class NoKernelsError(Exception):
    """There are no kernels; the text is the reason, and what would help where something would."""


@dataclass(frozen=True, slots=True)
class Level:
    """One set of instructions that the sources are compiled for; ``needs`` are the processor's words for it."""

    name: str
    machine: str
    needs: frozenset[str]
    flags: tuple[str, ...]


LEVELS = (
    Level(
        "avx512bf16",
        "x86_64",
        frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_bf16"}),
        ("-march=x86-64-v4", "-mavx512bf16"),
    ),
    Level("avx512", "x86_64", frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl"}), ("-march=x86-64-v4",)),
    Level("avx2", "x86_64", frozenset({"avx2", "fma", "bmi2"}), ("-march=x86-64-v3",)),
    Level("neon", "aarch64", frozenset({"asimd"}), ()),
)
"""The best first."""


def wished() -> tuple[Level, ...]:
    """The levels that the environment variable allows, the best first.

    Raises:
        NoKernelsError: it is "off", or names what is no level.
    """
    words = [word.strip() for word in os.environ.get(VARIABLE, "").split(",") if word.strip()] or ["auto"]
    if words == ["auto"]:
        return LEVELS
    if words == ["off"]:
        raise NoKernelsError(f"{VARIABLE} is off")
    names = [level.name for level in LEVELS]
    if not set(words) <= set(names):
        raise NoKernelsError(
            f"{VARIABLE} is {os.environ[VARIABLE]!r}; it is auto, off, or a list of {', '.join(names)}"
        )
    return tuple(level for level in LEVELS if level.name in words)


def possible(levels: Sequence[Level] = LEVELS) -> tuple[Level, ...]:
    """Those of ``levels`` that this processor can run.

    Raises:
        NoKernelsError: it can run none of them.
    """
    machine, has = platform.machine(), instructions()
    found = tuple(level for level in levels if level.machine == machine and level.needs <= has)
    if not found:
        asked = machine if levels == LEVELS else ", ".join(level.name for level in levels)
        raise NoKernelsError(f"there are no kernels for this processor ({asked})")
    return found
