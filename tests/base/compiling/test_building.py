"""A library is built once, whoever asks for it, and whatever interrupts it."""

import errno
import fcntl
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from striate.base.compiling import building, compilers, keeping, places
from striate.base.compiling.building import library
from striate.base.compiling.compilers import Limits
from striate.base.compiling.levels import LEVELS, NoKernelsError
from striate.base.compiling.sources import UNITS, library_name
from tests.base.compiling.conftest import idle_once_there_is
from tests.base.compiling.test_compilers import wait_until

LEVEL, OTHER = LEVELS[2], LEVELS[1]
REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "native"
    path.mkdir()
    return path


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_a_library_of_all_units_is_all_that_is_left(scripted, folder):
    heard: list[tuple[int, int]] = []
    path = library(LEVEL, folder, on_unit=lambda *counts: heard.append(counts))
    assert path == folder / library_name(LEVEL)
    assert sorted(scripted.compiled()) == sorted(UNITS)
    assert files(folder) == {path.name, f"{path.name}.sha256"}
    assert sorted(set(heard)) == [(done, len(UNITS)) for done in range(len(UNITS) + 1)]
    assert heard == sorted(heard)
    assert all(f"{flag} " in scripted.log.read_text() for flag in LEVEL.flags)


def test_it_is_built_once_and_each_level_by_itself(scripted, folder):
    first = library(LEVEL, folder)
    assert library(LEVEL, folder) == first
    assert len(scripted.compiled()) == len(UNITS)
    assert library(OTHER, folder) != first
    assert len(scripted.compiled()) == 2 * len(UNITS)


def test_a_damaged_library_is_built_again(scripted, folder):
    path = library(LEVEL, folder)
    path.write_text("something else")
    assert library(LEVEL, folder).read_text() != "something else"


def test_units_of_a_build_that_failed_are_not_compiled_again(scripted, folder):
    last = UNITS[-1]
    scripted.does(f'case "$source" in */{last}) echo "x.c:1: error: bad"; exit 1;; esac')
    with pytest.raises(NoKernelsError, match=r"x.c:1: error: bad"):
        library(LEVEL, folder)
    done = {Path(name).stem.rpartition("-")[0] for name in files(folder / "units") if name.endswith(".o")}
    assert done
    scripted.does()
    keeping.forget_faults(folder)
    before = len(scripted.compiled())
    library(LEVEL, folder)
    again = scripted.compiled()[before:]
    assert sorted(again) == sorted(unit for unit in UNITS if Path(unit).stem not in done)


def test_damaged_units_and_those_of_another_compiler_are_compiled_again(scripted, folder):
    scripted.does('if [ -z "$source" ]; then kill -9 $$; fi')  # no link
    with pytest.raises(NoKernelsError):
        library(LEVEL, folder)
    units = sorted((folder / "units").glob("*.o"))
    assert len(units) == len(UNITS)
    units[0].write_text("damaged")
    before = len(scripted.compiled())
    with pytest.raises(NoKernelsError):
        library(LEVEL, folder)
    assert [Path(unit).stem for unit in scripted.compiled()[before:]] == [units[0].stem.rpartition("-")[0]]
    scripted.does(version="2.0")
    before = len(scripted.compiled())
    library(LEVEL, folder)
    assert sorted(scripted.compiled()[before:]) == sorted(UNITS)


def test_a_refusal_is_remembered_for_a_day(scripted, folder, monkeypatch):
    scripted.does('echo "x.c:1: error: bad"; exit 1')
    with pytest.raises(NoKernelsError, match=r"error: bad$"):
        library(LEVEL, folder)
    before = len(scripted.compiled())
    with pytest.raises(NoKernelsError, match=r"error: bad; that is remembered for a day, `striate bench` tries again"):
        library(LEVEL, folder)
    assert len(scripted.compiled()) == before
    later = time.time() + keeping.DAY + 60
    monkeypatch.setattr(keeping.time, "time", lambda: later)
    with pytest.raises(NoKernelsError, match=r"error: bad$"):
        library(LEVEL, folder)


def test_a_compiler_that_does_not_answer_is_remembered_before_it_is_asked_again(scripted, folder, monkeypatch):
    idle_once_there_is(scripted.log, monkeypatch)
    path = scripted.folder / "cc"
    path.write_text(f"#!/bin/sh\necho x >> {scripted.log}\nexec sleep 1000\n")
    limits = Limits(patience=0.3)
    for said in ("does nothing", "does nothing.*remembered"):
        with pytest.raises(NoKernelsError, match=said):
            library(LEVEL, folder, limits=limits)
    assert scripted.log.read_text() == "x\n"


def test_what_memory_was_short_for_is_tried_again_alone(scripted, folder):
    """All units at once do not fit, each by itself does."""
    scripted.does(
        f'[ -z "$source" ] || [ -e {scripted.folder}/alone-$(basename "$source") ] || '
        f'{{ touch {scripted.folder}/alone-$(basename "$source"); kill -9 $$; }}'
    )
    assert library(LEVEL, folder).exists()
    assert sorted(scripted.compiled()[len(UNITS) :]) == sorted(UNITS)


def test_memory_that_stays_short_is_not_remembered(scripted, folder):
    scripted.does("kill -9 $$")
    for _ in range(2):
        with pytest.raises(NoKernelsError, match=r"was killed, perhaps for lack of memory$"):
            library(LEVEL, folder)
    assert not [name for name in files(folder) if name.endswith(".fault")]


def ask(folder: str) -> str:
    return str(library(LEVEL, Path(folder)))


def test_of_ten_processes_one_builds(scripted, folder):
    with multiprocessing.get_context("spawn").Pool(10) as pool:
        paths = pool.map(ask, [str(folder)] * 10, chunksize=1)
    assert set(paths) == {str(folder / library_name(LEVEL))}
    assert sorted(scripted.compiled()) == sorted(UNITS)


PROGRAM = "import sys; from tests.base.compiling.test_building import ask; ask(sys.argv[1])"


def test_a_build_that_is_killed_at_any_moment_is_gone_on_with(scripted, folder):
    counted = 0
    for units in range(0, len(UNITS), 2):
        scripted.does(f"[ $(ls {folder}/units | grep -c o$) -lt {units} ] || sleep 1000")
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder)], cwd=REPOSITORY)
        wait_until(lambda: len(scripted.compiled()) > counted and len(list(folder.glob("units/*.o"))) >= units)  # noqa: B023
        process.send_signal(signal.SIGKILL)
        process.wait()
        wait_until(lambda: not scripted.runs())
        counted = len(scripted.compiled())
        assert not (folder / library_name(LEVEL)).exists()
    kept = {path.stem.rpartition("-")[0] for path in folder.glob("units/*.o") if keeping.is_whole(path)}
    assert len(kept) >= len(UNITS) - 2
    scripted.does()
    library(LEVEL, folder)
    assert sorted(scripted.compiled()[counted:]) == sorted(unit for unit in UNITS if Path(unit).stem not in kept)
    later = time.time() + 2 * keeping.DAY
    for path in folder.glob(".building-*"):
        os.utime(path, (later - 3 * keeping.DAY,) * 2)
    keeping.sweep(folder)
    assert files(folder) == {library_name(LEVEL), f"{library_name(LEVEL)}.sha256"}


def test_where_the_file_system_has_no_locks(scripted, folder, monkeypatch):
    def none(*words: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    assert library(LEVEL, folder).exists()


def lock_file(folder: Path) -> Path:
    return folder / f".{library_name(LEVEL)}.lock"


def test_a_holder_that_does_not_get_on_is_passed_by(scripted, folder, monkeypatch):
    idle_once_there_is(folder / "never", monkeypatch)
    with lock_file(folder).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert library(LEVEL, folder, limits=Limits(patience=0.2)).exists()


def test_a_holder_that_gets_on_is_waited_for(scripted, folder, monkeypatch):
    """Four times as long as one that does not, and then there is nothing left to do."""
    idle_once_there_is(folder / "never", monkeypatch)
    limits, begun = Limits(patience=0.1), time.monotonic()
    with ExitStack() as holding:
        file = holding.enter_context(lock_file(folder).open("w"))
        fcntl.flock(file, fcntl.LOCK_EX)

        def get_on(done: int, units: int) -> None:
            """What the holder does while the other waits."""
            os.utime(file.fileno())
            if time.monotonic() - begun > 4 * limits.patience:
                made = folder / "made"
                made.write_text("by the other")
                keeping.keep(made, folder / library_name(LEVEL))
                holding.close()

        assert library(LEVEL, folder, limits=limits, on_unit=get_on).read_text() == "by the other"
    assert scripted.compiled() == []


def test_a_disk_that_fills_up_is_no_fault_that_is_remembered(scripted, folder, monkeypatch):
    def full(made: Path, path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(building, "keep", full)
    with pytest.raises(NoKernelsError, match=r"cannot be kept in .*No space left"):
        library(LEVEL, folder)
    monkeypatch.undo()
    assert [name for name in files(folder) if not name.endswith((".o", ".sha256"))] == []


def reject(path: Path, loader: str) -> None:
    keeping.remember(path.parent, LEVEL, f"{keeping.maker_of(path)} {loader}", "it computes otherwise")


def test_a_library_that_is_of_no_use_to_its_loader_stays_for_others(scripted, folder):
    path = library(LEVEL, folder, loader="torch 1")
    reject(path, "torch 1")
    before = len(scripted.compiled())
    with pytest.raises(NoKernelsError, match=r"it computes otherwise; that is remembered"):
        library(LEVEL, folder, loader="torch 1")
    assert library(LEVEL, folder, loader="torch 2") == path
    assert len(scripted.compiled()) == before
    scripted.does(version="2.0")  # another compiler may make another
    assert library(LEVEL, folder, loader="torch 1") == path
    assert len(scripted.compiled()) == before + len(UNITS)


def test_a_waiter_that_is_interrupted_leaves_the_lock_to_its_holder(scripted, folder):
    def interrupt(done: int, units: int) -> None:
        raise KeyboardInterrupt

    with lock_file(folder).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(KeyboardInterrupt):
            library(LEVEL, folder, on_unit=interrupt)
        assert lock_file(folder).exists()
    library(LEVEL, folder)
    assert not lock_file(folder).exists()


def test_builders_that_do_not_wait_for_each_other(scripted, folder, monkeypatch):
    """Where there are no locks: the first to be through takes nothing from the second, in the middle of its units."""

    def none(*words: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    other: list[Path] = []

    def in_the_middle(done: int, units: int) -> None:
        if done >= len(UNITS) // 2 and not other:
            other.append(folder)
            other[0] = library(LEVEL, folder)
            other[0].with_name(f"{other[0].name}.sha256").unlink()  # so that the first goes on

    assert library(LEVEL, folder, on_unit=in_the_middle) == other[0]
    assert keeping.is_whole(other[0])


def test_sources_that_change_while_they_are_compiled(scripted, folder, monkeypatch):
    true, changed = building.unit_name, []
    monkeypatch.setattr(building, "unit_name", lambda *words: true(*words) + "x" * len(changed))

    def change(done: int, units: int) -> None:
        changed[:] = [done] if done else []

    with pytest.raises(NoKernelsError, match=r"sources have changed"):
        library(LEVEL, folder, on_unit=change)
    assert not (folder / library_name(LEVEL)).exists()
    assert not [name for name in files(folder) if name.endswith(".fault")]


def test_no_more_compilers_at_once_than_cores(scripted, folder, monkeypatch):
    monkeypatch.setattr(compilers, "cores", lambda: 2)
    now = scripted.folder / "now"
    now.mkdir()
    scripted.does(f"touch {now}/$$; ls {now} | wc -l >> {scripted.folder}/most; sleep 0.05; rm {now}/$$")
    library(LEVEL, folder)
    assert {int(line) for line in (scripted.folder / "most").read_text().split()} <= {1, 2}


def test_a_folder_that_is_named_from_here(scripted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STRIATE_CACHE", "here")
    assert places.cache_obstacle() == ""
    assert library(LEVEL, places.kept_folder()).parent == tmp_path / "here" / "native"


def test_whoever_is_told_may_be_gone(scripted, folder):
    def gone(done: int, units: int) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    with pytest.raises(BrokenPipeError):
        library(LEVEL, folder, on_unit=gone)
