"""The figures of super-resolution: how like the photographs are the enlarged pictures, and bicubic interpolation."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate.data.records import Batch
from striate.ops.enlarging import fitting, shrunk
from striate.pictures.resampling import resample
from striate.tasks.counted import Counted
from striate.tasks.upscale_figures import measured, psnr, ssim

FIGURES = ("psnr", "ssim", "bicubic_psnr", "bicubic_ssim", "loss")
"""What is kept of each picture; NaN what does not exist of one that is too small."""


def as_bytes(outputs: Tensor) -> list[NDArray[np.uint8]]:
    """What networks answer, ``[N, C, H, W]`` from 0 to 1, as pictures uint8 ``[H, W, C]``."""
    rounded = (outputs.detach() * 255).round_().clamp_(0, 255).to(torch.uint8)
    return list(rounded.permute(0, 2, 3, 1).contiguous().cpu().numpy())


class UpscaleMeter:
    """Compares the pictures that would be written with the photographs; keeps five numbers a picture.

    ``losses`` gives ``[N]`` from outputs and a batch.
    """

    def __init__(self, factor: int, losses: Callable[[Tensor, Batch], Tensor]) -> None:
        self._factor, self._losses = factor, losses
        self._counted = Counted(dict.fromkeys(FIGURES, torch.float64))

    def add(self, outputs: Tensor, batch: Batch) -> None:
        """Count enlarged pictures ``[N, C, H, W]`` against the photographs of the batch."""
        rows: dict[str, list[float]] = {name: [] for name in FIGURES[:-1]}
        photographs = fitting(batch.images, self._factor).permute(0, 2, 3, 1).cpu().numpy()
        smaller = shrunk(batch.images, self._factor).permute(0, 2, 3, 1).cpu().numpy()
        for photograph, small, large in zip(photographs, smaller, as_bytes(outputs), strict=True):
            wanted = measured(photograph, self._factor)
            height, width = photograph.shape[:2]
            by_bicubic = resample(small, height, width, "bicubic")
            for prefix, pixels in (("", large), ("bicubic_", by_bicubic)):
                found = measured(pixels, self._factor)
                rows[f"{prefix}psnr"].append(psnr(found, wanted))
                rows[f"{prefix}ssim"].append(ssim(found, wanted))
        numbers = {name: torch.tensor(values, dtype=torch.float64) for name, values in rows.items()}
        self._counted.add({**numbers, "loss": self._losses(outputs.detach(), batch).cpu().double()})

    def state(self) -> Mapping[str, Tensor]:
        """All that was counted, a number a picture for each name of `FIGURES`."""
        return self._counted.state()

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Pool the pictures of another meter's `state` into this one."""
        self._counted.add(state)

    def rows(self) -> Sequence[dict[str, Any]]:
        """Of each picture the names of `FIGURES`; None what does not exist."""
        columns = [part.tolist() for part in self.state().values()]
        return [
            {name: None if math.isnan(value) else value for name, value in zip(FIGURES, row, strict=True)}
            for row in zip(*columns, strict=True)
        ]

    def figures(self) -> dict[str, Any]:
        """``images`` and the means of `FIGURES` over pictures; see ``docs/json.md``."""
        state = self.state()
        means = {name: float(part.nanmean()) for name, part in state.items()}
        found = {name: None if math.isnan(mean) else mean for name, mean in means.items()}
        return {"images": len(state["loss"]), **found}
