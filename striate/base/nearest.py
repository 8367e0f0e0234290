"""Did you mean: the nearest legal word, for messages about a wrong one."""

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` with its leading space, or an empty string when nothing is near.

    Of several that are equally near it is the first.

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
    if not nearest:
        return ""

    def likeness(option: str) -> float:
        return SequenceMatcher(None, option, word.lower()).ratio()

    return f" Did you mean {lowered[max(lowered, key=likeness)]!r}?"
