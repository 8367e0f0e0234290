"""Which of the tensors in a file are wanted: one of several sets of them, without the words that wrappers put before.

A set is a dict of tensors; its path is the keys that lead to it in the file, with dots between, or `WHOLE`.
"""

from collections.abc import Mapping
from typing import Any

from striate.base.errors import WeightsError
from striate.base.nearest import did_you_mean
from striate.data.names import listed

PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "backbone.", "student.", "encoder.")
"""What DataParallel, torch.compile and training scripts put before the name of every tensor."""

WHOLE = "."

_COUNTER = "n_averaged"  # of torch's AveragedModel, beside names that all begin with "module."
_SHOWN = 6

Sets = Mapping[str, Mapping[str, Any]]


def stripped(tensors: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The prefix of `PREFIXES`, or of several, that every name has, and the tensors without it.

    Example:
        >>> stripped({"module.net.a": 1, "module.net.b": 2})
        ('module.net.', {'a': 1, 'b': 2})
    """
    kept = {name: tensor for name, tensor in tensors.items() if name != _COUNTER}
    prefix = ""
    while more := [each for each in PREFIXES if kept and all(name.startswith(prefix + each) for name in kept)]:
        prefix += more[0]
    return prefix, {name.removeprefix(prefix): tensor for name, tensor in kept.items()} if prefix else dict(tensors)


def rivals(tensors: Mapping[str, Any], sets: Sets) -> list[str]:
    """The paths of other sets that could be taken for this one, as averaged weights for those they are averages of.

    Such a set has tensors of the same names and shapes. An optimizer's are none.
    """
    mine = stripped(tensors)[1]

    def alike(other: Mapping[str, Any]) -> bool:
        pairs = ((mine[name], each) for name, each in stripped(other)[1].items() if name in mine)
        plain = ((one, each) for one, each in pairs if not (one.is_nested or each.is_nested))  # those have no shape
        return any(one is not each and one.shape == each.shape for one, each in plain)

    return [path for path, other in sets.items() if alike(other) and not path.startswith("optim")]


def chosen(sets: Sets, state: str) -> tuple[str, Mapping[str, Any]]:
    """The set of which ``state`` is the path, or what its tensors' names begin with, and the set's full path.

    Raises:
        WeightsError: there is none, or more than one.
    """
    if state in sets:
        return state, sets[state]
    found: dict[str, dict[str, Any]] = {}
    for path, tensors in sets.items():
        start = f"{state.removeprefix(f'{path}.')}."
        if begun := {name.removeprefix(start): each for name, each in tensors.items() if name.startswith(start)}:
            found[f"{path}.{start}".strip(".")] = begun
    if len(found) == 1:
        return found.popitem()
    if found:
        raise WeightsError(f"has more than one {state!r}: {described(found)}; give one of these in full")
    starts = {name.split(".")[0]: None for tensors in sets.values() for name in tensors}
    known = (
        described({path: each for path, each in sets.items() if path != WHOLE})
        or f"one set of tensors, whose names begin with {', '.join(list(starts)[:_SHOWN])}"
    )
    raise WeightsError(f"holds no tensors under {state!r}.{did_you_mean(state, [*sets, *starts])} There is {known}")


def described(sets: Sets) -> str:
    """The sets by their paths, with how many tensors they have."""
    return listed([f"{path[:100]} ({len(tensors)} tensors)" for path, tensors in sets.items()], most=_SHOWN)
