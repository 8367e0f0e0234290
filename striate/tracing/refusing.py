"""What cannot be traced, said in a sentence: what went wrong, in which module, and what would go."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from traceback import walk_tb

from torch import nn
from torch._subclasses import fake_tensor

from striate.base.errors import ModelError, StriateError

_NUMBERS = (fake_tensor.DataDependentOutputException, fake_tensor.DynamicOutputShapeException)
_NO_SHAPES = (fake_tensor.UnsupportedOperatorException, fake_tensor.UnsupportedFakeTensorException)
_LONGEST = 300  # letters of what somebody else's code says


@contextmanager
def refusals(module: nn.Module, path: Callable[[], str | None], doing: str) -> Iterator[None]:
    """Within this block what a module's code raises becomes a `ModelError` that names the part that raised it.

    Raises:
        ModelError: something was raised, other than for want of memory or by a fault of ours.
    """
    try:
        yield
    except Exception as error:  # somebody else's code may raise anything
        if isinstance(error, MemoryError) or (not isinstance(error, StriateError) and _is_ours(error)):
            raise
        where = _where(module, path())
        raise ModelError(f"{where}: {_said(error, doing)}") from error


def _is_ours(error: Exception) -> bool:
    """Whether it was raised by this room itself."""
    *_, (frame, _) = walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__", "")).startswith(__name__.rpartition(".")[0] + ".")


def _where(module: nn.Module, path: str | None) -> str:
    if not path:
        return type(module).__name__
    try:
        return f"{path} ({type(module.get_submodule(path)).__name__}) in {type(module).__name__}"
    except AttributeError:
        return f"{path} in {type(module).__name__}"


def _said(error: Exception, doing: str) -> str:
    if isinstance(error, StriateError):
        return str(error)
    if isinstance(error, _NUMBERS):
        return (
            f"its code asks for numbers in a tensor ({error.func}), by .item(), a condition on values, or shapes that "
            "depend on them; before anything is computed there are none. Leave that out, or plan the parts around it"
        )
    if isinstance(error, _NO_SHAPES):
        what = getattr(error, "func", None) or getattr(error, "reason", "")
        return f"torch does not know which shapes {what} gives without computing it; plan the parts around it"
    said = (str(error).strip() or "it says nothing more").splitlines()[0]
    return f"{doing} raised {type(error).__name__}: {said[:_LONGEST]}"
