"""Folders in which a library may lie: of whom one is loaded, and where one can be kept."""

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from striate.base.errors import OutputError
from striate.base.folders import cache_folder

ROOM = 16 << 20
"""Bytes that a build needs on the disk at most: units, the library, and what compilers put aside."""

_OTHERS = "set STRIATE_CACHE to a folder that you may write to"


def kept_folder() -> Path:
    """The folder in the user's cache.

    Raises:
        OutputError: there can be no cache folder.
    """
    return cache_folder().absolute() / "native"


def obstacle(folder: Path, *, loads: bool = True) -> str:
    """Why no library can be kept in a folder, and what to do about it; "" if one can. Makes the folder.

    ``loads`` says that it will be loaded from there, too.
    """
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        if said := distrust(folder):
            return f"kernels cannot be kept there: {said}; {_OTHERS} alone"
        with tempfile.TemporaryFile(dir=folder):
            pass
        system = os.statvfs(folder)
    except OSError as error:
        return f"kernels cannot be kept in {folder}: {error.strerror or error}; {_OTHERS}"
    if loads and system.f_flag & os.ST_NOEXEC:
        return f"kernels cannot be kept in {folder}: its disk is mounted noexec; set STRIATE_CACHE to another"
    if (free := system.f_bavail * system.f_frsize) < ROOM:
        few = f"its disk has {free / 1e6:.1f} MB free, {ROOM / 1e6:.0f} are needed"
        return f"kernels cannot be kept in {folder}: {few}; free some, or {_OTHERS}"
    return ""


def cache_obstacle() -> str:
    """`obstacle` of the folder in the user's cache."""
    try:
        return obstacle(kept_folder())
    except OutputError as error:
        return str(error)


def distrust(path: Path) -> str:
    """Why a file or folder is not trusted; "" if nobody but this user or root owns it or may write to it.

    Raises:
        OSError: it cannot be looked at.
    """
    about = path.stat()
    if about.st_uid not in (0, os.geteuid()):
        return f"{path} belongs to another user"
    others = about.st_mode & stat.S_IWOTH
    # Where there is an access control list, the group's bits say what any of those it names may do.
    group = about.st_mode & stat.S_IWGRP and (_has_list(path) or not _is_own(about.st_gid, about.st_uid))
    return f"{path} may be written to by others" if others or group else ""


def _has_list(path: Path) -> bool:
    with suppress(OSError, AttributeError):
        return "system.posix_acl_access" in os.listxattr(path)
    return False


def _is_own(group: int, user: int) -> bool:
    """Whether a group is its user's alone, as many systems make one for each user."""
    import grp
    import pwd

    with suppress(KeyError):
        name, found = pwd.getpwuid(user).pw_name, grp.getgrgid(group)
        return found.gr_name == name and set(found.gr_mem) <= {name}
    return False
