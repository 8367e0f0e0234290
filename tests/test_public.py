"""What the package offers, and that its examples are true."""

import doctest
import importlib
import inspect
import pkgutil
import re

import pytest

import striate


def test_everything_offered_is_there():
    assert len(set(striate.__all__)) == len(striate.__all__)
    for name in striate.__all__:
        assert getattr(striate, name) is not None
    assert set(dir(striate)) == set(striate.__all__)
    namespace = {}
    exec("from striate import *", namespace)  # noqa: S102
    assert set(striate.__all__) <= set(namespace)


def test_what_is_offered_is_documented():
    for name in striate.__all__:
        value = getattr(striate, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert len(inspect.getdoc(value) or "") > 20, name


def test_type_checkers_see_what_is_offered():
    source = inspect.getsource(striate)
    imported = {line.split(" as ")[1].strip() for line in source.splitlines() if line.startswith("    from striate.")}
    assert imported == set(striate.__all__) - {"__version__"}


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        striate.trian  # noqa: B018


def test_errors_are_one_tree():
    from striate.base import errors

    for _, kind in inspect.getmembers(errors, inspect.isclass):
        assert issubclass(kind, striate.StriateError) or kind.__module__ != errors.__name__


def doorplates():
    """Each room with the names that its docstring offers: those in capitals, with an underscore or in backticks."""
    for module in pkgutil.walk_packages(striate.__path__, "striate."):
        text = importlib.import_module(module.name).__doc__ or "" if module.ispkg else ""
        for sentence in re.findall(r"Offers[: ](.*?)(?:\.\s|\.$|;|\Z)", text, re.DOTALL):
            for plain, quoted in re.findall(r"\b((?:[A-Z]\w*[A-Z_a-z]|[a-z]+_\w+))\b(?!`)|`([\w.]+)`", sentence):
                yield module.name, plain or quoted


def test_what_doorplates_offer_can_be_imported():
    found = list(doorplates())
    assert ("striate.tasks", "Meter") in found and ("striate.training", "Result") in found
    for room, name in found:
        if name == "RGB":  # a word of the language
            continue
        if not hasattr(importlib.import_module(room), name):
            importlib.import_module(name if name.startswith("striate.") else f"{room}.{name}")


MODULES = [module.name for module in pkgutil.walk_packages(striate.__path__, "striate.")]


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith("__main__")])
def test_examples(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    examples = sum(
        len(test.examples)
        for name in MODULES
        if not name.endswith("__main__")
        for test in finder.find(importlib.import_module(name))
    )
    assert examples > 20
