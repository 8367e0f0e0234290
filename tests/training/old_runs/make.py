"""Made the old runs beside it: ``python -m tests.training.old_runs.make``, with Striate as it was at commit 561ca1d.

It is kept to show what they are. With later versions it would make later runs: those beside it are never made again.

LeNet-5 has 61,111 weights, too many for a repository. Its fresh weights were therefore rounded to 64ths, which compress
to a tenth, and every stage froze all but the head; momentum, averages, figures and files are as Striate made them.
"""

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

import striate
from striate.training.events import StepDone
from tests.training.old_runs import pictures

HERE = Path(__file__).resolve().parent
KILLED = 9
BODY = ["stem", "stage1", "stage2"]
CUT = {
    "model": "lenet5",
    "seed": 5,
    "batch_size": 8,
    "accumulate": 2,
    "precision": "float32",
    "ema_decay": 0.9,
    "clip_norm": 1.0,
    "weight_decay": 0.0005,
    "log_every": 1,
    "save_every": 1e-9,
    "split": [0.7, 0.15, 0.15],
    "augment": {"crop": [0.8, 1.0], "flip": False, "rotation": 5.0, "shift": 1},
    "classify": {"label_smoothing": 0.1, "class_weights": "balanced"},
    "stages": [
        {"epochs": 1, "rate": 0.02, "freeze": ["body"], "warmup": 0.25},
        {"epochs": 3, "rate": 0.05, "freeze": BODY},
    ],
}
"""The run that is killed in its last epoch."""
FINISHED = {
    "model": "lenet5",
    "batch_size": 16,
    "precision": "float32",
    "optimizer": "adamw",
    "metric": "loss",
    "patience": 5,
    "stages": [{"epochs": 3, "rate": 0.01, "freeze": ["body"], "keep_statistics": True}],
}
"""The run that came to its end; what it does not say is LeNet-5's own recipe of then."""


def rounded_weights() -> None:
    glorot = nn.init.xavier_uniform_

    def rounded(tensor: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return glorot(tensor).mul_(64).round_().div_(64)

    nn.init.xavier_uniform_ = rounded


def train(run: Path, changes: dict[str, Any], kill: int = -1) -> None:
    steps = 0

    def on_event(event: object) -> None:
        nonlocal steps
        steps += isinstance(event, StepDone)
        if steps == kill:
            os._exit(KILLED)

    rounded_weights()
    data = pictures.write(run.parent / "bars.npz")
    striate.train(data, changes=changes, out=run, on_event=on_event, workers=0)


def answers(run: Path) -> dict[str, Any]:
    """What the model file says of the first six pictures, and how its head weighs."""
    predictor = striate.load(run / "model.safetensors")
    with np.load(run.parent / "bars.npz") as arrays:
        images = [np.ascontiguousarray(image) for image in arrays["x"][:6]]
    scores = [predictor(image).probabilities.tolist() for image in images]
    head = load_file(run / "model.safetensors")["output.weight"].tolist()
    return {"probabilities": scores, "head": head}


def pack(run: Path, name: str) -> None:
    with tarfile.open(HERE / f"{name}.tar.xz", "w:xz", preset=9) as archive:
        for path in sorted(run.iterdir()):
            archive.add(path, arcname=f"{name}/{path.name}")


def main() -> None:
    expected: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        for which in ("cut", "finished"):
            run = Path(name) / which
            command = [sys.executable, "-m", "tests.training.old_runs.make", which, str(run)]
            code = subprocess.run(command).returncode
            assert code == (KILLED if which == "cut" else 0), code
            pack(run, which)
            expected[which] = answers(run)
            # What came of it when that commit's own Striate went on with it, one to its end, one for two epochs more.
            controls = {"resume": True} if which == "cut" else {"extend": 2}
            result = striate.train(Path(name) / "bars.npz", out=run, workers=0, **controls)
            expected[which]["after"] = answers(run) | {"epochs": result.epochs, "test": result.test}
    (HERE / "expected.json").write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        which, run = sys.argv[1:]
        train(Path(run), CUT if which == "cut" else FINISHED, kill=8 if which == "cut" else -1)
