"""Toy task: finds objects, at most one for each place of a grid whose places are ``STRIDE`` pixels apart."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from pydantic import dataclasses as pydantic_dataclasses
from torch import Tensor

from striate.data.augmentation import Augmentation
from striate.data.records import Batch, Classes, Dataset, Record
from striate.data.targets import Boxes, Target
from striate.pictures.geometry import Geometry
from striate.recipe import Recipe, Stage
from striate.tasks.task import Loss, require_targets, shown

STRIDE = 4


@pydantic_dataclasses.dataclass(frozen=True, kw_only=True)
class BoxSettings:
    loss: Annotated[Literal["l1", "l2"], Field(description="of corners: their distance, or its square")] = "l1"
    threshold: Annotated[float, Field(gt=0, lt=1, description="least probability of an object, 0 to 1")] = 0.5


@dataclass(frozen=True)
class Found:
    name: str
    probability: float
    xyxy: tuple[float, ...]


@dataclass(frozen=True)
class FindBoxes:
    classes: Classes
    loss_kind: str = "l1"
    threshold: float = 0.5

    name: ClassVar[str] = "toy_boxes"
    network_arguments: ClassVar[Mapping[str, Any]] = {"boxes": 1}
    network_task: ClassVar[str] = "toy_boxes"
    metric: ClassVar[str] = "mean_iou"
    directions: ClassVar[Mapping[str, int]] = {"mean_iou": 1, "loss": -1}
    every_class: ClassVar[bool] = False
    decode_tiles: ClassVar[None] = None
    remarks: ClassVar[tuple[str, ...]] = ()
    scoring: ClassVar[None] = None
    files: ClassVar[None] = None
    one_file: ClassVar[None] = None
    evaluated: ClassVar[None] = None
    merged: ClassVar[None] = None
    gathered: ClassVar[None] = None

    @classmethod
    def of(cls, classes: Classes, arguments: Mapping[str, Any]) -> "FindBoxes":
        return cls(classes, **arguments)

    @property
    def arguments(self) -> Mapping[str, Any]:
        return {"threshold": self.threshold}

    def checked(self, data: Dataset) -> Dataset:
        require_targets(data, Boxes, self.name)
        return data

    def least_side(self, recipe: Recipe | None) -> int:
        return 1

    def default_model(self, data: Dataset) -> str:
        return "toy_boxes/resnet20"

    def default_recipe(self, data: Dataset, model: str, *, scratch: bool = False) -> Recipe:
        return Recipe(
            task="toy_boxes",
            model=model,
            size=(32, 32),
            fit="letterbox",
            batch_size=4,
            ema_decay=0.9,
            log_every=2,
            augment=Augmentation(crop=(0.7, 1.0), flip=True),
            settings=BoxSettings(),
            stages=(Stage(epochs=1, rate=0.02, freeze=("body",)), Stage(epochs=2, rate=0.02)),
        )

    def fitted(self, recipe: Recipe, records: Sequence[Record]) -> "FindBoxes":
        settings = cast("BoxSettings", recipe.settings)
        return dataclasses.replace(self, loss_kind=settings.loss, threshold=settings.threshold)

    def shortages(
        self, training: Sequence[Record], validation: Sequence[Record], tested: Sequence[Record]
    ) -> Iterable[str]:
        return ()

    def example(self, size: tuple[int, int], objects: int) -> Boxes:
        return Boxes.of([[0, 0, size[1], size[0]]] * objects, [0] * objects)

    def inputs(self, images: Tensor) -> Tensor:
        return images

    def encode(self, batch: Batch, device: torch.device) -> Tensor:
        """``[N, places, 6]``: whether there is an object, its corners over the picture's sides, and its class."""
        height, width = batch.images.shape[2:]
        down, across = -(-height // STRIDE), -(-width // STRIDE)
        wanted = torch.zeros(len(batch), down * across, 6)
        for row, target in enumerate(batch.targets):
            boxes = cast("Boxes", target)
            for box, index in zip(boxes.xyxy.tolist(), boxes.classes.tolist(), strict=True):
                place = int((box[1] + box[3]) / 2 // STRIDE) * across + int((box[0] + box[2]) / 2 // STRIDE)
                corners = [box[0] / width, box[1] / height, box[2] / width, box[3] / height]
                wanted[row, place] = torch.tensor([1.0, *corners, index])
        return wanted.to(device)

    def loss(self, outputs: Tensor, auxiliary: Sequence[Tensor], targets: Tensor) -> Loss:
        outputs = outputs.float()
        there = targets[..., 0] > 0
        parts = {"objectness": F.binary_cross_entropy_with_logits(outputs[..., 0], targets[..., 0])}
        corners = F.l1_loss if self.loss_kind == "l1" else F.mse_loss
        parts["box"] = corners(outputs[there][:, 1:5], targets[there][:, 1:5], reduction="sum") / max(1, there.sum())
        parts["class"] = F.cross_entropy(outputs[there][:, 5:], targets[there][:, 5].long(), reduction="sum") / max(
            1, there.sum()
        )
        return Loss(sum(parts.values(), torch.zeros(())), {name: part.detach() for name, part in parts.items()})

    def undo(self, outputs: Tensor, size: tuple[int, int]) -> Tensor:
        across = -(-size[1] // STRIDE)
        undone = outputs.unflatten(1, (-1, across)).flip(2).flatten(1, 2).clone()
        undone[..., [1, 3]] = 1 - undone[..., [3, 1]]
        return undone

    def decode(self, outputs: Tensor, geometries: Sequence[Geometry]) -> Sequence[tuple[Found, ...]]:
        found = []
        for places, geometry in zip(outputs.float().cpu(), geometries, strict=True):
            sure = places[:, 0].sigmoid()
            kept = sure > self.threshold
            height, width = geometry.output_size
            corners = places[kept][:, 1:5].double().numpy() * [width, height, width, height]
            boxes = geometry.undo_boxes(corners)
            names = [self.classes.names[index] for index in places[kept][:, 5:].argmax(1).tolist()]
            rows = zip(names, sure[kept].tolist(), boxes.tolist(), strict=True)
            found.append(tuple(Found(name, chance, tuple(box)) for name, chance, box in rows))
        return found

    def calibrated(self, figures: Mapping[str, Any]) -> "FindBoxes":
        return self

    def meter(self) -> "BoxMeter":
        return BoxMeter(self)

    def logged(self, figures: Mapping[str, Any]) -> Mapping[str, Any]:
        return figures

    def most_probable(self, prediction: Sequence[Found], top: int) -> Sequence[Found]:
        return sorted(prediction, key=lambda each: -each.probability)[:top]

    def as_json(self, prediction: Sequence[Found], top: int) -> dict[str, Any]:
        return {"boxes": [dataclasses.asdict(each) for each in self.most_probable(prediction, top)]}

    def as_text(self, prediction: Sequence[Found], top: int) -> str:
        return f"{len(prediction)} objects"

    def draw(self, prediction: Sequence[Found], photograph: Callable[[], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        drawn = photograph().copy()
        for each in prediction:
            left, top, right, bottom = (max(0, round(edge)) for edge in each.xyxy)
            drawn[top:bottom, left:right, 1] = 255
        return drawn

    def exhibit(self, image: NDArray[np.uint8], target: Target) -> tuple[NDArray[np.uint8], str]:
        boxes = target.xyxy.tolist()
        return self.draw([Found("", 1.0, tuple(box)) for box in boxes], lambda: image), f"{len(boxes)} objects"

    def write(self, prediction: Sequence[Found], folder: Path, name: str, photograph: Path) -> Mapping[str, str]:
        return {}

    def margin(self, metric: str, figures: Mapping[str, Any]) -> float:
        return 0.0

    def brief(self, figures: Mapping[str, Any]) -> str:
        return f"mean IoU {shown(figures['mean_iou'])}"

    def details(self, figures: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Iterable[str]:
        return [f"{len(rows)} pictures"]

    def summary(self, figures: Mapping[str, Any]) -> str:
        return self.brief(figures)


class BoxMeter:
    """The IoU of each object's box with the best that was found, in the photograph's pixels; mean over objects."""

    def __init__(self, task: FindBoxes) -> None:
        self.task = task
        self.overlaps: list[Tensor] = []
        self.losses: list[Tensor] = []

    def add(self, outputs: Tensor, batch: Batch) -> None:
        each = [self.task.loss(outputs[i : i + 1], (), part) for i, part in enumerate(self._targets(outputs, batch))]
        predictions = self.task.decode(outputs, batch.geometries)
        for prediction, record in zip(predictions, batch.records, strict=True):
            found = np.array([each.xyxy for each in prediction]).reshape(-1, 4)
            best = [_overlaps(box, found).max(initial=0.0) for box in cast("Boxes", record.target).xyxy]
            self.overlaps.append(torch.tensor([float(np.mean(best)) if best else 1.0], dtype=torch.float64))
        self.losses += [loss.total.detach().cpu().double()[None] for loss in each]

    def _targets(self, outputs: Tensor, batch: Batch) -> Sequence[Tensor]:
        return self.task.encode(batch, outputs.device).split(1)

    def state(self) -> Mapping[str, Tensor]:
        empty = [torch.zeros(0, dtype=torch.float64)]
        return {"overlaps": torch.cat(self.overlaps or empty), "losses": torch.cat(self.losses or empty)}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        self.overlaps.append(state["overlaps"])
        self.losses.append(state["losses"])

    def figures(self) -> dict[str, Any]:
        state = self.state()
        images = len(state["losses"])
        means = [float(state[name].mean()) if images else None for name in ("overlaps", "losses")]
        return {"images": images, "mean_iou": means[0], "loss": means[1]}

    def rows(self) -> Sequence[Mapping[str, Any]]:
        state = self.state()
        pairs = zip(state["overlaps"].tolist(), state["losses"].tolist(), strict=True)
        return [{"iou": overlap, "loss": loss} for overlap, loss in pairs]


def _overlaps(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    whole = (box[2:] - box[:2]).prod() + np.clip(others[:, 2:] - others[:, :2], 0, None).prod(axis=1)
    return shared / np.maximum(whole - shared, 1e-12)
