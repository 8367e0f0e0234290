"""Pretrained weights as tensors of ours: converted once, kept as safetensors in the user's cache folder."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from striate.base.atomic import replace_file
from striate.base.errors import OutputError, WeightsError
from striate.base.folders import cache_folder
from striate.models.meta import build_on_meta
from striate.weights.class_lists import class_list
from striate.weights.fetching import Notify, original
from striate.weights.fitting import misfits
from striate.weights.pretrained import PRETRAINED, Pretrained
from striate.weights.reading import read
from striate.weights.schemes import place


def pretrained_tensors(name: str, *, on_notice: Notify | None = None) -> dict[str, Tensor]:
    """The tensors of ``PRETRAINED[name]`` by our names, on the CPU.

    The first call finds or fetches the original file, verifies and converts it, and keeps the result in ``weights/``
    of the cache folder; later ones read that. Several processes may do so at once. Where the cache cannot be written,
    every call converts. ``on_notice`` is told before anything is fetched.

    Raises:
        WeightsError: the original file is not here and cannot be fetched, or is not the one that was published.
    """
    row = PRETRAINED[name]
    try:
        kept = cache_folder() / "weights" / f"{name}-{str(row.sha256)[:12]}.safetensors"
    except OutputError:
        return _converted(name, row, on_notice)
    if (tensors := _read_kept(name, row, kept)) is not None:
        return tensors
    tensors = _converted(name, row, on_notice)
    with suppress(OutputError, OSError):  # a full or read-only disk costs the next run a second, nothing more
        _keep(kept, tensors, row)
    return tensors


def _converted(name: str, row: Pretrained, on_notice: Notify | None) -> dict[str, Tensor]:
    path = original(name, row, on_notice=on_notice)
    placed = place(read(path), name, classes=len(class_list(row.classes)))
    if placed.model != name:
        raise WeightsError(f"{path}: holds weights of {placed.model}, not of {name}")
    return {name: tensor.contiguous() for name, tensor in placed.tensors.items()}


def _read_kept(name: str, row: Pretrained, path: Path) -> dict[str, Tensor] | None:
    """What was kept, or None if that is missing, damaged or of another shape: then it is made again."""
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError):
        return None
    return None if misfits(build_on_meta(name, classes=len(class_list(row.classes))), tensors) else tensors


def _keep(path: Path, tensors: Mapping[str, Tensor], row: Pretrained) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"origin": row.origin, "licence": row.licence or "", "source_sha256": str(row.sha256)}
    with replace_file(path) as temporary:
        save_file(dict(tensors), temporary, metadata=about)
