"""From the C sources to a shared library in the cache folder, with whatever compiler there is.

The library has a plain C interface and includes neither torch nor Python, so one file serves every version of both.
It leaves the functions of OpenMP to be found in the process: torch brings them, and its threads are then ours, too.
"""

import hashlib
import os
import platform
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from striate.base.atomic import replace_file
from striate.base.errors import OutputError
from striate.base.folders import cache_folder
from striate.base.hardware import instructions

SOURCES = ("depthwise.c", "winograd.c", "chain.c", "dense.c", "norm.c", "pointwise.c", "pooling.c", "windows.c")
HEADERS = ("vectors.h", "depthwise.h", "panels.h", "products.h", "sweep.h")
FLAGS = ("-O3", "-fPIC", "-fopenmp", "-std=gnu11", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi")
SECONDS = 120.0


class NotBuiltError(Exception):
    """There is no library; the text is the reason in a few words."""


@dataclass(frozen=True, slots=True)
class Level:
    """One set of instructions that the sources are compiled for; ``needs`` are the processor's words for it."""

    name: str
    machine: str
    needs: frozenset[str]
    flags: tuple[str, ...]


LEVELS = (
    Level(
        "avx512bf16",
        "x86_64",
        frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_bf16"}),
        ("-march=x86-64-v4", "-mavx512bf16"),
    ),
    Level("avx512", "x86_64", frozenset({"avx512f", "avx512bw", "avx512dq", "avx512vl"}), ("-march=x86-64-v4",)),
    Level("avx2", "x86_64", frozenset({"avx2", "fma", "bmi2"}), ("-march=x86-64-v3",)),
    Level("neon", "aarch64", frozenset({"asimd"}), ()),
)
"""The best first."""


def level_for(wish: str) -> Level:
    """The best level that this processor has, or the one that ``wish`` names.

    Raises:
        NotBuiltError: the processor has none of them, or not the one that is wished for.
    """
    machine, has = platform.machine(), instructions()
    possible = [level for level in LEVELS if level.machine == machine and level.needs <= has]
    if wish != "auto":
        possible = [level for level in possible if level.name == wish]
    if not possible:
        raise NotBuiltError(f"there are no kernels for this processor ({wish if wish != 'auto' else machine})")
    return possible[0]


@contextmanager
def library_file(level: Level) -> Iterator[Path]:
    """The library for a level, from the cache folder or built now; without a cache folder it lives for the block.

    Raises:
        NotBuiltError: there is no compiler, or it fails.
    """
    with tempfile.TemporaryDirectory(prefix="striate-native-") as private:
        try:
            kept = _place(level)
            if not _whole(kept):
                kept.parent.mkdir(parents=True, exist_ok=True)
                _keep(level, kept)
        except (OSError, OutputError):  # the folder cannot be written to: build for this process alone
            kept = Path(private) / "kernels.so"
            _compile(level, kept)
        yield kept


def will_be_compiled(level: Level) -> bool:
    """Whether asking for the library of a level now takes the seconds of a compiler."""
    return bool(_compilers()) and not _whole(_place(level))


def forget(path: Path) -> None:
    """Take a library that cannot be used out of the cache folder, so that whoever comes next builds another."""
    with suppress(OSError):
        path.with_suffix(".sha256").unlink(missing_ok=True)


def _place(level: Level) -> Path:
    return cache_folder() / "native" / f"{level.name}-{_key(level)}.so"


def _key(level: Level) -> str:
    """What the library depends on, so that another version never takes this one's."""
    digest = hashlib.sha256(repr((FLAGS, level.flags, platform.machine())).encode())
    for name in (*SOURCES, *HEADERS):
        digest.update(_text(name))
    return digest.hexdigest()[:16]


def _text(name: str) -> bytes:
    return files("striate.ops.native").joinpath(name).read_bytes()


def _whole(path: Path) -> bool:
    """Whether the library is the one that was written: a damaged one would end the process that loads it."""
    try:
        return path.with_suffix(".sha256").read_text() == hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, UnicodeDecodeError):
        return False


def _keep(level: Level, path: Path) -> None:
    with replace_file(path) as partial:
        _compile(level, partial)
        digest = hashlib.sha256(partial.read_bytes()).hexdigest()
    with replace_file(path.with_suffix(".sha256")) as partial:
        partial.write_text(digest)


def _compile(level: Level, target: Path) -> None:
    if not (found := _compilers()):
        raise NotBuiltError("there is no C compiler")
    compiler = found[0]
    with tempfile.TemporaryDirectory(prefix="striate-native-") as folder:
        for name in (*SOURCES, *HEADERS):
            (Path(folder) / name).write_bytes(_text(name))
        objects = [f"{name}.o" for name in SOURCES]
        each = [compiler, *FLAGS, *level.flags, "-c"]
        _run([[*each, name, "-o", to] for name, to in zip(SOURCES, objects, strict=True)], folder)
        _run([[compiler, "-shared", *objects, "-o", str(target.absolute())]], folder)


def _compilers() -> list[str]:
    """The compilers that there are, the wished one first."""
    return [found for name in (os.environ.get("CC"), "cc", "gcc", "clang") if name and (found := shutil.which(name))]


def _run(commands: list[list[str]], folder: str) -> None:
    """Run compilers side by side. Whatever ends the wait for one, an interrupt too, ends them all."""
    name, running, deadline = commands[0][0], list[subprocess.Popen[str]](), time.monotonic() + SECONDS
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "errors": "replace"}
    try:
        for command in commands:
            running.append(subprocess.Popen(command, cwd=folder, start_new_session=True, **pipes))
        for process in running:
            _, errors = process.communicate(timeout=max(0.0, deadline - time.monotonic()))
            if process.returncode != 0:
                said = (errors.strip().splitlines() or ["it says nothing"])[0][:200]
                raise NotBuiltError(f"the C compiler {name} fails: {said}")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotBuiltError(f"the C compiler {name} cannot be run ({type(error).__name__})") from error
    finally:
        for process in running:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """A compiler that has not ended by itself, and the programs that it has started."""
    if process.poll() is None:
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
    with process:  # closes its pipes and waits for it
        pass
