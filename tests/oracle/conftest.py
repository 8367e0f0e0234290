"""Programs of .venv-oracle that stay: what they import takes ten seconds, what they answer less than one."""

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


class Oracle:
    """A program that takes its questions line by line, each a list in JSON, and says a line after each.

    One that failed at a question is started anew for the next.
    """

    def __init__(self, command: list[str | Path], log: Path) -> None:
        self._command, self._log = command, log
        self._process: subprocess.Popen[str] | None = None

    def ask(self, *question: object) -> None:
        """Have the program do what the question says; what it answers lies in files."""
        if self._process is None:
            with self._log.open("w") as log:
                pipe = subprocess.PIPE
                self._process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, stderr=log, text=True)
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it ended, which its empty answer tells, too
            self._process.stdin.write(json.dumps(question, default=str) + "\n")
            self._process.stdin.flush()
        if self._process.stdout.readline() != "done\n":
            self.close()
            pytest.fail(self._log.read_text()[-3000:])

    def close(self) -> None:
        if self._process is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.communicate()
            self._process = None


@pytest.fixture(scope="session")
def oracle(oracle_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], Oracle]]:
    """``oracle(program)`` is that file, running in .venv-oracle until the last test."""
    started: dict[Path, Oracle] = {}

    def start(program: Path) -> Oracle:
        if program not in started:
            log = tmp_path_factory.mktemp("oracle") / "log"
            started[program] = Oracle([oracle_python, program], log)
        return started[program]

    yield start
    for each in started.values():
        each.close()
