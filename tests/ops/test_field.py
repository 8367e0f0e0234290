"""Receptive fields: published ones (figures.md, D5), and the gradients of real stacks of windows."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from striate import ops
from striate.base.errors import ModelError
from striate.ops import Field, Window, field, same_padding

W = Window


def vgg16() -> list[Window]:
    return [w for units in (2, 2, 3, 3, 3) for w in [W(3, before=1)] * units + [W(2, 2)]]


def unit(stride: int) -> list[Window]:
    return [W(3, stride, before=1), W(3, before=1)]


def resnet(units: tuple[int, ...]) -> list[Window]:
    body = [w for stage, count in enumerate(units) for i in range(count) for w in unit(2 if stage and not i else 1)]
    return [W(7, 2, before=3), W(3, 2, before=1), *body]


ALEXNET = [W(11, 4), W(3, 2), W(5, before=2), W(3, 2), *[W(3, before=1)] * 3, W(3, 2)]
MOBILENET = [W(3, 2, before=1)] + [W(3, s, before=1) for s in (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)]


@pytest.mark.parametrize(
    ("windows", "size", "stride", "padding"),
    [
        ([W(5)], 5, 1, 0),  # LeNet-5, C1 to C5
        ([W(5), W(2, 2), W(5), W(2, 2)], 16, 4, 0),
        ([W(5), W(2, 2), W(5), W(2, 2), W(5)], 32, 4, 0),
        (ALEXNET[:1], 11, 4, 0),
        (ALEXNET[:7], 163, 16, 64),
        (ALEXNET, 195, 32, 64),
        (vgg16(), 212, 32, 90),
        ([*vgg16(), W(7)], 404, 32, 90),
        (resnet((2, 2, 2, 2)), 435, 32, 217),
        (resnet((3, 4, 6, 3)), 899, 32, 449),
        (resnet((3, 4)), 179, 8, 89),
        (MOBILENET, 315, 32, 157),
    ],
)
def test_published_fields(windows: list[Window], size: int, stride: int, padding: int) -> None:
    assert field(windows) == Field(size, stride, -padding)


def test_mobilenet_under_same_is_padded_as_published() -> None:
    windows, size = [], 224
    for window in MOBILENET:
        windows.append(W(window.window, window.stride, before=same_padding(size, window.window, window.stride)[0]))
        size = ops.output_size(size, window.window, window.stride)
    assert field(windows) == Field(315, 32, -126)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 2), st.integers(0, 2)), max_size=4))
def test_the_gradient_sees_what_the_field_says(rows) -> None:
    windows = [W(window, stride, dilation, before) for window, stride, dilation, before in rows]
    found = field(windows)
    size = 600  # which four windows of the widest reach and stride leave something of
    x = torch.zeros(1, 1, size, requires_grad=True, dtype=torch.float64)
    y, reached = x, 1
    for w in windows:
        taps = torch.zeros(w.window, dtype=torch.float64)
        taps[0] = taps[-1] = 1  # the ends are what a field is made of
        y = ops.conv1d(y, taps.reshape(1, 1, -1), stride=w.stride, dilation=w.dilation, padding=((w.before, 0),))
        reached *= w.stride
    assert reached == found.stride
    place = -(found.start // found.stride) + 1  # an output whose field lies inside
    if place >= y.shape[2] or found.start + place * found.stride + found.size > size:
        return
    (gradient,) = torch.autograd.grad(y[0, 0, place], x)
    seen = gradient.flatten().nonzero().flatten()
    assert seen[0] == found.start + place * found.stride
    assert seen[-1] == seen[0] + found.size - 1


def test_branches_see_what_either_sees() -> None:
    shortcut, branch = field([W(1, 2)]), field([W(3, 2, before=1), W(3, before=1)])
    assert branch.beside(shortcut) == shortcut.beside(branch) == Field(7, 2, -3)
    assert field([W(3, before=1)], begin=branch) == Field(11, 2, -5)
    with pytest.raises(ModelError, match="strides 1 and 2"):
        field([]).beside(branch)
