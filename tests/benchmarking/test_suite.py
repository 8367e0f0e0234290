"""What is made of timings: ratios, parts of the peak, and the object of --json, all reckoned by hand."""

import json
import math

import pytest

from striate.base.errors import ModelError, StriateError
from striate.benchmarking import suite
from striate.benchmarking.driver import Comparison, Contender, Timing
from striate.benchmarking.machine import Machine, this_machine

MACHINE = Machine("A Processor", 2, ("AVX512-BF16", "AVX512", "AVX2"), {"striate": "1", "torch": "2"})


def timing(name, seconds, **about):
    return Timing(Contender(name, name, ()), 10, about, seconds)


OWN = timing("striate", (0.5, 0.5, 0.5), precision="bfloat16", kernels="ours", multiply_adds=1_000_000)
PLAIN = timing("torch", (2.0, 2.0, 2.0), precision="float32")
TUNED = timing("torch_float32", (1.0, 1.0, 1.0), precision="float32")
LOW = timing("torch_bfloat16", (1.5, 1.5, 1.5), precision="bfloat16")
GONE = Timing(Contender("torch_bfloat16", "torch_bfloat16", ()), failure="was killed")
PEAKS = {"float32": 1e9, "bfloat16": 1e9}


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
    report = suite.Report(MACHINE, PEAKS, (part(OWN, TUNED, GONE), part(OWN, kind="inference")), 12.0)
    said = report.as_json()
    assert (said["processor"], said["cores"], said["kernels"], said["peak"]) == ("A Processor", 2, "ours", PEAKS)
    (training,) = said["training"]
    assert training["tuned"] == "torch_float32" and training["size"] == [224, 224]
    own, tuned, gone = training["contenders"]
    assert own["images_per_second"] == 20.0 and own["ratio"] == 1.0 and own["rounds"] == 3 and own["spread"] == 0.0
    assert tuned["ratio"] == 2.0 and tuned["failure"] is None
    assert gone["failure"] == "was killed" and gone["images_per_second"] is None
    assert len(said["inference"]) == 1
    json.dumps(said)


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


@pytest.mark.slow
def test_it_measures_this_machine():
    events = []
    report = suite.measured(["lenet5"], batch_size=4, seconds=5, on_event=events.append)
    training, inference = report.parts
    assert not [each.failure for part in report.parts for each in part.comparison if each.failure]
    assert report.kernels and report.peaks["float32"] > 1e9
    assert training.batch_size == 4 and inference.batch_size == 1
    assert [event.text for event in events if isinstance(event, suite.PartBegins)][1:] == [
        "training of lenet5, batches of 4",
        "inference of lenet5, batches of 1",
    ]
