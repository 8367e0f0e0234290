"""How a detector's raw outputs say objects, and what it learns by: one form for each kind of head.

The table of networks names the form (`striate.models.heads`), a model file keeps it with its arguments.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol, Self

from torch import Tensor

from striate.data.records import Record
from striate.recipe import Recipe
from striate.tasks.detect_objects import Objects
from striate.tasks.detect_task_aligned import TaskAligned
from striate.tasks.detect_yolo_grid import YoloGrid
from striate.tasks.detect_yolov3 import Yolov3


class Form(Protocol):
    """A small frozen object; shapes of what it computes depend on shapes alone, and boxes are float32."""

    @property
    def name(self) -> str:
        """Its name in `FORMS`."""

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What an answer needs beside the outputs, as JSON has it (anchors, say), and the form is made again with."""

    def fitted(self, recipe: Recipe, records: Sequence[Record]) -> Self:
        """With its settings from the recipe, and what it must know of the training records."""

    def remarks(self) -> Iterable[str]:
        """Sentences for the user on what it was fitted to, before anything is trained."""

    def shape(self, size: tuple[int, int], classes: int) -> tuple[int, int]:
        """What raw outputs of one picture of ``size`` (height, width) are: so many rows, and numbers in each."""

    @property
    def maps(self) -> Sequence[tuple[int, int]]:
        """Of each map the stride in pixels, and how many boxes a cell says, in the order in which `boxes` has them."""

    def boxes(self, outputs: Tensor, size: tuple[int, int]) -> Tensor:
        """Boxes xyxy ``[N, P, 4]`` in pixels of an input of ``size`` (height, width), from the network's outputs."""

    def scores(self, outputs: Tensor) -> Tensor:
        """How probable each class is at each place, float32 ``[N, P, classes]``, 0..1."""

    def loss(self, outputs: Tensor, objects: Objects) -> Mapping[str, Tensor]:
        """The parts of the loss by name, weighed already: their sum is what is minimised."""

    def mirrored(self, outputs: Tensor, size: tuple[int, int]) -> Tensor:
        """Raw outputs for pictures that were mirrored left and right, as for the pictures themselves."""


FORMS: Mapping[str, type[Form]] = MappingProxyType(
    {"task_aligned": TaskAligned, "yolo_grid": YoloGrid, "yolov3": Yolov3}
)
"""Every form by name."""
