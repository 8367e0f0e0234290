# ruff: noqa: D102  (what the methods of a task do is said once, in `Task`)
"""Classification: one of several classes for a whole picture."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from striate.base.errors import DataError
from striate.data.names import printable
from striate.data.records import Batch, Classes, Dataset, Record, copies
from striate.data.targets import ClassIndex, Target
from striate.pictures.geometry import Geometry
from striate.recipe import Recipe
from striate.task_settings import ClassifySettings
from striate.tasks.classify_defaults import default_model, default_recipe
from striate.tasks.classify_details import details
from striate.tasks.classify_meter import ClassifyMeter, class_indices
from striate.tasks.classify_shortages import shortages
from striate.tasks.intervals import share_margin
from striate.tasks.task import Loss, require_targets, shown


@dataclass(frozen=True, slots=True)
class Answer:
    """One class and how probable it is, 0..1."""

    name: str
    id: str | None
    probability: float


@dataclass(frozen=True, slots=True)
class Scores:
    """The probability of every class for one picture.

    Example:
        >>> from striate.data.records import Classes
        >>> scores = Scores(np.array([0.25, 0.75], dtype=np.float32), Classes(("cat", "dog")))
        >>> scores.name, scores.probability
        ('dog', 0.75)
    """

    probabilities: np.ndarray
    classes: Classes

    @property
    def name(self) -> str:
        """The name of the most probable class."""
        return self.top(1)[0].name

    @property
    def probability(self) -> float:
        """The probability of the most probable class, 0..1."""
        return self.top(1)[0].probability

    def top(self, count: int = 5) -> tuple[Answer, ...]:
        """The ``count`` most probable classes, the most probable first."""
        ids = self.classes.ids
        order = np.argsort(-self.probabilities, kind="stable")[:count]
        return tuple(
            Answer(self.classes.names[i], ids[i] if ids else None, float(self.probabilities[i])) for i in order
        )

    def __str__(self) -> str:
        return ", ".join(f"{answer.name} {answer.probability:.1%}" for answer in self.top(3))

    def __repr__(self) -> str:
        said = [f"{printable(answer.name)[:24]} {answer.probability:.1%}" for answer in self.top(3)]
        more = len(self.probabilities) - len(said)
        return f"Scores({', '.join(said)}{f' and {more} more' if more else ''})"


@dataclass(frozen=True, slots=True)
class Classify:
    """The task: cross-entropy over softmax, with label smoothing and class weights if the recipe asks.

    ``loss_kind`` is the recipe's ``loss``. "map" is the criterion of LeCun et al. 1998, equation 9, for outputs that
    are minus a distance y: of the true class D ``y_D + log(exp(-j) + sum of exp(-y_i))``. It is cross-entropy with one
    more answer, "none of them", which is never the true one and whose output is always -j. Softmax alone asks only
    that the right class be nearer than the others; this asks that it be near as well. It has no label smoothing.
    """

    classes: Classes
    loss_kind: Literal["cross_entropy", "map"] = "cross_entropy"
    label_smoothing: float = 0.0
    weights: tuple[float, ...] | None = None

    name: ClassVar[str] = "classify"
    arguments: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    network_arguments: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    network_task: ClassVar[str] = "classify"
    metric: ClassVar[str] = "top1"
    every_class: ClassVar[bool] = True
    decode_tiles: ClassVar[None] = None
    remarks: ClassVar[tuple[str, ...]] = ()
    scoring: ClassVar[None] = None
    files: ClassVar[None] = None
    one_file: ClassVar[None] = None
    evaluated: ClassVar[None] = None
    merged: ClassVar[None] = None
    gathered: ClassVar[None] = None
    directions: ClassVar[Mapping[str, int]] = {"top1": 1, "top5": 1, "loss": -1, "ece": -1}
    auxiliary_weight: ClassVar[float] = 0.3
    """Szegedy et al. 2015, section 5: auxiliary losses are added with weight 0.3."""
    none_distance: ClassVar[float] = 10.0
    """The j of "map", which the paper leaves open: how far the true class may be before "none of them" is likelier."""

    @classmethod
    def of(cls, classes: Classes, arguments: Mapping[str, Any]) -> "Classify":
        if arguments:
            raise ValueError("it has none")
        return cls(classes)

    def checked(self, data: Dataset) -> Dataset:
        """The data as they are, if each picture has one of two classes or more, and no copies differ in theirs.

        Raises:
            DataError: they do not.
        """
        names = data.classes.names
        require_targets(data, ClassIndex, self.name)
        if len(names) < 2:
            only = f"one class only, {names[0]!r}" if names else "no classes"
            raise DataError(
                f"{printable(data.root)} holds {only}; to tell pictures apart takes at least two classes with pictures "
                "of each"
            )
        for first, copy in copies(data.records):
            one, other = ([names[i] for i in record.target.occurring() or ()] for record in (first, copy))
            if one != other:
                raise DataError(
                    f"the same picture has two labels in {printable(data.root)}: {first.name} is {one[0]!r} and "
                    f"{copy.name} is {other[0]!r}; remove the one that is wrong"
                )
        return data

    def least_side(self, recipe: Recipe | None) -> int:
        return 1

    def default_model(self, data: Dataset) -> str:
        return default_model(data)

    def default_recipe(self, data: Dataset, model: str, *, scratch: bool = False) -> Recipe:
        return default_recipe(data, model, scratch=scratch)

    def fitted(self, recipe: Recipe, records: Sequence[Record]) -> "Classify":
        """With the recipe's loss and label smoothing, and class weights from the training records' counts.

        Balanced weights are ``images / (classes * images of the class)``: their mean over the pictures is 1.
        """
        settings: ClassifySettings = recipe.settings
        weights = None
        if settings.class_weights == "balanced":
            counts = Counter(index for record in records for index in record.target.occurring() or ())
            weights = tuple(
                len(records) / (len(self.classes) * counts[index]) if counts[index] else 0.0
                for index in range(len(self.classes))
            )
        return dataclasses.replace(
            self, loss_kind=settings.loss, label_smoothing=settings.label_smoothing, weights=weights
        )

    def shortages(
        self, training: Sequence[Record], validation: Sequence[Record], tested: Sequence[Record]
    ) -> Iterable[str]:
        return shortages(self.classes, training, len(validation), len(tested))

    def example(self, size: tuple[int, int], objects: int) -> ClassIndex:
        return ClassIndex(0)

    def inputs(self, images: Tensor) -> Tensor:
        return images

    def encode(self, batch: Batch, device: torch.device) -> Tensor:
        """Class indices, int64 ``[N]``."""
        return class_indices(batch).to(device)

    def loss(self, outputs: Tensor, auxiliary: Sequence[Tensor], targets: Tensor) -> Loss:
        """The recipe's loss of the logits ``[N, classes]`` in float32, plus 0.3 times that of each auxiliary head.

        With class weights it is the weighted mean over the pictures, else the mean.
        """
        weights = None if self.weights is None else torch.tensor(self.weights, device=outputs.device)
        if self.loss_kind == "map" and weights is not None:
            weights = torch.cat([weights, weights.new_zeros(1)])  # "none of them" is no picture's class

        def entropy(logits: Tensor) -> Tensor:
            logits = logits.float()
            if self.loss_kind == "map":
                none = logits.new_full((len(logits), 1), -self.none_distance)
                logits = torch.cat([logits, none], dim=1)
            return F.cross_entropy(logits, targets, weight=weights, label_smoothing=self.label_smoothing)

        total = main = entropy(outputs)
        parts = {"loss": main.detach()}
        for position, logits in enumerate(auxiliary):
            part = entropy(logits)
            parts[f"auxiliary{position + 1}"] = part.detach()
            total = total + self.auxiliary_weight * part
        return Loss(total, parts)

    def undo(self, outputs: Tensor, size: tuple[int, int]) -> Tensor:
        """The logits as they are: a mirrored daisy is a daisy."""
        return outputs

    def decode(self, outputs: Tensor, geometries: Sequence[Geometry]) -> Sequence[Scores]:
        """Softmax of the logits ``[N, classes]`` in float32; where the picture was cut does not matter here."""
        probabilities = torch.softmax(outputs.float(), dim=1).cpu().numpy()
        return [Scores(row, self.classes) for row in probabilities]

    def calibrated(self, figures: Mapping[str, Any]) -> "Classify":
        return self

    def meter(self) -> ClassifyMeter:
        return ClassifyMeter(self.classes)

    def logged(self, figures: Mapping[str, Any]) -> Mapping[str, Any]:
        """All but the confusion matrix, which grows with the square of the classes."""
        return {name: value for name, value in figures.items() if name != "confusion"}

    def most_probable(self, prediction: Scores, top: int) -> Sequence[Answer]:
        return prediction.top(top)

    def as_json(self, prediction: Scores, top: int) -> dict[str, Any]:
        """``{"classes": [{"name", "id", "probability"}]}``."""
        return {"classes": [dataclasses.asdict(answer) for answer in prediction.top(top)]}

    def as_text(self, prediction: Scores, top: int) -> str:
        """``daisy 97.1%, tulips 1.2%``."""
        return ", ".join(f"{answer.name} {answer.probability:.1%}" for answer in prediction.top(top))

    def draw(self, prediction: Scores, photograph: Callable[[], NDArray[np.uint8]]) -> None:
        return None

    def exhibit(self, image: NDArray[np.uint8], target: Target) -> tuple[NDArray[np.uint8], str]:
        return image, ", ".join(self.classes.names[index] for index in target.occurring() or ())

    def write(self, prediction: Scores, folder: Path, name: str, photograph: Path) -> Mapping[str, str]:
        return {}

    def margin(self, metric: str, figures: Mapping[str, Any]) -> float:
        """The lower half of the Wilson interval for a share of right answers; 0 for the other figures."""
        if metric not in ("top1", "top5"):
            return 0.0
        return share_margin(figures[metric], figures["images"])

    def brief(self, figures: Mapping[str, Any]) -> str:
        """``top-1 0.912, loss 0.310``."""
        return f"top-1 {shown(figures['top1'])}, loss {shown(figures['loss'])}"

    def details(self, figures: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Iterable[str]:
        return details(figures, rows)

    def summary(self, figures: Mapping[str, Any]) -> str:
        """``top-1 0.912, with 95 % confidence between 0.870 and 0.940; loss 0.310``."""
        low, high = map(shown, figures["interval"] or (None, None))
        return (
            f"top-1 {shown(figures['top1'])}, with 95 % confidence between {low} and {high}; "
            f"loss {shown(figures['loss'])}"
        )
