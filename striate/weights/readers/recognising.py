"""Which format a file is, by what it holds; its name decides only where the bytes cannot."""

import struct
from pathlib import Path
from types import MappingProxyType

from striate.base.errors import WeightsError
from striate.weights.foreign import Origin
from striate.weights.readers import caffe_file
from striate.weights.readers.zip_archive import entries

_READ = (
    "PyTorch (.pth, .pt), safetensors, Keras (.h5, .weights.h5, .keras), Caffe (.caffemodel) and darknet "
    "(.weights with its .cfg)"
)
# What people often have in hand in place of weights: how it begins, what it is, what to do.
_MISTAKEN = MappingProxyType(
    {
        b"version https://git-lfs": "is a Git LFS pointer, not the file itself; fetch it with `git lfs pull`",
        b"<!doctype": "is a web page; what was downloaded is not the weights",
        b"<html": "is a web page; what was downloaded is not the weights",
        b"\x1f\x8b": "is a gzip archive; unpack it and give the file of weights inside",
        b"rar!": "is a RAR archive; unpack it and give the file of weights inside",
        b"7z\xbc\xaf": "is a 7z archive; unpack it and give the file of weights inside",
        b"\x93numpy": "is a NumPy array file, which says nothing of the network it belongs to",
    }
)


def recognise(path: Path, config: Path | None) -> Origin:
    """Whose format the file is: the first bytes, for a zip archive its members, then the name.

    Raises:
        WeightsError: it is no format that is read here, or a darknet file without its ``.cfg``.
    """
    with path.open("rb") as file:
        head = file.read(512)
    if _begins_as_safetensors(head, path):
        return "safetensors"
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "keras"
    if head.startswith(b"PK"):
        return _zip_origin(path)
    if head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return "torch"
    for start, what in _MISTAKEN.items():
        if head.lower().startswith(start):
            raise WeightsError(what)
    if path.suffix == ".weights" or config is not None:
        beside = path.with_suffix(".cfg")
        if config is None and not beside.exists():
            raise WeightsError(
                "is a darknet file, which holds numbers alone; the .cfg that names its layers is needed. Put it beside "
                f'as {beside.name}, or say where it is: --config FILE.cfg, or config="FILE.cfg"'
            )
        return "darknet"
    if path.suffix == ".caffemodel" or caffe_file.recognises(path):
        return "caffe"
    raise WeightsError(f"is no file of weights that is known here; read are {_READ}")


def _begins_as_safetensors(head: bytes, path: Path) -> bool:
    if head[8:9] != b"{":
        return False
    (length,) = struct.unpack("<Q", head[:8])
    return path.suffix == ".safetensors" or 2 <= length <= path.stat().st_size - 8


def _zip_origin(path: Path) -> Origin:
    names = [entry.filename for entry in entries(path)]
    if "model.weights.h5" in names and "config.json" in names:
        return "keras"
    if any(name == "data.pkl" or name.endswith("/data.pkl") for name in names):
        return "torch"
    shown = ", ".join(names[:3]) or "nothing"
    raise WeightsError(f"is a zip archive, but neither PyTorch's nor Keras'; it holds {shown}. Read are {_READ}")
