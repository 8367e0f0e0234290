"""Answers of EfficientNet-Lite0 and ResNet-50: Striate's network, torch, ONNX Runtime and OpenVINO."""

import math
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from accept import Check
from bench import environment
from bench.section import Section, Settings, Table, as_json, percent, tell, times, wanted, warn
from bench.training import SIZE
from striate.benchmarking.driver import Comparison, Timing, alternate
from striate.benchmarking.forms import PREDICTOR, STRIATE, TUNED, contender
from striate.benchmarking.machine import Machine, this_machine
from striate.benchmarking.process import Contender

MODELS, BATCHES = ("efficientnet_lite0", "resnet50"), (1, 16)
RUNTIMES = ("onnxruntime", "openvino")
MOST, MOST_WITH_AMX = 1.3, 0.8

HOW = (
    "Milliseconds for the answers to one batch of 224x224. Striate's network: what its predictor does from prepared "
    "bytes to logits; the others get pictures that are normalised already. The last line of Striate is all that a "
    "caller of `Predictor` waits for, arrays in memory to answers. ONNX Runtime and OpenVINO run the same network, "
    "exported by `torch.export` and `torch.onnx`. All with one thread a core. Logits are compared with Striate's: a "
    "contender whose answers are others says so."
)


def run(settings: Settings) -> Section:
    machine = this_machine()
    tables, checks, figures = [], list[Check](), {}
    with tempfile.TemporaryDirectory(prefix="striate-bench-") as name:
        folder, models = Path(name), [model for model in MODELS if settings.takes(model)]
        exported = export(
            folder, [(folder / f"{model}-{batch}", model, batch) for model in models for batch in BATCHES]
        )
        for model in models:
            for batch in BATCHES:
                print(f"{model}, batches of {batch}", flush=True)
                comparison = alternate(
                    contenders(folder, model, batch, machine), rounds=settings.rounds(7), on_turn=tell
                )
                warn(comparison)
                tables.append(table(f"{model}, batches of {batch}", comparison))
                checks.append(_check(model, batch, comparison, machine))
                figures[f"{model}.{batch}"] = {"ratios": ratios(comparison), "contenders": as_json(comparison)}
    how = HOW + (f" The export failed: {exported}." if exported else "")
    return Section("Inference", how, tuple(tables), tuple(checks), figures)


def export(folder: Path, jobs: Sequence[tuple[object, ...]]) -> str | None:
    """Write networks and pictures for the runtimes, by two environments; returns why not, if it fails.

    Each job is the words of `bench.export`; its files lie in the folder.
    """
    try:
        for words in jobs:
            environment.run([sys.executable, "-m", "bench.export", *map(str, words)])
        environment.run([str(environment.PEERS), "-m", "bench.peers.onnx_export", str(folder)])
    except (RuntimeError, OSError) as error:
        return str(error)
    return None


def contenders(folder: Path, model: str, batch: int, machine: Machine) -> list[Contender]:
    ours = (STRIATE, "torch", *TUNED, PREDICTOR)
    found = [contender("inference", name, model, batch, SIZE) for name in ours]
    return found + runtimes(folder / f"{model}-{batch}", machine)


def runtimes(stem: Path, machine: Machine) -> list[Contender]:
    """Those that answer what `export` wrote as ``stem``."""
    labels = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
    found = [
        environment.peer(name, f"{label}, float32", "runtimes", name, stem, "float32") for name, label in labels.items()
    ]
    if machine.bfloat16:
        words = ("openvino", stem, "bfloat16")
        found.append(environment.peer("openvino_bfloat16", "OpenVINO, bfloat16", "runtimes", *words))
    return found


def ratios(comparison: Comparison) -> dict[str, float]:
    """How many times as long as each contender Striate's network takes, and as "runtime", the faster in float32."""
    own = comparison[STRIATE]
    found = {timing.contender.name: own.median / timing.median for timing in comparison if timing is not own}
    fastest = comparison.fastest(RUNTIMES)
    return found | ({"runtime": own.median / fastest.median} if fastest else {})


def _check(model: str, batch: int, comparison: Comparison, machine: Machine) -> Check:
    most = MOST_WITH_AMX if machine.amx else MOST
    return wanted(f"inference.{model}.{batch}", ratios(comparison).get("runtime", math.nan), most=most)


def table(title: str, comparison: Comparison) -> Table:
    own = comparison[STRIATE]
    rows = [_row(timing, own) for timing in comparison]
    return Table(title, ("", "ms", "spread", "Striate takes"), tuple(rows))


def _row(timing: Timing, own: Timing) -> tuple[str, str, str, str]:
    label = timing.contender.label
    if not timing.seconds:
        return label, str(timing.failure), "", ""
    if timing is own:
        label = f"Striate, {timing.about['precision']}"
    elif not _agrees(timing, own):
        label += " (other answers!)"
    ratio = "" if timing is own else f"{times(own.median / timing.median)} times"
    return label, f"{1000 * timing.median:.2f}", percent(timing.spread), ratio


def _agrees(timing: Timing, own: Timing) -> bool:
    """Whether the logits are Striate's, within what the precisions allow; a contender that tells none is believed."""
    theirs, ours = timing.about.get("answers"), own.about.get("answers")
    if not (theirs and ours):
        return True
    low = "bfloat16" in (timing.about.get("precision"), own.about.get("precision"))
    allowed = (0.2 if low else 1e-3) * max(map(abs, ours))
    return all(abs(a - b) <= allowed for a, b in zip(theirs, ours, strict=True))
