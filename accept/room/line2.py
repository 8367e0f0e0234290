"""The same weights as before the contracts were widened: a short run of two networks, with one seed, in both trees."""

import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from accept import Check
from accept.commands import DATA, REPOSITORY, same_weights, striate

BEFORE = os.environ.get("STRIATE_TASKS_BEFORE", "4e279ad")
"""The commit that is compared with."""

RUNS: dict[str, tuple[str, ...]] = {
    "fashion_cnn": ("fashion-mnist", "--epochs", "1"),
    "efficientnet_lite0": ("flowers", "--epochs", "2"),
}


def checks() -> Iterator[Check]:
    with tempfile.TemporaryDirectory(prefix="striate-before-") as name:
        folder = Path(name)
        tree = folder / "tree"
        with (folder / "tree.tar").open("wb") as file:
            subprocess.run(["git", "archive", BEFORE, "striate"], cwd=REPOSITORY, check=True, stdout=file)
        with tarfile.open(folder / "tree.tar") as archive:
            archive.extractall(tree, filter="data")
        for model, (data, *words) in RUNS.items():
            runs = [folder / f"{model}-{when}" for when in ("before", "today")]
            for run, root in zip(runs, (tree, REPOSITORY), strict=True):
                command: tuple[str | Path, ...] = (
                    "train",
                    DATA / data,
                    "--model",
                    model,
                    "--seed",
                    "3",
                    "--out",
                    run,
                    "--quiet",
                    *words,
                )
                striate(*command, env={"PYTHONPATH": str(root)}, cwd=root)
            for weights in ("model.safetensors", "last.safetensors"):
                different = same_weights(runs[0] / weights, [runs[1] / weights])
                yield Check(f"2.{model}.{weights.partition('.')[0]}", "equal", different or "equal", not different)
