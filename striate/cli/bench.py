"""``striate bench``."""

import math
from collections.abc import Iterator
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from striate.benchmarking import suite
from striate.benchmarking.driver import Timing
from striate.cli.console import answer, answer_json, say

NOISY = 0.1
"""Rounds that differ by more are marked: something else was using the machine."""

ENOUGH = 3
"""Figures of fewer rounds are marked: how far they differ is not known."""

HEADINGS = {"training": "training, {batch} of {height}x{width}", "inference": "answering, {batch} of {height}x{width}"}


def bench(
    *models: Annotated[str, Parameter(help="networks; default efficientnet_lite0 and resnet50")],
    batch_size: Annotated[
        int | None, Parameter(help="pictures of a training step; default 32, 16 or 8, by what one costs")
    ] = None,
    minutes: Annotated[
        float, Parameter(help="how long to measure; what there is no time for says so", validator=Number(gt=0))
    ] = 2.0,
    json: Annotated[bool, Parameter(help="print one JSON object on stdout", negative="")] = False,
    quiet: Annotated[bool, Parameter(help="no notices", negative="")] = False,
) -> None:
    """Measure how fast this machine trains and answers, beside the same networks in plain and tuned PyTorch."""

    def watch(event: suite.Event) -> None:
        if quiet:
            return
        if isinstance(event, suite.KernelsBegin):
            say("building Striate's kernels, once and not on the clock")
        if isinstance(event, suite.PartBegins):
            say(f"measuring {event.text}")

    report = suite.measured(models or suite.DEFAULT_MODELS, batch_size=batch_size, minutes=minutes, on_event=watch)
    if json:
        answer_json(report.as_json())
        return
    for line in _lines(report):
        answer(line)


def _lines(report: suite.Report) -> Iterator[str]:
    machine = report.machine
    yield str(machine)
    yield f"torch {machine.versions['torch']}; {report.kernels or 'Striate could not be measured'}"
    peaks = [f"{name} {value / 1e9:,.0f}" for name, value in report.peaks.items()]
    peaks += [f"{each.contender.label}: {each.failure}" for each in report.peak if each.failure]
    yield f"convolution peak, GFLOP/s: {', '.join(peaks)}"
    for part in report.parts:
        yield ""
        yield from _table(part, report)
    yield ""
    yield "tuned: the faster of torch's channels-last forms, what a knowing user gets from public switches. Ratios:"
    yield f"how many times as fast Striate is. Medians of rounds that alternated, {report.seconds:.0f} s in all."
    timings = [timing for part in report.parts for timing in part.comparison]
    if any(_few(timing) for timing in timings):
        yield f"~: fewer than {ENOUGH} rounds, for lack of time; more --minutes, better figures."
    if any(_noisy(timing) for timing in timings):
        yield f"!: the rounds' quartiles differ by more than {NOISY:.0%}; something else was using the machine."


def _table(part: suite.Part, report: suite.Report) -> Iterator[str]:
    height, width = part.size
    heading = HEADINGS[part.kind].format(batch=f"batches of {part.batch_size}", height=height, width=width)
    unit = "images/s" if part.kind == "training" else "ms"
    rows = [(f"{part.model}, {heading}", unit, "of peak", "ratio")]
    rows += [_row(timing, part, report) for timing in part.comparison]
    aligned = [row for row in rows if any(row[1:])]  # why there are no figures may go on below them
    widths = [max(len(row[column]) for row in aligned) for column in range(4)]
    for name, *figures in rows:
        cells = [figure.rjust(width) for figure, width in zip(figures, widths[1:], strict=True)]
        yield "  ".join([name.ljust(widths[0]), *cells]).rstrip()


def _row(timing: Timing, part: suite.Part, report: suite.Report) -> tuple[str, str, str, str]:
    tuned = " (tuned)" if timing is part.tuned else ""
    label = f"  {timing.contender.label}{tuned}"
    if not timing.seconds:
        return f"{label}: {timing.failure}", "", "", ""
    if timing is part.striate:
        label += f", {timing.about['precision']}"
    speed = f"{timing.images_per_second:.1f}" if part.kind == "training" else f"{1000 * timing.median:.2f}"
    fraction = part.peak_fraction(timing, report.peaks)
    return (
        label,
        speed + ("~" if _few(timing) else "!" if _noisy(timing) else ""),
        "" if math.isnan(fraction) else f"{fraction:.0%}",
        "" if timing is part.striate or not part.striate.seconds else f"{part.ratio(timing):.2f}",
    )


def _noisy(timing: Timing) -> bool:
    return timing.spread > NOISY


def _few(timing: Timing) -> bool:
    return 0 < len(timing.seconds) < ENOUGH
