"""The textbook's figure on max pooling: a picture, the same moved by one and by two pixels, and their pools.

    python examples/invariance.py

A pool of 2x2 forgets where in its window the largest pixel stood. Moved by one pixel, this letter gives the very same
pool: invariance. Moved by two, the window's stride, it gives a pool moved by one. A convolution has no invariance and
wants none: it is equivariant, its output moves as its input does.
"""

import torch
from torch import Tensor

from striate.ops import conv2d, max_pool2d

LETTER = """
............
..###.......
..#.........
..###.......
..#.........
............
"""
SIGNS = {-1: "-", 0: ".", 1: "#"}


def picture() -> Tensor:
    """The letter as a map ``[1, 1, 6, 12]`` of zeros and ones."""
    rows = [[float(sign == "#") for sign in row] for row in LETTER.split()]
    return torch.tensor(rows)[None, None]


def moved(x: Tensor, pixels: int) -> Tensor:
    """``x`` moved to the right; what enters is empty, and nothing leaves as long as there is room."""
    return x.roll(pixels, 3)


def shared(a: Tensor, b: Tensor) -> float:
    """The share of the places that hold the same in both."""
    return (a == b).float().mean().item()


def pool(x: Tensor) -> Tensor:
    return max_pool2d(x, 2)


def edges(x: Tensor) -> Tensor:
    """A convolution: where the picture becomes brighter from left to right."""
    return conv2d(x, torch.tensor([[[[-1.0, 1.0]]]]), padding="same")


def rows(x: Tensor) -> list[str]:
    return ["".join(SIGNS[int(value)] for value in row) for row in x[0, 0].tolist()]


def main() -> None:
    original = picture()
    for pixels in (0, 1, 2):
        x = moved(original, pixels)
        print(f"moved by {pixels}: picture, max pool of 2x2, edges")
        sides = [rows(x), rows(pool(x)), rows(edges(x))]
        for line in range(len(sides[0])):
            print("   ".join(f"{side[line] if line < len(side) else '':<{len(side[0])}}" for side in sides))
        print(f"{shared(x, original):.0%} of the picture and {shared(pool(x), pool(original)):.0%} of the pool stay")
        if pixels:
            equal = torch.equal(edges(x), moved(edges(original), pixels))
            print(f"the edges of the moved picture {'are' if equal else 'are not'} the moved edges of the picture")
        print()
    again = torch.equal(pool(moved(original, 2)), pool(original).roll(1, 3))
    print(f"moved by two pixels, the pool {'has' if again else 'has not'} moved by exactly one")


if __name__ == "__main__":
    main()
