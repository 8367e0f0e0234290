"""The examples in the room's docstrings give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import striate.tracing

MODULES = [f"striate.tracing.{module.name}" for module in pkgutil.iter_modules(striate.tracing.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
