from pathlib import Path

import pytest

from striate.base import folders
from striate.base.errors import OutputError
from striate.base.folders import cache_folder


def test_own_variable_wins_and_the_folder_is_made(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "own" / "deep"))
    assert cache_folder() == tmp_path / "own" / "deep"
    assert cache_folder().is_dir()
    assert not (tmp_path / "xdg").exists()


def test_xdg_then_home(tmp_path, monkeypatch):
    monkeypatch.setenv("STRIATE_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "striate"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for system, place in [("linux", ".cache/striate"), ("darwin", "Library/Caches/striate")]:
        monkeypatch.setattr(folders.sys, "platform", system)
        assert cache_folder() == tmp_path / place
    monkeypatch.setattr(folders.sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert cache_folder() == tmp_path / "local" / "striate"


def test_refusal_names_the_place_and_the_way_out(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(OutputError, match="file/cache: Not a directory; set STRIATE_CACHE"):
        cache_folder()
