"""C compilers: which there are, and how one is run so that it neither stays behind nor is waited for without end.

A compiler is known to work by the processor time it uses, never by a clock alone: on a slow or busy machine it takes as
long as it takes.
"""

import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

from striate.base.compiling.levels import NoKernelsError
from striate.base.hardware import cores

# The shell stands between: when the process that started it dies, however it dies, the pipe on its stdin ends, and it
# kills its whole group: the compiler and the programs that that has started.
_WATCHED = """
exec 3<&0
ulimit -S -t "$1" 2>/dev/null; shift
"$@" </dev/null 3<&- &
compiler=$!
{ read -r _ <&3; kill -9 0; } &
watcher=$!
wait "$compiler"; code=$?
kill -9 "$watcher"
exit "$code"
"""
_POLL = 0.02  # seconds
_SOON = 2.0  # seconds within which a version is told without a word about waiting


class RefusedError(NoKernelsError):
    """A compiler has answered, and will answer the same again."""


class OutOfMemoryError(NoKernelsError):
    """A compiler was killed, or could not get the memory that it wanted: by itself it may well do."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a compiler is given up.

    ``processor_seconds`` is what one unit may use: ten times what the slowest one takes on a slow machine (12 s).
    ``patience`` is for how many seconds a compiler may do without using any, and a build without getting on.
    """

    processor_seconds: int = 120
    patience: float = 600.0


@dataclass(frozen=True, slots=True)
class Compiler:
    """The words that start it, and what it says of its version."""

    command: tuple[str, ...]
    version: str

    @property
    def identity(self) -> str:
        """What two compilers that may compile differently differ in."""
        return f"{shlex.join(self.command)}\n{self.version}"

    @property
    def digest(self) -> str:
        """The identity in a word."""
        return hashlib.sha256(self.identity.encode(errors="surrogateescape")).hexdigest()[:16]


def there_is_one() -> bool:
    """Whether there is a compiler; nothing is started."""
    return bool(_commands())


def first() -> Compiler:
    """The compiler that ``CC`` names, else the system's, before anybody has asked its version.

    Raises:
        NoKernelsError: there is none.
    """
    if not (commands := _commands()):
        raise NoKernelsError("there is no C compiler; with one, such as gcc, training is up to four times as fast")
    return Compiler(commands[0], "")


def with_version(compiler: Compiler, limits: Limits, on_moment: Callable[[], None]) -> Compiler:
    """The compiler and what it says of its version; ``on_moment`` is called again and again until it does.

    Raises:
        NoKernelsError: it does not even do that.
    """
    with (
        TemporaryDirectory(prefix="striate-") as folder,
        Job([*compiler.command, "--version"], Path(folder), limits) as job,
    ):
        asked = time.monotonic()
        for now in each_moment():
            if job.has_ended():
                break
            if now - asked > _SOON:
                on_moment()
    return replace(compiler, version=job.output().strip())


def _commands() -> list[tuple[str, ...]]:
    found = []
    # Not clang, unless it is asked for: what it makes of OpenMP asks for another runtime than torch brings.
    for name in (os.environ.get("CC"), "cc", "gcc"):
        try:
            words = shlex.split(name or "")
        except ValueError:  # quotes that do not close
            continue
        if words and (path := shutil.which(words[0])):
            found.append((str(Path(path).absolute()), *words[1:]))  # it is started elsewhere
    return found


class Job:
    """A command under watch; a context manager that leaves nothing of it behind."""

    def __init__(self, command: Sequence[str], folder: Path, limits: Limits) -> None:
        self.command = tuple(command)
        self._limits = limits
        self._output: IO[bytes] = TemporaryFile()  # noqa: SIM115 - closed with the job
        shell = ["/bin/sh", "-c", _WATCHED, "sh", str(limits.processor_seconds), *command]
        try:
            self._process = subprocess.Popen(
                shell,
                cwd=folder,
                env={**os.environ, "LC_ALL": "C", "TMPDIR": str(folder)},
                stdin=subprocess.PIPE,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            self._output.close()
            raise NoKernelsError(f"no compiler can be started: {error.strerror or error}") from error
        self._used = -1.0
        self._since = time.monotonic()

    def __enter__(self) -> "Job":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()  # closes the pipe: if the shell was killed, whoever it watched ends now
        self._text = self._read()
        self._output.close()

    def has_ended(self) -> bool:
        """Whether it has ended well.

        Raises:
            RefusedError: it has ended otherwise, has used more processor time than it may, or does nothing.
            OutOfMemoryError: memory was short.
            NoKernelsError: the disk is full.
        """
        code = self._process.poll()
        if code == 0:
            return True
        if code is not None:
            raise self._failure(code)
        if time.monotonic() - self._since > self._limits.patience and not self.gets_on():
            idle = f"{self._limits.patience:.0f} s"
            raise RefusedError(f"the C compiler {self.command[0]} does nothing: it has used no processor for {idle}")
        return False

    def gets_on(self) -> bool:
        """Whether it has used processor time since it was asked last."""
        used = processor_seconds(self._process.pid)
        if used == self._used:
            return False
        self._used, self._since = used, time.monotonic()
        return True

    def output(self) -> str:
        """What it has said."""
        return self._text if self._output.closed else self._read()

    def _read(self) -> str:
        self._output.seek(0)
        return self._output.read().decode(errors="replace")

    def _failure(self, code: int) -> NoKernelsError:
        name, text = self.command[0], self.output()
        signalled = -code if code < 0 else code - 128
        if signalled == signal.SIGXCPU or "CPU time limit" in text:
            limit = self._limits.processor_seconds
            return RefusedError(f"the C compiler {name} has used {limit} s of processor time for one unit")
        for kind, signs in _SIGNS.items():
            for sign in signs:
                if sign in text:
                    return kind(f"the C compiler {name} fails: {sign.strip('[]').lower()}")
        if signalled == signal.SIGKILL:
            return OutOfMemoryError(f"the C compiler {name} was killed, perhaps for lack of memory")
        said = next((line for line in text.splitlines() if "error" in line), text.strip().partition("\n")[0])
        return RefusedError(f"the C compiler {name} fails: {said[:200] or f'it ends with {code} and says nothing'}")


# What compilers say when it is not the sources that they refuse.
_SIGNS: Mapping[type[NoKernelsError], tuple[str, ...]] = {
    NoKernelsError: ("No space left on device", "Disk quota exceeded", "Input/output error", "Stale file handle"),
    OutOfMemoryError: (
        *("out of memory", "memory exhausted", "Cannot allocate memory", "Resource temporarily unavailable"),
        *("Killed signal", "[Killed]", "Cannot fork"),
    ),
}


def run_all(
    commands: Mapping[str, Sequence[str]],
    folder: Path,
    limits: Limits,
    *,
    at_once: int | None = None,
    on_progress: Callable[[], None],
    on_moment: Callable[[], None],
    on_done: Callable[[str], None],
) -> dict[str, NoKernelsError]:
    """Run commands, at most as many at once as there are cores; whatever ends the wait for one ends them all.

    Args:
        commands: what to run, by a name.
        folder: where; also what they take for temporary files.
        limits: when one is given up.
        at_once: how many at once; None for as many as there are cores.
        on_progress: called now and then while at least one of them uses processor time.
        on_moment: called every second in any case.
        on_done: called with the name of each command that has ended well.

    Returns:
        Those for which memory was short, by name.

    Raises:
        NoKernelsError: another of them fails.
    """
    waiting, running, starved = list(commands), dict[str, Job](), dict[str, NoKernelsError]()
    most = at_once or cores()
    looked = time.monotonic()
    try:
        for now in each_moment():
            while waiting and len(running) < most:
                name = waiting.pop(0)
                running[name] = Job(commands[name], folder, limits)
            for name, job in list(running.items()):
                try:
                    if not job.has_ended():
                        continue
                    on_done(name)
                except OutOfMemoryError as error:
                    starved[name] = error
                with running.pop(name):
                    pass
            if now - looked > min(1.0, limits.patience / 10):
                looked = now
                working = [name for name, job in running.items() if job.gets_on()]  # each of them is asked
                if working:
                    on_progress()
                on_moment()
            if not waiting and not running:
                break
    finally:
        for job in running.values():
            with job:
                pass
    return starved


def each_moment() -> Iterator[float]:
    """The time, again and again, with a short sleep in between."""
    while True:
        yield time.monotonic()
        time.sleep(_POLL)


def processor_seconds(group: int) -> float:
    """Processor time that a group of processes, and what has ended below them, has used; 0 where nothing tells it."""
    used = 0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            fields = entry.read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[2]) == group:
                used += sum(map(int, fields[11:15]))
    return used / os.sysconf("SC_CLK_TCK")
