"""A detector killed 20 times ends with equal weights, mosaics and other sizes included; far too high rates end well."""

import math
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from accept import Check
from accept.commands import DATA, REPOSITORY, STRIATE, metrics
from accept.killing import survived

RECIPE = """
task = "detect"
model = "tood/efficientnet_lite0"
weights = "pretrained"
size = [160, 160]
fit = "letterbox"
batch_size = 8
optimizer = "adamw"
ema_decay = 0.9
save_every = 0.3
log_every = 1

[augment]
crop = [1.0, 1.0]
scale = [0.6, 1.4]
colour = 0.3
mosaic = 0.5
multi_scale = [0.8, 1.2]

[[stages]]
epochs = 4
rate = 0.001
body_rate = 0.3
"""
STEPS = 300


def checks() -> Iterator[Check]:
    with tempfile.TemporaryDirectory(prefix="striate-detect-") as name:
        folder = Path(name)
        recipe = folder / "recipe.toml"
        recipe.write_text(RECIPE)
        data = DATA / "raccoon"
        yield from survived(9, data, recipe, folder, workers=(0, 1, 2))
        for precision in ("float32", "bfloat16"):
            yield _hot(data, folder / precision, precision)


def _hot(data: Path, folder: Path, precision: str) -> Check:
    """At ten times the rate: all losses of 300 steps and more are finite, or our sentence stops the run."""
    folder.mkdir()
    recipe, out = folder / "recipe.toml", folder / "run"
    hot = RECIPE.replace("rate = 0.001", "rate = 0.01").replace("epochs = 4", "epochs = 16")
    recipe.write_text(f'precision = "{precision}"\n{hot}')
    words = ["train", str(data), "--recipe", str(recipe), "--out", str(out), "--quiet"]
    done = subprocess.run([*STRIATE, *words], cwd=REPOSITORY, capture_output=True, text=True)
    losses = [line["loss"] for line in metrics(out) if line["kind"] == "step"]
    finite = done.returncode == 0 and len(losses) >= STEPS and all(map(math.isfinite, losses))
    stopped = done.returncode == 2 and "A lower rate" in done.stderr
    got = f"{len(losses)} steps, " + ("all finite" if finite else "stopped by our sentence" if stopped else "neither")
    return Check(f"9.{precision}.hot", "finite, or stopped", got, finite or stopped)
