"""What operations see that take many places together: products of matrices, means, norms, attention."""

from collections.abc import Callable

from striate.tracing.calls import Call
from striate.tracing.seen import Factor, Seen, mixed, settled, together


def product(left: str, right: str) -> Callable[[Call], Seen]:
    """A product of matrices ``[..., i, k]`` and ``[..., k, j]``: all along k are taken together."""

    def rule(call: Call) -> Seen:
        parts = []
        if (x := call.seen(left)) is not None:
            x = mixed(x, [len(x.dims) - 1], call.by)
            parts.append(Seen((*x.dims[:-1], (Factor(call.shape[-1]), *_single(x, -1))), x.axes))
        if (y := call.seen(right)) is not None:
            y = mixed(y, [len(y.dims) - 2], call.by)
            parts.append(Seen((*y.dims[:-2], (Factor(call.shape[-2]), *_single(y, -2)), y.dims[-1]), y.axes))
        if (bias := call.seen("self" if left != "self" else "")) is not None:
            parts.append(bias)
        return together(parts, call.shape, call.by)

    return rule


def linear(call: Call) -> Seen:
    """A dense layer over the last dimension."""
    x = call.first()
    x = mixed(x, [len(x.dims) - 1], call.by)
    return settled((*x.dims[:-1], (Factor(call.shape[-1]), *_single(x, -1))), x.axes, call.by)


def _single(x: Seen, place: int) -> tuple[Factor, ...]:
    """Factors of one place along an axis, which a product carries on."""
    return tuple(factor for factor in x.dims[place] if factor.axis is not None)


def reduction(call: Call) -> Seen:
    """Dimensions taken together, all of them if none is named."""
    x = call.first()
    count = len(x.dims)
    named = call.given.get("dim")
    places = [named] if isinstance(named, int) else list(named or range(count))
    places = [place % max(1, count) for place in places] if count else []
    x = mixed(x, places, call.by)
    dims = [tuple(f for f in dim if f.axis is not None) if p in places else dim for p, dim in enumerate(x.dims)]
    if len(call.shape) == count:
        return Seen(tuple(dims), x.axes)
    kept, single = [dim for place, dim in enumerate(dims) if place not in places], [dims[place] for place in places]
    if kept:  # single places go along with the last dimension
        kept[-1] = sum(single, kept[-1])
    return settled(kept, x.axes, call.by)


def along(call: Call) -> Seen:
    """Each element of all those along one dimension: softmax, sums so far, orders."""
    x = call.first()
    if not x.dims:
        return x
    place = call.place("dim", len(x.dims)) if call.given.get("dim") is not None else len(x.dims) - 1
    x = mixed(x, [place], call.by)
    shape = call.shape
    dims = [dim if p != place else (Factor(shape[p]), *_single(x, p)) for p, dim in enumerate(x.dims)]
    return settled(dims, x.axes, call.by)


def last_normalised(call: Call) -> Seen:
    """Norms over the last dimensions, as many as ``normalized_shape`` has."""
    x = call.first()
    count = len(call.given.get("normalized_shape") or (1,))
    return mixed(x, range(len(x.dims) - count, len(x.dims)), call.by)


def group_norm(call: Call) -> Seen:
    """Norms over groups of channels and all places."""
    x = call.first()
    return mixed(x, range(1, len(x.dims)), call.by)


def batch_norm(call: Call) -> Seen:
    """A norm of whole batches counts as element by element, in training too; one that keeps no statistics does not.

    Without running statistics it is always the picture itself that is normalised by, as in instance norms.
    """
    x = call.first()
    return x if call.given.get("running_mean") is not None else mixed(x, range(2, len(x.dims)), call.by)


def attention(call: Call) -> Seen:
    """Every place of ``query`` looks at all of ``key`` and ``value``."""
    parts = []
    if (query := call.seen("query")) is not None:
        query = mixed(query, [len(query.dims) - 1], call.by)
        parts.append(Seen((*query.dims[:-1], (Factor(call.shape[-1]),)), query.axes))
    for name in ("key", "value"):
        if (looked := call.seen(name)) is not None:
            looked = mixed(looked, [len(looked.dims) - 2, len(looked.dims) - 1], call.by)
            shape = (*looked.dims[:-2], (Factor(call.shape[-2]),), (Factor(call.shape[-1]),))
            parts.append(settled(shape, looked.axes, call.by))
    return together(parts, call.shape, call.by)


RULES: dict[str, Callable[[Call], Seen]] = {
    "mm": product("self", "mat2"),
    "bmm": product("self", "mat2"),
    "addmm": product("mat1", "mat2"),
    "baddbmm": product("batch1", "batch2"),
    "linear": linear,
    **dict.fromkeys(("mean", "sum", "nansum", "amax", "amin", "max", "min", "var", "std", "var_mean"), reduction),
    **dict.fromkeys(("std_mean", "prod", "logsumexp", "norm", "linalg_vector_norm", "any", "all"), reduction),
    **dict.fromkeys(("argmax", "argmin", "median", "nanmedian"), reduction),
    **dict.fromkeys(("_softmax", "_log_softmax", "_safe_softmax", "softmax", "log_softmax"), along),
    **dict.fromkeys(("cumsum", "cumprod", "logcumsumexp", "cummax", "cummin", "sort", "argsort", "topk"), along),
    **dict.fromkeys(("native_layer_norm", "layer_norm", "rms_norm", "_fused_rms_norm"), last_normalised),
    "native_group_norm": group_norm,
    **dict.fromkeys(
        ("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training"), batch_norm
    ),
    **dict.fromkeys(("_batch_norm_with_update", "_batch_norm_no_update", "batch_norm"), batch_norm),
    **dict.fromkeys(("_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_attention_math"), attention),
    **dict.fromkeys(("_scaled_dot_product_efficient_attention", "_scaled_dot_product_flash_attention"), attention),
}
