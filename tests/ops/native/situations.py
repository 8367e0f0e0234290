"""What can be in the way of kernels on somebody's machine, each set up for a process, or a part of one, to meet it.

`python -m tests.ops.native.situations` takes a few steps of training through all the kernels there are, and prints the
losses and what a log would say of how they were computed. Acceptance trains networks in the same situations.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from striate.base.compiling.levels import LEVELS, possible
from striate.base.compiling.sources import FOLDER, UNITS, library_name

Environment = dict[str, str]


@dataclass(frozen=True)
class Place:
    """Where a situation is set up: a folder of its own, a compiler that works, and the libraries it would make."""

    folder: Path
    compiler: str
    library: Callable[[str], Path]

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def level(self) -> str:
        return possible()[0].name

    def kept(self, level: str) -> Path:
        """Where the cache has the library for a level."""
        found = possible()[0] if level == "auto" else next(each for each in LEVELS if each.name == level)
        return self.cache / "native" / library_name(found)

    def keep(self, level: str, content: bytes | None = None, digest: str | None = None) -> None:
        """Put a library into the cache, as it is or with another content or sum than it should have."""
        path, whole = self.kept(level), self.library(level).read_bytes()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(whole if content is None else content)
        sum_of(path).write_text(digest or hashlib.sha256(whole).hexdigest())

    def script(self, text: str) -> Environment:
        """A compiler that does what this says in the shell's language, and tells its version first."""
        path = self.folder / "cc"
        path.write_text(f"#!/bin/sh\n{VERSION}\n{text}\n")
        path.chmod(0o755)
        return {"CC": str(path)}

    def no_compiler(self) -> Environment:
        empty = self.folder / "empty"
        empty.mkdir(exist_ok=True)
        return {"PATH": str(empty), "CC": ""}

    def lock(self) -> None:
        """Nobody may write into the cache any more, but for who has the rights of the superuser."""
        for folder in (self.cache / "native", self.cache):
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o555)


VERSION = """if [ "$*" = --version ]; then echo "a compiler 1.0"; exit 0; fi"""


def sum_of(path: Path) -> Path:
    """Where the checksum of a library lies."""
    return path.with_name(f"{path.name}.sha256")


def bare_package(folder: Path) -> Path:
    """A folder with a copy of the package that came without kernels, for programs that are started there."""
    package = FOLDER.parents[1]
    shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("built", "__pycache__"))
    return folder


def copying(library: Path) -> str:
    """A compiler's script that takes no time: it has this library ready."""
    return f"""
for word; do
    if [ "$before" = -o ]; then target=$word; fi
    before=$word
done
case " $* " in
    *" -shared "*) cat {library} > "$target" ;;
    *) : > "$target" ;;
esac"""


@dataclass(frozen=True)
class Situation:
    """``said`` is a pattern of what the log tells, ``{level}`` in it the best level of this processor.

    ``bound`` processes have no rights beyond those of the files they meet. ``spoils`` says that a library is kept that
    cannot be used.
    """

    name: str
    prepare: Callable[[Place], Environment]
    said: str
    bound: bool = False
    spoils: bool = False


KERNELS = r"kernels of Striate for {level}"
ALONE = r"torch alone \({}\)"
NO_COMPILER = ALONE.format("there is no C compiler; .*")
UNWRITABLE = ALONE.format("kernels cannot be kept in .*; set STRIATE_CACHE .*")
AGAIN = "; that is remembered for a day, `striate bench` tries again"


def _damaged(content: Callable[[bytes], bytes]) -> Callable[[Place], Environment]:
    def prepare(place: Place) -> Environment:
        place.keep("auto", content(place.library("auto").read_bytes()))
        return {"CC": place.compiler}

    return prepare


def _flipped(whole: bytes) -> bytes:
    middle = len(whole) // 2
    return whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]


def _without_avx512(place: Place) -> Environment:
    place.keep("avx2")
    return {**place.no_compiler(), "STRIATE_NATIVE": "avx2"}


def _kept_by_another(place: Place) -> Environment:
    place.keep("auto")
    return place.no_compiler()


def _flipped_for_good(place: Place) -> Environment:
    place.keep("auto", _flipped(place.library("auto").read_bytes()))
    return place.no_compiler()


def _locked(place: Place) -> Environment:
    place.lock()
    return {"CC": place.compiler}


def _locked_and_kept(place: Place) -> Environment:
    place.keep("auto")
    place.lock()
    return place.no_compiler()


def _locked_for_good(place: Place) -> Environment:
    place.lock()
    return place.no_compiler()


def _in_the_way(place: Place) -> Environment:
    place.cache.mkdir()
    (place.cache / "native").write_text("not a folder")
    return {"CC": place.compiler}


def _folder_for_library(place: Place) -> Environment:
    place.kept("auto").mkdir(parents=True)
    return {"CC": place.compiler}


def _sum(digest: str) -> Callable[[Place], Environment]:
    def prepare(place: Place) -> Environment:
        place.keep("auto", digest=digest)
        return {"CC": place.compiler}

    return prepare


def _without_sum(place: Place) -> Environment:
    place.keep("auto")
    sum_of(place.kept("auto")).unlink()
    return {"CC": place.compiler}


def _other_numbers(place: Place) -> Environment:
    """A library whose functions are all there and do nothing, but for one whose first output is no number.

    What nobody writes may be right by chance: memory in which torch has just computed it.
    """
    source, library = place.folder / "nothing.c", place.folder / "nothing.so"
    function = re.compile(r"^(?:int|int64_t|void) (\w+)\(", re.MULTILINE)
    names = sorted({name for unit in UNITS for name in function.findall((FOLDER / unit).read_text())})
    bodies = dict.fromkeys(names, "() { return 0; }")
    bodies["depthwise_forward"] = "(void *x, void *weight, unsigned *y) { y[0] = ~0u; return 0; }"
    source.write_text("\n".join(f"int {name}{body}" for name, body in bodies.items()))
    command = [shutil.which("gcc") or "cc", "-shared", "-fPIC", str(source), "-o", str(library)]
    subprocess.run(command, check=True)
    return place.script(copying(library))


LOADED = ALONE.format("the kernels cannot be loaded: .*")

SITUATIONS = (
    Situation("no compiler", Place.no_compiler, NO_COMPILER),
    Situation("switched off", lambda place: {"STRIATE_NATIVE": "off"}, ALONE.format("STRIATE_NATIVE is off")),
    Situation("without AVX512", _without_avx512, "kernels of Striate for avx2"),
    Situation("kept by another process, no compiler", _kept_by_another, KERNELS),
    Situation("read-only cache", _locked, UNWRITABLE, bound=True),
    Situation("read-only cache with a library, no compiler", _locked_and_kept, KERNELS, bound=True),
    Situation("read-only cache, no compiler", _locked_for_good, UNWRITABLE, bound=True),
    Situation("a file where the cache's folder should be", _in_the_way, UNWRITABLE),
    Situation("a folder where the library should be", _folder_for_library, KERNELS),
    Situation("library cut off", _damaged(lambda whole: whole[: len(whole) // 2]), KERNELS),
    Situation("library with a flipped bit", _damaged(_flipped), KERNELS),
    Situation("library without a byte", _damaged(lambda whole: b""), KERNELS),
    Situation("library that is a text", _damaged(lambda whole: b"a text\n" * 1000), KERNELS),
    Situation("library with another sum", _sum("0" * 64), KERNELS),
    Situation("library with a sum that is none", _sum("no sum"), KERNELS),
    Situation("library without its sum", _without_sum, KERNELS),
    Situation("library with a flipped bit, no compiler", _flipped_for_good, NO_COMPILER),
    Situation(
        "compiler that fails",
        lambda place: place.script("echo 'no such target' >&2; exit 1"),
        ALONE.format("the C compiler .* fails: no such target"),
    ),
    Situation(
        "compiler that is killed",
        lambda place: place.script("kill -9 $$"),
        ALONE.format("the C compiler .* was killed, perhaps for lack of memory"),
    ),
    Situation(
        "compiler that writes nothing",
        lambda place: place.script("exit 0"),
        ALONE.format("the C compiler .* ends well and writes nothing"),
    ),
    Situation(
        "compiler that writes a text",
        lambda place: place.script(copying(Path(__file__))),
        LOADED,
        spoils=True,
    ),
    Situation(
        "compiler whose library computes otherwise",
        _other_numbers,
        ALONE.format("the kernels compute otherwise than torch: .*"),
        spoils=True,
    ),
)


def bound() -> list[str]:
    """What to start a program with, so that permissions bind even the superuser's."""
    if os.geteuid() != 0:
        return []
    # Without these it is still root, and so reaches the interpreter and the folders of tests wherever they are.
    without = "-dac_override,-dac_read_search"
    return [shutil.which("setpriv") or "setpriv", f"--bounding-set={without}", f"--inh-caps={without}"]


def steps(*, low: bool) -> list[float]:
    """The losses of a few steps through every kind of kernel, in float32 or bfloat16."""
    import torch

    from striate.layers import BatchNormAct2d, Conv2d

    torch.manual_seed(0)
    first, last = Conv2d(32, 32, 1, padding="valid"), Conv2d(32, 24, 1, padding="valid")
    windows = [Conv2d(32, 32, size, padding="same", groups=32) for size in (3, 5, 7)]
    norms = [BatchNormAct2d(32, act=act) for act in ("relu6", "none", "relu", "relu6")]
    network = torch.nn.ModuleList([first, last, *windows, *norms])
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    x = torch.randn(4, 32, 11, 13).contiguous(memory_format=torch.channels_last)
    wanted, losses = torch.randn(4, 24, 11, 13), []
    for _ in range(4):
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            y = norms[0](first(x))
            for window, norm in zip(windows, norms[1:], strict=True):
                y = norm(window(y), y)
            loss = (last(y).float() - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def main() -> int:
    """Take the steps and print how they were taken."""
    from striate.ops.native import description

    answer = {"said": description(), "float32": steps(low=False), "bfloat16": steps(low=True)}
    sys.stdout.write(f"{json.dumps(answer)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
