"""Flowers, with no other argument, within 6,000 training images; five folds pooled."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from accept import Check, at_least, at_most, noted
from accept.commands import DATA, striate


def checks() -> Iterator[Check]:
    flowers = DATA / "flowers"
    with tempfile.TemporaryDirectory(prefix="striate-flowers-") as name:
        answer = striate("train", flowers, "--out", Path(name) / "default")
        yield at_most("2.images_seen", answer["images_seen"], 6000)
        speed = f"{answer['seconds'] / 60:.1f} min, {answer['images_per_second']:.1f} images/s, {answer['processor']}"
        yield noted("2.minutes", speed)
        yield noted("2.validation", f"top-1 {answer['best']['top1']:.4f} over {answer['best']['images']}")
        yield noted("2.test", f"top-1 {answer['test']['top1']:.4f} over {answer['test']['images']}")

        answer = striate("train", flowers, "--folds", "5", "--out", Path(name) / "folds")
        pooled = answer["pooled"]
        yield at_least("2.folds.top1", pooled["top1"], 0.87, f"{[round(f['top1'], 4) for f in answer['folds']]}")
        yield Check("2.folds.images", "600", str(pooled["images"]), pooled["images"] == 600)
        yield noted("2.folds.minutes", f"{answer['seconds'] / 60:.1f} min")
