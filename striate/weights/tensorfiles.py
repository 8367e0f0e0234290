"""Safetensors files, whatever bytes their names are made of."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import safe_open


@contextmanager
def open_tensors(path: Path) -> Iterator[Any]:
    """The file opened for reading its metadata and its tensors one by one, as `safetensors.safe_open` does.

    That takes only names in UTF-8; a file of another name is opened under the name of its descriptor.

    Raises:
        OSError: the file cannot be read.
        SafetensorError: it is not a safetensors file, or is truncated or damaged.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        with path.open("rb") as file, safe_open(f"/dev/fd/{file.fileno()}", framework="pt") as tensors:
            yield tensors
        return
    with safe_open(path, framework="pt") as tensors:
        yield tensors
