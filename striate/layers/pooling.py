"""Pools as modules; what they take and mean stands in `striate.ops.pooling`."""

from collections.abc import Callable
from typing import ClassVar, Literal

from torch import Tensor, nn

from striate.base.errors import ModelError
from striate.layers.windows import check_window
from striate.ops import pooling
from striate.ops.axes import Paddings, Size


class Pool(nn.Module):
    """What all pools with a window have; ``stride`` is the window's size if None.

    Raises:
        ModelError: a number is below 1, or there is no such padding.
    """

    axes: ClassVar[int]
    function: ClassVar[Callable[..., Tensor]]

    def __init__(
        self, kernel_size: Size, stride: Size | None = None, padding: Paddings = "valid", *, dilation: Size = 1
    ) -> None:
        super().__init__()
        strides = kernel_size if stride is None else stride
        check_window(type(self).__name__, self.axes, kernel_size, strides, dilation, padding, pools=True)
        self.kernel_size, self.stride, self.dilation, self.padding = kernel_size, stride, dilation, padding

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, ...]`` to the same with fewer places."""
        return type(self).function(
            x, self.kernel_size, stride=self.stride, dilation=self.dilation, padding=self.padding
        )

    def extra_repr(self) -> str:
        """What the printed module says in its brackets: everything that is not the default."""
        said = [f"kernel_size={self.kernel_size}"] + ([] if self.stride is None else [f"stride={self.stride}"])
        said += [f"dilation={self.dilation}"] if self.dilation != 1 else []
        return ", ".join([*said, f"padding={self.padding!r}"])


class MaxPool1d(Pool):
    """`striate.ops.max_pool1d`."""

    axes = 1
    function = staticmethod(pooling.max_pool1d)


class MaxPool2d(Pool):
    """`striate.ops.max_pool2d`.

    Example:
        >>> import torch
        >>> MaxPool2d(3, stride=2, padding="same")(torch.zeros(1, 8, 7, 10)).shape
        torch.Size([1, 8, 4, 5])
    """

    axes = 2
    function = staticmethod(pooling.max_pool2d)


class MaxPool3d(Pool):
    """`striate.ops.max_pool3d`."""

    axes = 3
    function = staticmethod(pooling.max_pool3d)


class AveragePool1d(Pool):
    """`striate.ops.average_pool1d`: the mean of the real pixels."""

    axes = 1
    function = staticmethod(pooling.average_pool1d)


class AveragePool2d(Pool):
    """`striate.ops.average_pool2d`: the mean of the real pixels."""

    axes = 2
    function = staticmethod(pooling.average_pool2d)


class AveragePool3d(Pool):
    """`striate.ops.average_pool3d`: the mean of the real pixels."""

    axes = 3
    function = staticmethod(pooling.average_pool3d)


class DepthPool(nn.Module):
    """`striate.ops.depth_max_pool` or, of kind ``"average"``, `striate.ops.depth_average_pool`, over channels.

    Raises:
        ModelError: ``kind`` is neither, a number is below 1, or there is no such padding.
    """

    def __init__(
        self,
        kernel_size: int,
        *,
        kind: Literal["max", "average"] = "max",
        stride: int | None = None,
        padding: Paddings = "valid",
    ) -> None:
        super().__init__()
        if kind not in ("max", "average"):
            raise ModelError(f"DepthPool: kind is {kind!r}; it is 'max' or 'average'")
        strides = kernel_size if stride is None else stride
        check_window("DepthPool", 1, kernel_size, strides, 1, padding, pools=True)
        self.kernel_size, self.kind, self.stride, self.padding = kernel_size, kind, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, ...]`` to ``[N, C', ...]``."""
        function = pooling.depth_max_pool if self.kind == "max" else pooling.depth_average_pool
        return function(x, self.kernel_size, stride=self.stride, padding=self.padding)

    def extra_repr(self) -> str:
        """What the printed module says in its brackets."""
        said = [f"kernel_size={self.kernel_size}, kind={self.kind!r}"] + (
            [] if self.stride is None else [f"stride={self.stride}"]
        )
        return ", ".join([*said, f"padding={self.padding!r}"])


class GlobalAveragePool(nn.Module):
    """The mean of each map, ``[N, C, H, W]`` to ``[N, C]``: what makes a network take pictures of any size.

    Lin and others, "Network in network", 2014, section 3.2.
    """

    def forward(self, x: Tensor) -> Tensor:
        """``[N, C, H, W]`` to ``[N, C]``."""
        return pooling.global_average_pool(x)
