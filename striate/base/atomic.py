"""Files that are either the old ones or the new ones, never half of one, whatever happens while they are written."""

import contextlib
import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from striate.base.errors import OutputError

_SUFFIX = ".partial"

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space or choose another place",
    errno.EDQUOT: "your disk quota is used up; free some space or choose another place",
    errno.EROFS: "it lies on a read-only file system; choose another place",
    errno.EACCES: "permission denied; choose a folder that you may write to",
    errno.EPERM: "permission denied; choose a folder that you may write to",
    errno.EISDIR: "a folder of that name is in the way; choose another name",
    errno.ENOTDIR: "a part of its path is a file where a folder was expected; choose another place",
    errno.ENOENT: "its folder does not exist; make the folder first or choose another place",
    errno.ENAMETOOLONG: "its name is too long for this file system; choose a shorter one",
    errno.ELOOP: "its path runs in a circle of symbolic links; choose another place",
    errno.EFBIG: "it would be larger than this file system allows; choose another place",
}


@contextlib.contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Give a temporary path in the folder of ``path``; when the block ends well, it takes the place of ``path``.

    The bytes are on the disk before the name changes hands, so after a crash ``path`` is the old file or the new one.
    Whatever is raised inside the block, an interrupt included, removes the temporary and leaves ``path`` as it was.
    Two processes may write the same file at once: each has its own temporary, and the last one to finish wins.

    Raises:
        OutputError: the file cannot be written there (disk full, read-only, no permission, a folder in the way, ...).

    Example:
        >>> with replace_file(Path("scores.json")) as temporary:  # doctest: +SKIP
        ...     temporary.write_text("{}")
    """
    # Cut by bytes of the name: with its additions the temporary's must stay below the usual 255.
    stem = os.fsdecode(os.fsencode(path.name)[:200])
    temporary = path.with_name(f".{stem}.{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}")
    try:
        if path.is_dir():  # found now rather than after an hour's work inside the block
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        os.close(descriptor)
        yield temporary
        # Libraries that put a new file in its place (safetensors) make it readable for its owner alone.
        temporary.chmod(mode)
        flush(temporary)
        os.replace(temporary, path)
        _flush_folder(path.parent)
    except OSError as error:
        if error.filename is not None and Path(os.fsdecode(error.filename)) not in (temporary, path):
            raise  # the block stumbled over some other file: not ours to explain
        raise output_error(path, error) from error
    except Exception as error:
        # Libraries written in Rust (safetensors) have exceptions of their own, whose text ends in the system's number.
        if number := re.search(r"\(os error (\d+)\)$", str(error)):
            raise output_error(path, OSError(int(number[1]), str(error))) from error
        raise
    finally:
        with contextlib.suppress(OSError):  # after success it is gone already
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, its line ends as they are, atomically; raises like `replace_file`."""
    with replace_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def remove_partials(folder: Path) -> None:
    """Remove what killed processes left half-written in a folder that nobody else is writing to."""
    for pattern in (f".*{_SUFFIX}", ".tmp??????"):  # the latter is what safetensors writes before it renames to ours
        for leftover in folder.glob(pattern):
            leftover.unlink(missing_ok=True)


def output_error(path: Path, error: OSError) -> OutputError:
    """Say in one sentence why ``path`` cannot be written, and what to do about it."""
    reason = _REASONS.get(error.errno or 0) or f"{error.strerror or error}; choose another place"
    name = os.fsencode(path).decode("utf-8", "backslashreplace")
    return OutputError(f"cannot write {name}: {reason}")


def flush(path: Path, opened: int = os.O_RDWR) -> None:
    """Put the bytes of a file on the disk."""
    descriptor = os.open(path, opened)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    """Put the changed name itself on the disk; the content is safe already, so a refusal is no failure to report."""
    if os.name == "nt":  # there folders cannot be opened, and a rename is journalled
        return
    with contextlib.suppress(OSError):
        flush(folder, os.O_RDONLY)
