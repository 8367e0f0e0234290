"""Training throughput of `fashion_cnn` on Fashion-MNIST, batches of 128: Striate's fit loop and Keras 3 on TensorFlow.

Both train the same network on the same pictures for two epochs; the second counts, so that neither pays here for
tracing or for warming up.
"""

import gzip
import json
import math
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np

from bench import environment
from bench.section import Section, Settings, Table, times, wanted

FASHION = environment.DATA / "fashion-mnist"
EPOCHS, BATCH, IMAGES, ROUNDS = 2, 128, 30_000, 3
LEAST = 1.6

# The textbook's way, and the fastest that a Keras user gets with a few more lines.
KERAS = {"textbook": "Keras, as the textbook has it", "bfloat16": "Keras, mixed_bfloat16 over tf.data"}

HOW = (
    f"The textbook's network of 28x28 on {{images:,}} pictures of Fashion-MNIST in batches of {BATCH}; the second of "
    f"{EPOCHS} epochs counts. Striate runs its command line with the network's default recipe (flips, label smoothing, "
    "averaged weights, decoding and loading included); Keras gets float32 arrays in memory, without augmentation."
)


def run(settings: Settings) -> Section:
    images = 6_000 if settings.quick else IMAGES
    speeds: dict[str, list[float]] = {who: [] for who in ("striate", *KERAS)}
    failures: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="striate-bench-") as folder:
        data = Path(folder) / "fashion.npz"
        write_subset(data, images)
        for turn in range(1, settings.rounds(ROUNDS) + 1):
            for who in speeds:
                out = Path(folder) / f"run{turn}"
                try:
                    speeds[who].append(striate_speed(data, out) if who == "striate" else keras_speed(data, who))
                except (RuntimeError, OSError) as error:
                    failures[who] = str(error)
                else:
                    print(f"  round {turn}  {who:<70} {speeds[who][-1]:10.0f} images/s", flush=True)
    medians = {who: statistics.median(found) if found else math.nan for who, found in speeds.items()}
    ratios = {who: medians["striate"] / medians[who] for who in KERAS}
    rows = [
        (label, failures.get(who) or f"{medians[who]:,.0f}", times(ratios.get(who, math.nan)))
        for who, label in {"striate": "striate train", **KERAS}.items()
    ]
    return Section(
        "A small network",
        HOW.format(images=images),
        (Table("fashion_cnn", ("", "images/s", "Striate is times as fast"), tuple(rows)),),
        (wanted("fashion_cnn.textbook", ratios["textbook"], least=LEAST),),
        {"images": images, "speeds": speeds, "ratios": ratios},
    )


def striate_speed(data: Path, out: Path) -> float:
    """Images a second of the last epoch, as the run's own metrics tell (training with loading, without validation)."""
    words = ("train", data, "--model", "fashion_cnn", "--epochs", EPOCHS, "--batch-size", BATCH, "--out", out, "--json")
    environment.run([sys.executable, "-m", "striate.cli", *map(str, words)])
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return float([line for line in lines if line["kind"] == "epoch"][-1]["images_per_second"])


def keras_speed(data: Path, form: str) -> float:
    """Images a second of the last epoch of `model.fit`, in an environment of its own."""
    command = [str(environment.PEERS), "-m", "bench.peers.keras_fashion_cnn", str(data), form, str(EPOCHS)]
    return float(json.loads(environment.run(command).splitlines()[-1])["images_per_second"])


def write_subset(path: Path, images: int) -> None:
    """The first training pictures and 1,000 test pictures, as the arrays that Keras users have."""
    arrays = {}
    for part, source, count in (("train", "train", images), ("test", "t10k", 1000)):
        pixels = gzip.decompress((FASHION / f"{source}-images-idx3-ubyte.gz").read_bytes())
        labels = gzip.decompress((FASHION / f"{source}-labels-idx1-ubyte.gz").read_bytes())
        arrays[f"x_{part}"] = np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 28, 28)[:count]
        arrays[f"y_{part}"] = np.frombuffer(labels, np.uint8, offset=8)[:count]
    np.savez(path, allow_pickle=False, **arrays)
