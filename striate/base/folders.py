"""Where striate keeps what it can make again: converted weights and the verdicts of scans."""

import os
import sys
from pathlib import Path

from striate.base.errors import OutputError


def cache_folder() -> Path:
    """Return the user's cache folder for striate, made if need be.

    ``STRIATE_CACHE`` if set, else ``XDG_CACHE_HOME/striate``, else the system's own place: ``~/.cache/striate``,
    ``~/Library/Caches/striate`` (macOS), ``%LOCALAPPDATA%/striate`` (Windows). Empty variables count as unset.

    Raises:
        OutputError: the folder cannot be made.
    """
    try:
        folder = _place()
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
        reason = error.strerror if isinstance(error, OSError) else str(error)
        place = f" {error.filename}" if isinstance(error, OSError) and error.filename else ""
        raise OutputError(
            f"cannot make the cache folder{place}: {reason}; set STRIATE_CACHE to a folder that you may write to"
        ) from error
    return folder


def _place() -> Path:
    if own := os.environ.get("STRIATE_CACHE"):
        return Path(own).expanduser()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "striate"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "striate"
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local) / "striate"
    return Path.home() / ".cache" / "striate"
