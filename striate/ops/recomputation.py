"""Tensors that backward computes again instead of keeping them: how that is said, and how an operation heeds it.

Whoever makes a tensor `promises` that it can be had again, with what is kept anyway. Operations that would keep the
tensor for backward run under `keeping_promises`, and autograd keeps the promise in its place. The tensor itself dies
as soon as the forward pass is done with it; its values come back when the first backward asks, and live until the last
one that needs them is done: nobody but the tensor itself and autograd's saved tensors may hold a promise.

Rota Bulo, Porzi and Kontschieder, "In-place activated batchnorm", 2018, section 3, have the idea; they invert the
activation, which needs one that can be inverted.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

_PROMISE = "_striate_promise"


class Promise:
    """A tensor that can be computed again, once for all who ask.

    ``source``, if there is one, is the only tensor of its shape that it is computed of; see `sources_instead`.
    """

    __slots__ = ("_compute", "_tensor", "source")

    def __init__(self, compute: Callable[[], Tensor], source: Tensor | None = None) -> None:
        self._compute, self.source = compute, source
        self._tensor: Tensor | None = None

    def tensor(self) -> Tensor:
        """The tensor, without history."""
        if self._tensor is None:
            with torch.no_grad():
                self._tensor = self._compute()
        return self._tensor


def promises(tensor: Tensor, promise: Promise) -> Tensor:
    """The same tensor, from now on to be computed again. Changing it in place ends the promise."""
    setattr(tensor, _PROMISE, (promise, tensor._version))
    return tensor


def promised(tensor: Tensor) -> Promise | None:
    """What promises this tensor, as it is now; None if nothing does."""
    promise, version = getattr(tensor, _PROMISE, (None, 0))
    return promise if promise is not None and tensor._version == version else None


def keeping_promises(tensor: Tensor) -> AbstractContextManager[Any]:
    """Within this block autograd keeps the promise of ``tensor`` where it would keep the tensor."""
    promise = promised(tensor)
    if promise is None:
        return nullcontext()
    place, shape, strides = tensor.data_ptr(), tensor.shape, tensor.stride()

    def pack(kept: Tensor) -> Tensor | Promise:
        same = kept.data_ptr() == place and kept.shape == shape and kept.stride() == strides
        return promise if same and kept.dtype == tensor_type else kept

    tensor_type = tensor.dtype  # the tensor itself must not live on in `pack`
    return torch.autograd.graph.saved_tensors_hooks(pack, _unpack)


@contextmanager
def sources_instead() -> Iterator[None]:
    """Within this block saved tensors that were promised give their source, for who computes of that what he needs."""
    before, _sources.wanted = getattr(_sources, "wanted", False), True
    try:
        yield
    finally:
        _sources.wanted = before


_sources = threading.local()


def _unpack(kept: Tensor | Promise) -> Tensor:
    if not isinstance(kept, Promise):
        return kept
    if kept.source is not None and getattr(_sources, "wanted", False):
        return kept.source
    return kept.tensor()
