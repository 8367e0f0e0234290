"""The contract that every task fulfils."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from torch import Tensor

from striate.base.errors import DataError
from striate.base.fields import annotated
from striate.data.names import printable
from striate.data.records import Batch, Classes, Dataset, Record
from striate.data.targets import Boxes, ClassIndex, Mask, Target
from striate.pictures.exact_tiles import Tile
from striate.pictures.geometry import Geometry
from striate.pictures.tiles import Tiling
from striate.recipe import Recipe

MostProbable: TypeAlias = Callable[[Any, int], Sequence[Any]]
Merged: TypeAlias = Callable[[Iterable[tuple[Geometry, Any]], Tiling], Any]
Gathered: TypeAlias = Callable[[Iterable[tuple[Tile, Tensor]], Geometry, Callable[[int, int], None]], Any]


@dataclass(frozen=True, slots=True)
class Loss:
    """One number to minimise, and the named parts that it is made of (detached, for the log)."""

    total: Tensor
    parts: Mapping[str, Tensor]


def shown(figure: float | None) -> str:
    """A figure as people read it; one that does not exist (no picture of that kind) is a dash.

    Example:
        >>> shown(0.5), shown(None)
        ('0.500', '-')
    """
    return "-" if figure is None else f"{figure:.3f}"


def with_margin(share: float | None, margin: float | None) -> str:
    """A share as people read it, with where the true one lies if it is known how far this may be off.

    Example:
        >>> with_margin(0.48, 0.04), with_margin(1.0, None)
        ('0.480, with 95 % confidence between 0.440 and 0.520', '1.000')
    """
    if share is None or margin is None:
        return shown(share)
    low, high = max(0.0, share - margin), min(1.0, share + margin)
    return f"{shown(share)}, with 95 % confidence between {shown(low)} and {shown(high)}"


def in_range(kind: type, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What a model file keeps of a task's settings, a dataclass ``kind``: seen to be in the ranges of a recipe.

    Raises:
        ValueError: a value is out of range.
        TypeError: the settings have no such field.
    """
    settings: Any = TypeAdapter(kind).validate_python(dict(arguments))
    if unknown := arguments.keys() - annotated(kind).keys():
        raise TypeError(f"it has no {', '.join(sorted(unknown))}")
    return {name: getattr(settings, name) for name in arguments}


_WORDS = {ClassIndex: "the class", Boxes: "the boxes", Mask: "a mask"}


def require_targets(data: Dataset, kind: type, task: str) -> None:
    """See that all records have a target of this kind.

    Raises:
        DataError: they do not, so these are data for another task.
    """
    if not all(isinstance(record.target, kind) for record in data.records):
        raise DataError(
            f"{printable(data.root)}: these are data for {data.task}, not for {task}, which needs {_WORDS[kind]} of "
            "each picture; give other data, or take another task"
        )


@dataclass(frozen=True, slots=True)
class OneFile:
    """What a whole prediction is as one file: its JSON ``key``, the ``endings`` that its name may have, who writes it.

    ``write`` gets a prediction, the file, whose ending is one of these, and the photograph's path; it raises as
    `Task.write` does.
    """

    key: str
    endings: tuple[str, ...]
    write: Callable[[Any, Path, Path], None]


class Meter(Protocol):
    """Collects what was predicted and what was true, and says the figures."""

    def add(self, outputs: Tensor, batch: Batch) -> None:
        """Count a batch: the network's raw outputs, float32, and the batch that they answer."""

    def state(self) -> Mapping[str, Tensor]:
        """All that was counted, as tensors on the CPU that can be sent to another process."""

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Count what another meter of the same task has counted: folds, or other processes."""

    def figures(self) -> dict[str, Any]:
        """The figures so far, with the keys of ``docs/json.md``; fractions as 0..1, None what does not exist.

        Where ``loss`` is among them, an epoch that is worse by it and by the recipe's metric is not kept.
        """

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """A result a picture, in the order in which they were counted.

        Among its keys are ``loss``, by which the worst come first, and ``right`` where an answer is right or wrong.
        """


class Task(Protocol):
    """A small frozen object that knows what an answer is; the only thing above it that does."""

    @classmethod
    def of(cls, classes: Classes, arguments: Mapping[str, Any]) -> Self:
        """The task from the `arguments` that a model file keeps; without any, one that is to be `fitted`.

        Raises:
            ValueError: it cannot be had with these.
        """

    @property
    def name(self) -> str:
        """The task's name in `TASKS`."""

    @property
    def classes(self) -> Classes:
        """The classes that it answers with."""

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What a model file must keep so that the task answers alike (anchors, scale, thresholds), as JSON has it."""

    @property
    def network_arguments(self) -> Mapping[str, Any]:
        """What the network's builder must know beside classes and channels; the model file keeps it, too."""

    @property
    def network_task(self) -> str:
        """The task that its networks are made for: its own name, or another whose networks do as well."""

    @property
    def metric(self) -> str:
        """The figure by which epochs are kept when the recipe names none."""

    @property
    def directions(self) -> Mapping[str, int]:
        """The figures that a recipe's ``metric`` may name, with 1 where more is better and -1 where less is."""

    @property
    def every_class(self) -> bool:
        """Whether each class must have pictures on every side of a split."""

    def checked(self, data: Dataset) -> Dataset:
        """The data, perhaps with more notices, if they are such as the task can learn from or be measured on.

        Raises:
            DataError: they are not.
        """

    def least_side(self, recipe: Recipe | None) -> int:
        """The shorter side of the smallest picture that can be learnt from or measured, in a run of the recipe.

        Without a recipe it is that of a model file's task.
        """

    def default_model(self, data: Dataset) -> str:
        """The name of the network to train on these data when the user names none."""

    def default_recipe(self, data: Dataset, model: str, *, scratch: bool = False) -> Recipe:
        """The recipe for these data and this network when the user says nothing else.

        With ``scratch`` the user wants weights that nobody trained before, which leaves no block to freeze.
        """

    def fitted(self, recipe: Recipe, records: Sequence[Record]) -> Self:
        """The task with its settings from the recipe and what it must know of the training records."""

    @property
    def remarks(self) -> Iterable[str]:
        """Sentences for the user on what it was `fitted` with, said before anything is trained."""

    def shortages(
        self, training: Sequence[Record], validation: Sequence[Record], tested: Sequence[Record]
    ) -> Iterable[str]:
        """A sentence for the user on each thing that a run has too few records of, to learn or to measure."""

    def example(self, size: tuple[int, int], objects: int) -> Target:
        """What may be known of a picture of this height and width, with so many objects where it has any.

        Whoever plans a step learns from it what the loss takes.
        """

    def inputs(self, images: Tensor) -> Tensor:
        """What the network gets of a batch's images, uint8 ``[N, C, H, W]``, while it learns and is measured."""

    def encode(self, batch: Batch, device: torch.device) -> Any:
        """The targets of a batch on the device, as `loss` wants them."""

    def loss(self, outputs: Tensor, auxiliary: Sequence[Tensor], targets: Any) -> Loss:
        """The loss of the network's outputs, in float32."""

    def undo(self, outputs: Tensor, size: tuple[int, int]) -> Tensor:
        """Raw outputs for pictures (of this height and width) that were mirrored left and right, as for themselves."""

    def decode(self, outputs: Tensor, geometries: Sequence[Geometry]) -> Sequence[Any]:
        """One prediction a picture, in the photograph's own pixels."""

    def calibrated(self, figures: Mapping[str, Any]) -> Self:
        """The task with what only validation can tell, such as thresholds, from those figures that the log holds.

        A model file has it beside the weights that were measured; figures of before may lack something.
        """

    @property
    def scoring(self) -> Callable[[float], Self] | None:
        """What makes of it a task that names what scores at least so much; None where no score leaves anything out."""

    @property
    def files(self) -> str | None:
        """What `write` and `draw` make that no line of text can hold, in words; None where text says the answer."""

    @property
    def one_file(self) -> OneFile | None:
        """How one file, whose name the user chooses, holds a whole prediction; None where it takes several, or text."""

    @property
    def evaluated(self) -> str | None:
        """What an evaluation says that the end of a run does not, in words; None where that is no news."""

    @property
    def decode_tiles(self) -> Callable[[Tensor, Sequence[Geometry]], Sequence[Any]] | None:
        """What predicts for the parts of a large photograph, where `merged` wants to know more than `decode` says."""

    @property
    def merged(self) -> Merged | None:
        """What makes one prediction of a large photograph from those for its parts; None where that means nothing.

        It gets each part's place in the photograph with the prediction for it, in the part's own pixels, and the
        tiling: first the tiles in the order of `Tiling.places`, then the whole, whose place has no steps and which was
        brought to the network's size as any picture. They are computed while they are read, and come once.
        """

    @property
    def gathered(self) -> Gathered | None:
        """What makes one prediction of raw outputs for the tiles of a photograph, each of which answers for its core.

        None where an answer is not one by places. It gets the tiles with their outputs ``[1, ...]``, which are computed
        while they are read and come once; how the photograph came into the whole picture that was cut, which is by
        borders alone; and whom to tell of how many places a tile answers that others had answered, and of these how
        many otherwise.
        """

    def meter(self) -> Meter:
        """A new, empty meter."""

    def logged(self, figures: Mapping[str, Any]) -> Mapping[str, Any]:
        """Those of a meter's figures that an epoch's line in the log holds."""

    @property
    def most_probable(self) -> MostProbable | None:
        """What takes the so many most probable parts of a prediction; None where it is one answer, without parts."""

    def as_json(self, prediction: Any, top: int) -> dict[str, Any]:
        """A prediction as ``striate predict --json`` prints it, without the picture's name."""

    def as_text(self, prediction: Any, top: int) -> str:
        """A prediction in one line for a terminal."""

    def draw(self, prediction: Any, photograph: Callable[[], NDArray[np.uint8]]) -> NDArray[np.uint8] | None:
        """What was found drawn on the photograph, uint8 ``[H, W, 3]``, which is asked for; None: nothing is drawn."""

    def exhibit(self, image: NDArray[np.uint8], target: Target) -> tuple[NDArray[np.uint8], str]:
        """What a network learns from, as people see it: uint8 ``[H, W, 3]``, and in a few words what is known of it.

        ``image``, of the same kind, is what the network sees, and ``target`` in its pixels; it may come out larger.
        """

    def write(self, prediction: Any, folder: Path, name: str, photograph: Path) -> Mapping[str, str]:
        """Write what of a prediction is a file, ``name.key.png`` for a JSON key such as ``mask``; keys to file names.

        ``photograph`` is the file that was answered, for what it holds beside its pixels.

        Raises:
            OutputError: it cannot be written.
        """

    def margin(self, metric: str, figures: Mapping[str, Any]) -> float:
        """How far a figure may fall short of this one and not be told from it with 95 % confidence; 0: unknown."""

    def brief(self, figures: Mapping[str, Any]) -> str:
        """The figures of a meter in a few words, for the line of an epoch."""

    def details(self, figures: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Iterable[str]:
        """Lines that say more than the summary; ``rows`` are the meter's, each with the picture's name as ``image``."""

    def summary(self, figures: Mapping[str, Any]) -> str:
        """The figures of a meter in one phrase for a terminal, with how sure they are."""
