"""Other people's files of weights, opened safely."""

from pathlib import Path

from striate.weights.foreign import Foreign
from striate.weights.isolation import ReadingProcess


def read(path: str | Path, *, config: str | Path | None = None, state: str | None = None) -> Foreign:
    """Read the weights in a file of PyTorch, safetensors, Keras, Caffe or darknet, told apart by what they hold.

    ``config`` is the description that a darknet file needs; by default the one of the same name with ``.cfg``.
    ``state`` says which set of weights is wanted of a file that has several: the keys that lead to it, with dots
    between, or what the names of its tensors begin with; what was taken stands in the facts' ``wrapper``. The file is
    read in a child process with limits of time and memory, and nothing in it is ever executed.

    Raises:
        WeightsError: there is no such file, it is of no known format, is truncated or damaged, holds more than numbers
            (a pickled module, a program), or several sets of weights for one network; or its reader crashed, took too
            long, or wanted too much memory.

    Example:
        >>> weights = read("mobilenet_v2-b0353104.pth")  # doctest: +SKIP
        >>> weights.origin, weights.container, len(weights.arrays)  # doctest: +SKIP
        ('torch', 'legacy pickle', 314)
    """
    with ReadingProcess() as process:
        return process.read(Path(path), config=None if config is None else Path(config), state=state)
