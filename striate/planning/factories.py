"""Somebody's module from ``package.module:factory``, made without weights from anywhere."""

import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from torch import nn

from striate.base.errors import ModelError
from striate.base.nearest import did_you_mean
from striate.tracing import made

_ASKED = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname")
_offline = threading.local()


def module_of(reference: str) -> nn.Module:
    """The module that ``package.module:factory`` makes, called without arguments; the current folder is looked in, too.

    Raises:
        ModelError: there is no such factory, it raised something, asked the network for something, or made no module.
    """
    place, _, name = reference.partition(":")
    if not place or not name:
        raise ModelError(f"{reference}: expected package.module:factory, such as torchvision.models:resnet18")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    with _without_network(reference):
        return made(_factory(reference, place, name))


def _factory(reference: str, place: str, name: str) -> Callable[[], Any]:
    try:
        module = importlib.import_module(place)
    except Exception as error:  # somebody else's code may raise anything
        said = (str(error).strip() or "it says nothing more").splitlines()[0]
        raise ModelError(f"{reference}: importing {place} raised {type(error).__name__}: {said}") from error
    factory = getattr(module, name, None)
    if factory is None:
        near = did_you_mean(name, [each for each in vars(module) if not each.startswith("_")])
        raise ModelError(f"{reference}: {place} has no {name}.{near}")
    if isinstance(factory, nn.Module):
        return lambda: factory
    if not callable(factory):
        raise ModelError(f"{reference}: is {type(factory).__name__}; expected what makes a module, or a module")
    return factory


@contextmanager
def _without_network(reference: str) -> Iterator[None]:
    """Within this block the calling thread asks nobody for anything.

    Raises:
        ModelError: it wanted to.
    """
    _watch()
    _offline.asked = None
    _offline.on = True
    try:
        yield
    except ModelError as error:
        if _offline.asked:
            raise ModelError(
                f"{reference}: asks {_offline.asked} for something, and a plan downloads nothing; give a factory that "
                "makes the module with fresh weights, such as lambda: resnet18(weights=None) in a file of yours"
            ) from error
        raise
    finally:
        _offline.on = False


@cache
def _watch() -> None:
    """Hear of connections for as long as the process lives: Python's audit hooks cannot be taken away."""

    def hear(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _ASKED and getattr(_offline, "on", False):
            where = arguments[1] if event == "socket.connect" else arguments[0]
            _offline.asked = where[0] if isinstance(where, tuple) else where
            raise ConnectionRefusedError(f"nothing is downloaded ({where})")

    sys.addaudithook(hear)
