"""Randomness without state: every draw is a function of what it is for, never of who draws it or when.

A draw is keyed by (seed, stream, epoch, sample), so the number of workers, the order of the batches and a resume in the
middle of an epoch change nothing. The generator is SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom
number generators", OOPSLA 2014, figure 17), started for each sample at a hash of its key.
"""

import numpy as np
from numpy.typing import NDArray

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_ORDER = 0x6F72646572  # the stream of `order` ("order" in ASCII), far from the small numbers that callers use


def uniforms(seed: int, epoch: int, keys: NDArray[np.uint64], count: int, stream: int = 0) -> NDArray[np.float64]:
    """Draw ``count`` numbers in [0, 1) for each sample: float64 ``[N, count]``.

    ``keys`` ``[N]`` name the samples; equal keys draw equal numbers. ``stream`` separates uses that must not know of
    each other. The first numbers of a sample do not depend on ``count``.

    Example:
        >>> keys = np.array([7, 8], dtype=np.uint64)
        >>> uniforms(0, 1, keys, 2).shape
        (2, 2)
        >>> bool((uniforms(0, 1, keys[1:], 2) == uniforms(0, 1, keys, 2)[1:]).all())
        True
    """
    steps = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
    bits = _mix(_states(seed, epoch, keys, stream)[:, None] + steps)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53  # the 53 bits that a float64 holds


def order(seed: int, epoch: int, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Shuffle: the positions ``[N]`` of the samples in this epoch's order.

    Samples are sorted by a hash of (seed, epoch, key), so the same samples come in the same order however they were
    listed; only equal keys (copies of one picture) keep their listed order.
    """
    return np.argsort(_mix(_states(seed, epoch, keys, _ORDER)), kind="stable").astype(np.int64)


def _states(seed: int, epoch: int, keys: NDArray[np.uint64], stream: int) -> NDArray[np.uint64]:
    start = np.zeros(1, dtype=np.uint64)
    for word in (seed, stream, epoch):  # of any size and sign
        start = _mix(start + np.uint64((_GOLDEN + word) & _MASK))
    return _mix(np.asarray(keys, dtype=np.uint64) + start)


def _mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finishing function on arrays, where unsigned numbers wrap silently."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
