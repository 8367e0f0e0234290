"""Training throughput of `fashion_cnn` on Fashion-MNIST, batches of 128: Striate's fit loop and Keras 3 on TensorFlow.

Both train the same network on the same pictures for two epochs; the second counts, so that neither pays here for
tracing or for warming up. Striate runs its command line with the model's default recipe (flips, label smoothing,
averaged weights, decoding and loading included); Keras gets float32 arrays in memory, without augmentation.
"""

import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("STRIATE_TEST_DATA", REPOSITORY.parent / "shared" / "data")) / "fashion-mnist"
PEERS = REPOSITORY / ".venv-peers" / "bin" / "python"
EPOCHS, BATCH = 2, 128
WANTED = 1.6
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile", "asimd", "bf16")

# The textbook's way, and the fastest that a Keras user gets with a few more lines.
KERAS = ("textbook", "bfloat16")


def run(rounds: int, images: int) -> bool:
    """Measure, print, write to bench/results; whether Striate is 1.6 times as fast as the textbook's Keras."""
    if not PEERS.exists():
        print(f"{PEERS} is not there; run `make bench`, which makes it", file=sys.stderr)
        return False
    name, flags = processor()
    print(f"fashion_cnn, training, batches of {BATCH}, {images} pictures; {name}, {len(os.sched_getaffinity(0))} cores")
    print(f"flags: {' '.join(flags)} ({'AMX' if any(flag.startswith('amx') for flag in flags) else 'no AMX'})")
    speeds: dict[str, list[float]] = {who: [] for who in ("striate", *KERAS)}
    with tempfile.TemporaryDirectory(prefix="striate-bench-") as folder:
        data = Path(folder) / "fashion.npz"
        write_subset(data, images)
        for turn in range(1, rounds + 1):
            for who in speeds:
                out = Path(folder) / f"run{turn}"
                speeds[who].append(striate_speed(data, out) if who == "striate" else keras_speed(data, who))
                print(f"round {turn}  {who:<10} {speeds[who][-1]:8.0f} images/s", flush=True)
    medians = {who: statistics.median(found) for who, found in speeds.items()}
    ratios = {who: medians["striate"] / medians[who] for who in KERAS}
    print(f"{'median':<10}{'striate':<10} {medians['striate']:8.0f} images/s")
    for who, ratio in ratios.items():
        print(f"{'median':<10}{who:<10} {medians[who]:8.0f} images/s   striate is {ratio:.2f} times as fast")
    good = ratios["textbook"] >= WANTED
    print(f"wanted {WANTED} times Keras 3 on TensorFlow: {ratios['textbook']:.2f} {'ok' if good else 'NO'}", end="")
    print(f"; against its fastest form {min(ratios.values()):.2f}")
    write_results({"processor": name, "flags": flags, "images": images, "speeds": speeds, "ratios": ratios})
    return good


def striate_speed(data: Path, out: Path) -> float:
    """Images a second of the last epoch, as the run's own metrics tell (training with loading, without validation)."""
    words = ("train", data, "--model", "fashion_cnn", "--epochs", EPOCHS, "--batch-size", BATCH, "--out", out, "--json")
    _run([sys.executable, "-m", "striate.cli", *map(str, words)])
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return float([line for line in lines if line["kind"] == "epoch"][-1]["images_per_second"])


def keras_speed(data: Path, form: str) -> float:
    """Images a second of the last epoch of `model.fit`, in an environment of its own."""
    said = _run([str(PEERS), str(Path(__file__).with_name("keras_fashion_cnn.py")), str(data), form, str(EPOCHS)])
    return float(json.loads(said.splitlines()[-1])["images_per_second"])


def write_subset(path: Path, images: int) -> None:
    """The first training pictures and 1,000 test pictures, as the arrays that Keras users have."""
    arrays = {}
    for part, source, count in (("train", "train", images), ("test", "t10k", 1000)):
        pixels = gzip.decompress((DATA / f"{source}-images-idx3-ubyte.gz").read_bytes())
        labels = gzip.decompress((DATA / f"{source}-labels-idx1-ubyte.gz").read_bytes())
        arrays[f"x_{part}"] = np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 28, 28)[:count]
        arrays[f"y_{part}"] = np.frombuffer(labels, np.uint8, offset=8)[:count]
    np.savez(path, allow_pickle=False, **arrays)


def processor() -> tuple[str, list[str]]:
    """The processor's name, and those of its flags that decide the speed of convolutions."""
    said = subprocess.run(["lscpu"], capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}).stdout
    fields = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
    has = fields.get("Flags", "").split()
    return fields.get("Model name", "an unknown processor").strip(), [flag for flag in FLAGS if flag in has]


def write_results(values: dict[str, object], name: str = "fashion_cnn") -> None:
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    now = datetime.now(UTC)
    (folder / f"{name}-{now:%Y%m%d-%H%M%S}.json").write_text(json.dumps(values, indent=1) + "\n")


def _run(command: list[str]) -> str:
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout
