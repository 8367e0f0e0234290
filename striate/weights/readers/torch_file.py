"""Files that `torch.save` wrote, zip or the older pickle, by ``torch.load(weights_only=True)`` and by nothing else."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from striate.base.errors import WeightsError
from striate.weights.readers import Contents
from striate.weights.readers.zip_archive import entries

WRAPPERS = ("state_dict", "model", "model_state_dict", "state_dict_ema", "model_ema", "ema")
PREFIXES = ("module.", "_orig_mod.")

_LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # a pickle of the number that torch.save began with
_SHOWN = 6
_DEEPEST = 4
_KINDS = {
    **dict.fromkeys((torch.float16, torch.bfloat16, torch.float32, torch.float64), torch.float32),
    **dict.fromkeys((torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.bool), torch.int64),
}


def read(path: Path) -> Contents:
    """The tensors of a state dict, alone or in the wrapping of a training script.

    The wrapping is looked for under `WRAPPERS` in their order, then as the only entry that is a dict of tensors; what
    lies beside it (the epoch, an optimizer's state) is left. `PREFIXES`, which DataParallel and torch.compile add, go
    where every name has them.

    Facts: ``wrapper`` (the key that was unwrapped, dots between several, or None), ``prefix`` (what was taken off the
    names, or ""), ``others`` (what was left, by its key).

    Raises:
        WeightsError: the file is damaged, holds more than tensors and plain values, or no state dict.
    """
    with path.open("rb") as file:
        head = file.read(len(_LEGACY))
    container = "zip" if head.startswith(b"PK") else "legacy pickle"
    if container == "zip":
        _check_archive(path)
    loaded = _loaded(path, whole=head.startswith((b"PK", _LEGACY)))
    state, wrapper, others = _unwrapped(loaded)
    tensors = {name: value for name, value in state.items() if isinstance(name, str) and _is_tensor(value)}
    others += [str(name)[:100] for name in state if name not in tensors]
    prefix = _prefix(tensors)
    _check(tensors, path.stat().st_size)
    arrays = {name.removeprefix(prefix): _array(tensor) for name, tensor in tensors.items()}
    return Contents(container, arrays, {"wrapper": wrapper, "prefix": prefix, "others": others})


# Loading


def _check_archive(path: Path) -> None:
    """Refuse programs and bombs before torch sees the archive."""
    members = entries(path)
    if any("/code/" in entry.filename or entry.filename.endswith("constants.pkl") for entry in members):
        raise WeightsError(
            "is a TorchScript archive, which holds a program beside its numbers; ask for a state_dict "
            "(torch.save(model.state_dict(), ...)). Nothing was executed"
        )
    size, unpacked = path.stat().st_size, sum(entry.file_size for entry in members)
    if unpacked > 4 * size + 2**20:  # torch.save does not compress, so they are about the same
        raise WeightsError(
            f"unpacks to {unpacked:,} bytes from {size:,}, which no file of torch.save does; it is damaged, or made to "
            "fill the memory"
        )


def _loaded(path: Path, *, whole: bool) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (MemoryError, RecursionError):
        raise
    # The file's bytes are instructions, and damaged ones end in any exception there is.
    except Exception as error:
        text = str(error)
        if "allocate memory" in text or "bad_alloc" in text:
            raise MemoryError from error
        if wanted := _wanted(text):
            raise WeightsError(
                f"is a pickle of more than tensors: it wants {wanted[:200]}. A whole pickled module or object would "
                "run code of its author on load; ask for a state_dict (torch.save(model.state_dict(), ...)). Nothing "
                "was executed"
            ) from error
        if not whole or "Unsupported operand" in text:
            raise WeightsError(
                "is a pickle that torch.save did not write with its own protocol, or one that is damaged; only files "
                "of torch.save are read"
            ) from error
        reason = re.sub(r"\s+", " ", text.split("WeightsUnpickler error:")[-1].split("Check the documentation")[0])
        raise WeightsError(
            f"is a PyTorch file that is truncated or damaged ({reason[:200].strip() or type(error).__name__})"
        ) from error


def _wanted(text: str) -> str | None:
    """Which class or function a refused pickle asks for, by the words of torch's message."""
    patterns = (
        r"Unsupported global: GLOBAL (\S+)",
        r"load unsupported GLOBAL (\S+)",
        r"allowed list:? .*?GLOBAL (\S+)",
        r"but got <class '([^']+)'>",
    )
    for pattern in patterns:
        if found := re.search(pattern, text, re.DOTALL):
            return found[1]
    return None


# Finding the state dict


def _unwrapped(loaded: Any) -> tuple[Mapping[Any, Any], str | None, list[str]]:
    """The dict of tensors, the keys that led to it, and what lay beside."""
    keys: list[str] = []
    others: list[str] = []
    for _ in range(_DEEPEST):  # a damaged file may hold a dict that holds itself
        if not isinstance(loaded, Mapping):
            raise WeightsError(f"holds a {type(loaded).__name__} where a dict of names and tensors was expected")
        key = _wrapping(loaded)
        if key is None and _has_tensors(loaded):
            return loaded, ".".join(keys) or None, others
        if key is None:
            break
        others += [str(name)[:100] for name in loaded if name != key]
        keys.append(key)
        loaded = loaded[key]
    shown = ", ".join(str(name)[:50] for name in list(loaded)[:_SHOWN]) or "nothing"
    raise WeightsError(f"holds no state dict; its entries are {shown}. Looked for: tensors, or {', '.join(WRAPPERS)}")


def _wrapping(loaded: Mapping[Any, Any]) -> str | None:
    """The entry that holds the state dict, if it is not this dict itself."""
    inside = {name: value for name, value in loaded.items() if isinstance(name, str) and isinstance(value, Mapping)}
    for name in WRAPPERS:
        if name in inside and (_has_tensors(inside[name]) or _wraps(inside[name])):
            return name
    full = [name for name, value in inside.items() if _has_tensors(value)]
    return full[0] if len(full) == 1 and not _has_tensors(loaded) else None


def _is_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor)


def _has_tensors(value: Mapping[Any, Any]) -> bool:
    return any(isinstance(name, str) and _is_tensor(inner) for name, inner in value.items())


def _wraps(value: Mapping[Any, Any]) -> bool:
    """Whether a wrapping lies inside a wrapping, as in ``{"model": {"state_dict": ...}}``."""
    return any(isinstance(value.get(name), Mapping) and _has_tensors(value[name]) for name in WRAPPERS)


def _prefix(names: Mapping[str, Any]) -> str:
    prefix = ""
    while more := [each for each in PREFIXES if names and all(name.startswith(prefix + each) for name in names)]:
        prefix += more[0]
    return prefix


# Numbers


def _check(tensors: Mapping[str, torch.Tensor], size: int) -> None:
    """Plain tensors only, and no more numbers than the file can hold.

    A tensor may declare more than it stores (a stride of 0), and many may share what is stored once.
    """
    for name, tensor in tensors.items():
        if tensor.is_quantized or tensor.is_nested or tensor.is_meta or tensor.layout != torch.strided:
            what = "quantised" if tensor.is_quantized else "sparse, nested or empty (meta)"
            raise WeightsError(f"{name} is a {what} tensor; only plain ones are read. Convert it before saving")
        if tensor.dtype not in _KINDS:
            raise WeightsError(
                f"{name} holds numbers of the kind {tensor.dtype}, which is not read; save it as float32"
            )
    total = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if total > 8 * size:
        raise WeightsError(
            f"declares {total:,} bytes of tensors in a file of {size:,}; it is damaged, or made to fill the memory"
        )


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().to(_KINDS[tensor.dtype]).contiguous().numpy()
