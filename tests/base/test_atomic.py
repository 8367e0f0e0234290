import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from striate.base.atomic import remove_partials, replace_file, write_text
from striate.base.errors import OutputError


def test_new_content_takes_the_place_of_the_old(tmp_path):
    target = tmp_path / "metrics.json"
    write_text(target, "old")
    with replace_file(target) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".") and temporary.name.endswith(".partial")
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["metrics.json"]


def test_file_gets_the_umask_rights_of_any_other_file(tmp_path):
    write_text(tmp_path / "ours", "")
    (tmp_path / "plain").write_text("")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, ZeroDivisionError])
def test_whatever_is_raised_leaves_the_old_file_and_no_litter(tmp_path, interruption):
    target = tmp_path / "model.safetensors"
    target.write_text("old")
    with pytest.raises(interruption), replace_file(target) as temporary:
        temporary.write_text("half")
        raise interruption
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_text_is_utf8_with_plain_line_ends(tmp_path):
    write_text(tmp_path / "a", "Blüte\n")
    assert (tmp_path / "a").read_bytes() == "Blüte\n".encode()


def test_long_names_leave_room_for_the_temporary(tmp_path):
    target = tmp_path / ("ü" * 127)  # 254 bytes
    write_text(target, "fits")
    assert target.read_text() == "fits"


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("missing/run.json", "its folder does not exist"),
        ("file/run.json", "a part of its path is a file"),
        ("folder", "a folder of that name is in the way"),
        ("circle/run.json", "a circle of symbolic links"),
        ("n" * 300, "too long"),
    ],
)
def test_impossible_places_are_explained_before_the_block_runs(tmp_path, place, message):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(OutputError, match=message) as caught, replace_file(tmp_path / place):
        pytest.fail("the block ran")
    assert str(tmp_path / place) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["circle", "file", "folder"]


def test_an_error_about_another_file_is_not_ours_to_explain(tmp_path):
    with pytest.raises(FileNotFoundError), replace_file(tmp_path / "out"):
        (tmp_path / "input").read_bytes()
    assert os.listdir(tmp_path) == []


def test_an_error_of_a_rust_library_is_understood_by_its_number(tmp_path):
    with pytest.raises(OutputError, match="the disk is full"), replace_file(tmp_path / "out"):
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")
    with pytest.raises(RuntimeError, match="something else"), replace_file(tmp_path / "out"):
        raise RuntimeError("something else")


@pytest.mark.skipif(not sys.platform.startswith("linux") or os.getuid() != 0, reason="mounts a tmpfs, as root on Linux")
def test_full_disk_keeps_the_old_file(tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(mount)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("SKIPPED LOUDLY: this machine lets nobody mount a tmpfs, so a full disk was not tried")
    try:
        write_text(mount / "a", "old")
        with pytest.raises(OutputError, match="the disk is full"):
            write_text(mount / "a", "x" * 100_000)
        assert (mount / "a").read_text() == "old"
        assert os.listdir(mount) == ["a"]
    finally:
        subprocess.run(["umount", mount], check=True)


@pytest.mark.skipif(os.name == "nt" or os.getuid() != 0, reason="drops root's privileges for a moment")
def test_folder_without_write_permission():
    folder = Path(tempfile.mkdtemp())  # pytest's own tree cannot be entered by others
    folder.chmod(0o755)
    try:
        os.seteuid(65534)
        with pytest.raises(OutputError, match="permission denied") as caught:
            write_text(folder / "a", "x")
        assert str(folder / "a") in str(caught.value)
    finally:
        os.seteuid(0)
        folder.rmdir()


def test_leftovers_of_killed_processes_are_swept(tmp_path):
    kill = (
        "import os, signal, sys; from pathlib import Path; from striate.base.atomic import replace_file\n"
        "with replace_file(Path(sys.argv[1])) as t: t.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    (tmp_path / "last").write_text("old")
    subprocess.run([sys.executable, "-c", kill, str(tmp_path / "last")], check=False)
    assert (tmp_path / "last").read_text() == "old"
    assert len(os.listdir(tmp_path)) == 2
    remove_partials(tmp_path)
    assert os.listdir(tmp_path) == ["last"]
