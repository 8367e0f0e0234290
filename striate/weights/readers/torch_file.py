"""Files that `torch.save` wrote, zip or the older pickle, by ``torch.load(weights_only=True)`` and by nothing else."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from striate.base.errors import WeightsError
from striate.weights.readers import Contents
from striate.weights.readers.choosing import WHOLE, chosen, described, rivals, stripped
from striate.weights.readers.zip_archive import entries

WRAPPERS = ("state_dict", "model", "model_state_dict", "state_dict_ema", "model_ema", "ema")

# Classes of what training scripts save beside the tensors, their arguments and random states. None of them is made:
# an object of ours that holds nothing stands for each, or an empty dict where the pickle goes on to fill one.
UNREAD = (
    "argparse.Namespace",
    *(f"pathlib.{kind}" for kind in ("Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")),
    *(f"pathlib._local.{kind}" for kind in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")),
    *(f"numpy.{core}.multiarray.{made}" for core in ("_core", "core") for made in ("scalar", "_reconstruct")),
    *(f"numpy.{kind}" for kind in ("ndarray", "dtype", "bool", "bool_", "float16", "float32", "float64")),
    *(f"numpy.{kind}" for kind in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")),
    *(f"datetime.{kind}" for kind in ("datetime", "date", "time", "timedelta", "timezone")),
    *(f"builtins.{kind}" for kind in ("slice", "range", "frozenset", "list", "dict", "int", "float", "bool", "str")),
)
UNREAD_DICTS = (
    "collections.defaultdict",
    "lightning_fabric.utilities.data.AttributeDict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
)

_LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # a pickle of the number that torch.save began with
_SHOWN = 6
_DEEPEST = 4
_KINDS = {
    **dict.fromkeys((torch.float16, torch.bfloat16, torch.float32, torch.float64), torch.float32),
    **dict.fromkeys((torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.bool), torch.int64),
}


def read(path: Path, state: str | None = None) -> Contents:
    """The tensors of a state dict, alone or in the wrapping of a training script.

    ``state`` says which entry to take. None looks for it under `WRAPPERS` in their order, then as the only one that is
    a dict of tensors, and refuses where another could be meant as well; what lies beside it (the epoch, an optimizer's
    state) is left. What wrappers put before the names, `striate.weights.readers.choosing.PREFIXES`, goes where every
    name has it.

    Facts: ``wrapper`` (the key that was unwrapped, dots between several, or None), ``prefix`` (what was taken off the
    names, or ""), ``others`` (what was left, by its key).

    Raises:
        WeightsError: the file is damaged, holds more than tensors and plain values, no state dict, or several.
    """
    with path.open("rb") as file:
        head = file.read(len(_LEGACY))
    container = "zip" if head.startswith(b"PK") else "legacy pickle"
    if container == "zip":
        _check_archive(path)
    loaded = _loaded(path, whole=head.startswith((b"PK", _LEGACY)))
    tensors, wrapper, others = _unwrapped(loaded, state)
    prefix, named = stripped(tensors)
    others += [name for name in tensors if prefix and not name.startswith(prefix)]
    _check(named, path.stat().st_size)
    arrays = {name: _array(tensor) for name, tensor in named.items()}
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


class _Nothing:
    """Stands for an object of `UNREAD`, whatever it is made from."""

    def __new__(cls, *_parts: object) -> Self:
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        """Keep nothing of it."""


class _EmptyDict:
    """Makes an empty dict in place of one of `UNREAD_DICTS`."""

    def __new__(cls, *_parts: object) -> dict[Any, Any]:  # type: ignore[misc]
        return {}


_STANDING_IN: list[Any] = [(_Nothing, name) for name in UNREAD] + [(_EmptyDict, name) for name in UNREAD_DICTS]


def _loaded(path: Path, *, whole: bool) -> Any:
    try:
        with torch.serialization.safe_globals(_STANDING_IN):
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


Tensors = dict[str, torch.Tensor]


def _unwrapped(loaded: Any, state: str | None) -> tuple[Tensors, str | None, list[str]]:
    """The tensors, the keys that led to them, and what lay beside."""
    sets = _sets(loaded)
    if state is not None:
        path, taken = chosen(sets, state)
        return dict(taken), path, [other for other in sets if other not in (path, WHOLE)]
    keys: list[str] = []
    others: list[str] = []
    for _ in range(_DEEPEST):  # a damaged file may hold a dict that holds itself
        if not isinstance(loaded, Mapping):
            raise WeightsError(f"holds a {type(loaded).__name__} where a dict of names and tensors was expected")
        key = _wrapping(loaded)
        if key is None and (tensors := _tensors(loaded)):
            if meant := rivals(tensors, sets):
                each = described({".".join(keys) or WHOLE: tensors} | {path: sets[path] for path in meant})
                raise WeightsError(
                    f"holds more than one set of weights for the same network: {each}; say which to take, as in "
                    f"--state {meant[0]}, or in Python state={meant[0]!r}"
                )
            return tensors, ".".join(keys) or None, others + [str(name)[:100] for name in loaded if name not in tensors]
        if key is None:
            break
        others += [str(name)[:100] for name in loaded if name != key]
        keys.append(key)
        loaded = loaded[key]
    shown = ", ".join(str(name)[:50] for name in list(loaded)[:_SHOWN]) or "nothing"
    inside = f"; --state takes one of {described(sets)}" if sets else ""
    raise WeightsError(
        f"holds no state dict; its entries are {shown}. Looked for: tensors, or {', '.join(WRAPPERS)}{inside}"
    )


def _sets(loaded: Any) -> dict[str, Tensors]:
    """Every dict of tensors in the file by the keys that lead to it."""
    found: dict[str, Tensors] = {}
    seen: set[int] = set()  # a damaged file may hold a dict in itself, or in very many places
    waiting: list[tuple[tuple[str, ...], Any]] = [((), loaded)]
    for keys, value in waiting:
        if not isinstance(value, Mapping):
            continue
        if tensors := _tensors(value):
            found[".".join(keys) or WHOLE] = tensors
        if id(value) not in seen and len(keys) < _DEEPEST:
            seen.add(id(value))
            waiting += [((*keys, name), inner) for name, inner in value.items() if isinstance(name, str)]
    return found


def _wrapping(loaded: Mapping[Any, Any]) -> str | None:
    """The entry that holds the state dict, if it is not this dict itself."""
    inside = {name: value for name, value in loaded.items() if isinstance(name, str) and isinstance(value, Mapping)}
    for name in WRAPPERS:
        if name in inside and (_tensors(inside[name]) or _wraps(inside[name])):
            return name
    full = [name for name, value in inside.items() if _tensors(value)]
    return full[0] if len(full) == 1 and not _tensors(loaded) else None


def _wraps(value: Mapping[Any, Any]) -> bool:
    """Whether a wrapping lies inside a wrapping, as in ``{"model": {"state_dict": ...}}``."""
    return any(isinstance(value.get(name), Mapping) and _tensors(value[name]) for name in WRAPPERS)


def _tensors(value: Mapping[Any, Any]) -> Tensors:
    return {name: inner for name, inner in value.items() if isinstance(name, str) and isinstance(inner, torch.Tensor)}


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
