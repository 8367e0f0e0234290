"""What a network learns that says a class for each pixel: cross-entropy, Dice and focal loss, weighed and summed.

All in float32, from logits ``[N, classes, H, W]`` and class indices ``[N, H, W]``; `UNKNOWN` counts for nothing, by
factors of 0, so that shapes depend on no picture.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.pictures.geometry import UNKNOWN


@dataclass(frozen=True, slots=True)
class SegmentLoss:
    """The sum of up to three losses with their weights; those of weight 0 are not computed.

    ``class_weights`` is one number a class, for cross-entropy and focal loss, or None where all classes weigh 1.
    """

    cross_entropy: float = 1.0
    dice: float = 0.0
    focal: float = 0.0
    focal_gamma: float = 2.0
    class_weights: tuple[float, ...] | None = None

    def parts(self, outputs: Tensor, targets: Tensor) -> Mapping[str, Tensor]:
        """Each loss times its weight; 0 where no pixel is known."""
        pixels = _Pixels(outputs, targets, self.class_weights)
        return {name: getattr(self, name) * loss(pixels, self) for name, loss in _LOSSES.items() if getattr(self, name)}


class _Pixels:
    """A batch's logarithms of probabilities ``[N, classes, H, W]``, its masks ``[N, H, W]``, and class weights."""

    def __init__(self, outputs: Tensor, targets: Tensor, class_weights: tuple[float, ...] | None) -> None:
        # torch takes the softmax of a few channels ten times as fast over planes as over pixels.
        self.logs = F.log_softmax(outputs.contiguous(), dim=1, dtype=torch.float32)
        self.targets = targets.long()
        self.known = targets != UNKNOWN
        self.class_weights = None if class_weights is None else torch.tensor(class_weights, device=outputs.device)

    @property
    def true(self) -> Tensor:
        """The true classes; of an unknown pixel any."""
        return self.targets * self.known

    def weights(self) -> Tensor:
        """A weight for each pixel, 0 for unknown ones."""
        return self.known if self.class_weights is None else self.known * self.class_weights[self.true]

    def mean(self, total: Tensor) -> Tensor:
        """Of a weighted sum over the pixels."""
        # Counting truths is several times as fast as summing them.
        whole = self.known.count_nonzero() if self.class_weights is None else self.weights().sum()
        return total / torch.where(whole > 0, whole, 1)


def _cross_entropy(pixels: _Pixels, settings: SegmentLoss) -> Tensor:
    weights = pixels.class_weights
    return pixels.mean(F.nll_loss(pixels.logs, pixels.targets, weights, ignore_index=UNKNOWN, reduction="sum"))


def _focal(pixels: _Pixels, settings: SegmentLoss) -> Tensor:
    """Lin et al., "Focal loss for dense object detection", ICCV 2017, equation 4, for softmax."""
    logs = pixels.logs.gather(1, pixels.true[:, None])[:, 0]
    # 1 - p from the logarithm, which is exact where p is nearly 1; a power of 0 itself has no gradient.
    missing = -torch.expm1(logs).clamp(max=-1e-7)
    return pixels.mean((-logs * missing**settings.focal_gamma * pixels.weights()).sum())


def _dice(pixels: _Pixels, settings: SegmentLoss) -> Tensor:
    """1 - Dice, the mean over the classes that the batch's masks show.

    Milletari et al., "V-Net", 3DV 2016, section 3, with plain sums below the line, as most have it since.
    """
    probabilities = pixels.logs.exp() * pixels.known[:, None]
    own = probabilities.gather(1, pixels.true[:, None])[:, 0]  # all that is needed of what lies in the true classes
    both, there = _by_class(own, pixels), _by_class(pixels.known.to(own.dtype), pixels)
    losses = 1 - 2 * both / (probabilities.sum((0, 2, 3)) + there).clamp(min=1e-7)
    shown = (there > 0).to(torch.float32)
    return (losses * shown).sum() / shown.sum().clamp(min=1)


def _by_class(values: Tensor, pixels: _Pixels) -> Tensor:
    """The sums of values ``[N, H, W]`` over the pixels of each true class, row by row first: sums of few are exact."""
    (count, height, _), classes = values.shape, pixels.logs.shape[1]
    rows = torch.arange(count * height, device=values.device).view(count, height, 1) * classes
    sums = values.new_zeros(count * height * classes)
    return sums.index_add(0, (rows + pixels.true).flatten(), values.flatten()).view(-1, classes).sum(0)


_LOSSES: Mapping[str, Callable[[Any, SegmentLoss], Tensor]] = {
    "cross_entropy": _cross_entropy,
    "dice": _dice,
    "focal": _focal,
}
