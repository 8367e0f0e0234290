"""Pictures a second that reach a training loop: Striate's loader, and torchvision's folder behind torch's loader."""

import math
import tempfile
from pathlib import Path

from accept import Check
from bench.environment import here, peer, photographs
from bench.section import Section, Settings, Table, as_json, speed, tell, times, wanted, warn
from striate.benchmarking.driver import alternate

BATCH, WORKERS = 32, 2
LEAST, LEAST_FROM_CACHE = 2.0, 10.0

HOW = (
    f"One epoch of {{pictures}} in batches of {BATCH} at 224x224 with random windows and flips, {WORKERS} workers: "
    "threads in Striate, processes that outlive the epoch in torch's loader. Striate gives bytes, which it normalises "
    'in the training step; torchvision\'s `ToTensor` and `Normalize` give float32. "Decoding" is what a data set costs '
    "that does not fit into memory; from the cache is every epoch of one that does."
)


def run(settings: Settings) -> Section:
    with tempfile.TemporaryDirectory(prefix="striate-bench-") as folder:
        data, pictures = photographs(Path(folder))
        comparison = alternate(
            [
                here("striate", "Striate, decoding", "striate_loading", "decode", data, BATCH, WORKERS),
                here("striate_cache", "Striate, from its cache", "striate_loading", "cache", data, BATCH, WORKERS),
                peer("torchvision", "torchvision's ImageFolder", "torchvision_loading", data, BATCH, WORKERS),
            ],
            rounds=settings.rounds(7),
            on_turn=tell,
        )
    warn(comparison)
    theirs = comparison["torchvision"]
    rows, checks, ratios = [], list[Check](), {}
    for name, least in (("striate", LEAST), ("striate_cache", LEAST_FROM_CACHE)):
        timing = comparison[name]
        ratio = theirs.median / timing.median if timing.seconds and theirs.seconds else math.nan
        ratios[name] = ratio
        rows.append((timing.contender.label, *speed(timing), times(ratio)))
        checks.append(wanted(f"loading.{name}", ratio, least=least))
    rows.append((theirs.contender.label, *speed(theirs), ""))
    columns = ("", "pictures/s", "spread", "times as fast as torchvision")
    figures = {"ratios": ratios, "contenders": as_json(comparison)}
    return Section("Loading", HOW.format(pictures=pictures), (Table("", columns, tuple(rows)),), tuple(checks), figures)
