"""Did you mean: the nearest legal word, for messages about a wrong one."""

from collections.abc import Iterable
from difflib import SequenceMatcher

LIKE = 0.6
"""How alike two words are, 0 to 1, of which one may be meant for the other; difflib's own choice."""


def did_you_mean(word: str, options: Iterable[str], like: float = LIKE) -> str:
    """Return `` Did you mean 'x'?`` with its leading space, or an empty string when nothing is near.

    Of several that are equally near it is the first. ``like`` is how near one must be, 0 to 1.

    Example:
        >>> did_you_mean("ResNet81", ["lenet5", "resnet18", "resnet34"])
        " Did you mean 'resnet18'?"
        >>> did_you_mean("zebra", ["lenet5"])
        ''
    """
    lowered: dict[str, str] = {}
    for option in options:
        lowered.setdefault(option.lower(), option)
    if not lowered:
        return ""

    def likeness(option: str) -> float:
        return SequenceMatcher(None, option, word.lower()).ratio()

    nearest = max(lowered, key=likeness)
    return f" Did you mean {lowered[nearest]!r}?" if likeness(nearest) >= like else ""
