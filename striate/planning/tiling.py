"""How a network's picture is cut so that the answer is that of the whole, and fits into a budget of memory."""

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from striate.base.errors import ModelError
from striate.pictures.exact_tiles import Axis, ExactTiles, fewest_pixels
from striate.tracing import Locality, locality, trace

LOOKED_AT = 864
"""The side, in pixels, of pictures by which it is found out how far a network looks: five strides of 2, three of 3."""
# What a network takes that answers folded (`striate.answering`), over what it takes as it is written: its maps lie in
# one piece of memory, some are copied with paddings, and each weight is packed anew beside the old one. Measured on
# networks of all kinds it is up to 1.55 times the maps, and 0.75 times the weights.
OF_MAPS, OF_WEIGHTS, BESIDES = 1.6, 0.75, 32 << 20
_TRIES = 8


@dataclass(frozen=True)
class Cutter:
    """Cuts pictures for one network ``module``, which takes ``channels``; ``name`` is what errors call it.

    ``smallest`` is the (height, width) below which it answers nothing. Traces are made once and kept.
    """

    name: str
    module: nn.Module
    channels: int
    smallest: tuple[int, int] = (1, 1)
    _looks: dict[tuple[int, int], Locality] = field(default_factory=dict)
    _peaks: dict[tuple[int, int], int] = field(default_factory=dict)

    @property
    def weights(self) -> int:
        """Bytes of parameters and buffers."""
        return sum(each.numel() * each.element_size() for each in (*self.module.parameters(), *self.module.buffers()))

    def look(self) -> Locality:
        """How far it looks.

        Raises:
            ModelError: nobody can say.
        """
        side = _steps(max(self.smallest), LOOKED_AT)
        look = self._look((side, side))
        if look.unknown and math.lcm(*look.step) <= LOOKED_AT:  # perhaps since its steps are no part of the side
            sides = [_steps(side, step) for step in look.step]
            look = self._look((sides[0], sides[1]))
        if look.unknown:
            raise ModelError(self._nobody_knows(look.unknown))
        return look

    def padded(self, size: tuple[int, int]) -> tuple[int, int]:
        """The height and width of a picture with what must be added so that no stride leaves anything of it."""
        sides = zip(size, self.smallest, self.look().step, strict=True)
        height, width = (_steps(max(side, least), step) for side, least, step in sides)
        return height, width

    def cut(self, size: tuple[int, int], budget: int, *, held: int = 0, longest: int | None = None) -> ExactTiles:
        """The tiles of a picture of this height and width of which least is computed twice; one, if all of it fits.

        Args:
            size: height and width, in pixels.
            budget: bytes that answering may take, the network and what is ``held`` meanwhile among them.
            held: bytes of the picture itself and of its answer.
            longest: no side of a tile has more pixels.

        Raises:
            ModelError: the budget holds not even the weights, or no tile that answers for anything; no such tile is as
                small as ``longest``; or nobody knows how far the network looks.
        """
        rows, columns = self._axes(size)
        least = rows.least, columns.least
        if longest is not None and max(least) > longest:
            raise ModelError(f"tile is {longest}, but {self._smallest_tile(least)}; take {max(least)} or more")
        takes = self._takes(least) + held
        if takes > budget:
            raise ModelError(self._too_little(budget, takes, held, least))
        twice = self._takes((2 * least[0], least[1])) + held
        a_pixel = max(1.0, (twice - takes) / math.prod(least))
        pixels = math.prod(least) + (budget - takes) / a_pixel
        for _ in range(_TRIES):
            tiles = fewest_pixels(rows, columns, pixels, longest)
            if tiles is None:
                break
            if self._takes(tiles.tile) + held <= budget:
                return self._certain(tiles)
            pixels = 0.95 * math.prod(tiles.tile)
        return self._certain(ExactTiles(replace(rows, tile=rows.least), replace(columns, tile=columns.least)))

    def _axes(self, size: tuple[int, int]) -> tuple[Axis, Axis]:
        look = self.look()
        around = zip(self.padded(size), look.step, look.before, look.after, strict=True)
        rows, columns = (
            Axis(side, side, step, _steps(before, step) + seam, _steps(after, step), seam)
            for side, step, before, after in around
            for seam in [step if look.wholes else 0]
        )
        return rows, columns

    def _look(self, size: tuple[int, int]) -> Locality:
        if size not in self._looks:
            self._looks[size] = locality(self.module, self._picture(size))
        return self._looks[size]

    def _takes(self, size: tuple[int, int]) -> int:
        """Bytes that answering a picture of this size takes, the network itself among them."""
        if size not in self._peaks:
            self._peaks[size] = trace(self.module, self._picture(size), counts=False).peak().bytes
        maps = self._peaks[size] - self.weights
        return round(self.weights * (2 + OF_WEIGHTS) + maps * OF_MAPS) + BESIDES

    def _picture(self, size: tuple[int, int]) -> Tensor:
        shape, kind = (1, self.channels, *size), next((each.dtype for each in self.module.parameters()), torch.float32)
        return torch.empty(shape, dtype=kind, device="meta").contiguous(memory_format=torch.channels_last)

    def _certain(self, tiles: ExactTiles) -> ExactTiles:
        """The tiles, if the network looks around in one of them as it does elsewhere."""
        if tiles.count > 1:
            found = self._look(tiles.tile)
            if found != self.look():
                height, width = tiles.tile
                raise ModelError(self._nobody_knows(found.unknown or f"in tiles of {height}x{width} it is otherwise"))
        return replace(tiles, wholes=self.look().wholes)

    # What is said to who asked for what cannot be

    def _nobody_knows(self, why: str) -> str:
        return (
            f"{self.name}: how far it looks around a pixel depends on the size of the picture ({why}), so that no tile "
            "is sure to be answered as the whole would be; leave the budget out"
        )

    def _smallest_tile(self, least: tuple[int, int]) -> str:
        look = self.look()
        seen = " and ".join(f"{many}" for many in dict.fromkeys((max(look.before), max(look.after))))
        return (
            f"{self.name} looks {seen} pixels around each, so that the smallest tile with the answer of the whole has "
            f"{least[0]}x{least[1]} pixels"
        )

    def _too_little(self, budget: int, takes: int, held: int, least: tuple[int, int]) -> str:
        if budget < self.weights:
            return (
                f"the budget is {budget:,} bytes, and the weights of {self.name} alone are {self.weights:,}; answering "
                f"this picture takes {takes:,} at least"
            )
        besides = f", {held:,} of them for the picture and its answer" if held else ""
        return (
            f"the budget is {budget:,} bytes; {self._smallest_tile(least)}, which takes {takes:,}{besides}; give so "
            "much or more, or a smaller picture"
        )


def _steps(pixels: int, step: int) -> int:
    """So many pixels, or as many more as make whole steps of them."""
    return math.ceil(pixels / step) * step
