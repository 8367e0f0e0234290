"""The command line as a user meets it: words in; exit code, stdout and stderr out."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import HANGING

NOBODY = 65534
FAST = {"--model": "lenet5", "--epochs": "1", "--workers": "0"}
"""What makes a training take a tenth of a second."""


@dataclass(frozen=True)
class Answer:
    """What one command line came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Stdout, which must be one JSON object and nothing else, in one line."""
        assert self.out.count("\n") == 1 and self.out.endswith("\n"), self.out
        return json.loads(self.out, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))

    def refuses(self, *words: str) -> None:
        """Assert that the user is told, in one paragraph that holds all of ``words``, and that nothing was answered."""
        assert self.code == 2, self
        assert self.err.startswith("striate: ") and "Traceback" not in self.err, self
        assert self.err.count("\n\n") == 0 and self.err.endswith("\n"), self.err
        assert not re.search(r"[^\n -~À-ɏ]", self.err), ascii(self.err)  # what a terminal might obey
        for word in words:
            assert word in self.err, (word, self.err)
        assert self.out == "" or set(json.loads(self.out)) == {"error"}, self.out


Striate = Callable[..., Answer]


@pytest.fixture
def striate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Striate:
    """Run one command line in this process, in an empty folder; a fault of ours comes through as it is."""
    from striate.cli import main

    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> Answer:
        capfd.readouterr()
        code = main([str(word) for word in words])
        return Answer(code, *capfd.readouterr())

    return run


@pytest.fixture
def train(striate: Striate) -> Striate:
    """Train on the folder given, quickly; more flags go over that."""
    return lambda data, *flags: striate("train", data, *fast(flags), *flags)


def fast(flags: Sequence[object] = ()) -> list[str]:
    return [word for flag, value in FAST.items() if flag not in flags for word in (flag, value)]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start ``python -m striate.cli`` for what cannot be shown in this process (it costs seconds).

    One that hangs is ended, so that whoever waits for its end or its next line waits no longer.
    """
    with contextlib.ExitStack() as ends:

        def start(*words: object, wrap: tuple[str, ...] = (), **environment: str) -> subprocess.Popen[str]:
            command = [*wrap, sys.executable, "-m", "striate.cli", *map(str, words)]
            env = {**os.environ, **environment}
            job = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=-1, stderr=-1, text=True, encoding="utf-8")
            ends.enter_context(job)
            ends.callback(job.kill)
            clock = threading.Timer(HANGING, job.kill)
            ends.callback(clock.cancel)
            clock.start()
            return job

        yield start


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory, photo_folder: Callable[..., Path]) -> Path:
    """Two classes of 12 pictures, 24x24; not to be changed."""
    return photo_folder(tmp_path_factory.mktemp("drawn") / "photos", per_class=12, size=24)


@pytest.fixture
def photos(drawn: Path, tmp_path: Path) -> Path:
    """The same, to spoil: ``disc/0000.jpg`` to ``square/0011.png``."""
    return shutil.copytree(drawn, tmp_path / "photos")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, drawn: Path) -> Path:
    """The folder of a finished run on ``drawn``; not to be changed."""
    from striate.cli import main

    run = tmp_path_factory.mktemp("trained") / "run"
    assert main(["train", str(drawn), *fast(), "--out", str(run), "--quiet"]) == 0
    return run


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """The same, to spoil."""
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def open_folder(drawn: Path) -> Iterator[Path]:
    """A folder that any user may read and write, with ``photos`` in it (pytest's own are root's alone)."""
    with tempfile.TemporaryDirectory(prefix="striate-open-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        shutil.copytree(drawn, folder / "photos")
        folder.chmod(0o777)
        yield folder
        for path in (folder, *folder.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o777)


@pytest.fixture
def as_nobody() -> Callable[[], contextlib.AbstractContextManager[None]]:
    """``with as_nobody():`` lets a block run without root's rights."""
    return _as_nobody


@contextlib.contextmanager
def _as_nobody() -> Iterator[None]:
    """Without root's right to read and write everything; root remains the saved user, so there is a way back."""
    if os.getuid() != 0:
        yield
        return
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"NO SMALL DISK: cannot mount one ({mounted.stderr.strip()})")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.fixture
def fill() -> Callable[[Path], Path]:
    """``fill(disk)`` writes zeros until the disk is full, and returns the file that holds them."""

    def write(disk: Path) -> Path:
        path = disk / "zeros"
        with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        return path

    return write


@pytest.fixture
def leftovers() -> Callable[[Path], list[str]]:
    """``leftovers(folder)`` names what a run may have left below it: runs, and files that were being written."""
    names = ("*.partial", "runs", "recipe.toml", "metrics.jsonl", "last.safetensors")
    return lambda folder: sorted(str(path.relative_to(folder)) for name in names for path in folder.rglob(name))
