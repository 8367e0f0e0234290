"""Driving the command line in processes of its own, and where the real data lie."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("STRIATE_TEST_DATA", REPOSITORY.parent / "shared" / "data")).resolve()
STRIATE = (sys.executable, "-m", "striate.cli")


class CommandError(Exception):
    """A command ended otherwise than it must; the text has the end of what it said."""


def striate(*words: str | Path, env: Mapping[str, str] | None = None, cwd: Path = REPOSITORY) -> dict[str, Any]:
    """Run `striate ... --json` and return its one object."""
    command = [*STRIATE, *map(str, words), "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", cwd=cwd, env={**os.environ, **(env or {})}
    )
    if done.returncode != 0:
        said = " / ".join(done.stderr.strip().splitlines()[-4:])
        raise CommandError(f"striate {' '.join(map(str, words))} ended with {done.returncode}: {said}")
    answer = json.loads(done.stdout)
    if not isinstance(answer, dict):
        raise CommandError(f"striate {words[0]} --json printed {type(answer).__name__}, not one object")
    return answer


def metrics(run: Path) -> list[dict[str, Any]]:
    """The whole lines of a run's metrics.jsonl; a last line that is still being written is left out."""
    path = run / "metrics.jsonl"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def figures(run: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without what a clock decides."""
    return [{name: value for name, value in line.items() if "second" not in name} for line in metrics(run)]


def subset(source: Path, target: Path, per_class: int) -> Path:
    """The first ``per_class`` pictures of each class folder, as links, in a new folder."""
    for folder in sorted(path for path in source.iterdir() if path.is_dir()):
        (target / folder.name).mkdir(parents=True)
        for picture in sorted(folder.iterdir())[:per_class]:
            (target / folder.name / picture.name).symlink_to(picture)
    return target


def same_weights(first: Path, others: Iterable[Path]) -> str:
    """An empty text if every model file holds the very tensors of the first, else where they differ."""
    import torch
    from safetensors.torch import load_file

    wanted = load_file(first)
    for other in others:
        got = load_file(other)
        if wanted.keys() != got.keys():
            return f"{other.parent.name}: other tensors"
        different = [name for name in wanted if not torch.equal(wanted[name], got[name])]
        if different:
            return f"{other.parent.name}: {len(different)} of {len(wanted)} tensors differ, first {different[0]}"
    return ""


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def surroundings() -> dict[str, str]:
    """What a figure must be read with: commit, processor, cores."""
    commit = _output("git", "rev-parse", "--short", "HEAD") or "none"
    changed = "+changes" if _output("git", "status", "--porcelain") else ""
    return {"commit": commit + changed, "processor": processor(), "cores": str(len(os.sched_getaffinity(0)))}


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY).stdout.strip()
