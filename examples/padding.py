"""SAME against VALID on a line of 13: where each window stands, what it gives, and what nobody reads.

python examples/padding.py [SIZE WINDOW STRIDE]
"""

import sys
from collections.abc import Iterator

import torch

from striate.ops import conv1d, output_size, padding_amounts

PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31)


def drawing(size: int, window: int, stride: int, padding: str) -> Iterator[str]:
    """The line with its padding, one row for each stop of the window with the output there, and what is left over."""
    line = torch.arange(1.0, size + 1)
    taps = torch.tensor(PRIMES[:window], dtype=torch.float32)
    outputs = conv1d(line.reshape(1, 1, -1), taps.reshape(1, 1, -1), stride=stride, padding=padding).flatten()
    before, after = padding_amounts(size, window, stride, padding=padding)
    count = output_size(size, window, stride, padding=padding)
    yield f"{padding.upper()}: {count} outputs, {before} added before, {after} after"
    cells = ["0"] * before + [str(number) for number in range(1, size + 1)] + ["0"] * after
    yield "".join(f"{cell:>4}" for cell in cells)
    for place in range(count):
        row = [" " * 4] * len(cells)
        row[place * stride : place * stride + window] = [f"{int(tap):>4}" for tap in taps]
        yield "".join(row) + f"  = {int(outputs[place])}"
    unread = len(cells) - ((count - 1) * stride + window)
    if unread > 0:
        yield " " * 4 * (len(cells) - unread) + "   ^" * unread + "  never read"


def main(size: int = 13, window: int = 6, stride: int = 5) -> None:
    if window > len(PRIMES):
        sys.exit(f"the window has at most {len(PRIMES)} taps here, one prime each")
    print(f"the line 1..{size}, a window of the first {window} primes, steps of {stride}\n")
    for padding in ("valid", "same"):
        print("\n".join(drawing(size, window, stride, padding)), end="\n\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
