"""The same seed twice, with 0, 1 and 2 workers, with a cold and a warm cache: equal figures and equal weights."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from accept import Check, noted
from accept.commands import DATA, figures, same_weights, striate, subset

RECIPE = """
model = "efficientnet_lite0"
weights = "pretrained"
size = [160, 160]
batch_size = 16
ema_decay = 0.9
log_every = 1

[augment]
crop = [0.4, 1.0]
flip = true
colour = 0.2
rotation = 10.0

[[stages]]
epochs = 1
rate = 0.05
freeze = ["body"]

[[stages]]
epochs = 2
rate = 0.02
"""
RUNS = (
    # name, workers, the folder that is its cache
    ("first", "0", "a"),
    ("again-warm", "0", "a"),
    ("workers1-cold", "1", "b"),
    ("workers2-cold", "2", "c"),
    ("workers2-warm", "2", "c"),
)


def checks() -> Iterator[Check]:
    with tempfile.TemporaryDirectory(prefix="striate-same-") as name:
        folder = Path(name)
        data = subset(DATA / "flowers", folder / "flowers", 40)
        recipe = folder / "recipe.toml"
        recipe.write_text(RECIPE)
        first = folder / "first"
        for run, workers, cache in RUNS:
            env = {"STRIATE_CACHE": str(folder / f"cache-{cache}")}
            striate(
                "train", data, "--recipe", recipe, "--seed", "7", "--workers", workers, "--out", folder / run, env=env
            )
            lines = figures(folder / run)
            if folder / run == first:
                yield noted("9.first", f"{len(lines)} lines of figures")
                continue
            same = lines == figures(first)
            yield Check(f"9.{run}.figures", "equal", "equal" if same else "they differ", same)
            different = same_weights(first / "model.safetensors", [folder / run / "model.safetensors"])
            yield Check(f"9.{run}.weights", "torch.equal", different or "equal", not different)

        other = folder / "other-seed"
        striate("train", data, "--recipe", recipe, "--seed", "8", "--out", other)
        differs = bool(same_weights(first / "model.safetensors", [other / "model.safetensors"]))
        yield Check("9.another-seed", "other weights", "other" if differs else "the same", differs)
