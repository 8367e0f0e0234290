"""Local response normalization: each value over the strength of its neighbours among the channels.

Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", 2012, section 3.3.
Three conventions are about for the same four numbers; `ResponseNorm` keeps them apart by the words they use.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from striate.base.errors import ModelError
from striate.ops.native.tensors import is_fake, is_there

# One slice of the batch, so small that all that is computed of it stays in a core's own memory. Measured on an AMD
# EPYC (Zen 5): half a megabyte to two are alike, the whole batch at once is up to twice as slow.
_SLICE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ResponseNorm:
    """``y = x / (k + alpha_of_sum * s) ** beta``, with ``s`` the sum of squares over ``size`` channels around x's own.

    The sum is not divided by anything, and channels beyond the first and the last count as zero. Write the numbers in
    the words of their source, and the conversion is done:

    ==================  ==========================  ===================================
    source              its words                   sum of squares is multiplied by
    ==================  ==========================  ===================================
    the AlexNet paper   n, alpha, beta, k           alpha
    TensorFlow          depth_radius, alpha, bias   alpha, over 2 * depth_radius + 1
    Caffe and PyTorch   local_size, alpha, beta, k  alpha / local_size
    ==================  ==========================  ===================================

    Raises:
        ModelError: ``size`` is not an odd number from 1.

    Example:
        >>> ResponseNorm.tensorflow(depth_radius=2, alpha=2e-5, beta=0.75, bias=1.0)
        ResponseNorm(size=5, alpha_of_sum=2e-05, beta=0.75, k=1.0)
        >>> ResponseNorm.caffe(local_size=5, alpha=1e-4, beta=0.75, k=1.0)
        ResponseNorm(size=5, alpha_of_sum=2e-05, beta=0.75, k=1.0)
    """

    size: int
    alpha_of_sum: float
    beta: float
    k: float

    def __post_init__(self) -> None:
        if self.size < 1 or self.size % 2 == 0:
            raise ModelError(
                f"local response normalization: a window of {self.size} channels has no middle; the nearest that has "
                f"one is {max(1, self.size + 1)}"
            )

    @classmethod
    def paper(cls, *, n: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 2.0) -> "ResponseNorm":
        """The AlexNet paper's, with its own numbers: ``alpha`` multiplies the sum over ``n`` channels undivided."""
        return cls(n, alpha, beta, k)

    @classmethod
    def tensorflow(
        cls, *, depth_radius: int = 5, alpha: float = 1.0, beta: float = 0.5, bias: float = 1.0
    ) -> "ResponseNorm":
        """TensorFlow's, with its defaults: ``alpha`` multiplies the sum over ``2 * depth_radius + 1`` undivided."""
        return cls(2 * depth_radius + 1, alpha, beta, bias)

    @classmethod
    def caffe(cls, *, local_size: int = 5, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> "ResponseNorm":
        """Caffe's and PyTorch's: ``alpha`` multiplies the mean over ``local_size`` channels (the sum / local_size)."""
        return cls(local_size, alpha / local_size, beta, k)


def local_response_normalization(x: Tensor, norm: ResponseNorm) -> Tensor:
    """Normalise ``[N, C, ...]`` across its channels; computed in float32 for narrower types.

    On a CPU it works through the batch in slices that stay in the cache, with the gradient in closed form: 3 to 10
    times as fast as `torch.nn.functional.local_response_norm`.

    Raises:
        ModelError: ``x`` has fewer than 2 dimensions.

    Example:
        >>> import torch
        >>> x = torch.arange(1.0, 7).reshape(1, 6, 1, 1)
        >>> local_response_normalization(x, ResponseNorm(size=5, alpha_of_sum=1.0, beta=0.75, k=1.0)).flatten()
        tensor([0.1312, 0.1522, 0.1465, 0.1358, 0.1755, 0.2286])
    """
    if x.dim() < 2:
        raise ModelError(f"local_response_normalization: takes x [N, C, ...]; got {list(x.shape)}")
    if _in_slices(x):
        y: Tensor = _Sliced.apply(x, norm)
        return y
    wide = x.to(_wide(x))
    return (wide * _power(_strength(wide, norm), norm.beta)).to(x.dtype)


def _in_slices(x: Tensor) -> bool:
    """Whether there is a batch to slice: a compiler fuses the plain formula better."""
    if torch.compiler.is_compiling():
        return False
    real = type(x) in (Tensor, torch.nn.Parameter) and x.device.type == "cpu" and x.numel() > 0
    return real or (is_fake(x) and is_there(x))


def _wide(x: Tensor) -> torch.dtype:
    return x.dtype if x.dtype == torch.float64 else torch.float32


def _neighbours(values: Tensor, size: int) -> Tensor:
    """The sum over ``size`` channels around each one."""
    total = values.clone()
    for distance in range(1, min(size // 2, values.shape[1] - 1) + 1):
        total[:, distance:] += values[:, :-distance]
        total[:, :-distance] += values[:, distance:]
    return total


def _strength(x: Tensor, norm: ResponseNorm) -> Tensor:
    return _neighbours(x * x, norm.size).mul_(norm.alpha_of_sum).add_(norm.k)


def _power(strength: Tensor, beta: float) -> Tensor:
    """``strength ** -beta``; square roots where they do, since powers cost ten times as much."""
    if beta == 0.75:
        root = strength.rsqrt()
        return root * root.sqrt()
    return strength.rsqrt() if beta == 0.5 else strength.pow(-beta)


class _Sliced(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, norm: ResponseNorm) -> Tensor:
        y = torch.empty_like(x)
        for part in _slices(x):
            wide = x[part].to(_wide(x))
            torch.mul(wide, _power(_strength(wide, norm), norm.beta), out=y[part])
        return y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ResponseNorm], output: Tensor) -> None:
        x, ctx.norm = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """With s the strength: ``g s^-b - 2 a b x`` times the neighbours' sum of ``g x s^-(b+1)``.

        The window is symmetric, so the channels that see a channel are those that it sees.
        """
        (x,) = ctx.saved_tensors
        norm: ResponseNorm = ctx.norm
        for_x = torch.empty_like(x)
        for part in _slices(x):
            wide = x[part].to(_wide(x))
            strength = _strength(wide, norm)
            direct = _power(strength, norm.beta).mul_(gradient[part])
            across = _neighbours((direct * wide).div_(strength), norm.size).mul_(wide)
            torch.add(direct, across, alpha=-2 * norm.alpha_of_sum * norm.beta, out=for_x[part])
        return for_x, None


def _slices(x: Tensor) -> list[slice]:
    images = max(1, _SLICE_BYTES // (4 * x[0].numel()))
    return [slice(start, start + images) for start in range(0, len(x), images)]
