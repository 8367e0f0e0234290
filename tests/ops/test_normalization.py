"""Local response normalization: published values, its three conventions, its gradient in slices."""

import pytest
import torch
from torch.nn import functional as F

from striate.base.errors import ModelError
from striate.layers import LocalResponseNorm
from striate.ops import ResponseNorm, local_response_normalization, normalization

CHAPTER = ResponseNorm.tensorflow(depth_radius=2, alpha=2e-5, beta=0.75, bias=1.0)


def over(*channels: float, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.tensor(channels, dtype=dtype).reshape(1, -1, 1, 1)


@pytest.mark.parametrize(
    ("x", "norm", "wanted", "digits"),  # the first row was computed in float64, the others by TensorFlow in float32
    [
        (
            over(1, 2, 3, 4, 5, 6),
            CHAPTER,
            [0.9997900514, 1.9991004722, 2.9975273798, 3.9946084910, 4.9935596920, 5.9930793250],
            1e-10,
        ),
        (
            over(100, 200, 300, 400, 500, 600),
            CHAPTER,
            [36.7419586, 46.4736176, 46.5302429, 43.9536362, 56.7435455, 73.6238251],
            5e-7,
        ),
        (
            over(1, 2, 3, 4, 5, 6),
            ResponseNorm.tensorflow(depth_radius=2, alpha=1.0, beta=0.75, bias=1.0),
            [0.13119929, 0.15223296, 0.14654814, 0.13576223, 0.17552161, 0.22860208],
            5e-7,
        ),
    ],
)
def test_values_of_tensorflow(x: torch.Tensor, norm: ResponseNorm, wanted: list[float], digits: float) -> None:
    assert local_response_normalization(x, norm).flatten().tolist() == pytest.approx(wanted, rel=digits)
    narrow = local_response_normalization(x.float(), norm)
    assert narrow.dtype == torch.float32
    assert narrow.flatten().tolist() == pytest.approx(wanted, rel=1e-6)


def test_the_conventions_say_the_same_in_their_own_words() -> None:
    assert ResponseNorm.caffe(local_size=5, alpha=1e-4, beta=0.75, k=1.0) == CHAPTER
    assert ResponseNorm.paper() == ResponseNorm(size=5, alpha_of_sum=1e-4, beta=0.75, k=2.0)
    assert ResponseNorm.paper() == ResponseNorm.tensorflow(depth_radius=2, alpha=1e-4, beta=0.75, bias=2.0)
    assert ResponseNorm.paper() != ResponseNorm.caffe(local_size=5, alpha=1e-4, beta=0.75, k=2.0)
    assert ResponseNorm.tensorflow() == ResponseNorm(size=11, alpha_of_sum=1.0, beta=0.5, k=1.0)
    with pytest.raises(TypeError):
        ResponseNorm.tensorflow(local_size=5)


@pytest.mark.parametrize("size", [2, 4, 0, -1])
def test_a_window_without_a_middle_is_refused(size: int) -> None:
    with pytest.raises(ModelError, match=f"nearest that has one is {max(1, size + 1)}"):
        ResponseNorm.caffe(local_size=size) if size else ResponseNorm(0, 1.0, 1.0, 1.0)


@pytest.mark.parametrize(("size", "beta", "channels"), [(5, 0.75, 7), (3, 0.5, 4), (11, 0.6, 5), (1, 0.75, 3)])
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 2, 2)])
def test_agrees_with_torch_and_has_the_right_gradient(size: int, beta: float, channels: int, shape) -> None:
    norm = ResponseNorm.caffe(local_size=size, alpha=0.7, beta=beta, k=1.5)
    x = torch.randn(3, channels, *shape, dtype=torch.float64, requires_grad=True)
    if shape:  # torch wants at least one axis
        wanted = F.local_response_norm(x, size, 0.7, beta, 1.5)
        torch.testing.assert_close(local_response_normalization(x, norm), wanted, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(lambda x: local_response_normalization(x, norm), (x,))


@pytest.mark.parametrize("last", [torch.contiguous_format, torch.channels_last])
def test_slices_and_the_plain_formula_agree(monkeypatch: pytest.MonkeyPatch, last: torch.memory_format) -> None:
    results = []
    x = torch.randn(5, 16, 6, 7).contiguous(memory_format=last).requires_grad_()
    gradient = torch.randn(5, 16, 6, 7)
    for bytes_a_slice in (1, 2 * 4 * x[0].numel(), 1 << 30):
        monkeypatch.setattr(normalization, "_SLICE_BYTES", bytes_a_slice)
        y = local_response_normalization(x, ResponseNorm.paper(alpha=0.5))
        results.append((y, *torch.autograd.grad(y, x, gradient)))
    monkeypatch.setattr(normalization, "_in_slices", lambda x: False)
    y = local_response_normalization(x, ResponseNorm.paper(alpha=0.5))
    results.append((y, *torch.autograd.grad(y, x, gradient)))
    for y, for_x in results[:-1]:
        assert torch.equal(y, results[0][0]) and torch.equal(for_x, results[0][1])
        torch.testing.assert_close(y, results[-1][0])
        torch.testing.assert_close(for_x, results[-1][1])
        assert y.stride() == for_x.stride() == x.stride()


def test_bfloat16_is_computed_in_float32() -> None:
    x = torch.randn(2, 8, 5, 5).bfloat16().requires_grad_()
    wide = x.detach().float().requires_grad_()
    y, exact = (local_response_normalization(t, CHAPTER) for t in (x, wide))
    assert y.dtype == torch.bfloat16 and torch.equal(y, exact.bfloat16())
    y.sum().backward()
    exact.sum().backward()
    assert torch.equal(x.grad, wide.grad.bfloat16())


def test_an_empty_batch_and_no_gradient() -> None:
    assert local_response_normalization(torch.zeros(0, 4, 3, 3), CHAPTER).shape == (0, 4, 3, 3)
    assert not local_response_normalization(torch.ones(1, 4, 3, 3), CHAPTER).requires_grad
    with pytest.raises(ModelError, match=r"\[4\]"):
        local_response_normalization(torch.zeros(4), CHAPTER)


def test_the_layer_says_its_numbers() -> None:
    layer = LocalResponseNorm(CHAPTER)
    assert str(layer) == "LocalResponseNorm(size=5, alpha_of_sum=2e-05, beta=0.75, k=1.0)"
    x = torch.randn(2, 6, 3, 3)
    assert torch.equal(layer(x), local_response_normalization(x, CHAPTER))
