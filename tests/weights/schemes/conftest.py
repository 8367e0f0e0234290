"""What tests of schemes share: files that never were, of which only names, order and shapes matter."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from striate.models import build
from striate.weights.foreign import Foreign, Origin


@pytest.fixture(scope="session")
def foreign_of() -> Callable[..., Foreign]:
    """A maker: ``foreign_of(arrays, origin, **facts)``."""
    return foreign


@pytest.fixture(scope="session")
def mapped() -> Callable[..., dict[str, str]]:
    """Each of their names with ours: ``mapped(convert, model, names)``."""

    def names_of(convert: Callable[..., Any], model: str, names: Iterable[str]) -> dict[str, str]:
        # Every array holds its own number, by which it is found again.
        names = list(names)
        tensors = convert(foreign({name: np.array([number]) for number, name in enumerate(names)}), on_meta(model))
        assert len(tensors) == len(names)
        return {names[int(tensor)]: ours for ours, tensor in tensors.items()}

    return names_of


@pytest.fixture(scope="session")
def places() -> Callable[[str], set[str]]:
    """Every name of ours that a file must fill."""
    return lambda model: {name for name in on_meta(model).state_dict() if not name.endswith("num_batches_tracked")}


@pytest.fixture(scope="session")
def arrays_of() -> Callable[..., dict[str, np.ndarray]]:
    """A network's own tensors, drawn, as arrays: ``arrays_of(model, classes=...)``."""

    def drawn(model: str, **arguments: int) -> dict[str, np.ndarray]:
        state = build(model, seed=3, **arguments).state_dict()
        return {name: tensor.numpy() for name, tensor in state.items()}

    return drawn


def foreign(arrays: Mapping[str, Any], origin: Origin = "torch", **facts: Any) -> Foreign:
    made = {name: np.asarray(array) for name, array in arrays.items()}
    return Foreign(path=Path("weights.file"), origin=origin, container="", arrays=made, sha256="", facts=facts)


def on_meta(model: str) -> Any:
    import torch

    with torch.device("meta"):
        return build(model)
