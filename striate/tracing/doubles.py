"""A module's double: the same parts and hooks, tensors with shapes and without numbers; and where in it work is done.

Nothing of the module itself is touched, not even for a moment, so that it may answer somebody else meanwhile. Tensors
that are shared stay shared. What a module holds in objects that are no module, tensor or container is the very same
object; tensors in there become fake where they are used, and count as constants.
"""

import functools
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import _disable_current_modes

from striate.base.errors import ModelError

_CPU = torch.device("cpu")


class Doubles:
    """Makes doubles for one mode of fake tensors; of the same object always the same double."""

    def __init__(self, mode: FakeTensorMode) -> None:
        self._mode = mode
        self._made: dict[int, Any] = {}
        self._kept: list[Any] = []  # so that no other object gets the identity of one that was doubled
        self._storages: dict[int, Tensor] = {}

    def of(self, value: Any) -> Any:
        """The double of a value: of a module, a tensor, what holds such, or the value itself."""
        if type(value) in _PLAIN:
            return value
        if id(value) in self._made:
            return self._made[id(value)]
        maker = next((make for kind, make in _MAKERS if isinstance(value, kind)), None)
        if maker is None:
            return value
        self._kept.append(value)
        return maker(self, value)

    def _note(self, value: Any, double: Any) -> Any:
        self._made[id(value)] = double
        return double

    def _module(self, module: nn.Module) -> nn.Module:
        if isinstance(module, torch.jit.ScriptModule):
            raise ModelError(f"{type(module).__name__} is compiled by torch.jit; plan the module that it was made of")
        original = module.__dict__.get("_orig_mod")
        if isinstance(original, nn.Module):  # compiled: its parts are the module's
            return self._note(module, self.of(original))
        double = self._note(module, object.__new__(type(module)))
        double.__dict__.update({name: self.of(value) for name, value in module.__dict__.items()})
        return double

    def _tensor(self, tensor: Tensor) -> Tensor:
        if torch.nn.parameter.is_lazy(tensor):
            raise ModelError("a lazy module has no shapes before it has run once; run it on one input first")
        return self._note(tensor, self.fake(tensor, tensor.requires_grad and tensor.is_leaf))

    def fake(self, tensor: Tensor, learns: bool = False) -> Tensor:
        """A tensor of the same shape, type and memory layout without numbers; on a CPU where it has no device."""
        if isinstance(tensor, FakeTensor) and tensor.fake_mode is self._mode:
            return tensor
        device = _CPU if tensor.device.type == "meta" else tensor.device
        if tensor.layout is not torch.strided:
            raise ModelError(f"a tensor of {list(tensor.shape)} is {tensor.layout}; only dense ones can be planned")
        bytes_in, storage = tensor.untyped_storage().nbytes(), tensor.untyped_storage()._cdata
        if storage not in self._storages:
            self._kept.append(tensor.untyped_storage())
            self._storages[storage] = torch.empty(bytes_in, dtype=torch.uint8, device="meta")
        with torch.no_grad():
            bare = torch.empty(0, dtype=tensor.dtype, device="meta")
            memory = self._storages[storage].untyped_storage()
            bare.set_(memory, tensor.storage_offset(), tensor.shape, tensor.stride())
            double = FakeTensor(self._mode, bare, device)
        if isinstance(tensor, nn.Parameter):
            double._is_param = True  # by which torch knows parameters
        return double.requires_grad_(learns)

    def alike(self, fake: Tensor) -> Tensor:
        """A fake tensor like another one, in memory of its own, made without an operation."""
        with _disable_current_modes():
            bare = torch.empty_strided(fake.shape, fake.stride(), dtype=fake.dtype, device="meta")
        return FakeTensor(self._mode, bare, fake.device)

    def _mapping(self, value: dict[Any, Any]) -> Any:
        double = self._note(value, value.copy())
        double.update({key: self.of(each) for key, each in value.items()})
        return double

    def _list(self, value: list[Any]) -> Any:
        double = self._note(value, value[:])
        double[:] = map(self.of, value)
        return double

    def _tuple(self, value: tuple[Any, ...]) -> Any:
        doubles = tuple(map(self.of, value))
        if all(one is other for one, other in zip(doubles, value, strict=True)):
            return value
        return type(value)(*doubles) if hasattr(value, "_fields") else doubles

    def _method(self, value: types.MethodType) -> Any:
        return types.MethodType(value.__func__, self.of(value.__self__))

    def _partial(self, value: functools.partial[Any]) -> Any:
        words = {name: self.of(each) for name, each in value.keywords.items()}
        return functools.partial(self.of(value.func), *map(self.of, value.args), **words)


_PLAIN = frozenset((bool, int, float, str, type(None)))
_MAKERS: tuple[tuple[type, Callable[[Doubles, Any], Any]], ...] = (
    (nn.Module, Doubles._module),
    (Tensor, Doubles._tensor),
    (dict, Doubles._mapping),
    (list, Doubles._list),
    (tuple, Doubles._tuple),
    (types.MethodType, Doubles._method),
    (functools.partial, Doubles._partial),
)


class Whereabouts:
    """Which module of a double is running: the paths of those that have begun and not ended, innermost last."""

    def __init__(self) -> None:
        self.running: list[str] = [""]
        self.failed: str | None = None
        self.listeners: list[Callable[[str, bool, Any], None]] = []

    @property
    def path(self) -> str:
        """Of the innermost module that is running; "" is the whole."""
        return self.running[-1]

    @contextmanager
    def watching(self, module: nn.Module) -> Iterator[None]:
        """Within this block all parts of a double, which nobody else has, tell when they begin and end."""
        parts = dict(module.named_modules())
        before = {path: part.__dict__.get("forward") for path, part in parts.items()}
        for path, part in parts.items():
            part.__dict__["forward"] = _Told(self, path, part.forward)
        try:
            yield
        finally:
            for path, part in parts.items():
                if before[path] is None:
                    del part.__dict__["forward"]
                else:
                    part.__dict__["forward"] = before[path]

    def tell(self, path: str, begins: bool, values: Any) -> None:
        """Tell all listeners."""
        for listener in self.listeners:
            listener(path, begins, values)


class _Told:
    """A module's forward that tells when it begins and ends."""

    def __init__(self, whereabouts: Whereabouts, path: str, forward: Callable[..., Any]) -> None:
        functools.update_wrapper(self, forward)
        self._whereabouts, self._path, self._forward = whereabouts, path, forward

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        there = self._whereabouts
        there.running.append(self._path)
        there.tell(self._path, True, args)
        try:
            outputs = self._forward(*args, **kwargs)
        except Exception:
            if there.failed is None:
                there.failed = self._path
            raise
        finally:
            there.running.pop()
        there.failed = None
        there.tell(self._path, False, outputs)
        return outputs
