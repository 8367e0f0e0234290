"""Compilers under watch: none stays behind, none is waited for without end, none is given up for being slow."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from striate.base.compiling import compilers
from striate.base.compiling.compilers import Limits, OutOfMemoryError, RefusedError, run_all, with_version
from striate.base.compiling.levels import NoKernelsError
from tests.base.compiling.conftest import idle_once_there_is

GENEROUS = Limits(processor_seconds=600, patience=600.0)


def ran(folder: Path, *scripts: str, limits: Limits = GENEROUS, at_once: int | None = None) -> tuple[set[str], dict]:
    """Run shell scripts, named by their number; gives those that ended well and those that memory was short for."""
    commands = {str(number): ["/bin/sh", "-c", text] for number, text in enumerate(scripts)}
    done: set[str] = set()
    quiet = {"on_progress": lambda: None, "on_moment": lambda: None}
    starved = run_all(commands, folder, limits, at_once=at_once, **quiet, on_done=done.add)
    return done, starved


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(what) -> None:
    """Until something is so; a guard of ten minutes, which decides nothing that works."""
    deadline = time.monotonic() + 600
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_all_are_run_and_never_more_at_once_than_may(tmp_path):
    (tmp_path / "now").mkdir()
    script = "touch now/$$; ls now | wc -l >> most; sleep 0.05; rm now/$$"
    done, starved = ran(tmp_path, *[script] * 6, at_once=2)
    assert (done, starved) == (set("012345"), {})
    assert {int(line) for line in (tmp_path / "most").read_text().split()} <= {1, 2}


@pytest.mark.parametrize(
    ("script", "kind", "said"),
    [
        ("echo 'x.c:1: error: no such target' >&2; exit 1", RefusedError, "fails: x.c:1: error: no such target"),
        ("echo 'In file a.h'; echo 'b.h:1: error: bad'; exit 4", RefusedError, "fails: b.h:1: error: bad"),
        ("exit 3", RefusedError, "ends with 3 and says nothing"),
        ("kill -11 $$", RefusedError, "fails"),
        ("echo 'cc1: error: No space left on device'; exit 1", NoKernelsError, "no space left on device"),
        ("echo 'ld: final link failed: Disk quota exceeded'; exit 1", NoKernelsError, "disk quota exceeded"),
    ],
)
def test_what_fails_says_so_and_ends_the_others(script, kind, said, tmp_path):
    with pytest.raises(NoKernelsError, match=said) as caught:
        ran(tmp_path, "echo $$ > other; sleep 1000", f"while [ ! -s other ]; do sleep 0.01; done; {script}", at_once=2)
    assert type(caught.value) is kind
    wait_until(lambda: not is_alive(int((tmp_path / "other").read_text())))


@pytest.mark.parametrize(
    "script",
    [
        "kill -9 $$",
        "echo 'cc1: out of memory allocating 8 bytes'; exit 1",
        "echo 'gcc: fatal error: Killed signal terminated program cc1'; exit 1",  # what was killed is not the driver
        "echo 'collect2: fatal error: ld terminated with signal 9 [Killed]'; exit 1",
        "echo 'virtual memory exhausted: Cannot allocate memory'; exit 1",
        "echo 'cc: fatal error: vfork: Resource temporarily unavailable'; exit 1",
    ],
)
def test_memory_that_was_short_is_no_fault_of_the_sources(script, tmp_path):
    done, starved = ran(tmp_path, script, "exit 0")
    assert done == {"1"}
    assert isinstance(starved["0"], OutOfMemoryError)


def test_who_uses_no_processor_is_given_up(tmp_path, monkeypatch):
    idle_once_there_is(tmp_path / "child", monkeypatch)
    script = "sleep 1000 & echo $! > new; mv new child; wait"
    with pytest.raises(RefusedError, match="does nothing"):
        ran(tmp_path, script, limits=Limits(600, patience=0.2))
    wait_until(lambda: not is_alive(int((tmp_path / "child").read_text())))


def test_who_uses_the_processor_is_waited_for_longer(tmp_path, monkeypatch):
    """Four times as long as one that does nothing."""
    idle_once_there_is(tmp_path / "never", monkeypatch)
    done, _ = ran(tmp_path, "sleep 0.4", limits=Limits(600, patience=0.1))
    assert done == {"0"}


def test_who_uses_too_much_of_it_is_given_up(tmp_path):
    with pytest.raises(RefusedError, match="has used 1 s of processor time"):
        ran(tmp_path, "while :; do :; done", limits=Limits(processor_seconds=1))


def test_a_program_that_is_killed_leaves_no_compiler_behind(tmp_path):
    program = (
        "import sys; from pathlib import Path; from striate.base.compiling.compilers import Limits, run_all\n"
        "shell = ['/bin/sh', '-c', 'sleep 1000 & echo $$ $! > group.new; mv group.new group; wait']\n"
        "run_all({'a': shell}, Path(sys.argv[1]), Limits(), on_progress=int, on_moment=int, on_done=str)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)])
    wait_until((tmp_path / "group").exists)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not any(map(is_alive, map(int, (tmp_path / "group").read_text().split()))))


def test_an_interrupt_leaves_no_compiler_behind(tmp_path, monkeypatch):
    idle_once_there_is(tmp_path / "never", monkeypatch)

    def interrupt() -> None:
        if (tmp_path / "pid").exists():
            raise KeyboardInterrupt

    script = "echo $$ > new; mv new pid; sleep 1000"  # who does nothing can be interrupted, too
    commands = {"a": ["/bin/sh", "-c", script]}
    with pytest.raises(KeyboardInterrupt):
        run_all(commands, tmp_path, Limits(600, 1.0), on_progress=int, on_moment=interrupt, on_done=str)
    wait_until(lambda: not is_alive(int((tmp_path / "pid").read_text())))


class TestWhichCompiler:
    def test_the_one_that_cc_names_with_its_words(self, scripted, monkeypatch):
        monkeypatch.setenv("CC", f"'{scripted.folder}/cc' -m64")
        first = compilers.first()
        assert first.command == (f"{scripted.folder}/cc", "-m64")
        assert with_version(first, GENEROUS, lambda: None).version == "1.0"

    @pytest.mark.parametrize("name", ["", "no-such-compiler", "'unclosed"])
    def test_else_the_systems(self, name, scripted, monkeypatch):
        monkeypatch.setenv("PATH", str(scripted.folder))
        monkeypatch.setenv("CC", name)
        assert compilers.first().command == (f"{scripted.folder}/cc",)

    def test_is_found_from_wherever_it_is_started(self, scripted, monkeypatch):
        monkeypatch.chdir(scripted.folder)
        monkeypatch.setenv("CC", "./cc")
        assert compilers.first().command == (f"{scripted.folder}/cc",)

    def test_none(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.delenv("CC", raising=False)
        assert not compilers.there_is_one()
        with pytest.raises(NoKernelsError, match="no C compiler"):
            compilers.first()


def test_processor_time_is_that_of_the_whole_group():
    mine = os.getpgid(0)
    before = compilers.processor_seconds(mine)
    child = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", child], check=True)
    assert compilers.processor_seconds(mine) - before >= 0.25
