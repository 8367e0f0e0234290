"""Where the kernels come from, and that a process does without them whatever is in the way."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from striate.layers import Conv2d
from striate.ops.native import building, checking, kernels
from striate.ops.native.building import LEVELS, NotBuiltError, level_for, library_file
from tests.ops.native import levels, situations
from tests.ops.native.situations import SITUATIONS, Place, Situation, copying

REPOSITORY = Path(__file__).resolve().parents[3]
has_compiler = pytest.mark.skipif(not (shutil.which("cc") or shutil.which("gcc")), reason="there is no C compiler")
QUICK = {"no compiler", "compiler that fails"}


def library(level: str) -> Path:
    """The library for a level, in the cache of this session; built on the first call."""
    with library_file(level_for(level)) as path:
        assert path.is_relative_to(os.environ["STRIATE_CACHE"])
        return path


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A folder to set up a situation in, and a compiler that takes no time."""
    script = tmp_path / "good-cc"
    script.write_text(f"#!/bin/sh\n{copying(library('auto'))}\n")
    script.chmod(0o755)
    return Place(tmp_path, str(script), library)


@pytest.fixture(scope="session")
def losses() -> dict[str, list[float]]:
    """What torch alone makes of the steps."""
    with levels.computing_with("off"):
        return {"float32": situations.steps(low=False), "bfloat16": situations.steps(low=True)}


def start(place: Place, environment: dict[str, str], *, bound: bool = False) -> subprocess.Popen:
    settings = {**os.environ, "STRIATE_CACHE": str(place.cache), "STRIATE_NATIVE": "auto", **environment}
    command = [sys.executable, "-m", "tests.ops.native.situations"]
    if bound:
        if os.geteuid() == 0 and shutil.which("setpriv") is None:
            pytest.skip("NO setpriv: permissions do not bind the superuser")
        command = [*situations.bound(), *command]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=settings, cwd=REPOSITORY, text=True, **pipes)


def answer(process: subprocess.Popen, losses: dict[str, list[float]]) -> str:
    """What the process says of its kernels; its losses are those of torch alone, and it has nothing to complain of."""
    text, complaints = process.communicate(timeout=300)
    assert (process.returncode, complaints) == (0, "")
    found = json.loads(text)
    for kind, allowed in (("float32", 1e-4), ("bfloat16", 2e-2)):
        assert found[kind] == pytest.approx(losses[kind], rel=allowed)
    return found["said"]


@has_compiler
def test_whether_a_compiler_will_be_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    level = level_for("auto")
    library("auto")
    assert not building.will_be_compiled(level)
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path))
    assert building.will_be_compiled(level)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    assert not building.will_be_compiled(level)


def leftovers(place: Place) -> list[str]:
    """Files in the cache that are neither a library nor its sum."""
    return [p.name for p in (place.cache / "native").glob("*") if p.suffix not in (".so", ".sha256")]


@has_compiler
@pytest.mark.parametrize(
    "situation",
    [pytest.param(s, id=s.name, marks=[] if s.name in QUICK else pytest.mark.slow) for s in SITUATIONS],
)
def test_training_goes_on_and_says_how(situation: Situation, place: Place, losses) -> None:
    if situation.name == "without AVX512" and "avx2" not in levels.NAMES:
        pytest.skip("this processor has no AVX2")
    environment = situation.prepare(place)
    said = answer(start(place, environment, bound=situation.bound), losses)
    assert re.fullmatch(situation.said.format(level=place.level), said), said
    assert leftovers(place) == []


@pytest.mark.slow
@has_compiler
@pytest.mark.parametrize(
    "situation",
    [
        pytest.param(
            s,
            id=s.name,
        )
        for s in SITUATIONS
        if s.name.startswith("compiler")
    ],
)
def test_nothing_is_spoilt_for_who_comes_next(situation: Situation, place: Place, losses) -> None:
    """With a working compiler, after whatever was in the way before, there are kernels."""
    answer(start(place, situation.prepare(place)), losses)
    assert answer(start(place, {"CC": place.compiler}), losses) == f"kernels of Striate for {place.level}"


@pytest.mark.slow
@has_compiler
def test_a_damaged_library_is_replaced(place: Place, losses) -> None:
    place.keep("auto", b"a text")
    answer(start(place, {"CC": place.compiler}), losses)
    assert place.kept("auto").read_bytes() == library("auto").read_bytes()
    assert answer(start(place, place.no_compiler()), losses) == f"kernels of Striate for {place.level}"


@pytest.mark.slow
@has_compiler
def test_processes_that_build_at_once(place: Place, losses) -> None:
    """By the real compiler: each has a file of its own until it is whole, and all compute with the result."""
    running = [start(place, {}) for _ in range(3)]
    assert {answer(process, losses) for process in running} == {f"kernels of Striate for {place.level}"}
    assert leftovers(place) == []
    assert answer(start(place, place.no_compiler()), losses) == f"kernels of Striate for {place.level}"


@pytest.mark.slow
@has_compiler
def test_a_process_that_is_killed_while_it_builds_leaves_a_cache_that_works(place: Place, losses) -> None:
    process = start(place, place.script("sleep 1000"))
    while not list(place.cache.glob("native/.*.partial")):
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.communicate()
    assert answer(start(place, {"CC": place.compiler}), losses) == f"kernels of Striate for {place.level}"


@pytest.mark.slow
@has_compiler
@pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="mounts a tmpfs, as root on Linux"
)
@pytest.mark.parametrize("options", ["size=64k", "size=8m,noexec"])
def test_disks_that_are_full_or_hold_no_programs(options: str, place: Place, losses) -> None:
    place.cache.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(place.cache)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("NO TMPFS: this machine lets nobody mount one")
    try:
        said = answer(start(place, {"CC": place.compiler}), losses)
    finally:
        subprocess.run(["umount", "--lazy", place.cache], check=True)
    assert said.startswith(("kernels of Striate for ", "torch alone ("))


@pytest.mark.slow
@has_compiler
@pytest.mark.parametrize("situation", [pytest.param(s, id=s.name) for s in SITUATIONS if s.name in QUICK])
def test_a_network_is_trained(situation: Situation, place: Place, photo_folder) -> None:
    """By the command line, whose log says how it was computed."""
    photos = photo_folder(place.folder / "photos", per_class=10, size=32)
    words = ["train", str(photos), "--model", "mobilenet_v1_025", "--weights", "none", "--size", "32", "--epochs", "1"]
    settings = {**os.environ, "STRIATE_CACHE": str(place.cache), "STRIATE_NATIVE": "auto", **situation.prepare(place)}
    command = [sys.executable, "-m", "striate.cli", *words, "--out", str(place.folder / "run")]
    done = subprocess.run(command, env=settings, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0
    said = situation.said.format(level=place.level)
    assert re.search(f"(with|by) {said}", done.stderr), done.stderr


@pytest.mark.slow
@has_compiler
@pytest.mark.parametrize("level", [level.name for level in LEVELS])
def test_every_level_of_this_processor(level: str, place: Place, losses) -> None:
    """By the real compiler, the library of each level."""
    try:
        level_for(level)
    except NotBuiltError:
        wanted = f"torch alone (there are no kernels for this processor ({level}))"
    else:
        wanted = f"kernels of Striate for {level}"
    assert answer(start(place, {"STRIATE_NATIVE": level}), losses) == wanted


def test_a_wish_that_nobody_can_grant(place: Place, losses) -> None:
    said = answer(start(place, {"STRIATE_NATIVE": "fast"}), losses)
    assert said == "torch alone (STRIATE_NATIVE is 'fast'; it is auto, off or a level of instructions)"
    assert not place.cache.exists()


@has_compiler
@pytest.mark.parametrize(
    "around", ["torch.autocast('cpu', torch.bfloat16)", "torch.device('meta')", "torch.inference_mode()"]
)
def test_the_first_question_may_come_in_the_middle_of_a_step(around: str) -> None:
    program = f"import torch; from striate.ops.native import kernels\nwith {around}: print(kernels() is not None)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(kernels() is not None)


@has_compiler
def test_this_process_has_them() -> None:
    if os.environ.get("STRIATE_NATIVE", "auto") == "auto" and LEVELS:
        assert kernels() is not None


# Whether a library is what it should be


class Idle:
    """A library, one of whose functions does nothing."""

    def __init__(self, whole: object, name: str) -> None:
        self.whole, self.name = whole, name

    def __getattr__(self, name: str) -> object:
        return (lambda *words: 0) if name == self.name else getattr(self.whole, name)


FUNCTIONS = sorted(
    {
        name
        for source in building.SOURCES
        for name in re.findall(r"^(?:int|void) (\w+)\(", building._text(source).decode(), re.MULTILINE)
    }
    - {"pointwise_multiplies", "depthwise_rows"}  # the second is for other kernels
)


@has_compiler
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_library_whose_function_does_nothing_is_refused(function: str) -> None:
    whole = levels.built("auto")
    assert checking.first_difference(whole) == ""
    if function.startswith(("pointwise", "windows", "winograd")) and not whole.pointwise_multiplies():
        pytest.skip("this processor does not multiply bfloat16")
    # Fresh memory is filled then, so that nothing right lies there from the last time.
    torch.use_deterministic_algorithms(True)
    try:
        assert checking.first_difference(Idle(whole, function)) != ""
    finally:
        torch.use_deterministic_algorithms(False)


@has_compiler
def test_checking_leaves_no_trace_in_somebodys_random_numbers() -> None:
    torch.manual_seed(3)
    wanted = torch.randn(4)
    torch.manual_seed(3)
    checking.first_difference(levels.built("auto"))
    assert torch.equal(torch.randn(4), wanted)


@has_compiler
def test_a_step_without_kernels_never_asks_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation that nobody differentiates loads no library: torch is the faster one there."""
    monkeypatch.setattr("striate.ops.native.library.loaded", lambda: pytest.fail("the library was loaded"))
    convolve = Conv2d(8, 8, 5, padding="same", groups=8)
    with torch.no_grad():
        convolve(torch.randn(1, 8, 9, 9).contiguous(memory_format=torch.channels_last))


def test_a_compiler_that_takes_too_long_leaves_nobody_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "SECONDS", 0.5)
    compiler, child = tmp_path / "cc", tmp_path / "child"
    compiler.write_text(f"#!/bin/sh\nsleep 1000 &\necho $! > {child}\nwait\n")
    compiler.chmod(0o755)
    with pytest.raises(building.NotBuiltError, match="TimeoutExpired"):
        building._run([[str(compiler)], [str(compiler)]], str(tmp_path))
    state = Path(f"/proc/{child.read_text().strip()}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"
