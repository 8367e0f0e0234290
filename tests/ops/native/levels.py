"""Kernels for each level of instructions that this processor has, and a process that takes them for its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.base.compiling import building, keeping, places
from striate.base.compiling.compilers import there_is_one
from striate.base.compiling.levels import LEVELS, Level, NoKernelsError, possible, wished
from striate.base.compiling.sources import INSTALLED
from striate.ops.native import library, products

LEVELS_HERE: tuple[Level, ...] = ()
with suppress(NoKernelsError):
    LEVELS_HERE = possible()
NAMES = tuple(level.name for level in LEVELS_HERE)


def why_none() -> str:
    """Why this process can have no kernels; "" where it can, so that a test without them fails."""
    try:
        if any(keeping.library_in(INSTALLED, level) for level in possible(wished())) or there_is_one():
            return ""
    except NoKernelsError as error:
        return f"NO KERNELS: {error}"
    return "NO KERNELS: there is no C compiler"


def why_none_multiply() -> str:
    """Why this process can have no kernels that multiply bfloat16; "" where it can."""
    there = library.kernels() if not why_none() else None
    if there is not None and not there.pointwise_multiplies():
        return "this processor does not multiply bfloat16"
    return why_none()


needs_kernels = pytest.mark.skipif(bool(why_none()), reason=why_none())
needs_products = pytest.mark.skipif(bool(why_none_multiply()), reason=why_none_multiply())


def named(name: str) -> Level:
    """A level by its name; "auto" is the best of this processor."""
    return LEVELS_HERE[0] if name == "auto" else next(level for level in LEVELS if level.name == name)


@cache
def file(name: str) -> Path:
    """The library for a level: the installation's, else one in the cache of this session, built when first asked for.

    Where there can be none the test that asks is skipped; where there is a compiler, one that fails fails the test.
    """
    if not LEVELS_HERE:
        pytest.skip("NO KERNELS: there are none for this processor")
    if found := keeping.library_in(INSTALLED, named(name)):
        return found
    if not there_is_one():
        pytest.skip("NO KERNELS: there is no C compiler")
    folder = places.kept_folder()
    assert places.obstacle(folder) == ""
    return building.library(named(name), folder)


@cache
def built(name: str) -> Any:
    """The library for a level, loaded."""
    return library.opened(file(name))


def runs(examples: int) -> list[Any]:
    """Levels, and how many examples each is tried on: the best one always, in slow tests each of them on many."""
    return [
        pytest.param("auto", examples),
        *(pytest.param(name, 250, marks=[pytest.mark.slow, pytest.mark.grid]) for name in NAMES),
    ]


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
    with computing_by(library.Loaded(kernels, f"tests for {name}")):
        yield kernels


@contextmanager
def computing_by(found: library.Loaded) -> Iterator[None]:
    """Within this block the process has found these kernels."""
    loaded = cache(lambda: found)
    loaded()  # as in a process that has asked for them
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "loaded", loaded)
        patch.setattr(products, "_multiplies", lambda: bool(found.library and found.library.pointwise_multiplies()))
        yield
