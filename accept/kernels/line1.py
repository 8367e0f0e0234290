"""Less work for compilers: what a build takes, and that what comes out computes the same in the same time."""

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from accept import Check, at_most, noted
from accept.kernels.libraries import Made, before, today
from striate.base.compiling.levels import possible
from striate.ops.native import chain, depthwise, norm

SHARE, LARGEST = 0.55, 0.1  # of the processor time before: of all units, of one
SLOWEST = 1.1  # of the time before, of any kernel
CHANNELS, SIDES = (16, 19, 32), (5, 7, 8, 14, 15, 28, 33, 56, 113)
PLACES = {
    7: (960, 8),
    14: (480, 8),
    28: (240, 4),
    56: (144, 2),
    112: (32, 2),
}  # channels and pictures, as networks have
ROUNDS = 61
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
Kernel = Callable[[Any], Any]


def checks() -> Iterator[Check]:
    for level in possible():
        with tempfile.TemporaryDirectory(prefix="striate-kernels-") as name:
            then, now = before(level, Path(name)), today(level, Path(name))
            yield from _build(level.name, then, now)
            yield from _equality(level.name, then.library, now.library)
            if level.name in (possible()[0].name, "avx2"):
                yield from _speed(level.name, then.library, now.library)


def _build(level: str, then: Made, now: Made) -> Iterator[Check]:
    whole = sum(then.seconds.values())
    for made, when in ((then, "before"), (now, "today")):
        units = ", ".join(f"{name.removesuffix('.c')} {took:.1f}" for name, took in made.seconds.items())
        yield noted(f"1.{level}.units-{when}", f"{sum(made.seconds.values()):.1f} s: {units}")
    yield at_most(f"1.{level}.build", sum(now.seconds.values()) / whole, SHARE, "of the processor time before")
    yield at_most(f"1.{level}.largest-unit", max(now.seconds.values()) / whole, LARGEST, "of it")


@dataclass(frozen=True)
class Case:
    """A map, a window, and what is asked of them."""

    x: Tensor
    weight: Tensor
    gradient: Tensor
    walk: depthwise.Walk

    @classmethod
    def drawn(
        cls, count: int, channels: int, side: int, window: int, stride: int, dilation: int, dtype: torch.dtype
    ) -> "Case":
        reach, out = (window - 1) * dilation + 1, -(-side // stride)
        lead = max((out - 1) * stride + reach - side, 0) // 2
        x, gradient = (_map(count, channels, size, dtype) for size in (side, out))
        weight = torch.randn(channels, 1, window, window).to(dtype)
        return cls(x, weight, gradient, depthwise.Walk(stride, dilation, (lead, lead), (out, out)))

    def kernels(self) -> dict[str, Kernel]:
        x, weight, gradient, walk = self.x, self.weight, self.gradient, self.walk
        return {
            "forward": lambda library: depthwise.forward(library, x, weight, walk),
            "input": lambda library: depthwise.input_gradient(library, gradient, weight, x, walk),
            "weight": lambda library: depthwise.weight_gradient(library, gradient, weight, x, walk),
        }


def _map(count: int, channels: int, side: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(count, channels, side, side).to(dtype).contiguous(memory_format=torch.channels_last)


def _equality(level: str, then: Any, now: Any) -> Iterator[Check]:
    torch.manual_seed(0)
    cases, differ, worst = 0, 0, 0.0
    grid = itertools.product((3, 5, 7), (1, 2), (1, 2), CHANNELS, SIDES, DTYPES.values())
    for window, stride, dilation, channels, side, dtype in grid:
        case = Case.drawn(2, channels, side, window, stride, dilation, dtype)
        for kernel in case.kernels().values():
            old, new = kernel(then), kernel(now)
            cases += 1
            if dtype is torch.bfloat16:
                differ += not torch.equal(old, new)
            else:
                worst = max(worst, ((old - new).abs().max() / old.abs().max()).item())
        if dtype is torch.float32 and dilation == 1:
            old, new = (_ended(library, case) for library in (then, now))
            cases += 1
            worst = max(worst, ((old - new).abs().max() / old.abs().max()).item())
    yield Check(f"1.{level}.bfloat16", "equal", f"{differ} differ; {cases} cases of both types", not differ)
    yield at_most(f"1.{level}.float32", worst, 1e-6, "of the largest value")


def _ended(library: Any, case: Case) -> Tensor:
    """The answer of a window with an ending, as a chain asks for it."""
    window = case.weight.shape[2]
    channels, height, width = case.x.shape[1:]
    wide, slim = (channels, height, width), (channels, *case.walk.outputs)
    bias = torch.linspace(-1, 1, case.x.shape[1])
    layer = chain.Layer(
        "depthwise", 0, wide, slim, (window, window), case.walk.stride, case.walk.before,
        weight=case.weight, bias=bias, bounds=(0.0, 6.0),
    )  # fmt: skip
    (answer,) = chain.Chain(library, (layer,))(case.x)
    return answer


def _speed(level: str, then: Any, now: Any) -> Iterator[Check]:
    ratios: dict[str, float] = {}
    for side, (channels, count) in PLACES.items():
        for name, dtype in DTYPES.items():
            for window, stride in itertools.product((3, 5, 7), (1, 2)):
                settled = _settled(partial(_depthwise, count, channels, side, window, stride, dtype), then, now)
                ratios |= {f"{window}/{stride} {kind} {side} {name}": ratio for kind, ratio in settled.items()}
            settled = _settled(partial(_norms, count, channels, side, dtype), then, now)
            ratios |= {f"norm {kind} {side} {name}": ratio for kind, ratio in settled.items()}
    worst = max(ratios, key=lambda name: ratios[name])
    yield at_most(f"1.{level}.time", statistics.median(ratios.values()), 1.0, f"of before, median of {len(ratios)}")
    yield at_most(f"1.{level}.time-worst", ratios[worst], SLOWEST, worst)


def _depthwise(count: int, channels: int, side: int, window: int, stride: int, dtype: torch.dtype) -> dict[str, Kernel]:
    return Case.drawn(count, channels, side, window, stride, 1, dtype).kernels()


def _norms(count: int, channels: int, side: int, dtype: torch.dtype) -> dict[str, Kernel]:
    x, gradient = (_map(count, channels, side, dtype) for _ in range(2))
    weight, bias = torch.randn(2, channels)
    bounds = (0.0, 6.0)
    how = norm.Statistics.of(torch.zeros(channels), torch.ones(channels), weight, bias, 1e-5, own=True)
    return {
        "statistics": lambda library: norm.statistics(library, x),
        "apply": lambda library: norm.apply(library, x, None, how, bounds),
        "backward": lambda library: norm.backward(library, gradient, x, None, None, torch.empty_like(x), how, bounds),
    }


def _settled(drawn: Callable[[], dict[str, Kernel]], then: Any, now: Any) -> dict[str, float]:
    """Each kernel's ratio; of one that is above the limit the median of three, since one of 210 is high by chance.

    Each of the three has maps of its own, in other memory: where they happen to lie can be bad for one library and not
    for the other.
    """
    held = [drawn()]
    ratios = {kind: _ratio(kernel, then, now) for kind, kernel in held[0].items()}
    for kind in [kind for kind, ratio in ratios.items() if ratio > SLOWEST]:
        held += [drawn(), drawn()]
        ratios[kind] = statistics.median(_ratio(each[kind], then, now) for each in (held[0], *held[-2:]))
    return ratios


def _ratio(kernel: Kernel, then: Any, now: Any) -> float:
    """Today's time over the time before: quarter points of rounds that alternate."""
    took: tuple[list[float], list[float]] = ([], [])
    for turn in range(ROUNDS):
        for side, library in list(enumerate((then, now)))[:: 1 if turn % 2 else -1]:
            started = time.perf_counter()
            kernel(library)
            took[side].append(time.perf_counter() - started)
    old, new = (statistics.quantiles(each[2:], n=4)[0] for each in took)
    return new / old
