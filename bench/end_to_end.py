"""ResNet-34 from JPEGs to weights: `striate train`, and the scripts that torch's users write."""

import json
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path

from bench import environment
from bench.section import Section, Settings, Table, times, wanted

MODEL, BATCH, EPOCHS, ROUNDS, LEAST = "resnet34", 32, 2, 2, 2.5

HOW = (
    f"{MODEL} from scratch on {{pictures}} at 224x224: four fifths of them for {EPOCHS} epochs in batches of {BATCH}, "
    "a tenth for validation after each. Training pictures a second of the whole command, from its start to its end: "
    "start-up, reading, augmentation, validation and saving included. Striate: `striate train` with the network's "
    "default recipe, which also tests on the last tenth. The plain script: torchvision's network and ImageFolder, "
    "random windows and flips, two loading processes, float32; the tuned one adds bfloat16 autocast, channels-last and "
    "the fused optimizer."
)

SCRIPTS = {"script": "plain torch script", "tuned_script": "tuned torch script"}


def run(settings: Settings) -> Section:
    speeds: dict[str, list[float]] = {name: [] for name in ("striate", *SCRIPTS)}
    failures: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="striate-bench-") as name:
        data, pictures = environment.photographs(Path(name))
        if settings.quick:
            data, pictures = few(data, Path(name) / "few", 24), "a few photographs"
        for turn in range(1, settings.rounds(ROUNDS) + 1):
            for who in speeds:
                try:
                    images, seconds = (
                        striate(data, Path(name) / f"run{turn}") if who == "striate" else script(data, who)
                    )
                except (RuntimeError, OSError) as error:
                    failures[who] = str(error)
                    continue
                speeds[who].append(images / seconds)
                print(f"  round {turn}  {who:<70} {speeds[who][-1]:10.1f} images/s", flush=True)
    return _section(pictures, speeds, failures)


def striate(data: Path, out: Path) -> tuple[int, float]:
    """Training pictures that were processed, and the seconds of the whole command."""
    words = ("train", data, "--model", MODEL, "--weights", "none", "--epochs", EPOCHS, "--batch-size", BATCH)
    started = time.perf_counter()
    said = environment.run([sys.executable, "-m", "striate.cli", *map(str, words), "--out", str(out), "--json"])
    return int(json.loads(said)["images_seen"]), time.perf_counter() - started


def script(data: Path, form: str) -> tuple[int, float]:
    words = (data, BATCH, EPOCHS, form)
    started = time.perf_counter()
    said = environment.run([str(environment.PEERS), "-m", "bench.peers.torch_script", *map(str, words)])
    return int(json.loads(said.splitlines()[-1])["images_seen"]), time.perf_counter() - started


def few(data: Path, folder: Path, per_class: int) -> Path:
    """A folder of links to some pictures of each class."""
    for kind in sorted(path for path in data.iterdir() if path.is_dir()):
        (folder / kind.name).mkdir(parents=True)
        for picture in sorted(kind.iterdir())[:per_class]:
            (folder / kind.name / picture.name).symlink_to(picture.resolve())
    return folder


def _section(pictures: str, speeds: dict[str, list[float]], failures: dict[str, str]) -> Section:
    medians = {who: statistics.median(found) if found else math.nan for who, found in speeds.items()}
    ratios = {who: medians["striate"] / medians[who] for who in SCRIPTS}
    rows = [
        (label, failures.get(who) or f"{medians[who]:.1f}", times(ratios.get(who, math.nan)))
        for who, label in {"striate": "striate train", **SCRIPTS}.items()
    ]
    table = Table("", ("", "images/s", "Striate is times as fast"), tuple(rows))
    checks = (wanted(f"end_to_end.{MODEL}.script", ratios["script"], least=LEAST),)
    return Section("End to end", HOW.format(pictures=pictures), (table,), checks, {"speeds": speeds, "ratios": ratios})
