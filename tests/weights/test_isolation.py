"""The child process: limits that hold, ends that are told, nothing left, and damaged files by the hundred."""

import json
import os
import resource
import signal
import struct
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from safetensors.numpy import save_file

from striate.base.errors import OutputError, WeightsError
from striate.weights.isolation import ReadingProcess, ReadingStoppedError
from tests.conftest import HANGING
from tests.weights import fuzz

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="no limits of address space")


@pytest.fixture
def some(tmp_path: Path) -> Path:
    path = tmp_path / "some.safetensors"
    save_file({"x": np.ones(2, np.float32)}, path)
    return path


def stub(program: str) -> list[str]:
    """A program in the place of the readers."""
    return [sys.executable, "-I", "-c", textwrap.dedent(program)]


def stopped(process: ReadingProcess, path: Path) -> ReadingStoppedError:
    with process, pytest.raises(ReadingStoppedError) as caught:
        process.read(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    return caught.value


# Ends


@pytest.fixture
def time_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that is about to end may take as long as it likes, so that how it ended can be told on any machine."""
    whole = ReadingProcess._stop
    monkeypatch.setattr(ReadingProcess, "_stop", lambda self, patience=0.0: whole(self, patience and HANGING))


@pytest.mark.usefixtures("time_to_end")
@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGKILL", "SIGBUS"])
def test_a_crash_is_told_by_its_signal(some: Path, name: str) -> None:
    program = f"import os, signal; input(); os.kill(os.getpid(), signal.{name})"
    error = stopped(ReadingProcess(command=stub(program)), some)
    assert error.how == "crashed" and f"was ended by {name}" in str(error)
    assert ("out of memory" in str(error)) == (name == "SIGKILL")


@pytest.mark.usefixtures("time_to_end")
def test_a_crash_before_the_question_is_told_too(some: Path) -> None:
    error = stopped(ReadingProcess(command=stub("raise SystemExit('no numpy here')")), some)
    assert error.how == "crashed" and "exit code 1 (no numpy here)" in str(error)


@pytest.mark.usefixtures("time_to_end")
def test_half_an_answer_is_none(some: Path) -> None:
    program = 'import os; input(); os.write(1, b\'{"origin": "tor\'); os._exit(0)'
    assert "exit code 0" in str(stopped(ReadingProcess(command=stub(program)), some))


@pytest.mark.parametrize("program", [f"import time; {first} time.sleep({HANGING})" for first in ("input();", "")])
def test_what_takes_too_long_is_stopped(some: Path, program: str) -> None:
    error = stopped(ReadingProcess(seconds=0.2, command=stub(program)), some)
    assert error.how == "hung" and "more than 0.2 seconds" in str(error)


def test_a_child_that_does_not_end_by_itself_is_ended(some: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It closes its output, so there will be no answer, and goes on, however long it is waited for."""
    whole = ReadingProcess._stop
    monkeypatch.setattr(ReadingProcess, "_stop", lambda self, patience=0.0: whole(self, patience / 50))
    program = f"import os, time; input(); os.close(1); time.sleep({HANGING})"
    error = stopped(ReadingProcess(command=stub(program)), some)
    assert error.how == "crashed" and "SIGKILL" in str(error)


@pytest.mark.usefixtures("time_to_end")
def test_after_a_crash_the_next_file_has_a_new_child(tmp_path: Path, some: Path) -> None:
    program = f"""
        import os, pathlib, signal
        been = pathlib.Path({str(tmp_path / "been")!r})
        input()
        if been.exists():
            print('{{"refused": "the second child"}}', flush=True)
            input()
        been.touch()
        os.kill(os.getpid(), signal.SIGSEGV)
    """
    with ReadingProcess(command=stub(program)) as process:
        with pytest.raises(ReadingStoppedError, match="SIGSEGV"):
            process.read(some)
        with pytest.raises(WeightsError, match="the second child"):
            process.read(some)


def test_a_fault_of_ours_is_no_message(some: Path) -> None:
    program = 'input(); print(\'{"fault": "Traceback: here"}\', flush=True); input()'
    with ReadingProcess(command=stub(program)) as process, pytest.raises(RuntimeError, match="Traceback: here"):
        process.read(some)


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("Contents('x', {'a': np.ones(1)}, {'fact': b'bytes'})", "bytes is not JSON serializable"),
    ],
)
def test_a_reader_that_fails_says_where_and_goes_on(some: Path, result: str, said: str) -> None:
    program = f"""
        import numpy as np
        from striate.weights.readers import Contents, safetensors_file
        from striate.weights.readers.__main__ import main
        whole = safetensors_file.read
        def failing(path):
            safetensors_file.read = whole
            return {result}
        safetensors_file.read = failing
        main()
    """
    with ReadingProcess(command=stub(program)) as process:
        with pytest.raises(RuntimeError, match=said):
            process.read(some)
        child = process._child
        assert process.read(some).arrays["x"].shape == (2,)
        assert process._child is child


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_no_child_and_no_folder_outlive_an_interrupt(tmp_path: Path, some: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    noted = tmp_path / "pid"
    child = (
        f"import os, pathlib, time; pathlib.Path({str(noted)!r}).write_text(str(os.getpid())); time.sleep({HANGING})"
    )
    program = f"""
        import sys
        from pathlib import Path
        from striate.weights.isolation import ReadingProcess
        whole = ReadingProcess._stop
        ReadingProcess._stop = lambda self, patience=0.0: whole(self, patience / 50)  # the child does not end by itself
        with ReadingProcess(seconds={HANGING}, command=[sys.executable, "-I", "-c", {child!r}]) as process:
            process.read(Path({str(some)!r}))
    """
    environment = os.environ | {"TMPDIR": str(temporary)}
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], env=environment, stderr=subprocess.PIPE
    ) as parent:
        while not noted.exists() or not noted.read_text():
            assert parent.poll() is None
            time.sleep(0.05)
        parent.send_signal(signal.SIGINT)
        assert b"KeyboardInterrupt" in parent.communicate(timeout=HANGING)[1]
    with pytest.raises(ProcessLookupError):
        os.kill(int(noted.read_text()), 0)
    assert list(temporary.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_parent_that_is_killed_leaves_no_folder_either(tmp_path: Path, some: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    program = f"""
        import os, signal
        from pathlib import Path
        from striate.weights.isolation import ReadingProcess
        with ReadingProcess(seconds={HANGING}) as process:
            process.read(Path({str(some)!r}))
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], env=os.environ | {"TMPDIR": str(temporary)})
    assert done.returncode == -signal.SIGKILL
    until = time.monotonic() + HANGING
    while list(temporary.iterdir()) and time.monotonic() < until:
        time.sleep(0.05)
    assert list(temporary.iterdir()) == []


def test_no_folder_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, some: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    with pytest.raises(OutputError, match="temporary folder"), ReadingProcess() as process:
        process.read(some)


# Limits


@LINUX
def test_memory_beyond_the_allowance_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.safetensors"
    save_file({"x": np.zeros(10**7, np.float32)}, path)
    error = stopped(ReadingProcess(memory=30 * 2**20), path)
    assert error.how == "memory" and "wants more memory than a file of 40," in str(error)
    with ReadingProcess(memory=300 * 2**20) as process:
        assert process.read(path).arrays["x"].shape == (10**7,)
        assert process.peak > 40 * 10**6


@LINUX
def test_after_a_refusal_of_memory_the_child_goes_on(tmp_path: Path, some: Path) -> None:
    path = tmp_path / "large.safetensors"
    save_file({"x": np.zeros(10**7, np.float32)}, path)
    with ReadingProcess(memory=30 * 2**20) as process:
        for _ in range(3):
            with pytest.raises(ReadingStoppedError):
                process.read(path)
            assert process.read(some).origin == "safetensors"


@LINUX
def test_the_child_limits_itself(tmp_path: Path) -> None:
    """What the system says of a running reader: no core dumps, an end to its time and to its memory."""
    request = {"path": str(tmp_path / "a"), "config": None, "origin": None, "seconds": 7, "memory": 10**8}
    (tmp_path / "a").write_bytes(b"nothing")
    command = [sys.executable, "-m", "striate.weights.readers"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path) as child:
        child.stdin.write(json.dumps(request).encode() + b"\n")
        child.stdin.flush()
        assert "is no file of weights" in json.loads(child.stdout.readline())["refused"]
        assert resource.prlimit(child.pid, resource.RLIMIT_CORE)[0] == 0
        used = psutil.Process(child.pid).cpu_times()
        assert 17 <= resource.prlimit(child.pid, resource.RLIMIT_CPU)[0] <= 17 + used.user + used.system
        allowed = resource.prlimit(child.pid, resource.RLIMIT_AS)[0]
        assert 10**8 < allowed < 2 * 10**9
        child.stdin.close()


# Damage


KINDS = [pytest.param(kind, id=kind) for kind in fuzz.KINDS]


def check(report: fuzz.Report) -> None:
    """Every mutant was read or refused in words; most damage is found; enough gets far enough to be read."""
    assert report.faults == [], str(report)
    assert report.unnamed == [], str(report)
    assert report.peak_memory < fuzz.PEAK, str(report)
    assert report.read + report.refused + report.memory + report.crashed + report.hung == report.mutants
    assert report.read > report.mutants * 0.03 and report.refused > report.mutants * 0.3, str(report)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_read_or_refused(kind: str) -> None:
    report = fuzz.fuzz(kind, 300)
    check(report)
    assert report.mutants == 300


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_damaged_files_are_read_or_refused(kind: str) -> None:
    report = fuzz.fuzz(kind, 2000, seed=1)
    check(report)
    assert report.mutants == 2000


def test_mutants_are_the_same_every_time() -> None:
    for kind in fuzz.KINDS:
        assert list(fuzz.mutants(kind, 50, 3)) == list(fuzz.mutants(kind, 50, 3))
        assert list(fuzz.mutants(kind, 50, 3)) != list(fuzz.mutants(kind, 50, 4))


def test_the_account_of_mutants_sees_faults_and_crashes(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", 2) + b"{}")
    report = fuzz.Report("safetensors")
    for program in (
        'print(\'{"fault": "Traceback"}\', flush=True); input()',
        "import os; os.abort()",
        'print(\'{"refused": ""}\', flush=True); input()',
    ):
        with ReadingProcess(command=stub(f"input()\n{program}")) as process:
            fuzz._count(report, process, path, None, None, "x")
    assert len(report.faults) == 1 and report.crashed == 1 and len(report.unnamed) == 1
    with pytest.raises(AssertionError):
        check(report)
