"""The room's door: what it offers, and that opening it costs nothing."""

import doctest
import importlib
import subprocess
import sys

import pytest

import striate.data
from striate.data.names import counted, listed, printable

MODULES = ["augmentation", "loading", "names", "cache", "sources.class_labels"]


def test_everything_offered_is_there() -> None:
    assert sorted(striate.data.__all__) == sorted(striate.data._HOMES)
    assert all(getattr(striate.data, name) is not None for name in striate.data.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Loder'"):
        striate.data.Loder  # noqa: B018


def test_the_door_and_the_table_of_formats_load_neither_torch_nor_numpy() -> None:
    code = """
import sys, striate.data, striate.data.sources
print({"torch", "numpy", "PIL"} & set(sys.modules))
import striate.data.scan, striate.data.splits, striate.data.augmentation  # only loading needs torch
print({"torch", "numpy"} & set(sys.modules))
"""
    said = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert said.splitlines() == ["set()", "{'numpy'}"]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    found = doctest.testmod(importlib.import_module(f"striate.data.{name}"), optionflags=doctest.ELLIPSIS)
    assert found.failed == 0 and found.attempted > 0


def test_names() -> None:
    assert printable("a\nb\u202e.jpg") == r"a\nb\u202e.jpg"
    assert printable("größe 猫.jpg") == "größe 猫.jpg"
    assert listed([]) == "" and listed(["a"]) == "a" and listed(list("abcdef"), 5) == "a, b, c, d, e and 1 more"
    assert counted(0, "box", "boxes") == "0 boxes"
