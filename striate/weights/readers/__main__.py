"""The readers as a program, the child's side of `striate.weights.isolation`.

A request is a line of JSON on standard input, its answer a line of JSON on standard output. The arrays of an answer lie
in the folder that the program runs in, as a safetensors file of numbered tensors.
"""

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from striate.base.errors import WeightsError
from striate.weights.foreign import Origin
from striate.weights.isolation import ARRAYS
from striate.weights.readers import Contents
from striate.weights.readers.recognising import recognise

if sys.platform != "win32":
    import resource


def main() -> None:
    """Answer until there are no more requests."""
    # What libraries print must not get between the answers.
    with os.fdopen(os.dup(1), "w", encoding="ascii") as answers:
        os.dup2(2, 1)
        limits = Limits()
        for line in sys.stdin:
            answers.write(_answer(json.loads(line), limits) + "\n")
            answers.flush()


class Limits:
    """What this process may use while it reads; on systems that have no such limits, nothing is set."""

    def __init__(self) -> None:
        self._imported: set[Origin] = set()
        self._before = 0  # bytes of address space with every reader so far imported
        if sys.platform != "win32":
            resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))

    def reader(self, origin: Origin) -> Any:
        """The module that reads the format. Importing it is not what is limited."""
        self.set_memory(None)
        module = importlib.import_module(f"striate.weights.readers.{origin}_file")
        if origin not in self._imported:
            self._imported.add(origin)
            self._before = _address_space()
        return module

    def set_memory(self, allowance: int | None) -> None:
        """Allow so many bytes of address space beyond those of the program itself, or with None all there are."""
        self._before = self._before or _address_space()
        if sys.platform == "win32" or not self._before:
            return
        highest = resource.getrlimit(resource.RLIMIT_AS)[1]
        wanted = resource.RLIM_INFINITY if allowance is None else self._before + allowance
        if highest != resource.RLIM_INFINITY and not 0 <= wanted < highest:
            wanted = highest
        resource.setrlimit(resource.RLIMIT_AS, (wanted, highest))

    def set_time(self, seconds: float) -> None:
        """End this process if it works longer. Whoever asked has a clock too, but may be gone before it rings."""
        if sys.platform == "win32":
            return
        used = resource.getrusage(resource.RUSAGE_SELF)
        highest = resource.getrlimit(resource.RLIMIT_CPU)[1]
        wanted = int(used.ru_utime + used.ru_stime + seconds) + 10
        if highest == resource.RLIM_INFINITY or wanted < highest:
            resource.setrlimit(resource.RLIMIT_CPU, (wanted, highest))


def peak_memory() -> int:
    """The most memory this process ever had at once, in bytes; 0 where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def _address_space() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _answer(request: dict[str, Any], limits: Limits) -> str:
    try:
        return json.dumps({**_read(request, limits), "peak": peak_memory()})
    except WeightsError as error:
        answer: dict[str, Any] = {"refused": str(error)}
    except MemoryError:
        answer = {"memory": True}
    except RecursionError:
        answer = {"refused": "is damaged: it nests deeper than any file of weights does"}
    except Exception:  # noqa: BLE001 - a fault of ours, which is said where somebody sees it
        answer = {"fault": traceback.format_exc()}
    return json.dumps({**answer, "peak": peak_memory()})


def _read(request: dict[str, Any], limits: Limits) -> dict[str, Any]:
    path = Path(request["path"])
    config = None if request["config"] is None else Path(request["config"])
    limits.set_time(request["seconds"])
    limits.set_memory(request["memory"])
    origin: Origin = request["origin"] or recognise(path, config)
    if config is not None and origin != "darknet":
        raise WeightsError(f"is a file of {origin}, which needs no configuration; only darknet's do")
    state = request.get("state")
    if state is not None and origin not in ("torch", "safetensors"):
        raise WeightsError(f"is a file of {origin}, which holds one set of weights; leave --state out")
    reader = limits.reader(origin)
    limits.set_memory(request["memory"])
    further = [config or path.with_suffix(".cfg")] if origin == "darknet" else [] if state is None else [state]
    contents = reader.read(path, *further)
    _lay_down(contents)
    return {
        "origin": origin,
        "container": contents.container,
        "names": list(contents.arrays),
        "facts": dict(contents.facts),
    }


def _lay_down(contents: Contents) -> None:
    """Write the arrays, numbered, into the folder that this program runs in."""
    if not contents.arrays:
        raise WeightsError("holds no arrays")
    # Not ascontiguousarray, which makes a single number a vector.
    arrays = {
        str(index): np.asarray(array, np.float32 if array.dtype.kind == "f" else np.int64, order="C")
        for index, array in enumerate(contents.arrays.values())
    }
    try:
        save_file(arrays, ARRAYS)
    except (OSError, SafetensorError) as error:
        raise WeightsError(
            f"cannot be unpacked into the folder {Path.cwd().parent} ({error}); free some space, or set TMPDIR"
        ) from error


if __name__ == "__main__":
    main()
