"""`striate bench`: a table, or one object; what cannot be measured is said at once."""

import inspect

import pytest

from striate.benchmarking import suite
from striate.benchmarking.driver import LATE, NO_TIME, Comparison, Timing
from striate.benchmarking.machine import Machine
from striate.benchmarking.process import Contender

KILLED = "was killed, perhaps for lack of memory"
MACHINE = Machine("A Processor", 2, ("AVX2",), {"striate": "1", "torch": "2.13.0"})


def timing(name, label, seconds=(), failure=KILLED, **about):
    return Timing(Contender(name, label, ()), 16, about, seconds, None if seconds else failure)


@pytest.fixture
def measured(monkeypatch):
    """A report that nobody had to wait for; gives what was asked. One that is measured has tests/benchmarking."""
    asked, signature = {}, inspect.signature(suite.measured)
    own = timing(
        "striate", "Striate", (1.0, 1.0, 1.0), precision="bfloat16", kernels="kernels of A", multiply_adds=10**9
    )
    plain = timing("torch", "torch, float32", (3.0, 4.0, 2.0), precision="float32")
    tuned = timing("torch_float32", "torch, float32, channels-last", (1.5, 1.5, 1.5), precision="float32")
    gone = timing("torch_bfloat16", "torch, bfloat16, channels-last")
    comparison = Comparison((own, plain, tuned, gone))
    parts = tuple(suite.Part(kind, "resnet50", 16, (224, 224), comparison) for kind in ("training", "inference"))
    peak = Comparison((timing("float32", "float32", (1.0,), operations=4e11),))

    def answer(models, *, batch_size, minutes, on_event):
        signature.bind(models, batch_size=batch_size, minutes=minutes, on_event=on_event)  # as the true one takes it
        asked.update(models=tuple(models), batch_size=batch_size, minutes=minutes)
        on_event(suite.KernelsBegin())
        on_event(suite.PartBegins("training of resnet50"))
        return suite.Report(MACHINE, peak, parts, 30.0)

    monkeypatch.setattr(suite, "measured", answer)
    return asked


def test_the_table(striate, measured):
    said = striate("bench")
    assert said.code == 0
    assert said.err == "building Striate's kernels, once and not on the clock\nmeasuring training of resnet50\n"
    lines = said.out.splitlines()
    assert lines[0] == "A Processor, 2 cores; AVX2, no AMX"
    assert lines[1] == "torch 2.13.0; kernels of A"
    assert lines[2] == "convolution peak, GFLOP/s: float32 400"
    rows = [line.split() for line in lines[4:9]]
    assert rows[0][-4:] == ["images/s", "of", "peak", "ratio"]
    assert rows[1] == ["Striate,", "bfloat16", "16.0"]
    assert rows[2] == ["torch,", "float32", "5.3!", "8%", "3.00"]  # 16e9 * 2 * 3 operations in 3 s of 400e9
    assert rows[3] == ["torch,", "float32,", "channels-last", "(tuned)", "10.7", "16%", "1.50"]
    assert "was killed" in lines[8]
    assert "1000.00" in lines[11]  # answers are in milliseconds
    assert lines[-1].startswith("!:")
    assert measured == {"models": suite.DEFAULT_MODELS, "batch_size": None, "minutes": 2.0}


def test_the_object(striate, measured):
    said = striate("bench", "lenet5", "resnet50", "--batch-size", "4", "--minutes", "7", "--json", "--quiet")
    assert said.err == ""
    assert set(said.json) == {
        *("processor", "cores", "instructions", "versions", "kernels", "peak", "peak_failure"),
        *("training", "inference", "seconds"),
    }
    assert said.json["training"][0]["contenders"][3]["failure"].startswith("was killed")
    assert said.json["training"][0]["contenders"][3]["seconds"] is None
    assert measured == {"models": ("lenet5", "resnet50"), "batch_size": 4, "minutes": 7.0}


def test_what_there_was_no_time_for_is_said_in_its_place(striate, monkeypatch):
    own = timing("striate", "Striate", (1.0,), precision="bfloat16", kernels="kernels of A")
    comparison = Comparison((own, timing("torch_float32", "tuned", failure=LATE), timing("torch", "plain", (2.0,))))
    never = Comparison((timing("striate", "Striate", failure=NO_TIME), timing("torch", "plain", failure=NO_TIME)))
    parts = tuple(
        suite.Part(kind, "resnet50", 16, (224, 224), each)
        for kind, each in (("training", comparison), ("inference", never))
    )
    peak = Comparison((timing("float32", "float32", failure=LATE),))
    monkeypatch.setattr(suite, "measured", lambda *_, **__: suite.Report(MACHINE, peak, parts, 3.0))
    said = striate("bench", "--minutes", "0.05")
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[2] == f"convolution peak, GFLOP/s: float32: {LATE}"
    assert lines[5].split() == ["Striate,", "bfloat16", "16.0~"]
    assert lines[6] == f"  tuned: {LATE}"
    assert lines[7].split() == ["plain", "8.0~", "2.00"]
    assert lines[10:12] == [f"  Striate: {NO_TIME}", f"  plain: {NO_TIME}"]
    assert lines[-1].startswith("~: fewer than 3 rounds")
    assert striate("bench", "--json").json["inference"][0]["contenders"][0]["failure"] == NO_TIME


def test_refusals(striate):
    striate("bench", "resnet5").refuses("resnet5", "resnet50")
    striate("bench", "resnet50", "--batch-size", "1").refuses("batch size is 1", "at least 2")
    striate("bench", "--minutes", "0").refuses("minutes")


@pytest.mark.slow
def test_with_no_time_for_anything_it_answers_all_the_same(striate):
    said = striate("bench", "lenet5", "--minutes", "0.0001", "--json")
    assert said.code == 0
    assert said.json["training"][0]["contenders"][3]["failure"] in (LATE, NO_TIME)
