"""Tensors that backward computes again instead of keeping them: how that is said, and how an operation heeds it.

Whoever makes a tensor `promises` that it can be had again, with what is kept anyway. Operations that would keep the
tensor for backward run under `keeping_promises`, and autograd keeps the promise in its place. The tensor itself dies
as soon as the forward pass is done with it; its values come back when the first backward asks, and live until the last
one that needs them is done: nobody but the tensor itself and autograd's saved tensors may hold a promise.

Of saved-tensor hooks torch obeys the innermost alone. So where others' are active (`torch.utils.checkpoint`, or a
user's own), nothing is promised and no promise is kept: they get all that torch alone would give them.

Rota Bulo, Porzi and Kontschieder, "In-place activated batchnorm", 2018, section 3, have the idea; they invert the
activation, which needs one that can be inverted.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from striate.ops.native.tensors import is_fake

# Beside the tensors and not on them, where a tensor that is written to a file would take its promise with it.
_PROMISES: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


class Promise:
    """A tensor that can be computed again, once for all who ask.

    ``compute`` is given the sources: tensors, or promises of such, that must not change until then. If there is only
    one, others may take that instead; see `sources_instead`.

    Raises:
        RuntimeError: on being asked, if a source was changed in place since.
    """

    __slots__ = ("_compute", "_sources", "_tensor")

    def __init__(self, compute: Callable[..., Tensor], *sources: "Tensor | Promise") -> None:
        self._compute = compute
        self._sources = [each if isinstance(each, Promise) else _AsItWas(each.detach()) for each in sources]
        self._tensor: Tensor | None = None

    @property
    def source(self) -> "_AsItWas | None":
        """The one tensor that it is computed of, if there is one."""
        only = self._sources[0] if len(self._sources) == 1 else None
        return only if isinstance(only, _AsItWas) else None

    def tensor(self) -> Tensor:
        """The tensor, without history."""
        if self._tensor is None:
            with torch.no_grad():
                self._tensor = self._compute(*(each.tensor() for each in self._sources))
        return self._tensor


def promises(tensor: Tensor, promise: Promise) -> Tensor:
    """The same tensor, from now on to be computed again. Changing it in place ends the promise."""
    _PROMISES[tensor] = (promise, tensor._version)
    return tensor


def promised(tensor: Tensor) -> Promise | None:
    """What promises this tensor, as it is now; None if nothing does, or others' hooks are active."""
    if torch.compiler.is_compiling():  # which keeps its own accounts of what backward needs
        return None
    promise, version = _PROMISES.get(tensor, (None, 0))
    return None if promise is None or tensor._version != version or foreign_hooks() else promise


# Names that torch does not document, and what stands for them where another torch lacks them.
_innermost = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", None)
_allowed = getattr(torch._C._autograd, "_saved_tensors_hooks_is_enabled", lambda: True)
_graph_task = getattr(torch._C, "_current_graph_task_id", lambda: -1)
_current_node = getattr(torch._C, "_current_autograd_node", lambda: None)


def foreign_hooks() -> bool:
    """Whether others' saved-tensor hooks are active, or a transform (`torch.func`) allows none.

    Within `keeping_promises`, where ours are, nobody asks.
    """
    if not _allowed():
        return True
    if _innermost is not None:
        return _innermost(True) is not None  # True: also where torch.jit traces
    try:  # the documented way takes twenty times as long
        with torch.autograd.graph.disable_saved_tensors_hooks("refused where there are some"):
            return False
    except RuntimeError:
        return True


def computed_again() -> bool:
    """Whether this is the second pass of activation checkpointing, in the middle of a backward pass.

    Of the kind that saves tensors by hooks these are active then; of the reentrant kind it is a step of its own.
    """
    if torch.compiler.is_compiling() or _graph_task() == -1:
        return False
    return foreign_hooks() or "Checkpoint" in type(_current_node()).__name__


def keeping_promises(tensor: Tensor) -> AbstractContextManager[Any]:
    """Within this block autograd keeps the promise of ``tensor`` where it would keep the tensor."""
    promise = promised(tensor)
    if promise is None:
        return nullcontext()
    place = _place(tensor)  # the tensor itself must not live on in `pack`

    def pack(kept: Tensor) -> _AsItWas | Promise:
        return promise if _place(kept) == place else _AsItWas(kept)

    return torch.autograd.graph.saved_tensors_hooks(pack, _unpack)


def _place(tensor: Tensor) -> tuple[object, ...]:
    """What two tensors of the same numbers have in common."""
    at = (tensor.untyped_storage()._cdata, tensor.storage_offset()) if is_fake(tensor) else tensor.data_ptr()
    return at, tensor.shape, tensor.stride(), tensor.dtype


@contextmanager
def sources_instead() -> Iterator[None]:
    """Within this block saved tensors that were promised give their source, for who computes of that what he needs."""
    before, _sources.wanted = getattr(_sources, "wanted", False), True
    try:
        yield
    finally:
        _sources.wanted = before


_sources = threading.local()


def _unpack(kept: "_AsItWas | Promise") -> Tensor:
    if isinstance(kept, _AsItWas):
        return kept.tensor()
    if kept.source is not None and getattr(_sources, "wanted", False):
        return kept.source.tensor()
    return kept.tensor()


class _AsItWas:
    """A tensor that must not change: autograd itself does not look at those that pass through hooks."""

    __slots__ = ("_tensor", "_version")

    def __init__(self, tensor: Tensor) -> None:
        self._tensor, self._version = tensor, tensor._version

    def tensor(self) -> Tensor:
        if self._tensor._version != self._version:
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an inplace operation: "
                f"a tensor of shape {list(self._tensor.shape)}"
            )
        return self._tensor
