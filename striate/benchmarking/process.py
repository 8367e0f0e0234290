"""A contender's process: how it is started, what is said to it, and how it ends.

It answers as `worker` says. Whoever asks says how long an answer may take; what a process has started itself, a
compiler say, ends with it.
"""

import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PATIENCE = 300.0
"""Seconds after which a process that does not answer is ended."""


@dataclass(frozen=True, slots=True)
class Contender:
    """What to compare: a name, what tables call it, and the command of a process that answers as `worker` says.

    ``environment`` is added to this process' own; ``folder`` is where the command runs, None for here. One that is
    many times slower than the others may have a turn in the first ``most_rounds`` rounds alone. ``memory`` is about how
    many bytes it will need, 0 if nobody knows.
    """

    name: str
    label: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    most_rounds: int | None = None
    memory: int = 0


class WorkerError(Exception):
    """A contender's process failed; the text is the reason in a few words."""


class LateError(WorkerError):
    """A contender's process took longer than it was given, and was ended."""


class Worker:
    """A contender's process; a context manager that ends it.

    Raises:
        WorkerError: it cannot be started.
    """

    def __init__(self, contender: Contender) -> None:
        self.contender = contender
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        try:
            self._process = subprocess.Popen(
                contender.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env={**os.environ, **contender.environment},
                cwd=contender.folder,
                text=True,
                encoding="utf-8",
                process_group=0 if _GROUPS else None,
            )
        except OSError as error:
            self._errors.close()
            raise WorkerError(f"cannot be started: {error.strerror or error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._process.communicate()
        self._errors.close()

    def tell(self, question: str) -> None:
        """Ask for something and don't wait.

        Raises:
            WorkerError: the process has ended.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(question + "\n")
            self._process.stdin.flush()
        except OSError:
            raise WorkerError(self._last_words()) from None

    def answer(self, patience: float = PATIENCE) -> dict[str, Any]:
        """Wait for the answer to the question before, at most ``patience`` seconds.

        Raises:
            LateError: there was none by then; the process is ended.
            WorkerError: the process has failed or ended.
        """
        assert self._process.stdout is not None
        late = threading.Event()

        def give_up() -> None:
            late.set()
            self._end()

        timer = threading.Timer(max(0.0, patience), give_up)
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
            timer.join()
        if late.is_set():
            raise LateError(f"did not answer within {patience:.0f} s")
        if not line:
            raise WorkerError(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def ask(self, question: str, patience: float = PATIENCE) -> dict[str, Any]:
        """Ask, and wait for the answer; raises as `tell` and `answer` do."""
        self.tell(question)
        return self.answer(patience)

    def processor_seconds(self) -> float:
        """Processor time that the process has used so far; 0 where the system has no ``/proc`` to tell it."""
        try:
            text = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return 0.0
        fields = text.rpartition(")")[2].split()  # the name before may hold anything
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _end(self) -> None:
        """End the process and all that it started; a compiler left behind would slow down who comes next."""
        if self._process.poll() is not None:
            return
        if _GROUPS:
            with suppress(ProcessLookupError, PermissionError):  # it ended this very moment
                os.killpg(self._process.pid, signal.SIGKILL)
        else:
            self._process.kill()

    def _last_words(self) -> str:
        """Why the process has ended."""
        code = self._process.wait()
        if code == -signal.SIGKILL:
            return "was killed, perhaps for lack of memory"
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"ended with {code}: {lines[-1][:200] if lines else 'it said nothing'}"


_GROUPS = hasattr(os, "killpg")
