"""TensorFlow's layouts: known elements, round trips, and what is refused."""

import pytest
import torch

from striate import ops
from striate.base.errors import ModelError
from striate.ops import from_tensorflow, to_tensorflow
from striate.ops.layouts import LAYOUTS


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "HWCM"])
def test_every_letter_finds_its_place(layout: str) -> None:
    sizes = dict(zip("NCDHWIO", range(2, 9), strict=True))
    theirs = torch.randn([sizes[letter] for letter in layout])
    ours = from_tensorflow(theirs, layout)
    axes = "DHW"[3 - (len(layout) - 2) :]
    first = "NC" if "N" in layout else ("IO" if layout.endswith("OI") else "OI")
    assert list(ours.shape) == [sizes[letter] for letter in first + axes]
    index = dict(zip(layout, (s - 1 for s in theirs.shape), strict=True))
    assert ours[tuple(index[letter] for letter in first + axes)] == theirs[tuple(index.values())]
    assert torch.equal(to_tensorflow(ours, layout), theirs)


def test_pictures_are_not_copied() -> None:
    theirs = torch.randn(2, 5, 6, 3)
    ours = from_tensorflow(theirs, "NHWC")
    assert ours.data_ptr() == theirs.data_ptr()
    assert ours.is_contiguous(memory_format=torch.channels_last)


def test_the_multiplier_stands_inside_the_channel() -> None:
    theirs = torch.randn(3, 2, 4, 5)  # h, w, channels, multiplier
    ours = from_tensorflow(theirs, "HWCM")
    assert ours.shape == (20, 1, 3, 2)
    assert torch.equal(ours[2 * 5 + 3, 0], theirs[:, :, 2, 3])
    assert torch.equal(to_tensorflow(ours, "HWCM", channels=4), theirs)
    x = torch.randn(1, 4, 6, 6)
    y = ops.depthwise_conv2d(x, ours)
    alone = ops.conv2d(x[:, 2:3], theirs[:, :, 2, 3].reshape(1, 1, 3, 2))
    torch.testing.assert_close(y[:, 13:14], alone)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: from_tensorflow(torch.zeros(2, 3), "NHWC"), r"4 dimensions, N, H, W, C; got \[2, 3\]"),
        (lambda: from_tensorflow(torch.zeros(2, 3), "NHCW"), "Did you mean 'NHWC'"),
        (lambda: to_tensorflow(torch.zeros(4, 1, 3, 3), "HWCM"), "HWCM needs it"),
        (lambda: to_tensorflow(torch.zeros(4, 1, 3, 3), "HWIO", channels=4), "the others have none"),
        (lambda: to_tensorflow(torch.zeros(4, 1, 3, 3), "HWCM", channels=3), r"\[3 \* multiplier, 1, h, w\]"),
    ],
)
def test_what_does_not_fit_is_refused(call, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        call()
