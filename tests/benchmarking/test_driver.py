"""Contenders take turns: one at a time, every second round backwards, and a failure is a row."""

import math
import sys
import time

import pytest

from striate.benchmarking.driver import Comparison, Contender, Timing, alternate


def names(worked):
    return [name for name, _, _ in worked]


def test_they_alternate_and_never_together(sleeper, worked):
    turns = []
    found = alternate([sleeper("a", 0.06), sleeper("b", 0.15)], rounds=3, on_turn=turns.append)
    # In each turn a step that is not timed; then of a two, since one is too short to time, and of b one.
    assert names(worked()) == [*"aabb", *"aaabb", *"bbaaa", *"aaabb"]
    times = [moment for _, start, stop in worked() for moment in (start, stop)]
    assert times == sorted(times)
    assert 0.06 <= found["a"].median < 0.15 <= found["b"].median < 0.4
    assert 8 / 0.15 < found["a"].images_per_second <= 8 / 0.06
    assert [(turn.contender.name, turn.round) for turn in turns] == [
        *(("a", 0), ("b", 0)),
        *(("a", 1), ("b", 1)),
        *(("b", 2), ("a", 2)),
        *(("a", 3), ("b", 3)),
    ]
    assert found.fastest(["a", "b", "nobody"]) is found["a"]


@pytest.mark.parametrize(
    ("failure", "said"),
    [("module", "is not installed"), ("build", "no memory"), ("step", "too hard"), ("kill", "was killed")],
)
def test_one_that_fails_is_a_row_and_the_others_go_on(sleeper, failure, said):
    found = alternate([sleeper("a", 0.06, failure), sleeper("b")], rounds=2)
    assert said in found["a"].failure and math.isnan(found["a"].median) and found["a"].seconds == ()
    assert found["b"].failure is None and len(found["b"].seconds) == 2
    assert found.fastest(["a"]) is None


def test_a_command_that_is_not_there(sleeper):
    nobody = Contender("nobody", "nobody", ("/nowhere/python",))
    found = alternate([nobody, sleeper("b")], rounds=1)
    assert found["nobody"].failure == "cannot be started: No such file or directory"
    assert len(found["b"].seconds) == 1


def test_slow_ones_may_sit_out(sleeper):
    found = alternate([sleeper("a"), sleeper("b", most_rounds=1)], rounds=3)
    assert (len(found["a"].seconds), len(found["b"].seconds)) == (3, 1)


def test_time_that_is_used_up_ends_it_after_a_counted_round(sleeper):
    started = time.monotonic()
    found = alternate([sleeper("a", 0.2)], rounds=100, seconds=0.1)
    assert len(found["a"].seconds) == 1
    found = alternate([sleeper("a", 0.2)], rounds=100, seconds=2)
    assert 2 <= len(found["a"].seconds) <= 9
    assert time.monotonic() - started < 10


def test_medians_and_spreads():
    timing = Timing(Contender("a", "A", ()), images=4, seconds=(1.0, 5.0, 2.0, 3.0, 4.0))
    assert timing.median == 3.0
    assert timing.spread == pytest.approx(2.0 / 3.0)  # the quartiles of 1..5 are 2 and 4
    assert timing.images_per_second == pytest.approx(4 / 3)
    assert math.isnan(Timing(Contender("a", "A", ()), seconds=(1.0, 2.0)).spread)


def test_the_fastest_is_by_the_median():
    first, second = Contender("a", "A", ()), Contender("b", "B", ())
    found = Comparison((Timing(first, seconds=(1.0, 9.0, 9.0)), Timing(second, seconds=(5.0, 5.0, 5.0))))
    assert found.fastest(("a", "b")) is found["b"]


def test_who_computes_out_of_turn_is_found(tmp_path, sleeper):
    program = tmp_path / "busy.py"
    program.write_text(
        "import threading\nfrom striate.benchmarking.worker import Workload, serve\n"
        "def spin():\n    while True: pass\n"
        "threading.Thread(target=spin, daemon=True).start()\nserve(lambda: Workload(lambda: None, 1))\n"
    )
    busy = Contender("busy", "busy", (sys.executable, str(program)))
    found = alternate([sleeper("a", 0.4), busy], rounds=1)
    assert found.disturbance > 0.3
    assert alternate([sleeper("a", 0.4), sleeper("b", 0.4)], rounds=1).disturbance < 0.2
