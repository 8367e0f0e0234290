"""What a zip archive says of itself, before anybody unpacks it."""

import zipfile
from pathlib import Path

from striate.base.errors import WeightsError


def entries(path: Path) -> list[zipfile.ZipInfo]:
    """The members of the archive, as its directory lists them.

    Raises:
        WeightsError: the archive is truncated or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()
    except MemoryError:
        raise
    # zipfile has no one exception for a damaged archive: BadZipFile, ValueError, NotImplementedError, struct.error ...
    except Exception as error:
        raise WeightsError(f"is a zip archive that is truncated or damaged ({error})") from error
