"""The examples in the docstrings of ops/ and layers/ give what they say; so do those of docs/windows.md."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import striate.layers
import striate.ops

MODULES = [
    f"{package.__name__}.{module.name}"
    for package in (striate.ops, striate.layers)
    for module in pkgutil.iter_modules(package.__path__)
]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "windows.md"


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_examples_on_the_page() -> None:
    blocks = PAGE.read_text().split("```python\n")[1:]
    names: dict[str, object] = {}
    checked = 0
    for line in "".join(block.split("```")[0] for block in blocks).splitlines():
        code, _, said = line.partition("  # ")
        if said:
            found = eval(code, names)  # noqa: S307 - our own page
            assert str(found) == said
            checked += 1
        else:
            exec(code, names)  # noqa: S102
    assert checked == 7
