"""What an installation brings along."""

import subprocess
import sys
from pathlib import Path

import pytest

from striate.base.compiling import installing, keeping
from striate.base.compiling.levels import LEVELS, possible

REPOSITORY = Path(__file__).resolve().parents[3]


def build(folder: Path) -> tuple[list[str], list[str]]:
    said: list[str] = []
    return [path.name.partition("-")[0] for path in installing.build(folder, said.append)], said


def test_the_best_level_of_this_processor(scripted, tmp_path, monkeypatch):
    monkeypatch.delenv("STRIATE_NATIVE", raising=False)
    best = possible()[0]
    made, said = build(tmp_path / "built")
    assert made == [best.name]
    assert len(said) == 1
    assert build(tmp_path / "built") == ([best.name], [])  # it is there already
    assert keeping.library_in(tmp_path / "built", best)


def test_levels_for_the_processors_of_others(scripted, tmp_path, monkeypatch):
    monkeypatch.setenv("STRIATE_NATIVE", "avx2,avx512")
    assert build(tmp_path / "built")[0] == ["avx512", "avx2"]


def test_none_for_other_machines(scripted, tmp_path, monkeypatch):
    """Their units would hold this machine's code."""
    monkeypatch.setattr(installing.platform, "machine", lambda: "riscv64")
    monkeypatch.setenv("STRIATE_NATIVE", "avx2,neon")
    made, (said,) = build(tmp_path / "built")
    assert made == [] and "no such kernels for linux on riscv64" in said


def test_who_asks_again_has_another_try(scripted, tmp_path, monkeypatch):
    monkeypatch.delenv("STRIATE_NATIVE", raising=False)
    scripted.does("echo 'x.c:1: error: stdint.h: No such file'; exit 1")
    assert build(tmp_path / "built")[0] == []
    scripted.does()
    assert build(tmp_path / "built")[0] == [possible()[0].name]


def test_none_if_it_is_off(scripted, tmp_path, monkeypatch):
    monkeypatch.setenv("STRIATE_NATIVE", "off")
    assert build(tmp_path / "built") == ([], ["no kernels are built: STRIATE_NATIVE is off"])
    assert not (tmp_path / "built").exists()


@pytest.mark.parametrize("script", ["echo 'x.c:1: error: bad'; exit 1", "kill -9 $$"])
def test_what_fails_is_said(script, scripted, tmp_path):
    scripted.does(script)
    made, said = build(tmp_path / "built")
    assert made == []
    assert said[-1].startswith(f"no kernels are built for {possible()[0].name}: the C compiler")


def test_a_folder_that_cannot_be_is_said(scripted, tmp_path):
    (tmp_path / "built").write_text("a file")
    made, said = build(tmp_path / "built")
    assert made == []
    assert "cannot be kept" in said[-1]


def test_it_needs_nothing_but_the_standard_library():
    """What a build of the package imports, in an interpreter that sees no other packages."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from striate.base.compiling import installing, sources\n"
        "assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules)\n"
        "print(sources.INSTALLED)"
    )
    command = [sys.executable, "-I", "-S", "-c", program, str(REPOSITORY)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == str(REPOSITORY / "striate" / "ops" / "native" / "built")


@pytest.mark.parametrize("missing", ["fcntl", "resource", "grp", "pwd"])
def test_where_modules_of_unix_are_missing_it_imports(missing):
    """As on Windows, where none of them is there and no level is possible."""
    program = (
        f"import sys; sys.path.insert(0, sys.argv[1]); sys.modules[{missing!r}] = None\n"
        "import platform; platform.machine = lambda: 'AMD64'\n"
        "from striate.base.compiling import installing\n"
        "from pathlib import Path\n"
        "print(installing.build(Path('nowhere'), print))"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program, str(REPOSITORY)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "no kernels are built: there are no kernels for this processor (AMD64)\n[]\n"


def test_every_source_is_compiled_or_included():
    """A unit or header that is not listed would not be built, or not change the key."""
    from striate.base.compiling.sources import FOLDER, HEADERS, UNITS

    assert {path.name for path in FOLDER.glob("*.c")} == set(UNITS)
    assert {path.name for path in FOLDER.glob("*.h")} == set(HEADERS)
    assert len(LEVELS) == len({level.name for level in LEVELS})
