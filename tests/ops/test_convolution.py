"""conv2d: its two roads of uneven padding, what they copy, and what is refused."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from striate import ops
from striate.base.errors import ModelError
from striate.ops import conv2d, output_size


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


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: ops.conv1d(torch.zeros(2, 3), torch.zeros(4, 3, 3)),
            r"conv1d: takes x \[N, C, W\] and weight .*, w\]",
        ),
        (lambda: ops.conv3d(torch.zeros(2, 3, 4, 4), torch.zeros(4, 3, 3)), r"conv3d: takes x \[N, C, D, H, W\]"),
        (
            lambda: ops.conv1d(torch.zeros(1, 1, 4), torch.zeros(1, 1, 6)),
            r"conv1d on x \[1, 1, 4\], axis 2: .* fits is 6,",
        ),
        (
            lambda: ops.conv2d(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 3, 3), stride=(1, 2, 3)),
            "stride is .* 2 of them",
        ),
        (lambda: ops.conv2d(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 3, 3), stride=0), "axis 2: stride is 0"),
        (lambda: ops.conv2d(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 3, 3), padding="ceil"), "'ceil' is for pools"),
        (
            lambda: ops.conv1d(torch.zeros(1, 1, 4), torch.zeros(1, 1, 3), padding=(1, 1)),
            r"pairs \(\(before, after\),\)",
        ),
        (
            lambda: ops.depthwise_conv2d(torch.zeros(1, 4, 5, 5), torch.zeros(6, 1, 3, 3)),
            "depthwise_conv2d: .* multiples of 4",
        ),
        (
            lambda: ops.depthwise_conv2d(torch.zeros(4, 5, 5), torch.zeros(4, 1, 3, 3)),
            r"depthwise_conv2d: .*\[4, 5, 5\]",
        ),
        (
            lambda: ops.separable_conv2d(torch.zeros(1, 2, 5, 5), torch.zeros(4, 1, 3, 3), torch.zeros(3, 4, 3, 3)),
            r"pointwise_weight is \[out, 4, 1, 1\]",
        ),
        (
            lambda: ops.separable_conv2d(torch.zeros(1, 2, 5, 5), torch.zeros(4, 1, 3, 3), torch.zeros(3, 2, 1, 1)),
            "separable_conv2d: .* takes 2 channels",
        ),
        (lambda: ops.conv_transpose2d(torch.zeros(1, 3, 4, 4), torch.zeros(4, 3, 3, 3)), "takes 4 channels.*x has 3"),
        (
            lambda: ops.conv_transpose1d(torch.zeros(1, 3), torch.zeros(3, 3, 3)),
            r"conv_transpose1d: takes x \[N, C, W\]",
        ),
        (
            lambda: ops.conv_transpose2d(
                torch.zeros(1, 1, 4, 5), torch.zeros(1, 1, 3, 3), stride=2, padding="same", output_size=(8, 11)
            ),
            r"conv_transpose2d on x \[1, 1, 4, 5\], axis 3: output_size 11 .* 5 only of 9 to 10; .* legal size is 10",
        ),
        (
            lambda: ops.max_pool2d(torch.zeros(4, 5, 5), 2),
            r"max_pool2d: takes x \[N, C, H, W\], 4 dimensions; got \[4, 5, 5\]",
        ),
        (lambda: ops.max_pool2d(torch.zeros(1, 4, 5, 2), 3), r"max_pool2d on x \[1, 4, 5, 2\], axis 3: .* fits is 3,"),
        (
            lambda: ops.average_pool1d(torch.zeros(1, 4, 5), 2, padding=2),
            "hides whole windows of 2 .* largest legal amount is 1",
        ),
        (
            lambda: ops.max_pool1d(torch.zeros(1, 1, 1), 2, stride=1, dilation=3, padding="same"),
            "steps over all of 1 into the padding; the smallest size that it always sees is 3",
        ),
        (lambda: ops.depth_max_pool(torch.zeros(1, 4), 2), r"depth_max_pool: takes x \[N, C, ...\], at least 3"),
        (lambda: ops.depth_max_pool(torch.zeros(1, 2, 3, 3), 3), r"depth_max_pool on x \[1, 9, 2\], axis 2"),
    ],
)
def test_errors_name_the_operation_the_shapes_the_rule_and_the_nearest_legal_size(call, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        call()


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
def test_the_gradient_of_padding_is_a_view(memory_format: torch.memory_format) -> None:
    x = torch.randn(2, 8, 16, 15).contiguous(memory_format=memory_format).requires_grad_()
    w = torch.randn(8, 1, 3, 3)
    y = conv2d(x * 1, w, stride=2, groups=8, padding="same")
    made = calls(lambda: y.sum().backward())
    assert not any("constant_pad_nd" in name for name, _ in made)  # torch's gradient of padding: padding less
    plain = x.detach().clone().requires_grad_()
    torch.nn.functional.conv2d(torch.nn.functional.pad(plain, (1, 1, 0, 1)), w, None, 2, 0, 1, 8).sum().backward()
    torch.testing.assert_close(x.grad, plain.grad)


def test_gradients_of_gradients() -> None:
    x = torch.randn(1, 2, 6, 5, dtype=torch.float64, requires_grad=True)
    w = torch.randn(2, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x, w: conv2d(x, w, stride=2, padding="same"), (x, w))


@pytest.mark.parametrize(("window", "stride", "size"), [(3, 2, (1, 1)), (7, 2, (4, 1)), (3, 4, (3, 3)), (2, 3, (5, 2))])
def test_bfloat16_gradients_of_pictures_narrower_than_the_stride(
    window: int, stride: int, size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    for _ in range(10):
        x = torch.randn(8, 16, *size, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
        weight = torch.randn(32, 16, window, window, dtype=torch.bfloat16, requires_grad=True)
        exact = weight.detach().double().requires_grad_()
        # Memory that was just given back holds no zeros, so what is read without having been written is seen.
        torch.full((8 * weight.numel(),), float("nan"))
        y = conv2d(x, weight, stride=stride, padding=window // 2)
        gradient = torch.randn_like(y)
        y.backward(gradient)
        conv2d(x.double(), exact, stride=stride, padding=window // 2).backward(gradient.double())
        assert weight.grad is not None and exact.grad is not None
        assert (weight.grad - exact.grad).abs().max() <= 0.01 * exact.grad.abs().max()
