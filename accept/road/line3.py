"""Fashion-MNIST: ten epochs, mean of two seeds; and the model's default recipe. (Throughput: make bench.)"""

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from accept import Check, at_least, noted
from accept.commands import DATA, striate


def checks() -> Iterator[Check]:
    fashion = DATA / "fashion-mnist"
    with tempfile.TemporaryDirectory(prefix="striate-fashion-") as name:
        words = ("train", fashion, "--model", "fashion_cnn")
        found = []
        for seed in ("0", "1"):
            answer = striate(*words, "--epochs", "10", "--seed", seed, "--out", Path(name) / f"seed{seed}")
            found.append(answer["test"]["top1"])
            speed = f"{answer['seconds'] / 60:.1f} min, {answer['images_per_second']:.0f} images/s"
            yield noted(f"3.seed{seed}", f"top-1 {found[-1]:.4f} over {answer['test']['images']}, {speed}")
        yield at_least("3.ten-epochs.top1", statistics.mean(found), 0.918, "mean of two seeds")

        answer = striate(*words, "--out", Path(name) / "default")
        yield at_least("3.default.top1", answer["test"]["top1"], 0.925, f"after {answer['epochs']} epochs")
        yield noted("3.default.minutes", f"{answer['seconds'] / 60:.1f} min, {answer['processor']}")
