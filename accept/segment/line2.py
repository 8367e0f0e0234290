"""CamVid by the defaults, DeepLabv3 beside it, and two networks without any pretraining that overfit 32 pictures."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import mean

import numpy as np

from accept import Check, at_least, at_most, noted
from accept.commands import DATA, metrics, striate

CAMVID = DATA / "camvid"
VOID = 11
OVERFIT = """
weights = "none"
size = [120, 160]
fit = "stretch"
batch_size = 4
optimizer = "adamw"
weight_decay = 0.0
ema_decay = 0.0
clip_norm = 1.0

[augment]
crop = [1.0, 1.0]
flip = false

[[stages]]
epochs = 150
rate = 0.0003
"""


def checks() -> Iterator[Check]:
    with tempfile.TemporaryDirectory(prefix="striate-camvid-") as name:
        folder = Path(name)
        reached = []
        for seed in (0, 1):
            run = folder / f"run-{seed}"
            yield from _trained(f"2.seed{seed}", run, 15, "--seed", str(seed))
            reached.append(_mean_iou(run))
        yield at_least("2.mean_iou", mean(reached), 0.67, f"{[round(each, 4) for each in reached]}")
        yield from _trained("2.deeplabv3", folder / "deeplab", 30, "--model", "deeplabv3/efficientnet_lite0")
        yield at_least("2.deeplabv3.mean_iou", _mean_iou(folder / "deeplab"), mean(reached) - 0.03)
        data, recipe = _small(folder / "small"), folder / "overfit.toml"
        recipe.write_text(OVERFIT)
        for model in ("fcn8s/vgg16", "unet"):
            run = folder / model.replace("/", "-")
            answer = striate("train", data, "--model", model, "--recipe", recipe, "--out", run)
            figures = striate("evaluate", run, data, "--split", "train")
            yield at_least(f"2.{model}.overfit", figures["pixel_accuracy"], 0.95)
            yield at_most(f"2.{model}.minutes", answer["seconds"] / 60, 20, answer["processor"])


def _trained(row: str, run: Path, minutes: float, *words: str) -> Iterator[Check]:
    answer = striate("train", CAMVID, "--out", run, *words)
    yield at_most(f"{row}.minutes", answer["seconds"] / 60, minutes, f"{answer['processor']}")
    epochs = [line["validation"]["mean_iou"] for line in metrics(run) if line["kind"] == "epoch"]
    yield noted(f"{row}.curve", " ".join(f"{each:.3f}" for each in epochs))


def _mean_iou(run: Path) -> float:
    """Of the last averaged weights, whichever epoch was kept."""
    return float(striate("evaluate", run / "last.safetensors", CAMVID, "--split", "val")["mean_iou"])


def _small(folder: Path) -> Path:
    """32 pictures of CamVid in 160x120, to learn from and, the same, to validate with; void is 255."""
    from PIL import Image

    names = sorted(path.stem for path in (CAMVID / "train" / "images").iterdir())[::11][:32]
    for split, prefix in (("train", ""), ("val", "copy-")):
        for part in ("images", "masks"):
            (folder / split / part).mkdir(parents=True)
        for name in names:
            with Image.open(CAMVID / "train" / "images" / f"{name}.jpg") as picture:
                # A copy is the same picture, in a file of other bytes: no picture stands on both sides of a split.
                small = picture.resize((160, 120), Image.Resampling.BILINEAR)
                small.save(folder / split / "images" / f"{prefix}{name}.png", compress_level=9 if prefix else 1)
            with Image.open(CAMVID / "train" / "masks" / f"{name}.png") as mask:
                indices = np.asarray(mask.resize((160, 120), Image.Resampling.NEAREST))
            void = np.where(indices == VOID, 255, indices).astype(np.uint8)
            Image.fromarray(void).save(folder / split / "masks" / f"{prefix}{name}.png")
    classes = (CAMVID / "classes.txt").read_text().split("\n")[:VOID]
    (folder / "classes.txt").write_text("\n".join([*classes, "255 void"]))
    return folder
