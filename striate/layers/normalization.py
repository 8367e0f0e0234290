"""Normalization across channels as a module."""

from torch import Tensor, nn

from striate.ops.normalization import ResponseNorm, local_response_normalization


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
