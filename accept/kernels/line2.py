"""Once: however slow the compiler, however many ask, and wherever a build is cut off."""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from accept import Check
from accept.commands import STRIATE
from striate.base.compiling.levels import possible
from striate.base.compiling.sources import UNITS, library_name
from striate.base.hardware import cores
from tests.conftest import draw_photo_folder
from tests.ops.native.situations import bare_package

SLEEP, BUSY, TOGETHER, KILLS = 150, 4, 10, 10
WORDS = ("--model", "mobilenet_v1_025", "--weights", "none", "--size", "64", "--epochs", "1", "--batch-size", "10")
ASK = "from striate.ops.native import description; print(description())"
WRAPPER = """#!/bin/sh
case "$*" in *--version) exec gcc --version ;; esac
mkdir {folder}/asked.first 2>/dev/null && sleep {seconds}
for word; do case "$before" in -c) echo "$word" >> {folder}/compiled ;; esac; before=$word; done
exec gcc "$@"
"""


def checks() -> Iterator[Check]:
    with tempfile.TemporaryDirectory(prefix="striate-once-") as name:
        folder = bare_package(Path(name))
        draw_photo_folder(folder / "photos", per_class=20, size=64)
        yield _trained("2.sleeps", _place(folder, "sleeps", SLEEP))
        with _busy(BUSY * cores()):
            yield _trained("2.busy", _place(folder, "busy", 0))
        yield _together(_place(folder, "together", 0))
        yield from _killed(_place(folder, "killed", 0))


def _place(folder: Path, name: str, seconds: int) -> dict[str, str]:
    """The environment of a user who has nothing yet, whose compiler notes what it compiles."""
    own = folder / name
    own.mkdir()
    compiler = own / "cc"
    compiler.write_text(WRAPPER.format(folder=own, seconds=seconds))
    compiler.chmod(0o755)
    return {**os.environ, "CC": str(compiler), "STRIATE_CACHE": str(own / "cache"), "STRIATE_NATIVE": "auto"}


def _own(environment: Mapping[str, str]) -> Path:
    return Path(environment["CC"]).parent


def _compiled(environment: Mapping[str, str]) -> list[str]:
    log = _own(environment) / "compiled"
    return [Path(line).name for line in log.read_text().splitlines()] if log.exists() else []


def _trained(id: str, environment: dict[str, str]) -> Check:
    """Of two runs the first waits for its kernels, and the second has them at once."""
    own, said = _own(environment), []
    for run in ("first", "second"):
        started = time.monotonic()
        command = [*STRIATE, "train", str(own.parent / "photos"), "--out", str(own / run), *WORDS]
        done = subprocess.run(command, cwd=own.parent, env=environment, capture_output=True, text=True)
        ended = done.returncode == 0 and f"kernels of Striate for {possible()[0].name}" in done.stderr
        waited = "compiling kernels" in done.stderr
        took = time.monotonic() - started
        said.append((ended and waited == (run == "first"), f"{run} {took:.0f} s, {'waits' if waited else 'at once'}"))
    got = "; ".join(text for _, text in said)
    once = sorted(_compiled(environment)) == sorted(UNITS)
    return Check(id, "both end with kernels", got, once and all(good for good, _ in said))


@contextmanager
def _busy(count: int) -> Iterator[None]:
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def _together(environment: dict[str, str]) -> Check:
    started = [_asking(environment) for _ in range(TOGETHER)]
    said = {process.communicate()[0].strip() for process in started}
    counts = sorted(_compiled(environment))
    wanted = {f"kernels of Striate for {possible()[0].name}"}
    got = f"{len(counts)} units compiled, {'; '.join(sorted(said))}"
    return Check("2.together", f"each of {len(UNITS)} units once", got, said == wanted and counts == sorted(UNITS))


def _asking(environment: dict[str, str]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", ASK]
    return subprocess.Popen(command, cwd=_own(environment).parent, env=environment, stdout=subprocess.PIPE, text=True)


def _killed(environment: dict[str, str]) -> Iterator[Check]:
    native = _own(environment) / "cache" / "native"
    drawn, alive, again = random.Random(0), 0, 0
    for _ in range(KILLS):
        before = {path.name for path in native.glob("units/*.o")}
        finished, compiled = len(before), len(_compiled(environment))
        process = _asking(environment)
        while len(_compiled(environment)) <= compiled and process.poll() is None:
            time.sleep(0.01)
        time.sleep(drawn.uniform(0, 1.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(1.0)
        alive += len(_compilers(native))
        again += sum(
            Path(unit).stem in {name.rpartition("-")[0] for name in before}
            for unit in _compiled(environment)[compiled:]
        )
        if (native / library_name(possible()[0])).exists():
            break
        del finished
    yield Check("2.killed.alive", "no compiler a second later", f"{alive} after {KILLS} kills", not alive)
    yield Check("2.killed.units", "no finished unit again", f"{again} compiled again", not again)
    said = _asking(environment).communicate()[0].strip()
    yield Check("2.killed.next", "kernels", said, said.startswith("kernels of Striate"))
    week = time.time() - 7 * 24 * 3600
    for path in native.glob(".building-*"):
        os.utime(path, (week, week))
    (native / library_name(possible()[0])).unlink()
    _asking(environment).communicate()
    left = sorted(str(path.relative_to(native)) for path in native.rglob("*") if path.is_file())
    got = ", ".join(left)
    good = len(left) == 2 and all(name.startswith(library_name(possible()[0])) for name in left)
    yield Check("2.killed.left", "nothing partial a week later", got, good)


def _compilers(native: Path) -> list[str]:
    """Programs that have to do with this folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(native) in words:
            found.append(words)
    return found
