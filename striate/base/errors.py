"""What can go wrong and who can mend it.

::

    StriateError            the user can mend it: exit code 2, one clear paragraph
    |-- DataError           a folder, an array file or a split cannot serve as data
    |   `-- DecodeError     one picture file cannot be read (knows its path)
    |-- RecipeError         a field of a recipe is unknown, of the wrong type or out of range
    |-- ModelError          a network's name or argument is wrong, or an input does not fit it
    |-- ModelFileError      a file is not a model file of ours, is damaged, or is newer than this version
    |-- WeightsError        foreign weights do not fit, cannot be had, or fail their hash
    |-- OutputError         something cannot be written where the user asked for it
    `-- TrainingError       a run cannot start, resume or go on (loss became NaN)

Every other exception is a fault of ours: exit code 1 and a traceback.
A message says what is wrong, where, what was expected, and the nearest legal thing.
"""

from pathlib import Path


class StriateError(Exception):
    """Something that the user can mend; its text is one paragraph for them."""


class DataError(StriateError):
    """The data cannot be used as they are."""


class DecodeError(DataError):
    """One picture cannot be read.

    ``path`` is the file (or the name given for bytes) and ``reason`` the text without it.
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class RecipeError(StriateError):
    """A recipe has an unknown field, a value of the wrong type, or one out of range."""


class ModelError(StriateError):
    """A network's name or argument is wrong, or an input does not fit it."""


class ModelFileError(StriateError):
    """A file is not a model file of ours, is damaged, or is newer than this version."""


class WeightsError(StriateError):
    """Foreign weights do not fit, cannot be had, or fail their hash."""


class OutputError(StriateError):
    """Something cannot be written where the user asked for it."""


class TrainingError(StriateError):
    """A run cannot start, resume or go on."""
