"""What lies in a folder of kernels: libraries and units with their checksums, and faults, remembered for a day."""

import hashlib
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from striate.base.atomic import flush, write_text
from striate.base.compiling.levels import Level
from striate.base.compiling.places import distrust
from striate.base.compiling.sources import library_name
from striate.base.errors import OutputError

DAY = 24 * 60 * 60.0
LEFTOVER = 30 * DAY
"""Seconds after which what nobody has used goes."""

_SUM, _FAULT = ".sha256", ".fault"


def library_in(folder: Path, level: Level) -> Path | None:
    """The library for a level that lies in a folder, whole and of no stranger; None if there is none."""
    try:
        path = folder / library_name(level)
        if distrust(folder) or distrust(path) or not is_whole(path):
            return None
    except OSError:
        return None
    for each in (path, _sum_of(path)):
        with suppress(OSError):  # it is in use, so it is not old
            os.utime(each)
    return path


def is_whole(path: Path) -> bool:
    """Whether a file is the one that was kept: a damaged library would end the process that loads it."""
    try:
        return _sum_of(path).read_text().partition("\n")[0] == checksum(path)
    except (OSError, UnicodeDecodeError):
        return False


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def maker_of(path: Path) -> str:
    """What `keep` was told of a file's maker; "" if nothing."""
    try:
        return _sum_of(path).read_text().partition("\n")[2]
    except (OSError, UnicodeDecodeError):
        return ""


def _sum_of(path: Path) -> Path:
    return path.with_name(path.name + _SUM)


def keep(made: Path, path: Path, maker: str = "") -> None:
    """Put a file where it is kept, and who made it; until its checksum is there, too, nobody takes it.

    ``made`` lies on the same disk and is gone afterwards.
    """
    made.chmod(0o644)
    text = _sum_of(made)
    text.write_text(f"{checksum(made)}\n{maker}" if maker else checksum(made))
    text.chmod(0o644)
    if path.is_dir():
        shutil.rmtree(path)
    flush(made)
    flush(text)
    made.replace(path)
    text.replace(_sum_of(path))


def remove(path: Path) -> None:
    """Remove a kept file and its checksum."""
    for each in (_sum_of(path), path):
        with suppress(OSError):
            each.unlink(missing_ok=True)


def remembered(folder: Path, level: Level, cause: str) -> str:
    """What was remembered of a fault of these sources with this cause in the last day; "" if nothing."""
    path = _fault(folder, level, cause)
    try:
        return path.read_text(encoding="utf-8") if 0 <= time.time() - path.stat().st_mtime < DAY else ""
    except (OSError, UnicodeDecodeError):
        return ""


def remember(folder: Path, level: Level, cause: str, said: str) -> None:
    """Remember a fault for a day, so that not every process meets it anew; where nothing can be written, they do."""
    with suppress(OutputError):
        write_text(_fault(folder, level, cause), said.encode(errors="backslashreplace").decode())


def useless(folder: Path, level: Level, maker: str, loader: str) -> bool:
    """Whether it is remembered in a folder that what this compiler makes is of no use to a loader."""
    return bool(remembered(folder, level, f"{maker} {loader}"))


def forget_faults(folder: Path) -> None:
    """Forget all faults."""
    for path in folder.glob(f"*{_FAULT}"):
        with suppress(OSError):
            path.unlink()


def _fault(folder: Path, level: Level, cause: str) -> Path:
    stem = Path(library_name(level)).stem
    return folder / f"{stem}-{hashlib.sha256(cause.encode(errors='surrogateescape')).hexdigest()[:8]}{_FAULT}"


def sweep(folder: Path) -> None:
    """Remove what nobody has used for thirty days, and what killed processes have left behind after a day."""
    now = time.time()
    for path in (*folder.glob("*"), *folder.glob("units/*")):
        with suppress(OSError):
            age = DAY if path.name.startswith(".") else LEFTOVER
            if now - path.lstat().st_mtime < age or path.name == "units":
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
