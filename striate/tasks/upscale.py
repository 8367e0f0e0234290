# ruff: noqa: D102  (what the methods of a task do is said once, in `Task`)
"""Super-resolution: pictures made larger, learnt from photographs that are shrunk."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from striate.base.errors import RecipeError
from striate.data.names import counted, listed
from striate.data.records import Batch, Classes, Dataset, Record
from striate.data.targets import LARGER, Larger, Target
from striate.ops.enlarging import fitting, shrunk
from striate.ops.luminance import luma
from striate.pictures.geometry import Crop, Geometry
from striate.pictures.tiles import Tiling
from striate.recipe import Recipe
from striate.task_settings import UpscaleSettings
from striate.tasks.task import Loss, OneFile, in_range
from striate.tasks.upscale_defaults import default_model, default_recipe
from striate.tasks.upscale_meter import UpscaleMeter, as_bytes
from striate.tasks.upscale_writing import FORMATS, usual_ending, write_as

_Pixels = NDArray[np.uint8]

NONE = Classes(())
LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": lambda said, true: F.l1_loss(said, true, reduction="none"),
    "mse": lambda said, true: F.mse_loss(said, true, reduction="none"),
}
"""By the recipe's ``loss``: said and true luma from 0 to 1 to what each pixel costs."""


@dataclass(frozen=True, slots=True)
class Upscale:
    """The task: pictures ``factor`` times as high and wide; there are no classes."""

    factor: int = 2
    loss_kind: str = "l1"

    name: ClassVar[str] = "upscale"
    classes: ClassVar[Classes] = NONE
    network_task: ClassVar[str] = "upscale"
    metric: ClassVar[str] = "psnr"
    every_class: ClassVar[bool] = False
    decode_tiles: ClassVar[None] = None
    gathered: ClassVar[None] = None
    remarks: ClassVar[tuple[str, ...]] = ()
    scoring: ClassVar[None] = None
    files: ClassVar[str] = "the enlarged pictures"
    one_file: ClassVar[OneFile] = OneFile("enlarged", tuple(FORMATS), write_as)
    evaluated: ClassVar[None] = None
    most_probable: ClassVar[None] = None
    directions: ClassVar[Mapping[str, int]] = {"psnr": 1, "ssim": 1, "loss": -1}

    @classmethod
    def of(cls, classes: Classes, arguments: Mapping[str, Any]) -> "Upscale":
        """The task; whatever classes the data have, it has none."""
        settings = {"loss": "l1", **in_range(UpscaleSettings, arguments)}
        return cls(settings.get("factor", 2), settings["loss"])

    @property
    def arguments(self) -> Mapping[str, Any]:
        return {"factor": self.factor, "loss": self.loss_kind}

    @property
    def network_arguments(self) -> Mapping[str, Any]:
        return {"factor": self.factor}

    def checked(self, data: Dataset) -> Dataset:
        """The pictures alone: what else is known of them does not matter."""
        records = tuple(dataclasses.replace(record, target=LARGER) for record in data.records)
        return dataclasses.replace(data, records=records, classes=NONE, task=self.name)

    def least_side(self, recipe: Recipe | None) -> int:
        return self._of(recipe).factor if recipe else self.factor

    def _of(self, recipe: Recipe) -> "Upscale":
        settings: UpscaleSettings = recipe.settings
        return dataclasses.replace(self, factor=settings.factor, loss_kind=settings.loss)

    def default_model(self, data: Dataset) -> str:
        return default_model(data)

    def default_recipe(self, data: Dataset, model: str, *, scratch: bool = False) -> Recipe:
        return default_recipe(data, model, scratch=scratch)

    def fitted(self, recipe: Recipe, records: Sequence[Record]) -> "Upscale":
        if recipe.augment.mosaic:
            raise RecipeError(
                f"augmentation: mosaic is {recipe.augment.mosaic:g}, and a mosaic has borders inside that no "
                "photograph has; leave mosaic at 0"
            )
        if recipe.fit not in (None, "none"):
            raise RecipeError(
                f'fit is "{recipe.fit}", which makes all pictures one size before they are enlarged; leave it at "none"'
            )
        task = self._of(recipe)
        for name, size in (("size", recipe.size), ("augment.crop_size", recipe.augment.crop_size)):
            if size and min(size) < task.factor:
                raise RecipeError(
                    f"{name} is {list(size)}, and windows of less than {task.factor} x {task.factor} pixels cannot be "
                    f"shrunk by {task.factor}; take one of {8 * task.factor} or more"
                )
        return task

    def shortages(
        self, training: Sequence[Record], validation: Sequence[Record], tested: Sequence[Record]
    ) -> Iterable[str]:
        return ()

    def example(self, size: tuple[int, int], objects: int) -> Larger:
        return LARGER

    def inputs(self, images: Tensor) -> Tensor:
        return shrunk(images, self.factor)

    def encode(self, batch: Batch, device: torch.device) -> Tensor:
        """The luma of the photographs, float32 ``[N, 1, H, W]`` from 0 to 1."""
        images = fitting(batch.images, self.factor).to(device).float() / 255
        return luma(images, images.shape[1])

    def loss(self, outputs: Tensor, auxiliary: Sequence[Tensor], targets: Tensor) -> Loss:
        total = self._costs(outputs, targets).mean()
        return Loss(total, {self.loss_kind: total.detach()})

    def _costs(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return LOSSES[self.loss_kind](luma(outputs.float(), outputs.shape[1]), targets)

    def _losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        costs = self._costs(outputs, self.encode(batch, outputs.device))
        return costs.reshape(len(batch), -1).mean(1)

    def undo(self, outputs: Tensor, size: tuple[int, int]) -> Tensor:
        return outputs.flip(3)

    def decode(self, outputs: Tensor, geometries: Sequence[Geometry]) -> Sequence[_Pixels]:
        """The enlarged pictures, uint8 ``[factor * H, factor * W, C]``."""
        return as_bytes(outputs)

    def calibrated(self, figures: Mapping[str, Any]) -> "Upscale":
        return self

    def merged(self, parts: Iterable[tuple[Geometry, _Pixels]], tiling: Tiling) -> _Pixels:
        """Of each tile what lies so far from its border that the network saw all that it looks at; the whole is unread.

        Of an overlap that both tiles answer alike the later one's pixels are taken.
        """
        whole = np.zeros((0, 0, 0), np.uint8)
        for place, pixels in parts:
            if not whole.size:
                times = pixels.shape[0] // place.output_size[0]
                whole = np.empty((place.height * times, place.width * times, pixels.shape[2]), np.uint8)
            tile = place.steps[0]
            assert isinstance(tile, Crop)
            # Where the photograph ends nothing is missing.
            top, left = tiling.margin * (tile.top > 0), tiling.margin * (tile.left > 0)
            row, column = (tile.top + top) * times, (tile.left + left) * times
            bottom = tile.height - tiling.margin * (tile.top + tile.height < place.height)
            right = tile.width - tiling.margin * (tile.left + tile.width < place.width)
            seen = pixels[top * times : bottom * times, left * times : right * times]
            whole[row : row + seen.shape[0], column : column + seen.shape[1]] = seen
            if tile.top + tile.height == place.height and tile.left + tile.width == place.width:
                break  # the last tile; behind it comes the whole
        return whole

    def meter(self) -> UpscaleMeter:
        return UpscaleMeter(self.factor, self._losses)

    def logged(self, figures: Mapping[str, Any]) -> Mapping[str, Any]:
        return figures

    def as_json(self, prediction: _Pixels, top: int) -> dict[str, Any]:
        height, width = prediction.shape[:2]
        return {"width": width, "height": height}

    def as_text(self, prediction: _Pixels, top: int) -> str:
        height, width = prediction.shape[:2]
        return f"{width} x {height} pixels"

    def draw(self, prediction: _Pixels, photograph: Callable[[], _Pixels]) -> None:
        return None

    def exhibit(self, image: _Pixels, target: Target) -> tuple[_Pixels, str]:
        """What the network gets, its pixels as large as they will be, beside what it is to make of it."""
        small = self.inputs(torch.from_numpy(image.copy()).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
        large = small.repeat(self.factor, 0).repeat(self.factor, 1)
        whole = image[: large.shape[0], : large.shape[1]]
        sizes = [f"{pixels.shape[1]}x{pixels.shape[0]}" for pixels in (small, whole)]
        return np.concatenate([large, whole], 1), " to ".join(sizes)

    def write(self, prediction: _Pixels, folder: Path, name: str, photograph: Path) -> Mapping[str, str]:
        file = f"{name}.enlarged{usual_ending(prediction)}"
        write_as(prediction, folder / file, photograph)
        return {"enlarged": file}

    def margin(self, metric: str, figures: Mapping[str, Any]) -> float:
        return 0.0

    def brief(self, figures: Mapping[str, Any]) -> str:
        return f"PSNR {_decibels(figures['psnr'])} dB (bicubic {_decibels(figures['bicubic_psnr'])})"

    def details(self, figures: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Iterable[str]:
        """The pictures that bicubic interpolation makes more like themselves."""
        worse = [row for row in rows if row["psnr"] is not None and row["psnr"] < row["bicubic_psnr"]]
        if worse:
            worse.sort(key=lambda row: row["psnr"] - row["bicubic_psnr"])
            said = listed([f"{row['image']} by {row['bicubic_psnr'] - row['psnr']:.2f} dB" for row in worse])
            yield f"{counted(len(worse), 'picture')} less like the photograph than by bicubic interpolation: {said}"

    def summary(self, figures: Mapping[str, Any]) -> str:
        """``PSNR 33.45 dB, bicubic 31.95; SSIM 0.930, bicubic 0.910``; and where bicubic is better, that."""
        likeness = (figures["ssim"], figures["bicubic_ssim"])
        ours, plain = figures["psnr"], figures["bicubic_psnr"]
        worse = ours is not None and plain is not None and ours < plain
        one, other = ("-" if each is None else f"{each:.4f}" for each in likeness)
        return (
            f"PSNR {_decibels(figures['psnr'])} dB, bicubic {_decibels(figures['bicubic_psnr'])}; SSIM {one}, bicubic "
            f"{other}"
            f"{_BELOW if worse else ''}"
        )


_BELOW = "; bicubic interpolation does better: the network has yet to learn, by more epochs or pictures"


def _decibels(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.2f}"
