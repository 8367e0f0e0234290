"""Did you mean: the nearest legal word, for messages about a wrong one."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` with its leading space, or an empty string when nothing is near.

    Example:
        >>> did_you_mean("ResNet81", ["lenet5", "resnet18", "resnet34"])
        " Did you mean 'resnet18'?"
        >>> did_you_mean("zebra", ["lenet5"])
        ''
    """
    lowered: dict[str, str] = {}
    for option in options:
        lowered.setdefault(option.lower(), option)
    nearest = get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    return f" Did you mean {lowered[nearest[0]]!r}?" if nearest else ""
