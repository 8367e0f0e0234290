"""A compiler that notes what it is asked, for builds that take no time."""

import itertools
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from striate.base.compiling import compilers

SCRIPT = """#!/bin/sh
case "$*" in *--version) echo "{version}"; exit 0 ;; esac
echo "$*" >> {log}
for word; do
    case "$before" in -o) target=$word ;; -c) source=$word ;; esac
    before=$word
done
{then}
echo "made of $source" > "$target"
"""


@dataclass(frozen=True)
class Scripted:
    """A compiler of a folder, and what it was asked so far."""

    folder: Path

    def does(self, then: str = "", *, version: str = "1.0") -> None:
        """From now on it does this, in the shell's language, before it writes; ``$source`` is empty for a link."""
        path = self.folder / "cc.new"  # one that a dying compiler still runs is not written to
        path.write_text(SCRIPT.format(version=version, log=self.log, then=then))
        path.chmod(0o755)
        path.replace(self.folder / "cc")

    @property
    def log(self) -> Path:
        return self.folder / "asked"

    def compiled(self) -> list[str]:
        """The units that it was asked to compile, in their order."""
        if not self.log.exists():
            return []
        words = [line.split() for line in self.log.read_text().splitlines()]
        return [Path(line[line.index("-c") + 1]).name for line in words if "-c" in line]

    def runs(self) -> bool:
        """Whether one of it is still alive."""
        words = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                words.append(entry.read_bytes())
        return any(str(self.folder / "cc").encode() in each for each in words)


@pytest.fixture
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scripted:
    """The compiler of this process, which works."""
    compiler = Scripted(tmp_path)
    compiler.does()
    monkeypatch.setenv("CC", str(tmp_path / "cc"))
    return compiler


def idle_once_there_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs use the processor until a file is there, and none afterwards, however busy this machine is."""
    ticks = itertools.count()
    monkeypatch.setattr(compilers, "processor_seconds", lambda group: 0 if path.exists() else next(ticks))
