"""`striate bench`: a table, or one object; what cannot be measured is said at once."""

import pytest

from striate.benchmarking import suite
from striate.benchmarking.driver import Comparison, Contender, Timing
from striate.benchmarking.machine import Machine


def timing(name, label, seconds=(), **about):
    failure = None if seconds else "was killed, perhaps for lack of memory"
    return Timing(Contender(name, label, ()), 16, about, seconds, failure)


@pytest.fixture
def measured(monkeypatch):
    """A report that nobody had to wait for; gives what was asked."""
    asked = {}
    own = timing(
        "striate", "Striate", (1.0, 1.0, 1.0), precision="bfloat16", kernels="kernels of A", multiply_adds=10**9
    )
    plain = timing("torch", "torch, float32", (3.0, 4.0, 2.0), precision="float32")
    tuned = timing("torch_float32", "torch, float32, channels-last", (1.5, 1.5, 1.5), precision="float32")
    gone = timing("torch_bfloat16", "torch, bfloat16, channels-last")
    comparison = Comparison((own, plain, tuned, gone))
    parts = tuple(suite.Part(kind, "resnet50", 16, (224, 224), comparison) for kind in ("training", "inference"))
    machine = Machine("A Processor", 2, ("AVX2",), {"striate": "1", "torch": "2.13.0"})

    def answer(models, *, batch_size, seconds, on_event):
        asked.update(models=tuple(models), batch_size=batch_size, seconds=seconds)
        on_event(suite.PartBegins("training of resnet50"))
        return suite.Report(machine, {"float32": 4e11}, parts, 30.0)

    monkeypatch.setattr(suite, "measured", answer)
    return asked


def test_the_table(striate, measured):
    said = striate("bench")
    assert said.code == 0
    assert said.err == "measuring training of resnet50\n"
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
    assert measured == {"models": suite.DEFAULT_MODELS, "batch_size": None, "seconds": 100.0}


def test_the_object(striate, measured):
    said = striate("bench", "lenet5", "resnet50", "--batch-size", "4", "--seconds", "7", "--json", "--quiet")
    assert said.err == ""
    assert set(said.json) == {
        *("processor", "cores", "instructions", "versions", "kernels", "peak"),
        *("training", "inference", "seconds"),
    }
    assert said.json["training"][0]["contenders"][3]["failure"].startswith("was killed")
    assert said.json["training"][0]["contenders"][3]["seconds"] is None
    assert measured == {"models": ("lenet5", "resnet50"), "batch_size": 4, "seconds": 7.0}


def test_refusals(striate):
    striate("bench", "resnet5").refuses("resnet5", "resnet50")
    striate("bench", "resnet50", "--batch-size", "1").refuses("batch size is 1", "at least 2")
    striate("bench", "--seconds", "0").refuses("seconds")


@pytest.mark.slow
def test_it_measures_and_prints_one_object(striate):
    said = striate("bench", "lenet5", "--seconds", "4", "--batch-size", "4", "--json")
    assert said.code == 0
    (training,) = said.json["training"]
    own, *others = training["contenders"]
    assert own["name"] == "striate" and own["images_per_second"] > 0 and len(others) >= 2
    assert all(each["failure"] is None and each["ratio"] > 0 for each in others)
