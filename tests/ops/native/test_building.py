"""Where the kernels come from, and that a process does without them whatever is in the way."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from striate.ops.native import kernels
from striate.ops.native.building import LEVELS, NotBuiltError, level_for

PROGRAM = """
import torch
from striate.layers import Conv2d
from striate.ops.native import description
conv = Conv2d(8, 8, 5, stride=2, padding="same", groups=8)
conv(torch.randn(2, 8, 9, 9).contiguous(memory_format=torch.channels_last)).sum().backward()
assert conv.weight.grad.isfinite().all()
print(description())
"""

has_compiler = pytest.mark.skipif(not (shutil.which("cc") or shutil.which("gcc")), reason="there is no C compiler")


def start(cache: Path, **environment: str) -> subprocess.Popen:
    settings = {**os.environ, "STRIATE_CACHE": str(cache), "STRIATE_NATIVE": "auto", **environment}
    return subprocess.Popen([sys.executable, "-c", PROGRAM], env=settings, stdout=subprocess.PIPE, text=True)


def said(cache: Path, **environment: str) -> str:
    process = start(cache, **environment)
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return text.strip()


def test_without_a_compiler(tmp_path: Path) -> None:
    assert said(tmp_path, PATH=str(tmp_path), CC="") == "torch alone (there is no C compiler)"


def test_a_compiler_that_fails(tmp_path: Path) -> None:
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\necho 'no such target' >&2\nexit 1\n")
    broken.chmod(0o755)
    assert said(tmp_path, CC=str(broken)) == f"torch alone (the C compiler {broken} fails: no such target)"
    assert not list((tmp_path / "native").iterdir())


def test_switched_off_and_wishes_nobody_can_grant(tmp_path: Path) -> None:
    assert said(tmp_path, STRIATE_NATIVE="off") == "torch alone (STRIATE_NATIVE is off)"
    assert "STRIATE_NATIVE is 'fast'" in said(tmp_path, STRIATE_NATIVE="fast")
    assert not (tmp_path / "native").exists()


@pytest.mark.slow
@has_compiler
def test_built_once_kept_and_built_again_when_damaged(tmp_path: Path) -> None:
    wanted = f"kernels of Striate for {level_for('auto').name}"
    first, second = start(tmp_path), start(tmp_path)  # at once: each has a file of its own until it is whole
    assert [process.communicate(timeout=120)[0].strip() for process in (first, second)] == [wanted, wanted]
    (kept,) = (tmp_path / "native").glob("*.so")
    bytes_before = kept.read_bytes()
    assert said(tmp_path, PATH=str(tmp_path), CC="") == wanted  # no compiler is needed any more
    kept.write_bytes(bytes_before[: len(bytes_before) // 2])
    assert said(tmp_path) == wanted
    assert len(kept.read_bytes()) == len(bytes_before)


@pytest.mark.slow
@has_compiler
def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "native").write_text("in the way")
    assert said(tmp_path) == f"kernels of Striate for {level_for('auto').name}"


@pytest.mark.slow
@has_compiler
@pytest.mark.parametrize("level", [level.name for level in LEVELS])
def test_every_level_of_this_processor(level: str, tmp_path: Path) -> None:
    try:
        level_for(level)
    except NotBuiltError:
        assert (
            said(tmp_path, STRIATE_NATIVE=level) == f"torch alone (there are no kernels for this processor ({level}))"
        )
    else:
        assert said(tmp_path, STRIATE_NATIVE=level) == f"kernels of Striate for {level}"


@has_compiler
@pytest.mark.parametrize("around", ["torch.autocast('cpu', torch.bfloat16)", "torch.device('meta')"])
def test_the_first_question_may_come_in_the_middle_of_a_step(around: str) -> None:
    program = f"import torch; from striate.ops.native import kernels\nwith {around}: print(kernels() is not None)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(kernels() is not None)


@has_compiler
def test_this_process_has_them() -> None:
    if os.environ.get("STRIATE_NATIVE", "auto") == "auto" and LEVELS:
        assert kernels() is not None
