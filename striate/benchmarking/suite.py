"""What `striate bench` measures: training and answering, beside the same network in plain and tuned torch."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from striate.base.compiling import providing
from striate.base.compiling.levels import NoKernelsError, possible, wished
from striate.base.errors import StriateError
from striate.base.hardware import available_memory
from striate.benchmarking.driver import Comparison, Limits, Timing, Turn, alternate
from striate.benchmarking.forms import PLAIN, STRIATE, TORCH, TUNED, contender, convolution
from striate.benchmarking.machine import Machine, this_machine
from striate.benchmarking.process import Contender
from striate.models.table import architecture, counts

DEFAULT_MODELS = ("efficientnet_lite0", "resnet50")
ROUNDS = 7
"""More would say little more, whatever time there is."""

PASSES: Mapping[str, int] = {"training": 3, "inference": 1}
"""How often a step computes what the forward pass does: its two gradients cost once more each."""

_SHARES: Mapping[str, float] = {"convolution": 2.0, "training": 6.0, "inference": 3.0}
"""How the time is shared; what one part leaves goes to those after it.

To have two contenders at least a part may take as much again, but never more than half of what those after it have.
"""

Kind = Literal["training", "inference"]


@dataclass(frozen=True, slots=True)
class Part:
    """One network, trained with or answering batches of a size, in several ways."""

    kind: Kind
    model: str
    batch_size: int
    size: tuple[int, int]
    comparison: Comparison

    @property
    def striate(self) -> Timing:
        """Striate's own."""
        return self.comparison[STRIATE]

    @property
    def tuned(self) -> Timing | None:
        """The faster of torch's two tuned forms, or None if both failed."""
        return self.comparison.fastest(TUNED)

    def ratio(self, timing: Timing) -> float:
        """How many times as fast as this contender Striate is; NaN where one of the two failed."""
        return timing.median / self.striate.median

    def peak_fraction(self, timing: Timing, peaks: Mapping[str, float]) -> float:
        """The part of the measured peak, in the contender's own precision, that a step's products amount to.

        NaN where it is not known. Peaks are in operations a second, two for each multiply-add.
        """
        products = self.striate.about.get("multiply_adds", math.nan) * timing.images * PASSES[self.kind]
        return 2 * products / timing.median / peaks.get(timing.about.get("precision", ""), math.nan)


@dataclass(frozen=True, slots=True)
class Report:
    """What a run of the suite found in so many seconds. ``peak`` is one large convolution, by precision."""

    machine: Machine
    peak: Comparison
    parts: tuple[Part, ...]
    seconds: float

    @property
    def peaks(self) -> Mapping[str, float]:
        """Operations a second of one large convolution, by precision; without those that could not be measured."""
        return peaks_of(self.peak)

    @property
    def kernels(self) -> str:
        """Whose kernels Striate computed with, in a few words; "" if it failed everywhere."""
        return next((part.striate.about["kernels"] for part in self.parts if part.striate.about), "")

    def as_json(self) -> dict[str, Any]:
        """The object of `striate bench --json`."""
        return {
            "processor": self.machine.processor,
            "cores": self.machine.cores,
            "instructions": list(self.machine.instructions),
            "versions": dict(self.machine.versions),
            "kernels": self.kernels,
            "peak": dict(self.peaks),
            "peak_failure": {each.contender.name: each.failure for each in self.peak if each.failure},
            **{
                kind: [self._part_as_json(part) for part in self.parts if part.kind == kind]
                for kind in ("training", "inference")
            },
            "seconds": self.seconds,
        }

    def _part_as_json(self, part: Part) -> dict[str, Any]:
        tuned, peaks = part.tuned, self.peaks
        return {
            "model": part.model,
            "batch_size": part.batch_size,
            "size": list(part.size),
            "tuned": tuned.contender.name if tuned else None,
            "disturbance": part.comparison.disturbance,
            "contenders": [
                {
                    "name": timing.contender.name,
                    "precision": timing.about.get("precision"),
                    "images_per_second": timing.images_per_second if timing.seconds else None,
                    "seconds": _known(timing.median),
                    "spread": _known(timing.spread),
                    "rounds": len(timing.seconds),
                    "peak_fraction": _known(part.peak_fraction(timing, peaks)),
                    "ratio": _known(part.ratio(timing)),
                    "failure": timing.failure,
                }
                for timing in part.comparison
            ],
        }


@dataclass(frozen=True, slots=True)
class KernelsBegin:
    """An event: Striate's kernels are built first, which takes a while once and is not measured."""


@dataclass(frozen=True, slots=True)
class PartBegins:
    """An event: contenders start; ``text`` says what is measured."""

    text: str


Event = KernelsBegin | PartBegins | Turn
OnEvent = Callable[[Event], None]


def measured(
    models: Sequence[str] = DEFAULT_MODELS,
    *,
    batch_size: int | None = None,
    minutes: float = 2.0,
    on_event: OnEvent | None = None,
    now: Callable[[], float] = time.monotonic,
    available: Callable[[], int] = available_memory,
) -> Report:
    """Measure on this machine how fast networks are trained and answer, in Striate and in torch alone.

    Args:
        models: names of `MODELS`.
        batch_size: pictures of a training step; None takes what suits the network's size.
        minutes: how long it may take, without the building of kernels; what there is no time for says so in its place.
        on_event: called with each event; nothing is ever printed.
        now: the clock, in seconds.
        available: tells the bytes of memory that are free; contenders that would not fit are left out and say so.

    Raises:
        StriateError: there is no such network, or the batch is too small.
    """
    machine = this_machine()
    parts = list(_parts(models, batch_size))
    _kernels_first(on_event)
    started = now()
    end = started + 60 * minutes
    waiting = _SHARES["convolution"] + sum(_SHARES[kind] for kind, *_ in parts)

    def run(text: str, kind: str, contenders: Sequence[Contender]) -> Comparison:
        nonlocal waiting
        begun = now()
        if on_event and begun < end:
            on_event(PartBegins(text))
        left = max(0.0, end - begun)
        share, waiting = left * _SHARES[kind] / waiting, waiting - _SHARES[kind]
        limits = Limits(begun + share, min(share, (left - share) / 2), now, available)
        return alternate(contenders, rounds=ROUNDS, limits=limits, on_turn=on_event)

    precisions = ("float32", "bfloat16") if machine.bfloat16 else ("float32",)
    peak = run("the convolution peak", "convolution", [convolution(each) for each in precisions])
    done = []
    for kind, model, batch, size in parts:
        ways = [name for name in (*TUNED, PLAIN) if machine.bfloat16 or not TORCH[name].bfloat16]
        contenders = [contender(kind, name, model, batch, size) for name in (STRIATE, *ways)]
        text = f"{kind} of {model}, batches of {batch}"
        done.append(Part(kind, model, batch, size, run(text, kind, contenders)))
    return Report(machine, peak, tuple(done), now() - started)


def _kernels_first(on_event: OnEvent | None) -> None:
    """Build the kernels, if that is still to be done; what failed before is tried again.

    Where it fails, contenders say what they compute with.
    """
    providing.forget_faults()
    if not providing.needs_building():
        return
    if on_event:
        on_event(KernelsBegin())
    with suppress(NoKernelsError):
        providing.built(possible(wished())[0])


def peaks_of(comparison: Comparison) -> dict[str, float]:
    """Operations a second at best, by precision; those that failed are left out."""
    return {
        timing.contender.name: timing.about["operations"] / min(timing.seconds)
        for timing in comparison
        if timing.seconds
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _parts(models: Sequence[str], batch_size: int | None) -> Iterator[tuple[Kind, str, int, tuple[int, int]]]:
    if batch_size is not None and batch_size < 2:
        raise StriateError(f"batch size is {batch_size}; batch norms need at least 2 pictures in a training step")
    for model in models:
        size = architecture(model).preprocess.size
        yield "training", model, batch_size or usual_batch(model), size
        yield "inference", model, 1, size


def usual_batch(model: str) -> int:
    """The batch that a network is usually trained with on processors: 32, 16 or 8 pictures, by what one costs."""
    giga = counts(model)[1] / 1e9
    return 32 if giga < 1 else 16 if giga < 10 else 8
