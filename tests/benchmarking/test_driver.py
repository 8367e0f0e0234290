"""Contenders take turns: one at a time, every second round backwards, within limits, and a failure is a row."""

import itertools
import math

import pytest

from striate.benchmarking.driver import LATE, NO_TIME, Comparison, Limits, Timing, alternate
from striate.benchmarking.process import Contender, Worker


def names(worked):
    return "".join(name for name, _, _ in worked)


def test_they_alternate_and_never_together(worker_of, worked):
    turns = []
    found = alternate([worker_of("a", 0.3), worker_of("b", 0.7)], rounds=3, on_turn=turns.append)
    # In each turn a step that is not timed; then of a two, since one is too short to time, and of b one.
    assert names(worked()) == "aabb" + "aaabb" + "bbaaa" + "aaabb"
    times = [moment for _, start, stop in worked() for moment in (start, stop)]
    assert times == sorted(times)
    assert (found["a"].median, found["b"].median) == pytest.approx((0.3, 0.7))
    assert found["a"].images_per_second == pytest.approx(8 / 0.3)
    assert [(turn.contender.name, turn.round, turn.steps) for turn in turns] == [
        *(("a", 0, 1), ("b", 0, 1)),
        *(("a", 1, 2), ("b", 1, 1)),
        *(("b", 2, 1), ("a", 2, 2)),
        *(("a", 3, 2), ("b", 3, 1)),
    ]
    assert found.fastest(["a", "b", "nobody"]) is found["a"]


def test_one_has_warmed_up_before_the_next_is_started(worker_of, monkeypatch):
    done = []
    start = Worker.__init__
    ask = Worker.ask
    monkeypatch.setattr(Worker, "__init__", lambda self, who: done.append(f"start {who.name}") or start(self, who))
    monkeypatch.setattr(
        Worker, "ask", lambda self, question, patience: done.append(question) or ask(self, question, patience)
    )
    alternate([worker_of("a", 1.0), worker_of("b", 1.0)], rounds=0)
    assert done == ["start a", "build", "steps 1", "start b", "build", "steps 1"]


@pytest.mark.parametrize(
    ("failure", "said"),
    [("module", "is not installed"), ("build", "no memory"), ("step", "too hard"), ("kill", "was killed")],
)
def test_one_that_fails_is_a_row_and_the_others_go_on(worker_of, failure, said):
    found = alternate([worker_of("a", failure=failure), worker_of("b")], rounds=2)
    assert said in found["a"].failure and math.isnan(found["a"].median) and found["a"].seconds == ()
    assert found["b"].failure is None and len(found["b"].seconds) == 2
    assert found.fastest(["a"]) is None


def test_a_command_that_is_not_there(worker_of):
    nobody = Contender("nobody", "nobody", ("/nowhere/python",))
    found = alternate([nobody, worker_of("b")], rounds=1)
    assert found["nobody"].failure == "cannot be started: No such file or directory"
    assert len(found["b"].seconds) == 1


def test_slow_ones_may_sit_out(worker_of):
    found = alternate([worker_of("a"), worker_of("b", most_rounds=1)], rounds=3)
    assert (len(found["a"].seconds), len(found["b"].seconds)) == (3, 1)


# Limits of time. Where contenders answer, seconds are thousands on a clock that goes on by their steps alone.


@pytest.mark.parametrize(("until", "rounds"), [(9_000, 0), (11_000, 0), (12_000, 1), (17_000, 1), (18_000, 2)])
def test_a_round_begins_if_it_will_end_in_time(worker_of, worked, clock, until, rounds):
    limits = Limits(until, now=clock)
    found = alternate([worker_of("a", 1_000), worker_of("b", 2_000)], rounds=100, limits=limits)
    assert names(worked()) == "aabb" + "".join(("aabb", "bbaa")[:rounds])
    # Where there is no time for any, what warmed up counts.
    assert found["a"].seconds == (1_000,) * max(1, rounds) and found["b"].seconds == (2_000,) * max(1, rounds)
    assert not any(timing.failure for timing in found)


def test_who_has_not_answered_in_time_is_ended_and_nobody_else_is_started(worker_of, worked):
    instants = itertools.chain([0.0] * 3, itertools.repeat(2.0))  # on starting it, and when its answer is waited for
    found = alternate(
        [worker_of("a", failure="hang"), worker_of("b")], rounds=7, limits=Limits(0.5, now=lambda: next(instants))
    )
    assert [timing.failure for timing in found] == [LATE, NO_TIME]
    assert worked() == [] and not any(timing.seconds for timing in found)


def test_what_was_measured_before_the_time_was_up_stays_good(worker_of):
    moment = 0.0

    def on_turn(turn):
        nonlocal moment
        if turn.round == 1:
            moment = 999_999.7

    limits = Limits(1_000_000.0, now=lambda: moment)
    found = alternate([worker_of("a", 1.0, "stall")], rounds=7, limits=limits, on_turn=on_turn)
    assert found["a"].seconds == (1.0,) and found["a"].failure is None


def test_who_does_not_answer_although_there_is_time_fails(worker_of, monkeypatch):
    monkeypatch.setattr("striate.benchmarking.driver.PATIENCE", 0.1)
    found = alternate([worker_of("a", failure="hang")], rounds=1)
    assert found["a"].failure.startswith("did not answer within")


def test_the_first_two_may_work_overtime(worker_of, worked, clock):
    contenders = [worker_of(name, 1_000) for name in "abc"]
    found = alternate(contenders, rounds=7, limits=Limits(3_000, overtime=1_500, now=clock))
    assert names(worked()) == "aabb"
    assert [timing.seconds for timing in found] == [(1_000,), (1_000,), ()]
    assert found["c"].failure == NO_TIME


def test_the_first_round_too_if_it_is_short(worker_of, worked, clock):
    contenders = [worker_of(name, 1_000) for name in "ab"]
    alternate(contenders, rounds=7, limits=Limits(4_000, overtime=8 * 4_000, now=clock))
    assert names(worked()) == "aabb" + "aabb"


def test_nobody_is_started_who_cannot_be_expected_to_end(worker_of, worked, clock):
    contenders = [worker_of(name, 1_000) for name in "abc"]
    found = alternate(contenders, rounds=7, limits=Limits(4_900, now=clock))  # 900 are less than half of 2,000
    assert names(worked()) == "aabb" and found["c"].failure == NO_TIME


# Limits of memory.


def test_who_does_not_fit_into_memory_is_not_started(worker_of):
    contenders = [worker_of("a", memory=10**15), worker_of("b", memory=0), worker_of("c", memory=10**15)]
    found = alternate(contenders, rounds=1, limits=Limits(available=lambda: 4 * 10**9))
    assert found["a"].failure == found["c"].failure
    assert found["a"].failure == "was not started: it may need 1000000.0 GB of memory, and 4.0 GB are free"
    assert found["b"].failure is None and len(found["b"].seconds) == 1


def test_what_one_needed_is_what_the_next_is_expected_to_need(worker_of):
    free = iter([10**15, 10**10, 1_000_000])
    contenders = [worker_of(name, memory=10**15) for name in "abc"]
    found = alternate(contenders, rounds=1, limits=Limits(available=lambda: next(free)))
    assert found["a"].failure is None and found["b"].failure is None  # a megabyte is less than any Python takes
    assert "0.0 GB are free" in found["c"].failure


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


def test_who_computes_out_of_turn_is_found(worker_of, monkeypatch):
    used = {"a": itertools.repeat(5.0), "b": itertools.count(0.0, 0.3)}  # b works on while a has its turn
    monkeypatch.setattr(Worker, "processor_seconds", lambda self: next(used[self.contender.name]))
    assert alternate([worker_of("a", 1.0), worker_of("b", 1.0)], rounds=1).disturbance == pytest.approx(0.3)
    used["b"] = itertools.repeat(7.0)
    assert alternate([worker_of("a", 1.0), worker_of("b", 1.0)], rounds=1).disturbance == 0.0
