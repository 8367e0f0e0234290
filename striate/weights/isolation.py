"""Reading in a child process, so that no file can harm, hang or fill the process that asked for it.

Formats are parsed by libraries that were not written for hostile files. A child with limits of time and memory does
it, in a private folder that is removed with everything in it, however the child ends. What crosses back is plain:
the arrays as a safetensors file, the rest as JSON. `striate.weights.readers.__main__` is the child's side.
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

from safetensors.numpy import load

from striate.base.errors import OutputError, WeightsError
from striate.weights.foreign import Foreign, Origin

SECONDS = 60.0  # and one more for each MB of the file
MEMORY = 512 * 2**20  # bytes beyond what the child has when it begins, and 6 more for each byte of the file
ARRAYS = "arrays.safetensors"  # in the child's folder

_LONGEST_MESSAGE = 1000
_SETTINGS = {
    "OMP_NUM_THREADS": "1",  # a thread takes address space, which is limited, and reading needs one
    "OPENBLAS_NUM_THREADS": "1",
    "HDF5_PLUGIN_PRELOAD": "::",  # HDF5 loads no libraries that a file asks for
}
# -I keeps Python from importing out of the folder it runs in; the child finds modules exactly where this process does.
# Its questions end when this process does; if that was killed, the child takes the folder with it.
_PROGRAM = """
import os, shutil, sys
sys.path[:] = sys.argv[1:]
from striate.weights.readers.__main__ import main
main()
shutil.rmtree(os.getcwd(), ignore_errors=True)
"""


class ReadingStoppedError(WeightsError):
    """The child was stopped or ended by itself; ``how`` it did."""

    def __init__(self, message: str, how: Literal["crashed", "hung", "memory"]) -> None:
        super().__init__(message)
        self.how = how


class ReadingProcess:
    """A child process that reads files of weights one after the other; it is started anew when one was its end.

    Args:
        seconds: the limit for each file, instead of `SECONDS` and what its size adds.
        memory: bytes for each file beyond what the child begins with, instead of `MEMORY` and what its size adds.
            Where the system has no such limit (macOS, Windows) there is none.
        command: the program that answers, instead of the readers.

    ``peak`` is the most memory in bytes that any answer reported, 0 where the system does not say.

    Example:
        >>> with ReadingProcess(seconds=10) as process:  # doctest: +SKIP
        ...     weights = [process.read(path) for path in paths]
    """

    def __init__(
        self, *, seconds: float | None = None, memory: int | None = None, command: Sequence[str] | None = None
    ) -> None:
        self.peak = 0
        self._seconds = seconds
        self._memory = memory
        self._command = command or [sys.executable, "-I", "-c", _PROGRAM, *map(os.path.abspath, sys.path)]
        self._child: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None

    def __enter__(self) -> Self:
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="striate-reading-"))
        except OSError as error:
            raise OutputError(f"cannot make a temporary folder: {error.strerror or error}; set TMPDIR") from error
        return self

    def __exit__(self, *raised: object) -> None:
        self._stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def read(
        self, path: Path, *, config: Path | None = None, origin: Origin | None = None, state: str | None = None
    ) -> Foreign:
        """Read one file; with ``origin`` it is taken for that format, whatever it looks like.

        Raises:
            WeightsError: see `striate.weights.reading.read`; a `ReadingStoppedError` if the child did not survive it.
            RuntimeError: a reader has a fault; the text is its traceback.
        """
        shown = os.fsencode(path).decode("utf-8", "backslashreplace")
        size, sha256 = _examined(path, shown)
        seconds = SECONDS + size / 1e6 if self._seconds is None else self._seconds
        request = {
            "path": os.path.abspath(path),  # noqa: PTH100 - the link itself, its target may have another name
            "config": None if config is None else os.path.abspath(config),  # noqa: PTH100
            "origin": origin,
            "state": state,
            "seconds": seconds,
            "memory": MEMORY + 6 * size if self._memory is None else self._memory,
        }
        answer = self._asked(request, shown, seconds)
        self.peak = max(self.peak, answer.get("peak", 0))
        if "fault" in answer:
            raise RuntimeError(f"{shown}: a reader has a fault\n{answer['fault']}")
        if "memory" in answer:
            raise ReadingStoppedError(
                f"{shown}: reading it wants more memory than a file of {size:,} bytes should; it is damaged, or made "
                "to fill the memory",
                "memory",
            )
        if "refused" in answer:
            reason = answer["refused"].removeprefix(request["path"]).removeprefix(":").lstrip()
            raise WeightsError(f"{shown}: {_plain(reason)}")
        arrays = self._place() / ARRAYS
        numbers = load(arrays.read_bytes())
        arrays.unlink()
        return Foreign(
            path=path,
            origin=answer["origin"],
            container=answer["container"],
            arrays={name: numbers[str(index)] for index, name in enumerate(answer["names"])},
            sha256=sha256,
            facts=answer["facts"],
        )

    def _place(self) -> Path:
        if self._folder is None:
            raise RuntimeError("a ReadingProcess is used inside `with`")
        return self._folder

    def _asked(self, request: dict[str, Any], shown: str, seconds: float) -> dict[str, Any]:
        """One line there, one line back; no line back is the child's end, by itself or by the clock."""
        child = self._started()
        assert child.stdin is not None
        assert child.stdout is not None
        late = threading.Event()

        def end() -> None:
            late.set()
            child.kill()

        clock = threading.Timer(seconds, end)
        clock.daemon = True
        clock.start()
        line = b""
        try:
            child.stdin.write(json.dumps(request).encode() + b"\n")
            child.stdin.flush()
            line = child.stdout.readline()
        except BrokenPipeError:
            pass  # it ended before it was asked
        finally:
            clock.cancel()
            if late.is_set() or not line.endswith(b"\n"):
                code = self._stop(patience=10.0)  # one that closed its output is about to end: how is worth knowing
        if line.endswith(b"\n"):
            return json.loads(line)
        if late.is_set():
            raise ReadingStoppedError(
                f"{shown}: reading it took more than {seconds:g} seconds and was stopped; it is damaged, or made to "
                "keep a reader busy",
                "hung",
            )
        raise ReadingStoppedError(f"{shown}: {_ended(code, self._place())}", "crashed")

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._child is None:
            folder = self._place()
            with (folder / "log").open("wb") as log:
                self._child = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    cwd=folder,
                    env=os.environ | _SETTINGS,
                )
        return self._child

    def _stop(self, patience: float = 0.0) -> int:
        """The child's exit code; if it does not end by itself within ``patience`` seconds it is ended."""
        if self._child is None:
            return 0
        child, self._child = self._child, None
        try:
            code = child.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            child.kill()
            code = child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # a request that it never took
                    pipe.close()
        return code


def _examined(path: Path, shown: str) -> tuple[int, str]:
    """Size and SHA-256 of a file that is one."""
    try:
        about = path.stat()
        if stat.S_ISDIR(about.st_mode):
            raise WeightsError(f"{shown}: is a folder; give the file of weights")
        if not stat.S_ISREG(about.st_mode):
            raise WeightsError(f"{shown}: is a pipe or a device; weights are read from files")
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise WeightsError(f"{_plain(shown)}: cannot be read: {reason or error}") from error
    if about.st_size == 0:
        raise WeightsError(f"{shown}: is empty")
    return about.st_size, sha256


def _ended(code: int, folder: Path) -> str:
    """How a child came to its end, in words."""
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        memory = "; the system may have run out of memory" if name == "SIGKILL" else ""
        return f"its reader was ended by {name}{memory}. The file is damaged, or made to do that"
    words = (folder / "log").read_bytes()[-2000:].decode("utf-8", "backslashreplace").strip().splitlines()
    said = f" ({_plain(words[-1])})" if words else ""
    return f"its reader ended by itself with the exit code {code}{said}"


def _plain(text: str) -> str:
    """Text out of a file as one paragraph for people: no control characters, not endless."""
    text = "".join(letter if letter.isprintable() else " " if letter.isspace() else "?" for letter in text)
    return text if len(text) <= _LONGEST_MESSAGE else f"{text[:_LONGEST_MESSAGE]} ..."
