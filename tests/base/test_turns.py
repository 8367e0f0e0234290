import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from striate.base import turns
from striate.base.hardware import cores
from striate.base.turns import in_turns

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no such locks")

WORKER = """
import sys, time
from pathlib import Path
from striate.base.turns import in_turns
folder, steps, seconds, patience = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
print("ready", flush=True)
sys.stdin.readline()
for step in in_turns(range(steps), 1000, folder=folder, patience=patience):
    if (folder / "enough").exists():
        break
    began = time.monotonic()
    print("in", flush=True)
    time.sleep(seconds)
    print(began, time.monotonic(), flush=True)
"""


def started(folder: Path, steps: int, seconds: float, patience: float = 600.0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER, str(folder), str(steps), str(seconds), str(patience)]
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
    said, _ = process.communicate()
    assert process.returncode == 0
    times = [line.split() for line in said.splitlines() if line != "in"]
    return [(float(began), float(ended)) for began, ended in times]


def test_two_processes_never_compute_at_once_and_neither_waits_for_the_other_to_end(tmp_path: Path) -> None:
    endless, short = started(tmp_path, 10**9, 0.05), started(tmp_path, 3, 0.05)
    go(endless)
    go(short)  # which gets its turns although the other never ends
    inside = spans(short)
    (tmp_path / "enough").touch()
    steps = sorted(inside + spans(endless))
    assert len(inside) == 3
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(steps))


def test_a_killed_holder_keeps_nobody_waiting(tmp_path: Path) -> None:
    holder = started(tmp_path, 1, 600)
    go(holder)
    holder.kill()
    assert list(in_turns(range(3), 1000, folder=tmp_path)) == [0, 1, 2]
    holder.communicate()


def test_a_stopped_holder_is_passed_by_once_and_not_waited_for_again(tmp_path: Path) -> None:
    holder, waits = started(tmp_path, 1, 600), list[float]()
    go(holder)
    holder.send_signal(signal.SIGSTOP)
    for _ in in_turns(range(3), 1000, waits.append, folder=tmp_path, patience=0.3):
        time.sleep(0.15)
    assert waits[0] >= 0.3
    assert waits[1:]
    assert set(waits[1:]) == {0.0}
    holder.kill()
    holder.communicate()


def test_who_stops_asking_lets_the_next_one_in(tmp_path: Path) -> None:
    for _ in in_turns(range(3), 1000, folder=tmp_path):
        break
    other = started(tmp_path, 1, 0)
    go(other)
    assert len(spans(other)) == 1


def test_a_failure_within_a_turn_lets_the_next_one_in(tmp_path: Path) -> None:
    def items() -> Iterator[int]:
        raise RuntimeError("no picture")
        yield 0

    with pytest.raises(RuntimeError, match="no picture"):
        list(in_turns(items(), 1000, folder=tmp_path))
    other = started(tmp_path, 1, 0)
    go(other)
    assert len(spans(other)) == 1


def test_items_are_made_within_the_turn_and_one_at_a_time(tmp_path: Path) -> None:
    made = []

    def items() -> Iterator[int]:
        for number in range(3):
            made.append((number, turns._Door.inside))
            yield number

    given = in_turns(items(), 1000, folder=tmp_path)
    assert made == []
    assert next(given) == 0
    assert made == [(0, True)]
    assert list(given) == [1, 2]
    assert not turns._Door.inside


def test_within_a_turn_nobody_waits(tmp_path: Path) -> None:
    inner = [list(in_turns("ab", 1000, folder=tmp_path, patience=600.0)) for _ in in_turns("x", 1000, folder=tmp_path)]
    assert inner == [["a", "b"]]


def test_half_of_the_cores_take_no_turns(tmp_path: Path) -> None:
    assert list(in_turns(range(3), cores() // 2, folder=tmp_path)) == [0, 1, 2]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("obstacle", ["nothing there", "a link", "a folder", "somebody else's"])
def test_where_locks_cannot_be_had_or_trusted_all_go_ahead(
    obstacle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    list(in_turns(range(1), 1000, folder=tmp_path))
    for file in tmp_path.iterdir():
        if obstacle != "somebody else's":
            file.unlink()
        if obstacle == "a link":
            file.symlink_to(tmp_path / "elsewhere")
        elif obstacle == "a folder":
            file.mkdir()
    folder = tmp_path / "missing" if obstacle == "nothing there" else tmp_path
    if obstacle == "somebody else's":
        names, me = iter(range(100)), os.getuid()
        # The name is made with ours, what is found is compared with another's.
        monkeypatch.setattr(os, "getuid", lambda: me if next(names) % 2 == 0 else me + 1)
    assert list(in_turns(range(3), 1000, folder=folder)) == [0, 1, 2]
    assert not (tmp_path / "elsewhere").exists()
