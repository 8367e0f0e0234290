import functools
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from striate.base import turns
from striate.base.hardware import cores
from striate.base.turns import Turns, opened

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no such locks")

WORKER = """
import sys, time
from pathlib import Path
from striate.base.turns import opened
folder, steps, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
mine = opened(folder / "door")
print("ready", flush=True)
sys.stdin.readline()
for step in range(steps):
    if (folder / "enough").exists():
        break
    with mine.taken():
        began = time.monotonic()
        print("in", flush=True)
        time.sleep(seconds)
        print(began, time.monotonic(), flush=True)
"""


def started(folder: Path, steps: int, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER, str(folder), str(steps), str(seconds)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    """Let a process begin, and wait until it has its first turn."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "in\n"


def spans(process: subprocess.Popen[str]) -> list[tuple[float, float]]:
    with process:
        assert process.stdout is not None
        said = process.stdout.read()  # what came with the first line is in its buffer, past which communicate() reads
    assert process.returncode == 0
    times = [line.split() for line in said.splitlines() if line != "in"]
    return [(float(began), float(ended)) for began, ended in times]


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Turns]:
    """The turns of this process by a door of its own."""
    found = opened(tmp_path / "door")
    assert found is not None
    yield found
    found._let_go()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, which has the turn and does not give it back."""
    process = started(tmp_path, 1, 600)
    go(process)
    yield process
    process.kill()
    process.communicate()


def test_two_processes_never_compute_at_once_and_neither_waits_for_the_other_to_end(tmp_path: Path) -> None:
    endless, short = started(tmp_path, 10**9, 0.05), started(tmp_path, 3, 0.05)
    go(endless)
    go(short)  # which gets its turns although the other never ends
    inside = spans(short)
    (tmp_path / "enough").touch()
    steps = sorted(inside + spans(endless))
    assert len(inside) == 3
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(steps))


def test_a_killed_holder_keeps_nobody_waiting(mine: Turns, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    with mine.taken():
        assert mine._held


def test_a_stopped_holder_is_passed_by_and_not_waited_for_until_it_has_let_go(
    mine: Turns, holder: subprocess.Popen[str]
) -> None:
    holder.send_signal(signal.SIGSTOP)
    mine._patience = 0.2
    with mine.taken():
        assert not mine._held
    mine._patience = 600.0  # it would hang
    for _ in range(3):
        with mine.taken():
            assert not mine._held
    assert mine.waited == 0  # for nothing
    holder.kill()
    holder.wait()
    with mine.taken():
        assert mine._held


def test_who_waited_may_take_more_steps_but_lets_others_in_while_it_fetches(mine: Turns, tmp_path: Path) -> None:
    with mine.taken():
        mine._until = time.monotonic() + 600  # as if it had waited so long
    assert mine._held
    with mine.taken():
        assert mine._held
    other = started(tmp_path, 1, 0)
    go(other)  # a pause later
    assert len(spans(other)) == 1


def test_who_did_not_wait_lets_go_at_once(mine: Turns, tmp_path: Path) -> None:
    with mine.taken():
        assert mine._held
    assert not mine._held


@pytest.mark.parametrize("where", ["within", "while it waits"])
def test_a_failure_lets_the_next_one_in(
    where: str, mine: Turns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bool:
        raise KeyboardInterrupt

    if where == "while it waits":
        monkeypatch.setattr(turns, "_locked", fail)
    with pytest.raises(KeyboardInterrupt), mine.taken():
        fail()
    monkeypatch.undo()
    assert mine._inside == 0
    other = started(tmp_path, 1, 0)
    go(other)
    assert len(spans(other)) == 1


def test_within_a_turn_nobody_waits_in_any_thread(mine: Turns) -> None:
    def nested() -> None:
        with mine.taken():
            pass

    with mine.taken():
        nested()
        thread = threading.Thread(target=nested)
        thread.start()
        thread.join()
        assert mine._held
    assert not mine._held


def test_a_forked_process_does_not_hold_its_parents_locks(tmp_path: Path) -> None:
    code = """
import os, signal, sys, time
from pathlib import Path
from striate.base.turns import opened
with opened(Path(sys.argv[1])).taken():
    if os.fork() == 0:
        time.sleep(600)
    print("forked", flush=True)
    time.sleep(600)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "door")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"forked\n"
        process.kill()
        process.wait()
        other = started(tmp_path, 1, 0)
        go(other)
        assert len(spans(other)) == 1
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()


def test_half_of_the_cores_take_no_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert turns.turns(cores() // 2) is None and list(tmp_path.iterdir()) == []
    assert turns.turns(cores()) is not None and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("obstacle", ["nothing there", "a link", "a folder", "somebody else's"])
def test_where_locks_cannot_be_had_or_trusted_all_go_ahead(
    obstacle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / ("missing" if obstacle == "nothing there" else ".") / "door"
    for role in (".next", ".now"):
        if obstacle == "a link":
            place.with_suffix(role).symlink_to(tmp_path / "elsewhere")
        elif obstacle == "a folder":
            place.with_suffix(role).mkdir()
    if obstacle == "somebody else's":
        monkeypatch.setattr(os, "getuid", functools.partial(int, os.getuid() + 1))
    assert opened(place) is None
    assert not (tmp_path / "elsewhere").exists()
