"""What a network learns that says a class for each pixel: cross-entropy, Dice and focal loss, weighed and summed.

All in float32, from logits ``[N, classes, H, W]`` and class indices ``[N, H, W]``; `UNKNOWN` counts for nothing, by
factors of 0, so that shapes depend on no picture.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
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
        pixels = _Pixels(outputs, targets, self.class_weights, summed=self.dice > 0)
        return {name: getattr(self, name) * loss(pixels, self) for name, loss in _LOSSES.items() if getattr(self, name)}


class _Pixels:
    """A batch's masks ``[N, H, W]``, class weights, and what a network says of them, see `_Probabilities`."""

    def __init__(self, outputs: Tensor, targets: Tensor, class_weights: tuple[float, ...] | None, summed: bool) -> None:
        self.known = targets != UNKNOWN
        self.true = targets.long() * self.known  # of an unknown pixel any
        self.classes = outputs.shape[1]
        self.class_weights = None if class_weights is None else torch.tensor(class_weights, device=outputs.device)
        # torch takes the softmax of a few channels ten times as fast over planes as over pixels.
        given = (outputs.float().contiguous(), self.true, self.known, summed)
        self.logs, self.sums = _Probabilities.apply(*given)

    def weights(self) -> Tensor:
        """A weight for each pixel, 0 for unknown ones."""
        return self.known if self.class_weights is None else self.known * self.class_weights[self.true]

    def mean(self, values: Tensor) -> Tensor:
        """Of the values ``[N, H, W]``, weighted; 0 where no pixel is known."""
        weights = self.weights()
        # Counting truths is several times as fast as summing them.
        whole = self.known.count_nonzero() if self.class_weights is None else weights.sum()
        return (values * weights).sum() / torch.where(whole > 0, whole, 1)

    def by_class(self, values: Tensor) -> Tensor:
        """The sums of values ``[N, H, W]`` over the pixels of each true class, row by row: sums of few are exact."""
        count, height, _ = values.shape
        rows = torch.arange(count * height, device=values.device).view(count, height, 1) * self.classes
        sums = values.new_zeros(count * height * self.classes)
        return sums.index_add(0, (rows + self.true).flatten(), values.flatten()).view(-1, self.classes).sum(0)


class _Probabilities(torch.autograd.Function):
    """Log-probabilities of true classes ``[N, H, W]``, and each class's probability summed over known pixels ``[K]``.

    The sums are 0 where they are not asked for (``summed``).

    With p the softmax, o the one of the true class, l = log o and t the sums: the gradient by the logits of class c is
    ``(o is c) g_l + p_c (g_t[c] - sum_k p_k g_t[k] - g_l)``. Written so it takes a few passes over the maps; of losses
    put together of operations each has a gradient of its own, which together takes three times as many.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, true: Tensor, known: Tensor, summed: bool) -> tuple[Tensor, Tensor]:
        logs = F.log_softmax(logits, dim=1)
        own = logs.gather(1, true[:, None])[:, 0]
        sums = logits.new_zeros(logits.shape[1])
        if summed:
            logs = logs.exp_().mul_(known[:, None].to(logs.dtype))  # from here on probabilities, 0 of unknown pixels
            sums = logs.sum((0, 2, 3))
        ctx.save_for_backward(logs, true)
        ctx.summed = summed
        return own, sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_own: Tensor, of_sums: Tensor) -> tuple[Tensor, None, None, None]:
        kept, true = ctx.saved_tensors
        if ctx.summed:  # where nothing is known all is 0: no loss has a gradient there
            gradient = kept * of_sums[:, None, None]
            gradient.addcmul_(kept, (gradient.sum(1) + of_own)[:, None], value=-1)
        else:
            gradient = kept.exp().mul_(-of_own[:, None])
        return gradient.scatter_add_(1, true[:, None], of_own[:, None]), None, None, None


def _cross_entropy(pixels: _Pixels, settings: SegmentLoss) -> Tensor:
    return pixels.mean(-pixels.logs)


def _focal(pixels: _Pixels, settings: SegmentLoss) -> Tensor:
    """Lin et al., "Focal loss for dense object detection", ICCV 2017, equation 4, for softmax."""
    # 1 - p from the logarithm, which is exact where p is nearly 1; a power of 0 itself has no gradient.
    missing = -torch.expm1(pixels.logs).clamp(max=-1e-7)
    return pixels.mean(-pixels.logs * missing**settings.focal_gamma)


def _dice(pixels: _Pixels, settings: SegmentLoss) -> Tensor:
    """1 - Dice, the mean over the classes that the batch's masks show.

    Milletari et al., "V-Net", 3DV 2016, section 3, with plain sums below the line, as most have it since.
    """
    both, there = (pixels.by_class(each * pixels.known) for each in (pixels.logs.exp(), pixels.known.float()))
    losses = 1 - 2 * both / (pixels.sums + there).clamp(min=1e-7)
    shown = (there > 0).to(torch.float32)
    return (losses * shown).sum() / shown.sum().clamp(min=1)


_LOSSES: Mapping[str, Callable[[Any, SegmentLoss], Tensor]] = {
    "cross_entropy": _cross_entropy,
    "dice": _dice,
    "focal": _focal,
}
