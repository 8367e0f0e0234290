"""What is made of timings: ratios, parts of the peak, and the object of --json, all reckoned by hand."""

import itertools
import json
import math

import pytest

from striate.base.compiling.levels import NoKernelsError, possible
from striate.base.errors import ModelError, StriateError
from striate.benchmarking import suite
from striate.benchmarking.driver import LATE, NO_TIME, Comparison, Timing
from striate.benchmarking.machine import Machine, this_machine
from striate.benchmarking.process import Contender

MACHINE = Machine("A Processor", 2, ("AVX512-BF16", "AVX512", "AVX2"), {"striate": "1", "torch": "2"})


def timing(name, seconds, **about):
    return Timing(Contender(name, name, ()), 10, about, seconds)


OWN = timing("striate", (0.5, 0.5, 0.5), precision="bfloat16", kernels="ours", multiply_adds=1_000_000)
PLAIN = timing("torch", (2.0, 2.0, 2.0), precision="float32")
TUNED = timing("torch_float32", (1.0, 1.0, 1.0), precision="float32")
LOW = timing("torch_bfloat16", (1.5, 1.5, 1.5), precision="bfloat16")
GONE = Timing(Contender("torch_bfloat16", "torch_bfloat16", ()), failure="was killed")
PEAKS = {"float32": 1e9, "bfloat16": 1e9}
PEAK = Comparison((timing("float32", (1.0, 2.0), operations=1e9), Timing(Contender("bfloat16", "", ()), failure=LATE)))


def part(*timings, kind="training"):
    return suite.Part(kind, "resnet50", 10, (224, 224), Comparison(timings))


def test_ratios_and_the_tuned_form():
    whole = part(OWN, PLAIN, TUNED, LOW)
    assert whole.tuned is TUNED
    assert [whole.ratio(each) for each in whole.comparison] == [1.0, 4.0, 2.0, 3.0]


def test_the_part_of_the_peak():
    # 10 pictures of a million multiply-adds, two operations each, three times (forward and two gradients), in 0.5 s.
    assert part(OWN).peak_fraction(OWN, PEAKS) == pytest.approx(2 * 3 * 10 * 1e6 / 0.5 / 1e9)
    assert part(OWN, kind="inference").peak_fraction(OWN, PEAKS) == pytest.approx(2 * 10 * 1e6 / 0.5 / 1e9)
    assert math.isnan(part(OWN).peak_fraction(OWN, {"float32": 1e9}))


def test_where_something_failed():
    whole = part(OWN, GONE)
    assert whole.tuned is None and math.isnan(whole.ratio(GONE))
    broken = part(Timing(OWN.contender, failure="no"), PLAIN)
    assert math.isnan(broken.ratio(PLAIN)) and math.isnan(broken.peak_fraction(PLAIN, PEAKS))


def test_the_object_of_json():
    report = suite.Report(MACHINE, PEAK, (part(OWN, TUNED, GONE), part(OWN, kind="inference")), 12.0)
    said = report.as_json()
    assert (said["processor"], said["cores"], said["kernels"]) == ("A Processor", 2, "ours")
    assert (said["peak"], said["peak_failure"]) == ({"float32": 1e9}, {"bfloat16": LATE})
    (training,) = said["training"]
    assert training["tuned"] == "torch_float32" and training["size"] == [224, 224]
    own, tuned, gone = training["contenders"]
    assert own["images_per_second"] == 20.0 and own["ratio"] == 1.0 and own["rounds"] == 3 and own["spread"] == 0.0
    assert tuned["ratio"] == 2.0 and tuned["failure"] is None
    figures = ("images_per_second", "seconds", "spread", "peak_fraction", "ratio")
    assert gone["failure"] == "was killed" and [gone[key] for key in figures] == [None] * 5
    assert len(said["inference"]) == 1
    json.dumps(said, allow_nan=False)


def test_peaks_are_the_best_rounds():
    rounds = timing("float32", (2.0, 1.0, 4.0), operations=8)
    assert suite.peaks_of(Comparison((rounds, GONE))) == {"float32": 8.0}


@pytest.mark.parametrize(("model", "batch"), [("efficientnet_lite0", 32), ("resnet50", 16), ("vgg16", 8)])
def test_usual_batches(model, batch):
    assert suite.usual_batch(model) == batch


def test_what_cannot_be_measured_is_refused_before_anything_starts():
    with pytest.raises(ModelError, match="resnet50"):
        suite.measured(["resnet5"])
    with pytest.raises(StriateError, match="at least 2"):
        suite.measured(["lenet5"], batch_size=1)


def test_the_machine_in_words():
    assert str(MACHINE) == "A Processor, 2 cores; AVX512-BF16, AVX512, AVX2, no AMX"
    assert MACHINE.bfloat16 and not MACHINE.amx
    tiles = Machine("B", 1, ("AMX", "AVX512"), {})
    assert str(tiles) == "B, 1 core; AMX, AVX512" and tiles.amx and tiles.bfloat16
    assert not Machine("C", 1, ("AVX2",), {}).bfloat16
    here = this_machine()
    assert here.cores >= 1 and set(here.versions) == {"striate", "torch"}


# The budget. Contenders are those that compute nothing, and only their steps move the clock.


@pytest.fixture
def measured(worker_of, clock, monkeypatch):
    """Run the suite of a network with contenders whose steps take so many seconds, by kind and name."""

    def run(minutes, seconds, now=clock):
        def stand_in(kind, name, *_):
            return worker_of(name, seconds.get(kind, 600))

        monkeypatch.setattr(suite, "_kernels_first", lambda on_event: None)
        monkeypatch.setattr(suite, "this_machine", lambda: MACHINE)
        monkeypatch.setattr(suite, "contender", stand_in)
        monkeypatch.setattr(suite, "convolution", lambda precision: stand_in("convolution", precision))
        events = []
        report = suite.measured(
            ["lenet5"],
            batch_size=4,
            minutes=minutes,
            on_event=events.append,
            now=now,
            available=lambda: 10**12,
        )
        return report, [event.text for event in events if isinstance(event, suite.PartBegins)]

    return run


def test_with_time_enough_all_is_measured(measured):
    report, begun = measured(10_000, {})
    assert begun == [
        "the convolution peak",
        "training of lenet5, batches of 4",
        "inference of lenet5, batches of 1",
    ]
    assert set(report.peaks) == {"float32", "bfloat16"}
    for each in report.parts:
        assert [timing.contender.name for timing in each.comparison] == ["striate", *suite.TUNED, "torch"]
        assert {len(timing.seconds) for timing in each.comparison} == {suite.ROUNDS}
    # Two, four and four contenders; a turn to warm up and seven rounds of two steps each.
    assert report.seconds == (2 + 4 + 4) * 8 * 2 * 600


def test_a_slow_part_leaves_time_to_those_after_it(measured):
    # Of 11 hours, all rounds of the peaks take 96 minutes; of the 9.4 left, 6.3 are training's. Two steps of each to
    # warm up are 5.5, so there is no time for another contender or round, and inference has what is left.
    report, _ = measured(11 * 60, {"convolution": 3 * 60, "training": 55 * 60, "inference": 5 * 60})
    training, inference = report.parts
    assert [len(timing.seconds) for timing in training.comparison] == [1, 1, 1, 0]
    assert training.comparison["torch"].failure == NO_TIME
    assert [len(timing.seconds) for timing in inference.comparison] == [4, 4, 4, 4]
    assert report.seconds <= 11 * 3600


def test_not_even_overtime_takes_all_of_the_time_of_those_after_it(measured):
    # Of the 9.4 hours left after the peaks, training may have 6.3 and half of the others; two steps are 6.7.
    report, _ = measured(11 * 60, {"convolution": 3 * 60, "training": 200 * 60, "inference": 5 * 60})
    training, inference = report.parts
    assert [len(timing.seconds) for timing in training.comparison] == [1, 0, 0, 0]
    assert [len(timing.seconds) for timing in inference.comparison] == [3, 3, 3, 3]


def test_parts_for_which_there_is_no_time_are_rows_that_say_so(measured):
    moments = itertools.chain([0.0], itertools.repeat(61.0))  # over as soon as it has begun
    report, begun = measured(1, {}, lambda: next(moments))
    assert begun == []
    said = report.as_json()
    assert json.loads(json.dumps(said, allow_nan=False)) == said
    assert said["peak"] == {} and said["peak_failure"] == {"float32": NO_TIME, "bfloat16": NO_TIME}
    rows = [row for kind in ("training", "inference") for each in said[kind] for row in each["contenders"]]
    assert [row["failure"] for row in rows] == [NO_TIME] * 8


@pytest.mark.parametrize("waits", [True, False])
def test_kernels_are_built_first_and_what_failed_is_tried_again(monkeypatch, waits):
    events: list[object] = []
    monkeypatch.setattr(suite.providing, "forget_faults", lambda: events.append("forgotten"))
    monkeypatch.setattr(suite.providing, "needs_building", lambda: waits)
    monkeypatch.setattr(suite.providing, "built", events.append)
    suite._kernels_first(events.append)
    assert events == (["forgotten", suite.KernelsBegin(), possible()[0]] if waits else ["forgotten"])


def test_kernels_that_cannot_be_built_stop_nothing(monkeypatch):
    def fail(level: object) -> None:
        raise NoKernelsError("there is no C compiler")

    monkeypatch.setattr(suite.providing, "needs_building", lambda: True)
    monkeypatch.setattr(suite.providing, "built", fail)
    events: list[object] = []
    suite._kernels_first(events.append)
    assert events == [suite.KernelsBegin()]


@pytest.mark.slow
def test_it_measures_this_machine():
    events = []
    report = suite.measured(["lenet5"], batch_size=4, minutes=30, on_event=events.append, available=lambda: 10**15)
    training, inference = report.parts
    assert not [each.failure for part in report.parts for each in part.comparison if each.failure]
    assert report.kernels and report.peaks["float32"] > 0
    assert training.batch_size == 4 and inference.batch_size == 1
    assert [event.text for event in events if isinstance(event, suite.PartBegins)][1:] == [
        "training of lenet5, batches of 4",
        "inference of lenet5, batches of 1",
    ]
