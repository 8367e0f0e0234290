"""What lies in a folder of kernels, and of whom one is loaded."""

import os
import time
from pathlib import Path

import pytest

from striate.base.compiling import keeping, places
from striate.base.compiling.keeping import keep, library_in, remember, remembered, sweep
from striate.base.compiling.levels import LEVELS
from striate.base.compiling.sources import library_name

LEVEL, OTHER = LEVELS[:2]
AS_ROOT = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="gives files away, as root")


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A library that is kept in a folder."""
    folder = tmp_path / "native"
    folder.mkdir()
    made = folder / "made"
    made.write_bytes(b"a library")
    keep(made, folder / library_name(LEVEL))
    return folder / library_name(LEVEL)


def test_a_library_is_found_in_its_folder_for_its_level(kept):
    assert library_in(kept.parent, LEVEL) == kept
    assert library_in(kept.parent, OTHER) is None
    assert library_in(kept.parent / "elsewhere", LEVEL) is None


@pytest.mark.parametrize("content", [b"", b"a librar", b"a librarz", b"a library."])
def test_one_that_is_not_whole_is_not(content, kept):
    kept.write_bytes(content)
    assert library_in(kept.parent, LEVEL) is None


@pytest.mark.parametrize("text", [None, b"", b"0" * 64, b"\xff\xfe"])
def test_nor_one_whose_sum_is_another_or_none(text, kept):
    sum_of = kept.with_name(f"{kept.name}.sha256")
    sum_of.unlink() if text is None else sum_of.write_bytes(text)
    assert library_in(kept.parent, LEVEL) is None


@pytest.mark.parametrize("what", ["library", "folder"])
@pytest.mark.parametrize("mode", [0o002, 0o020])
def test_nor_one_that_others_may_write(what, mode, kept, monkeypatch):
    monkeypatch.setattr(places, "_is_own", lambda group, user: False)
    path = kept if what == "library" else kept.parent
    path.chmod(path.stat().st_mode | mode)
    assert library_in(kept.parent, LEVEL) is None
    assert "may be written to by others" in places.distrust(path)


def test_a_group_of_ones_own_is_no_other(kept):
    kept.chmod(0o664)
    os.chown(kept, -1, os.getegid())
    assert (library_in(kept.parent, LEVEL) == kept) == places._is_own(os.getegid(), os.geteuid())


@AS_ROOT
@pytest.mark.parametrize("what", ["library", "folder"])
def test_nor_one_of_another_user(what, kept):
    os.chown(kept if what == "library" else kept.parent, 12345, -1)
    assert library_in(kept.parent, LEVEL) is None


def test_a_folder_in_the_way_of_a_library_goes(tmp_path):
    (tmp_path / "x.so" / "full").mkdir(parents=True)
    (tmp_path / "made").write_text("a library")
    keep(tmp_path / "made", tmp_path / "x.so")
    assert keeping.is_whole(tmp_path / "x.so")


def test_who_made_it_is_kept_with_it(kept):
    assert keeping.maker_of(kept) == ""
    made = kept.parent / "made"
    made.write_bytes(b"another")
    keep(made, kept, "a compiler")
    assert keeping.maker_of(kept) == "a compiler"
    assert library_in(kept.parent, LEVEL) == kept
    assert keeping.maker_of(kept.parent / "elsewhere") == ""


def test_nor_one_with_an_access_control_list(kept, monkeypatch):
    kept.chmod(0o664)
    monkeypatch.setattr(places, "_is_own", lambda group, user: True)
    assert library_in(kept.parent, LEVEL) == kept
    monkeypatch.setattr(os, "listxattr", lambda path: ["system.posix_acl_access"])
    assert library_in(kept.parent, LEVEL) is None


def test_a_fault_in_any_language_is_remembered(tmp_path):
    remember(tmp_path, LEVEL, "CC=\udcff", "error: \u2018x\u2019 \udcff")
    assert remembered(tmp_path, LEVEL, "CC=\udcff").startswith("error: \u2018x\u2019")


def test_a_fault_is_remembered_for_its_level_and_cause(tmp_path):
    remember(tmp_path, LEVEL, "this", "it is broken")
    assert remembered(tmp_path, LEVEL, "this") == "it is broken"
    assert remembered(tmp_path, LEVEL, "that") == ""
    assert remembered(tmp_path, OTHER, "this") == ""


@pytest.mark.parametrize(("hours", "said"), [(0, "it is broken"), (23, "it is broken"), (25, ""), (-2, "")])
def test_for_a_day(hours, said, tmp_path, monkeypatch):
    """A clock that was set back is no reason to remember for longer."""
    remember(tmp_path, LEVEL, "this", "it is broken")
    now = time.time()
    monkeypatch.setattr(keeping.time, "time", lambda: now + 3600 * hours)
    assert remembered(tmp_path, LEVEL, "this") == said


def test_a_note_that_cannot_be_read_or_written_is_none(tmp_path):
    remember(tmp_path / "nowhere", LEVEL, "this", "it is broken")
    assert remembered(tmp_path / "nowhere", LEVEL, "this") == ""
    remember(tmp_path, LEVEL, "this", "it is broken")
    for path in tmp_path.glob("*.fault"):
        path.write_bytes(b"\xff")
    assert remembered(tmp_path, LEVEL, "this") == ""


def test_what_nobody_has_used_for_long_goes(kept):
    folder = kept.parent
    names = ["old.so", "old.so.sha256", "old.fault", "units/old.o", ".building-x/y", ".z.lock", "new.so", "units/new.o"]
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("x")
    for name in ("old.so", "old.so.sha256", "old.fault", "units/old.o"):
        os.utime(folder / name, (time.time() - 31 * keeping.DAY,) * 2)
    for name in (".building-x", ".z.lock", "new.so", "units/new.o"):
        os.utime(folder / name, (time.time() - 2 * keeping.DAY,) * 2)
    for path in (kept, kept.with_name(f"{kept.name}.sha256")):
        os.utime(path, (time.time() - 31 * keeping.DAY,) * 2)
    assert library_in(folder, LEVEL)  # it is in use
    sweep(folder)
    left = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert left == {kept.name, f"{kept.name}.sha256", "new.so", "units/new.o"}
