"""conv2d against the textbook's examples and against a convolution written out in loops."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from striate.base.errors import ModelError
from striate.ops import conv2d, output_size


def in_loops(x, weight, bias, stride, dilation, groups, padding) -> np.ndarray:
    """The definition, place by place, in float64; TensorFlow's SAME written a second time from its documentation."""
    (count, _, *sizes), (outs, per_group, *windows) = x.shape, weight.shape
    before, outputs = [], []
    for axis, size in enumerate(sizes):
        spans = (windows[axis] - 1) * dilation[axis] + 1
        if padding == "same":
            outputs.append(math.ceil(size / stride[axis]))
            before.append(max((outputs[-1] - 1) * stride[axis] + spans - size, 0) // 2)
        else:
            low, high = (padding, padding) if isinstance(padding, int) else padding[axis]
            outputs.append((low + size + high - spans) // stride[axis] + 1)
            before.append(low)
    y = np.zeros((count, outs, *outputs))
    for n, o, i, j in itertools.product(range(count), range(outs), *map(range, outputs)):
        first = o // (outs // groups) * per_group
        for c, a, b in itertools.product(range(per_group), *map(range, windows)):
            row = i * stride[0] + a * dilation[0] - before[0]
            column = j * stride[1] + b * dilation[1] - before[1]
            if 0 <= row < sizes[0] and 0 <= column < sizes[1]:
                y[n, o, i, j] += x[n, first + c, row, column] * weight[o, c, a, b]
    return y + (0 if bias is None else bias[None, :, None, None])


@st.composite
def cases(draw):
    groups = draw(st.sampled_from([1, 2, 4]))
    stride = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    dilation = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    windows = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    sizes = tuple(draw(st.integers(1, 9)) for _ in windows)
    amount = st.integers(0, 4)
    padding = draw(st.one_of(st.just("same"), amount, st.tuples(st.tuples(amount, amount), st.tuples(amount, amount))))
    per_group = draw(st.sampled_from([1, 2]))
    shapes = (2, groups * per_group, *sizes), (groups * draw(st.sampled_from([1, 2])), per_group, *windows)
    return shapes, stride, dilation, groups, padding, draw(st.booleans()), draw(st.booleans())


@settings(deadline=None, max_examples=100)
@given(cases())
def test_equals_the_definition(case) -> None:
    (x_shape, w_shape), stride, dilation, groups, padding, biased, watched = case
    generator = np.random.default_rng(0)
    x, w = generator.standard_normal(x_shape), generator.standard_normal(w_shape)
    bias = generator.standard_normal(w_shape[0]) if biased else None
    tensors = [None if a is None else torch.from_numpy(a).requires_grad_(watched) for a in (x, w, bias)]
    options = {"stride": stride, "dilation": dilation, "groups": groups, "padding": padding}
    if padding != "same":
        pairs = ((padding, padding), (padding, padding)) if isinstance(padding, int) else padding
        spans = [(k - 1) * d + 1 for k, d in zip(w_shape[2:], dilation, strict=True)]
        if any(a + n + b < span for (a, b), n, span in zip(pairs, x_shape[2:], spans, strict=True)):
            with pytest.raises(ModelError, match="does not fit"):
                conv2d(*tensors, **options)
            return
    y = conv2d(*tensors, **options)
    wanted = in_loops(x, w, bias, stride, dilation, groups, padding)
    assert tuple(y.shape) == wanted.shape
    np.testing.assert_allclose(y.detach().numpy(), wanted, rtol=0, atol=1e-12)


LINE = torch.arange(1.0, 14).reshape(1, 1, 1, 13)
SQUARE = torch.arange(1.0, 10).reshape(1, 1, 3, 3)


@pytest.mark.parametrize(("padding", "wanted"), [("valid", [184, 389]), ("same", [143, 348, 204])])
def test_the_line_of_thirteen(padding: str, wanted: list[float]) -> None:
    window = torch.tensor([2.0, 3, 5, 7, 11, 13]).reshape(1, 1, 1, 6)
    assert conv2d(LINE, window, stride=(1, 5), padding=padding).flatten().tolist() == wanted


@pytest.mark.parametrize(
    ("padding", "wanted"),
    [("valid", [[12, 16], [24, 28]]), ("same", [[12, 16, 9], [24, 28, 15], [15, 17, 9]])],
)
def test_the_square_of_nine_under_three_filters(padding: str, wanted: list[list[float]]) -> None:
    window = torch.ones(3, 1, 2, 2) * torch.tensor([1.0, 10, -1]).reshape(3, 1, 1, 1)
    y = conv2d(SQUARE, window, padding=padding)
    for channel, factor in enumerate((1, 10, -1)):
        assert (y[0, channel] == torch.tensor(wanted) * factor).all()


@pytest.mark.parametrize(
    ("padding", "wanted"),
    [("valid", [38, 44, 50, 56, 62]), ("same", [17, 22, 27, 32, 38, 44, 50, 56, 62, 26, 29, 32, 35])],
)
def test_atrous(padding: str, wanted: list[float]) -> None:
    window = torch.tensor([1.0, 2, 3]).reshape(1, 1, 1, 3)
    assert conv2d(LINE, window, dilation=4, padding=padding).flatten().tolist() == wanted


@pytest.mark.parametrize(("groups", "window", "stride"), [(1, 2, 1), (1, 3, 2), (4, 3, 2), (4, 4, 1), (2, 3, 3)])
def test_gradients(stride: int, groups: int, window: int) -> None:
    torch.set_num_threads(1)  # thousands of tiny calls: a second thread would only be waited for
    x = torch.randn(1, 4, 5, 4, dtype=torch.float64, requires_grad=True)
    w = torch.randn(4, 4 // groups, window, window, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, w: conv2d(x, w, stride=stride, groups=groups, padding="same"), (x, w))


@pytest.mark.parametrize("groups", [1, 8])
@pytest.mark.parametrize("size", [16, 17, 60])
@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
def test_watched_and_unwatched_agree_and_keep_the_memory_format(groups: int, size: int, memory_format) -> None:
    x = torch.randn(2, 8, size, size).contiguous(memory_format=memory_format)
    w = torch.randn(8, 8 // groups, 3, 3, requires_grad=True)
    watched = conv2d(x, w, stride=2, groups=groups, padding="same")
    with torch.no_grad():
        unwatched = conv2d(x, w, stride=2, groups=groups, padding="same")
    torch.testing.assert_close(watched, unwatched, rtol=0, atol=1e-5)
    assert watched.is_contiguous(memory_format=memory_format)
    assert unwatched.is_contiguous(memory_format=memory_format)


class Calls(TorchDispatchMode):
    """Writes down every operator with the shapes it got."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[str, list]] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        shown = [tuple(a.shape) if isinstance(a, torch.Tensor) else a for a in args]
        self.made.append((str(function), shown))
        return function(*args, **(kwargs or {}))


def calls(function) -> list[tuple[str, list]]:
    with Calls() as mode:
        function()
    return mode.made


def test_even_paddings_are_the_bare_call() -> None:
    x, w, bias = torch.randn(2, 4, 9, 9), torch.randn(6, 2, 3, 3), torch.randn(6)
    bare = calls(lambda: F.conv2d(x, w, bias, 2, 1, 1, 2))
    assert calls(lambda: conv2d(x, w, bias, stride=2, groups=2, padding="symmetric")) == bare
    assert calls(lambda: conv2d(x, w, bias, stride=2, groups=2, padding=1)) == bare
    assert calls(lambda: conv2d(x, w, bias, stride=2, groups=2, padding="same")) == bare  # 9 is odd: 1 and 1
    assert len(bare) == 1


def test_uneven_padding_copies_the_input_only_when_it_must() -> None:
    x, w = torch.randn(2, 8, 16, 16), torch.randn(8, 1, 3, 3, requires_grad=True)

    def padded() -> bool:
        made = calls(lambda: conv2d(x, w, stride=2, groups=8, padding="same"))
        return any("constant_pad_nd" in name for name, _ in made)

    assert padded()
    with torch.no_grad():
        assert not padded()


def test_symmetric_is_not_same_at_stride_two() -> None:
    x, w = torch.randn(1, 3, 8, 8), torch.randn(4, 3, 3, 3)
    same, symmetric = (conv2d(x, w, stride=2, padding=kind) for kind in ("same", "symmetric"))
    assert same.shape == symmetric.shape
    assert not torch.allclose(same, symmetric, atol=0.1)


@pytest.mark.parametrize(
    ("x", "weight", "groups", "padding", "said"),
    [
        ((3, 8, 8), (4, 3, 3, 3), 1, "same", r"\[3, 8, 8\]"),
        ((1, 3, 8, 8), (4, 4, 3, 3), 1, "same", "takes 4 channels .* x has 3"),
        ((1, 4, 8, 8), (3, 2, 3, 3), 2, "same", "2 group"),
        ((1, 3, 2, 8), (4, 3, 3, 3), 1, "valid", "smallest size that fits is 3"),
        ((1, 3, 8, 8), (4, 3, 3, 3), 1, (1, 1), "pairs"),
        ((1, 3, 8, 8), (4, 3, 3, 3), 1, "sane", "Did you mean 'same'"),
    ],
)
def test_what_does_not_fit_is_refused(x, weight, groups, padding, said) -> None:
    with pytest.raises(ModelError, match=said):
        conv2d(torch.zeros(x), torch.zeros(weight), groups=groups, padding=padding)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_types_and_meta(dtype: torch.dtype) -> None:
    x, w = torch.randn(1, 4, 7, 10, dtype=dtype), torch.randn(4, 1, 3, 3, dtype=dtype)
    y = conv2d(x, w, stride=2, groups=4, padding="same")
    assert y.dtype == dtype
    assert y.shape == conv2d(x.to("meta"), w.to("meta"), stride=2, groups=4, padding="same").shape
    assert list(y.shape[2:]) == [output_size(7, 3, 2), output_size(10, 3, 2)]
