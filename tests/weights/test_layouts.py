"""Each change of layout or habit against the arithmetic that it must leave as it is, in NumPy and by hand."""

import numpy as np
import pytest
import torch

from striate.weights import layouts


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def windows(image: np.ndarray, side: int) -> np.ndarray:
    """All windows of ``[H, W, C]`` at stride 1 as ``[H', W', side, side, C]``."""
    view = np.lib.stride_tricks.sliding_window_view(image, (side, side), axis=(0, 1))
    return view.transpose(0, 1, 3, 4, 2)


def ours(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None]


def test_convolution(rng: np.random.Generator) -> None:
    image, kernel = rng.normal(size=(6, 7, 3)), rng.normal(size=(3, 3, 3, 5))
    wanted = np.einsum("hwijc,ijco->ohw", windows(image, 3), kernel)
    found = torch.nn.functional.conv2d(ours(image), layouts.convolution_kernel(layouts.as_tensor(kernel)))
    np.testing.assert_allclose(found[0].numpy(), wanted, atol=1e-12)


def test_depthwise(rng: np.random.Generator) -> None:
    """Output c * M + m is the m-th map of channel c."""
    image, kernel = rng.normal(size=(6, 7, 3)), rng.normal(size=(3, 3, 3, 2))
    wanted = np.einsum("hwijc,ijcm->cmhw", windows(image, 3), kernel).reshape(6, 4, 5)
    weight = layouts.depthwise_kernel(layouts.as_tensor(kernel))
    assert weight.shape == (6, 1, 3, 3)
    found = torch.nn.functional.conv2d(ours(image), weight, groups=3)
    np.testing.assert_allclose(found[0].numpy(), wanted, atol=1e-12)


def test_dense(rng: np.random.Generator) -> None:
    x, kernel = rng.normal(size=(2, 4)), rng.normal(size=(4, 3))
    found = torch.from_numpy(x) @ layouts.dense_kernel(layouts.as_tensor(kernel)).T
    np.testing.assert_allclose(found.numpy(), x @ kernel, atol=1e-12)
    assert torch.equal(
        layouts.dense_kernel(layouts.as_tensor(kernel[None, None])), layouts.dense_kernel(layouts.as_tensor(kernel))
    )


def test_dense_behind_a_map(rng: np.random.Generator) -> None:
    image, kernel = rng.normal(size=(2, 5, 4)), rng.normal(size=(2 * 5 * 4, 3))
    weight = layouts.dense_kernel_behind_map(layouts.as_tensor(kernel), 4)
    found = weight @ ours(image).flatten()
    np.testing.assert_allclose(found.numpy(), image.ravel() @ kernel, atol=1e-12)


def test_dense_behind_no_such_map_is_left_in_its_order() -> None:
    kernel = torch.arange(30.0).reshape(10, 3)
    assert torch.equal(layouts.dense_kernel_behind_map(kernel, 4), kernel.T)


def normed(x: np.ndarray, gamma: np.ndarray, mean: np.ndarray, variance: np.ndarray, epsilon: float) -> np.ndarray:
    return gamma * (x - mean) / np.sqrt(variance + epsilon)


def test_a_bias_before_a_norm(rng: np.random.Generator) -> None:
    x, bias, gamma, mean = rng.normal(size=(4, 5, 8))
    variance = rng.uniform(0.5, 1.5, 8)
    folded = layouts.fold_bias(torch.from_numpy(mean[0]), torch.from_numpy(bias[0])).numpy()
    wanted = normed(x + bias[0], gamma[0], mean[0], variance, 1e-3)
    np.testing.assert_allclose(normed(x, gamma[0], folded, variance, 1e-3), wanted, atol=1e-12)


@pytest.mark.parametrize(("theirs", "our"), [(1e-3, 1e-5), (1e-5, 1e-3), (1.001e-5, 1e-5), (1e-3, 1e-3)])
def test_another_epsilon(theirs: float, our: float, rng: np.random.Generator) -> None:
    x, gamma, mean = rng.normal(size=(3, 8))
    # Dead channels have a variance of next to nothing; there the epsilon is all there is.
    variance = np.array([0, 1e-12, 1e-6, 1e-5, 1e-4, 1e-2, 1, 100])
    scale, moved = layouts.move_epsilon(torch.from_numpy(gamma), torch.from_numpy(variance), theirs=theirs, ours=our)
    assert (moved >= 0).all()
    found = normed(x, scale.numpy(), mean, moved.numpy(), our)
    np.testing.assert_allclose(found, normed(x, gamma, mean, variance, theirs), rtol=1e-12)
    if theirs == our:
        assert torch.equal(scale, torch.from_numpy(gamma))
        assert torch.equal(moved, torch.from_numpy(variance))


def test_tensors_are_their_own() -> None:
    array = np.zeros((2, 3), dtype=np.float32, order="F")
    tensor = layouts.as_tensor(array)
    tensor += 1
    assert tensor.is_contiguous()
    assert array.max() == 0
