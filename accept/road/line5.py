"""Resume: killed with SIGKILL at 20 random moments and gone on with, a run ends with the weights of one that never was.

The run has what a checkpoint could forget: two stages, one with a frozen body, momentum, averaged weights, dropout,
augmentation, accumulation.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from accept import Check
from accept.commands import DATA, subset
from accept.killing import survived

RECIPE = """
model = "efficientnet_lite0"
weights = "pretrained"
size = [128, 128]
batch_size = 8
accumulate = 2
ema_decay = 0.9
save_every = 0.3
log_every = 1

[augment]
crop = [0.4, 1.0]
flip = true
colour = 0.2
rotation = 10.0

[[stages]]
epochs = 3
rate = 0.05
freeze = ["body"]

[[stages]]
epochs = 7
rate = 0.02
"""


def checks() -> Iterator[Check]:
    with tempfile.TemporaryDirectory(prefix="striate-resume-") as name:
        folder = Path(name)
        data = subset(DATA / "flowers", folder / "flowers", 40)
        recipe = folder / "recipe.toml"
        recipe.write_text(RECIPE)
        yield from survived(5, data, recipe, folder, workers=(0, 2))
