"""What a contender's process answers, whatever its libraries print."""

import subprocess

import pytest

from striate.benchmarking.driver import Worker, WorkerError
from striate.benchmarking.worker import memory


def test_it_builds_steps_and_tells_its_memory(sleeper):
    with Worker(sleeper("a", 0.05)) as worker:
        assert worker.ask("build") == {"images": 8, "about": {"precision": "float32"}}
        assert 0.1 <= worker.ask("steps 2")["seconds"] < 1
        told = worker.ask("memory")
    assert 1e6 < told["resident"] <= told["peak"] < 1e9


def test_memory_is_the_systems_own_account(sleeper):
    import psutil

    with Worker(sleeper("a")) as worker:
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
def test_a_failure_is_told_in_a_few_words(sleeper, failure, question, said):
    with Worker(sleeper("a", 0.01, failure)) as worker:
        if question != "build":
            worker.ask("build")
        with pytest.raises(WorkerError, match=said) as caught:
            worker.ask(question)
    assert "\n" not in str(caught.value)


def test_steps_before_building_are_refused(sleeper):
    with Worker(sleeper("a")) as worker, pytest.raises(WorkerError, match="none of build, steps N"):
        worker.ask("steps 1")


def test_it_ends_when_nobody_asks_any_more(sleeper):
    command = sleeper("a").command
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout) == (0, "")


def test_who_does_not_answer_is_ended(sleeper, monkeypatch):
    monkeypatch.setattr("striate.benchmarking.driver.PATIENCE", 0.5)
    with Worker(sleeper("a", failure="hang")) as worker, pytest.raises(WorkerError, match="did not answer"):
        worker.ask("build")
