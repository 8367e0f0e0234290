"""What a contender's process answers, whatever its libraries print."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from striate.benchmarking.process import Contender, LateError, Worker, WorkerError
from striate.benchmarking.worker import memory
from tests.benchmarking.conftest import GUARD


def test_it_builds_steps_and_tells_its_memory(worker_of, worked):
    with Worker(worker_of("a", 0.25)) as worker:
        assert worker.ask("build") == {"images": 8, "about": {"precision": "float32", "operations": 8}}
        assert worker.ask("steps 2") == {"seconds": 0.5}
        told = worker.ask("memory")
    assert 1e6 < told["resident"] <= told["peak"] < 1e9
    assert len(worked()) == 3


def test_memory_is_the_systems_own_account(worker_of):
    import psutil

    with Worker(worker_of("a")) as worker:
        worker.ask("build")
        resident = worker.ask("memory")["resident"]
        assert resident == pytest.approx(psutil.Process(worker._process.pid).memory_info().rss, rel=0.1)
    assert memory()[0] == pytest.approx(psutil.Process().memory_info().rss, rel=0.1)


@pytest.mark.parametrize(
    ("failure", "question", "said"),
    [
        ("module", "build", "a_module_that_nobody_has is not installed"),
        ("build", "build", "RuntimeError: no memory"),
        ("step", "steps 3", "ValueError: the third step is too hard"),
        ("kill", "steps 3", "was killed, perhaps for lack of memory"),
        ("exit", "steps 3", "ended with 3: gone for good"),
        ("", "dance", "ValueError"),
        ("", "steps many", "ValueError"),
    ],
)
def test_a_failure_is_told_in_a_few_words(worker_of, failure, question, said):
    with Worker(worker_of("a", failure=failure)) as worker:
        if question != "build":
            worker.ask("build")
        with pytest.raises(WorkerError, match=said) as caught:
            worker.ask(question)
    assert "\n" not in str(caught.value)


def test_steps_before_building_are_refused(worker_of):
    with Worker(worker_of("a")) as worker, pytest.raises(WorkerError, match="none of build, steps N"):
        worker.ask("steps 1")


def test_it_ends_when_nobody_asks_any_more(worker_of):
    command = worker_of("a").command
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=GUARD)
    assert (done.returncode, done.stdout) == (0, "")


def test_who_does_not_answer_is_ended(worker_of):
    with Worker(worker_of("a", failure="hang")) as worker:
        with pytest.raises(LateError, match=r"did not answer within 0 s"):
            worker.ask("build", 0.25)
        with pytest.raises(WorkerError, match="was killed"):
            worker.ask("build", GUARD)


STARTS_ANOTHER = """
import os, subprocess, sys
from striate.benchmarking.worker import Workload, serve

def build():
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    return Workload(lambda: None, other.pid)

serve(build)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_what_it_started_ends_with_it(tmp_path):
    program = tmp_path / "starts_another.py"
    program.write_text(STARTS_ANOTHER)
    with Worker(Contender("a", "A", (sys.executable, str(program)))) as worker:
        other = Path("/proc", str(worker.ask("build")["images"]), "stat")
        assert running(other)
    deadline = time.monotonic() + GUARD  # the system takes a moment
    while running(other):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def running(stat):
    """Whether a process is there, and not one that was killed and nobody has collected."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


BUSY = """
import time
from striate.benchmarking.worker import Workload, serve

def step():
    while time.process_time() < 0.5:
        pass

serve(lambda: Workload(step, 1))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_processor_time_is_the_systems_own_account(tmp_path):
    program = tmp_path / "busy.py"
    program.write_text(BUSY)
    with Worker(Contender("a", "A", (sys.executable, str(program)))) as worker:
        worker.ask("build")
        worker.ask("steps 1", GUARD)
        assert worker.processor_seconds() >= 0.4  # the system counts in hundredths or coarser
