"""The contract that every task fulfils."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from striate.data.records import Batch, Classes, Dataset, Record
from striate.pictures.geometry import Geometry
from striate.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Loss:
    """One number to minimise, and the named parts that it is made of (detached, for the log)."""

    total: Tensor
    parts: Mapping[str, Tensor]


class Meter(Protocol):
    """Collects what was predicted and what was true, and says the figures."""

    def add(self, outputs: Tensor, records: Sequence[Record]) -> None:
        """Count a batch: the network's raw outputs, float32, and the records that they answer."""

    def merge(self, other: Self) -> None:
        """Pool another meter's counts into this one (cross-validation)."""

    def figures(self) -> dict[str, Any]:
        """The figures so far, with the keys of ``docs/json.md``; fractions as 0..1."""


class Task(Protocol):
    """A small frozen object that knows what an answer is; the only thing above it that does."""

    @property
    def name(self) -> str:
        """The task's name in `TASKS`."""

    @property
    def classes(self) -> Classes:
        """The classes that it answers with."""

    @property
    def directions(self) -> Mapping[str, int]:
        """The figures that a recipe's ``metric`` may name, with 1 where more is better and -1 where less is."""

    def default_model(self, data: Dataset) -> str:
        """The name of the network to train on these data when the user names none."""

    def default_recipe(self, data: Dataset, model: str, *, scratch: bool = False) -> Recipe:
        """The recipe for these data and this network when the user says nothing else.

        With ``scratch`` the user wants weights that nobody trained before, which leaves no block to freeze.
        """

    def fitted(self, recipe: Recipe, records: Sequence[Record]) -> Self:
        """The task with its settings from the recipe and what it must know of the training records."""

    def encode(self, batch: Batch, device: torch.device) -> Tensor:
        """The targets of a batch as tensors on the device."""

    def loss(self, outputs: Tensor, auxiliary: Sequence[Tensor], targets: Tensor) -> Loss:
        """The loss of the network's outputs, in float32."""

    def decode(self, outputs: Tensor, geometries: Sequence[Geometry]) -> Sequence[Any]:
        """One prediction a picture, in the photograph's own pixels."""

    def meter(self) -> Meter:
        """A new, empty meter."""

    def most_probable(self, prediction: Any, top: int) -> Sequence[Any]:
        """The ``top`` most probable parts of a prediction."""

    def as_json(self, prediction: Any, top: int) -> dict[str, Any]:
        """A prediction as ``striate predict --json`` prints it, without the picture's name."""

    def as_text(self, prediction: Any, top: int) -> str:
        """A prediction in one line for a terminal."""

    def margin(self, metric: str, figures: Mapping[str, Any]) -> float:
        """How far a figure may fall short of this one and not be told from it with 95 % confidence; 0: unknown."""

    def brief(self, figures: Mapping[str, Any]) -> str:
        """The figures of a meter in a few words, for the line of an epoch."""

    def summary(self, figures: Mapping[str, Any]) -> str:
        """The figures of a meter in one phrase for a terminal, with how sure they are."""
