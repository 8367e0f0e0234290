"""Multiply-adds of each operation, and what its results see: a forward pass watched for these two.

One multiply-add is counted for each use of a weight, as papers do: by convolutions on each place that a window is laid
on (of the input, where it is transposed), by products of matrices on each of their elements. Where no operand is a
weight, as in attention, the products count alike; where one is fixed (a filter that is written out and learns nothing)
they don't. Biases, norms, pools and activations count nothing.
"""

import math
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from striate.tracing.calls import Call, Mode, by_name, changed, name_of, tensors_in
from striate.tracing.field_shapes import fresh, written
from striate.tracing.fields import seen_by
from striate.tracing.numbers import compute
from striate.tracing.seen import Place, Seen, Whole, settled, unknown


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a tensor that comes of the picture or of weights; of any other nothing is.

    ``weighs``: it comes of weights alone.
    """

    seen: Seen | None
    weighs: bool = False


@dataclass(frozen=True, slots=True)
class Counted:
    """An operation of the forward pass: its module, its first output's shape, and what that sees."""

    name: str
    path: str
    shape: tuple[int, ...]
    multiply_adds: int
    seen: Seen | None


_MARK = "_striate_known"  # an attribute of fake tensors, with which it dies


def look(tensor: Tensor) -> Seen | None:
    """What a tensor of the watched pass sees; None if nothing of the picture."""
    known: Known | None = getattr(tensor, _MARK, None)
    return None if known is None else known.seen


def mark_inputs(tensors: Sequence[Tensor]) -> None:
    """From now on these are inputs; of them those with most dimensions are pictures ``[N, C, ...]``, and are seen."""
    most = max((tensor.dim() for tensor in tensors), default=0)
    for tensor in tensors:
        setattr(tensor, _MARK, Known(fresh(tensor.shape) if tensor.dim() == most > 2 else None))


def mark_weight(tensor: Tensor) -> None:
    """From now on the tensor is a weight, whose uses count."""
    setattr(tensor, _MARK, Known(None, weighs=True))


class Counting(Mode):
    """Within this block, multiply-adds and fields of all operations are written down; ``path`` says where they run.

    With ``aside`` what took all places together counts as seeing nothing, and is put there instead.
    """

    def __init__(self, path: Callable[[], str], aside: list[Place] | None = None) -> None:
        super().__init__()
        self.counted: list[Counted] = []
        self._path, self._aside = path, aside
        self._beside: dict[int, list[weakref.ref[Tensor]]] = {}

    def runs(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """See an operation."""
        result = function(*args, **kwargs)
        name = name_of(function)
        if any(hasattr(tensor, _MARK) for tensor in tensors_in((args, kwargs))) and not _makes_anew(name):
            self._watch(function, Place(name, self._path()), by_name(function, args, kwargs), result)
        else:
            compute(function, args, kwargs, result)
        return result

    def _watch(self, function: Any, by: Place, given: Mapping[str, Any], result: Any) -> None:
        outputs = tensors_in([result])
        if not outputs:
            return
        call = Call(by, given, outputs, look)
        sources = [getattr(tensor, _MARK) for tensor in tensors_in(given.values()) if hasattr(tensor, _MARK)]
        sees, weighs = any(known.seen is not None for known in sources), all(known.weighs for known in sources)
        found = [self._put_aside(seen) for seen in seen_by(function, call)] if sees else [None] * len(outputs)
        for output, seen in zip(outputs, found, strict=True):
            setattr(output, _MARK, Known(seen if output.numel() else None, weighs))
            self._remember(output)
        if changed(function) and found[0] is not None:
            self._spread(outputs[0], found[0], call)
        self.counted.append(Counted(by.name, by.path, call.shape, multiply_adds(call), found[0]))

    def _put_aside(self, seen: Seen | None) -> Seen | None:
        """The same without what took all places together, if that is put aside."""
        if self._aside is None or seen is None:
            return seen
        self._aside += [state.by for state in seen.axes if isinstance(state, Whole)]
        return Seen(seen.dims, tuple(None if isinstance(state, Whole) else state for state in seen.axes))

    def _remember(self, tensor: Tensor) -> None:
        """Who shares whose memory, so that what is written to one is seen by the others."""
        beside = self._beside.setdefault(tensor.untyped_storage()._cdata, [])
        beside.append(weakref.ref(tensor))

    def _spread(self, view: Tensor, seen: Seen, call: Call) -> None:
        """A tensor was written to: all that share its memory see what was written, as far as that can be said."""
        bases = [base for base in (view._base,) if base is not None]
        beside = [other() for other in self._beside.get(view.untyped_storage()._cdata, [])]
        for other in (*bases, *beside):
            if other is None or other is view:
                continue
            before = look(other)
            if other.dim() == view.dim() and other.stride() == view.stride():
                after = written(before, seen, tuple(other.shape), tuple(view.shape), call)
            else:
                lost = unknown(seen, range(len(seen.dims)), call.by, ())
                after = settled([()] * other.dim() if before is None else before.dims, lost.axes, call.by)
            setattr(other, _MARK, Known(after))


def _makes_anew(name: str) -> bool:
    """Whether only the shapes of arguments matter."""
    return name.startswith("new_") or name.endswith("_like") or name in ("fill", "zero", "sym_size", "is_same_size")


# How much each operation multiplies


def multiply_adds(call: Call) -> int:
    """Of one call."""
    operands, rule = RULES.get(call.by.name, ((), None))
    known: list[Known | None] = [getattr(call.given[operand], _MARK, None) for operand in operands]
    used = all(known) or any(each is not None and each.weighs for each in known)
    return rule(call) if rule is not None and used else 0


def _convolution(call: Call) -> int:
    x, weight = call.given["input"].shape, call.given["weight"]
    places = x if call.given["transposed"] else call.shape
    return int(weight.numel()) * int(places[0]) * math.prod(places[2:])


def _products(left: str) -> Callable[[Call], int]:
    return lambda call: math.prod(call.shape) * int(call.given[left].shape[-1])


def _attention(call: Call) -> int:
    query, key, value = (call.given[name].shape for name in ("query", "key", "value"))
    return math.prod(query[:-1]) * int(key[-2]) * int(query[-1] + value[-1])


def _all_heads(call: Call) -> int:
    """Projections of queries, keys and values, what they say of each other, and the projection of that."""
    query, key, embedding = call.given["query"].shape, call.given["key"].shape, int(call.given["embed_dim"])
    pictures, looks, looked = int(query[0]), int(query[1]), int(key[1])
    projected = (2 * looks + 2 * looked) * embedding * embedding
    return pictures * (projected + 2 * looks * looked * embedding)


def _encoder_layer(call: Call) -> int:
    """Attention of a whole layer, and its two dense layers."""
    pictures, places, embedding = map(int, call.given["src"].shape)
    attention = 4 * places * embedding * embedding + 2 * places * places * embedding
    dense = int(call.given["ffn_weight_1"].numel()) + int(call.given["ffn_weight_2"].numel())
    return pictures * (attention + places * dense)


def _recurrent(call: Call) -> int:
    """One layer of an LSTM in one direction, over all steps of all sequences."""
    steps = math.prod(call.given["input"].shape[:2])
    return steps * int(call.given["weight0"].numel() + call.given["weight1"].numel())


Rule = tuple[tuple[str, ...], Callable[[Call], int]]
RULES: dict[str, Rule] = {
    "convolution": (("input", "weight"), _convolution),
    "_convolution": (("input", "weight"), _convolution),
    "mm": (("self", "mat2"), _products("self")),
    "bmm": (("self", "mat2"), _products("self")),
    "mv": (("self", "vec"), _products("self")),
    "dot": (("self", "tensor"), _products("self")),
    "addmm": (("mat1", "mat2"), _products("mat1")),
    "addmv": (("mat", "vec"), _products("mat")),
    "baddbmm": (("batch1", "batch2"), _products("batch1")),
    "linear": (("input", "weight"), _products("input")),
    "_scaled_dot_product_flash_attention_for_cpu": (("query", "key", "value"), _attention),
    "_scaled_dot_product_flash_attention": (("query", "key", "value"), _attention),
    "_scaled_dot_product_efficient_attention": (("query", "key", "value"), _attention),
    "_scaled_dot_product_attention_math": (("query", "key", "value"), _attention),
    "mkldnn_rnn_layer": (("input", "weight0"), _recurrent),
    "_native_multi_head_attention": (("query", "key", "value"), _all_heads),
    "_transformer_encoder_layer_fwd": (("src",), _encoder_layer),
}
