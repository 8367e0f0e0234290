"""Normalization over a batch and across channels as modules."""

from typing import get_args

from torch import Tensor, nn

from striate.base.errors import ModelError
from striate.base.nearest import did_you_mean
from striate.ops.batch_normalization import Activation, batch_norm
from striate.ops.normalization import ResponseNorm, local_response_normalization
from striate.ops.recomputation import computed_again


class LocalResponseNorm(nn.Module):
    """`striate.ops.local_response_normalization` by one of its conventions.

    Example:
        >>> LocalResponseNorm(ResponseNorm.caffe(local_size=5, alpha=1e-4, beta=0.75, k=1.0))
        LocalResponseNorm(size=5, alpha_of_sum=2e-05, beta=0.75, k=1.0)
    """

    def __init__(self, norm: ResponseNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, ...]`` to the same shape."""
        return local_response_normalization(x, self.norm)

    def extra_repr(self) -> str:
        """What the printed module says in its brackets."""
        return repr(self.norm).removeprefix("ResponseNorm(").removesuffix(")")


class BatchNormAct2d(nn.BatchNorm2d):
    """A batch norm that adds a residual and ends in an activation, all in one operation: `striate.ops.batch_norm`.

    Parameters and statistics are those of `torch.nn.BatchNorm2d`, by the same names; ``act`` is ``"none"``, ``"relu"``
    or ``"relu6"``.

    Raises:
        ModelError: ``act`` is another.

    Example:
        >>> import torch
        >>> norm = BatchNormAct2d(8, act="relu")
        >>> norm(torch.zeros(2, 8, 4, 4), residual=torch.ones(2, 8, 4, 4)).unique().tolist()
        [1.0]
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, channels: int, *, eps: float = 1e-5, momentum: float = 0.1, act: Activation = "none") -> None:
        super().__init__(channels, eps=eps, momentum=momentum)
        if act not in (known := get_args(Activation)):
            raise ModelError(f"BatchNormAct2d: act is {act!r}.{did_you_mean(act, known)} It is {', '.join(known)}")
        self.act: Activation = act

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """``act(norm(x) + residual)``, ``[N, C, H, W]``."""
        self._check_input_dim(x)
        momentum = self.momentum
        if self.training and not computed_again():
            self.num_batches_tracked.add_(1)
        if momentum is None:  # as torch: the mean of all batches so far
            momentum = 1.0 / max(1, int(self.num_batches_tracked))
        return batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=self.training,
            momentum=momentum,
            eps=self.eps,
            act=self.act,
            residual=residual,
        )

    def extra_repr(self) -> str:
        """What the printed module says in its brackets."""
        return f"{super().extra_repr()}, act={self.act!r}"
