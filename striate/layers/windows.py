"""What every layer with a window checks when it is built, so that nobody learns it from the first picture."""

from collections.abc import Iterable

from striate.base.errors import ModelError
from striate.ops.axes import Paddings, Size, each_axis, each_padding
from striate.ops.shapes import padding_amounts


def check_window(
    op: str, axes: int, window: Size, stride: Size, dilation: Size, padding: Paddings, *, pools: bool = False
) -> None:
    """See that a window of so many axes can be laid on pictures, if they are large enough.

    Raises:
        ModelError: a number is no integer from 1, there are not as many as axes, or the padding is none.
    """
    numbers = {"kernel_size": window, "stride": stride, "dilation": dilation}
    for name, value in numbers.items():
        parts: Iterable[object] = value if isinstance(value, tuple | list) else (value,)
        if not all(isinstance(part, int) and part >= 1 for part in parts):
            raise ModelError(f"{op}: {name} is {value!r}; it is an integer from 1, or a tuple of {axes}")
    taps = [each_axis(op, name, value, axes) for name, value in numbers.items()]
    for taken in zip(*taps, each_padding(op, padding, axes, pools=pools), strict=True):
        try:
            padding_amounts(1, *taken)
        except ModelError as error:
            raise ModelError(f"{op}: {error}") from None
