"""The largest batch: in a budget that the kernel enforces the advised one trains, is measured and saved, 1.2 times not.

Each run is a process of its own, whose data segment is limited (RLIMIT_DATA) to what it has mapped when it begins, the
budget beyond that. Of what the planner advises nothing is left: 1.2 times as many pictures are refused with our
sentence, and forced they end with one, too, instead of a crash.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from accept import Check, noted
from accept.commands import REPOSITORY

NETWORKS: dict[str, tuple[int, int]] = {"mobilenet_v2": (128, 1_200), "resnet18": (128, 1_500), "vgg11": (224, 6_000)}
"""Names, with sides of the pictures in pixels, and the budget in MB (10^6 bytes)."""
LEAST = 16
MORE = 1.2
PICTURES = 240


def checks(names: Sequence[str] = tuple(os.environ.get("NETWORKS", " ".join(NETWORKS)).split())) -> Iterator[Check]:
    """``NETWORKS=mobilenet_v2 make accept TOPIC=plan ONLY=4`` looks at one."""
    with TemporaryDirectory() as folder:
        _draw(Path(folder) / "photos.npz")
        for name in names:
            yield from _of_network(name, Path(folder))


def _of_network(name: str, folder: Path) -> Iterator[Check]:
    side, budget = NETWORKS[name]
    words = ["--model", name, "--size", str(side), "--precision", "float32", "--epochs", "1"]
    code, said = _run(folder, budget, *words, "--batch-size", str(PICTURES), out=f"{name}-advice")
    advised = int(said.partition("Batches of ")[2].partition(" ")[0] or 0)
    yield Check(f"4.{name} advised", f">= {LEAST}, exit 2", f"{advised}, exit {code}", advised >= LEAST and code == 2)
    code, said = _run(folder, budget, *words, "--batch-size", str(advised), out=f"{name}-fits")
    there = (folder / f"{name}-fits" / "model.safetensors").exists()
    told = "exit 0, a model" if code == 0 and there else f"exit {code}: {said[-160:]}"
    yield Check(f"4.{name} {advised}", "exit 0, a model", told, code == 0 and there)
    more = int(MORE * advised) + 1
    for flags in ([], ["--force"]):
        code, said = _run(folder, budget, *words, "--batch-size", str(more), *flags, out=f"{name}-more")
        last = said.strip().splitlines()[-1] if said.strip() else ""
        ours = code == 2 and "Traceback" not in said
        yield Check(f"4.{name} {more} {' '.join(flags)}".strip(), "exit 2, our sentence", f"exit {code}", ours)
        yield noted(f"4.{name} {more} said", last[:160])


def _run(folder: Path, budget: int, *words: str, out: str) -> tuple[int, str]:
    """The exit code of a training within a budget, and what it said."""
    command = [sys.executable, "-c", PROGRAM, str(budget * 10**6), "train", str(folder / "photos.npz"), *words]
    done = subprocess.run(
        [*command, "--out", str(folder / out), "--workers", "1", "--weights", "none"],
        capture_output=True,
        text=True,
        errors="replace",
        cwd=REPOSITORY,
    )
    return done.returncode, done.stderr


PROGRAM = """
import resource, sys
import torch
import striate.training.run, striate.cli.train
from striate.planning import plan
plan(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)), size=8)  # imports what a plan needs
mapped = next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (mapped + int(sys.argv.pop(1)),) * 2)
from striate.cli import main
sys.exit(main(sys.argv[1:]))
"""


def _draw(path: Path) -> None:
    """Noise, of two classes told apart by their grey."""
    import numpy as np

    rng = np.random.default_rng(0)
    y = np.arange(PICTURES * 5 // 4) % 2
    x = (rng.integers(0, 120, (len(y), 32, 32, 3)) + 100 * y[:, None, None, None]).astype(np.uint8)
    np.savez(path, x=x, y=y)


if __name__ == "__main__":
    for check in checks(sys.argv[1:]):
        print(json.dumps([check.id, check.wanted, check.got, check.ok]), flush=True)
