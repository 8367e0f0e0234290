from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from striate.base.starvation import Usage
from striate.training import neighbours
from striate.training.events import Notice
from striate.training.neighbours import Neighbours


class Told:
    """An account that says what it is told to: what was used in each ten seconds."""

    def __init__(self, *usages: Usage) -> None:
        self._usages = iter(usages)

    def elapsed(self) -> float:
        return 10.0

    def look(self) -> Usage:
        return next(self._usages)


@pytest.fixture
def said(monkeypatch):
    """What a run on two cores says, which used so much each time and waited so long for others' turns."""
    monkeypatch.setattr(neighbours, "cores", lambda: 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)

    def run(*usages, waited=0.0, device="cpu"):
        shared = SimpleNamespace(waited=3.0)  # in an earlier run of this process
        monkeypatch.setattr(neighbours, "Account", lambda: Told(*usages))
        monkeypatch.setattr(neighbours, "turns", lambda threads: shared)
        events: list[Notice] = []
        watch = Neighbours(torch.device(device), events.append)
        for _ in usages:
            shared.waited += waited
            watch.look()
        return [event.text for event in events]

    return run


STARVED = Usage(wall=10, computed=8, queued=8, idle=0)


@pytest.mark.parametrize(
    "usage",
    [
        Usage(wall=10, computed=19, queued=1, idle=0),
        Usage(wall=10, computed=4, queued=0.2, idle=0),  # it waited for a disk
        Usage(wall=10, computed=19.5, queued=30, idle=0),  # threads of its own that queue for its own cores
        Usage(wall=10, computed=0, queued=0, idle=0),  # this system tells nothing
        Usage(wall=10, computed=8, queued=8, idle=4),  # cores that had time for it, at other moments
    ],
)
def test_a_run_that_gets_what_it_asks_for_says_nothing(said, usage):
    assert said(usage, usage) == []


def test_a_starved_run_says_so_once(said):
    (sentence,) = said(Usage(wall=10, computed=19, queued=0, idle=0), STARVED, STARVED)
    assert "other programs are using these cores" in sentence
    assert "in the last 10 seconds this run got 50% of the processor time" in sentence


def test_who_has_not_chosen_how_threads_wait_is_told_what_would_help(said, monkeypatch):
    assert "started with GOMP_SPINCOUNT=" in said(STARVED)[0]
    monkeypatch.setenv("GOMP_SPINCOUNT", "100")
    assert "GOMP_SPINCOUNT" not in said(STARVED)[0]


def test_a_run_that_takes_turns_says_so_once(said):
    (sentence,) = said(*[Usage(wall=10, computed=10, queued=1, idle=0)] * 2, waited=5)
    assert "two take turns" in sentence
    assert "had them for 50% of the last 10 seconds" in sentence


def test_a_run_on_another_device_neither_waits_nor_looks(said, monkeypatch):
    assert said(STARVED, device="meta") == []
    monkeypatch.setattr(neighbours, "turns", None)
    with Neighbours(torch.device("meta"), print).turn():
        pass


def test_a_run_and_its_validation_compute_in_turns(tmp_path: Path, workshop, two_stages, monkeypatch):
    taken = []

    class Counted:
        waited = 0.0

        def __init__(self, threads):
            self.threads = threads

        def taken(self):
            taken.append(self.threads)
            return nullcontext()

    monkeypatch.setattr(neighbours, "turns", Counted)
    monkeypatch.setattr("striate.inference.turns", Counted)
    learner, _ = workshop(two_stages).start(tmp_path)
    assert (two_stages.batch_size, two_stages.accumulate) == (3, 2)
    assert len(taken) == learner.progress.epoch * (3 + 3)  # steps for 14 pictures, and batches of 9 to validate with
    assert set(taken) == {torch.get_num_threads()}
