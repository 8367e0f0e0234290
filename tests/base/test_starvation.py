import os
from pathlib import Path

import pytest

from striate.base.starvation import Account, Usage


def threads(proc: Path, **seconds: tuple[float, float]) -> None:
    """What the kernel says of each thread: seconds on a core, and waiting for one."""
    for name, (computed, queued) in seconds.items():
        task = proc / "self" / "task" / name
        task.mkdir(parents=True, exist_ok=True)
        (task / "schedstat").write_text(f"{computed * 1e9:.0f} {queued * 1e9:.0f} 7\n")


def test_what_was_used_since_the_last_look(tmp_path: Path) -> None:
    clock = iter([100.0, 110.0, 111.0, 121.0])
    threads(tmp_path, one=(5, 1), two=(3, 0))
    account = Account(proc=tmp_path, now=lambda: next(clock))
    threads(tmp_path, one=(9, 3), two=(6, 4), three=(1, 0))  # the third has started since
    usage = account.look()
    assert (usage.wall, usage.computed, usage.queued) == pytest.approx((10, 8, 6))
    assert usage.share == pytest.approx(8 / 14)
    assert account.elapsed() == 1
    (tmp_path / "self" / "task" / "two" / "schedstat").unlink()  # it ended this moment, and is seen no more
    assert account.look() == Usage(11, 0, 0, 0)


def test_a_thread_that_is_missed_once_is_not_counted_from_its_beginning(tmp_path: Path) -> None:
    threads(tmp_path, one=(5, 1))
    account = Account(proc=tmp_path)
    stat = tmp_path / "self" / "task" / "one" / "schedstat"
    stat.unlink()
    assert account.look().computed == 0
    threads(tmp_path, one=(6, 1))
    assert account.look().computed == pytest.approx(1)


def test_idle_cores_are_those_of_this_process(tmp_path: Path) -> None:
    mine = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    per_second = os.sysconf("SC_CLK_TCK")

    def idle(seconds: int) -> None:
        lines = [f"cpu  0 0 0 {99 * per_second} 0 0", f"cpu{mine} 9 9 9 {seconds * per_second} {per_second} 0"]
        (tmp_path / "stat").write_text("\n".join([*lines, f"cpu4095 0 0 0 {seconds * 7} 0", "intr 5"]))

    idle(10)
    account = Account(proc=tmp_path)
    idle(14)
    assert account.look().idle == pytest.approx(4)


def test_where_nothing_is_told_nothing_is_missed(tmp_path: Path) -> None:
    assert Account(proc=tmp_path).look().share == 1
    threads(tmp_path, one=(1, 1))
    (tmp_path / "self" / "task" / "one" / "schedstat").write_text("")
    assert Account(proc=tmp_path).look().share == 1
