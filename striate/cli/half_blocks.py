"""Pictures in a terminal: two pixels in each character, one above the other."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

UPPER_HALF = "\N{UPPER HALF BLOCK}"
PLAIN = "\x1b[0m"


def half_blocks(pixels: NDArray[np.uint8], columns: int) -> list[str]:
    """Lines of at most so many characters that show uint8 ``[H, W, 3]``, in terminals with 24-bit colours.

    The colour of a character is its upper pixel, that of its background the lower one.

    Example:
        >>> half_blocks(np.array([[[1, 2, 3]], [[4, 5, 6]]], np.uint8), 80)[0].replace(chr(27), "ESC")
        'ESC[38;2;1;2;3mESC[48;2;4;5;6m▀ESC[0m'
    """
    height, width = pixels.shape[:2]
    across = min(columns, width)
    down = max(1, round(height * across / width / 2))
    small = np.asarray(Image.fromarray(pixels).resize((across, 2 * down), Image.Resampling.BOX)).tolist()
    lines = []
    for upper, lower in zip(small[::2], small[1::2], strict=True):
        line = ""
        for above, below in zip(upper, lower, strict=True):
            line += "\x1b[38;2;{};{};{}m\x1b[48;2;{};{};{}m".format(*above, *below) + UPPER_HALF
        lines.append(line + PLAIN)
    return lines
