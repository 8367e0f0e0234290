"""Kernels for each level of instructions that this processor has, and a process that takes them for its own."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.ops.native import library, products
from striate.ops.native.building import LEVELS, NotBuiltError, level_for, library_file


def _possible(name: str) -> bool:
    try:
        level_for(name)
    except NotBuiltError:
        return False
    return True


NAMES = tuple(level.name for level in LEVELS if _possible(level.name))


@cache
def built(name: str) -> Any:
    """The library for a level; the test that asks is skipped where there is none to be had."""
    if not (shutil.which("cc") or shutil.which("gcc")):
        pytest.skip("there is no C compiler")
    try:
        with library_file(level_for(name)) as path:
            return library.opened(path)
    except NotBuiltError as error:
        pytest.skip(str(error))


def runs(examples: int) -> list[Any]:
    """Levels, and how many examples each is tried on: the best one always, in slow tests each of them on many."""
    return [pytest.param("auto", examples), *(pytest.param(name, 250, marks=pytest.mark.slow) for name in NAMES)]


def holds_at(level: str, examples: int, drawn: st.SearchStrategy[Any], check: Callable[..., None]) -> None:
    """See that a check passes for what is drawn, by the kernels of a level."""

    @given(drawn)
    @settings(max_examples=examples)
    def holds(call: Any) -> None:
        check(call)

    with computing_with(level):
        holds()


@contextmanager
def computing_with(name: str) -> Iterator[Any]:
    """Within this block the process has the kernels of this level; ``"off"`` is torch alone.

    Kernels are used even where torch has faster ones (AMX): what they compute is the same there.
    """
    kernels = None if name == "off" else built(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "loaded", lambda: library.Loaded(kernels, f"tests for {name}"))
        patch.setattr(products, "_multiplies", lambda: bool(kernels and kernels.pointwise_multiplies()))
        yield kernels
