"""Amounts of memory in words; a lack of it, which is told about one picture instead of ending what is done for all."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from striate.base.errors import DecodeError

_Out = TypeVar("_Out")
_SAID = ("can't allocate memory", "out of memory", "not enough memory")  # by torch's allocators and Pillow's encoders


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that there is no memory left."""
    said = isinstance(error, RuntimeError | OSError) and any(words in str(error).lower() for words in _SAID)
    return said or isinstance(error, MemoryError)


@contextmanager
def answer_fits(name: str | Path) -> Iterator[None]:
    """Within, a picture is answered, or its answer written.

    Raises:
        DecodeError: there is no memory for that.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, DecodeError) or not out_of_memory(error):
            raise
        raise DecodeError(name, "its answer does not fit into memory") from error


def if_it_fits(work: Callable[[], _Out]) -> _Out | None:
    """What the work gives, or None where there is no memory for it."""
    try:
        return work()
    except Exception as error:
        if not out_of_memory(error):
            raise
        return None


def in_words(size: int) -> str:
    """An amount of memory as people say it.

    Example:
        >>> in_words(1_940_000_000), in_words(4_200_000)
        ('1.9 GB', '4 MB')
    """
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
