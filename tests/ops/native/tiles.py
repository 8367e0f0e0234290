"""Convolutions of 3x3 windows in tiles by the definition, slowly, in float64; and what rounding may cost them.

Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016, section 4.1, F(2x2, 3x3).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

OF_TILE = torch.tensor([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], dtype=torch.float64)
OF_WINDOW = torch.tensor([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], dtype=torch.float64)
TO_OUTPUTS = torch.tensor([[1, 1, 1, 0], [0, 1, -1, -1]], dtype=torch.float64)

UNIT = 2.0**-8  # what rounding to bfloat16 may lose
LOST = 2.02 * UNIT  # of each product, whose factors are both rounded to bfloat16
USUAL = 0.01  # of the size of a result, more than twice of what is seen


def in_tiles(x: Tensor, weight: Tensor, padding: tuple[int, int], *, positive: bool = False) -> Tensor:
    """Convolve ``x`` ``[N, C, H, W]`` with ``weight`` ``[out, C, 3, 3]``, both in float64.

    ``positive`` takes all numbers, the matrices' too, as what they are without their signs: the most that all products
    together can amount to on their way into an output.
    """
    tile, window, outputs = (matrix.abs() if positive else matrix for matrix in (OF_TILE, OF_WINDOW, TO_OUTPUTS))
    if positive:
        x, weight = x.abs(), weight.abs()
    sizes = [side + 2 * before - 2 for side, before in zip(x.shape[2:], padding, strict=True)]
    (top, left), (down, across) = padding, [(size + 1) // 2 for size in sizes]
    framed = F.pad(x, (left, 2 * across + 2 - left - x.shape[3], top, 2 * down + 2 - top - x.shape[2]))
    tiles = framed.unfold(2, 4, 2).unfold(3, 4, 2)
    sums = torch.einsum("nctuij,kcij->nktuij", tile @ tiles @ tile.T, window @ weight @ window.T)
    y = (outputs @ sums @ outputs.T).permute(0, 1, 2, 4, 3, 5).reshape(len(x), len(weight), 2 * down, 2 * across)
    return y[:, :, : sizes[0], : sizes[1]]


def turned(weight: Tensor) -> Tensor:
    """The weight that the gradient of an input is a convolution with."""
    return weight.flip((2, 3)).transpose(0, 1)


def gradients(x: Tensor, weight: Tensor, gradient: Tensor, padding: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The most that all products together can amount to in the gradients of ``x`` and ``weight``."""
    back = (2 - padding[0], 2 - padding[1])
    of_x = in_tiles(gradient, turned(weight), back, positive=True)
    variable = torch.ones_like(weight).requires_grad_()  # of no product the factor that is differentiated is asked for
    (of_weight,) = torch.autograd.grad(in_tiles(x, variable, padding, positive=True), variable, gradient.abs())
    return of_x, of_weight
