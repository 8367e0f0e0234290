"""Against torchvision's SSDLite and ultralytics' yolo11n: speed, and AP after the same minutes on the same pictures.

`python -m accept.detect.line5 [MINUTES]` does the second alone, with so many minutes for each (6).
"""

import contextlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from accept import Check, at_least, noted
from accept.commands import DATA, striate
from bench import detection
from bench.environment import DETECTORS, run
from bench.section import Settings
from striate.benchmarking.driver import Comparison
from striate.data.targets import Boxes

MINUTES = 6.0
SPLIT = ("0.7", "0.1", "0.2")
PEERS = (("ssdlite", "0.01"), ("ssdlite", "0.03"), ("yolo11n",))
"""Who takes part; torchvision's SGD with two rates, of which the better counts."""
SEEN = 0.01
"""Less sure boxes are not asked for."""

TRAINED_IN: Mapping[str, Sequence[str]] = {"ssdlite": tuple(detection.FORMS), "yolo11n": ("plain", "float32")}
"""The forms in which each can train: ultralytics' own training knows bfloat16 on CUDA alone."""

Found = Sequence[Sequence[Sequence[float]]]
"""For each picture rows of left, top, right, bottom and score."""


def checks() -> Iterator[Check]:
    yield from detection.run(Settings()).checks
    yield from equal_minutes(MINUTES)


def equal_minutes(minutes: float) -> Iterator[Check]:
    """What each has learnt; the others may train as long as Striate's whole command takes, which begins first."""
    trained = detection.training(detection.BATCHES[0], Settings(quick=True))
    with tempfile.TemporaryDirectory(prefix="striate-detect-") as place:
        folder = Path(place)
        epochs = affordable(folder, 60 * minutes)
        answer, seconds = _trained(folder / "run", epochs)
        job, truth = _job(folder / "run")
        ap, ap50 = average_precision(truth, _found(folder / "run", job["held_out"]))
        yield noted("5.minutes", f"{seconds / 60:.1f}, {epochs} epochs, {answer['images_seen']} pictures")
        yield noted("5.striate", f"AP {ap:.3f}, AP50 {ap50:.3f}; by striate train AP50 {answer['test']['ap50']:.3f}")
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        reached: dict[str, list[float]] = {}
        for name, *words in PEERS:
            form = _fastest_form(name, trained)
            told = _peer(name, folder / "job.json", seconds, form, *words)
            theirs, theirs50 = average_precision(truth, told["found"])
            reached.setdefault(name, []).append(theirs)
            said = " ".join([f"AP {theirs:.3f}, AP50 {theirs50:.3f}, {told['images_seen']} pictures,", form, *words])
            yield noted(f"5.{name}", said)
        yield at_least("5.ap", ap, max(reached["ssdlite"]), f"on {len(truth)} pictures held out")


def affordable(folder: Path, seconds: float) -> int:
    """Epochs that a run has time for, by what runs of one and of three take."""
    one, three = (_trained(folder / f"pilot{epochs}", epochs)[1] for epochs in (1, 3))
    epoch = max((three - one) / 2, 1e-3)
    return max(2, int((seconds - one) / epoch) + 1)


def _trained(out: Path, epochs: int) -> tuple[dict[str, Any], float]:
    """What `striate train` answers, and the seconds that it took from its start to its end."""
    started = time.monotonic()
    answer = striate("train", DATA / "raccoon", "--split", *SPLIT, "--epochs", str(epochs), "--out", out)
    return answer, time.monotonic() - started


def _job(folder: Path) -> tuple[dict[str, Any], list[list[list[float]]]]:
    """What the others are told of the run's own split, and the true boxes of the pictures held out."""
    from striate import recipe as recipes
    from striate.data.sources import open_data
    from striate.data.splits import split

    recipe = recipes.load(folder / "recipe.toml")
    data = open_data(DATA / "raccoon", settings=recipe.data)
    data = split(data, recipe.split, recipe.split_seed, every_class=False)
    training, held_out = (
        [{"path": str(each.handle), "boxes": cast("Boxes", each.target).xyxy.tolist()} for each in data.of_split(part)]
        for part in ("train", "test")
    )
    job = {
        "weights": str(DATA / "weights" / "mobilenet_v2-b0353104.pth"),
        "training": training,
        "held_out": [each["path"] for each in held_out],
    }
    return job, [each["boxes"] for each in held_out]


def _found(folder: Path, pictures: Sequence[str]) -> Found:
    from striate import modelfile
    from striate.predictor import Predictor

    network, description = modelfile.open_model(folder)
    arguments = {**description.task_arguments, "score_threshold": SEEN}
    predictor = Predictor(network, replace(description, task_arguments=arguments), device="cpu")
    return [[[*each.xyxy, each.probability] for each in answer] for answer in predictor(list(pictures))]


def _fastest_form(name: str, trained: Comparison) -> str:
    fastest = trained.fastest([f"{name}_{form}" for form in TRAINED_IN[name]])
    return fastest.contender.name.removeprefix(f"{name}_") if fastest else "float32"


def _peer(name: str, job: Path, seconds: float, *words: str) -> dict[str, Any]:
    command = (DETECTORS, "-m", "bench.peers.detector_run", name, job, seconds, *words)
    told: dict[str, Any] = json.loads(run([str(word) for word in command]).splitlines()[-1])
    return told


def average_precision(truth: Found, found: Found) -> tuple[float, float]:
    """COCO's AP and AP50 of boxes of one class, by faster-coco-eval."""
    from faster_coco_eval import COCO, COCOeval_faster

    true = [(at, row) for at, rows in enumerate(truth) for row in rows]
    data = {
        "images": [{"id": at, "width": 0, "height": 0} for at in range(len(truth))],
        "categories": [{"id": 0, "name": "object"}],
        "annotations": [
            {"id": number, "image_id": at, "category_id": 0, "iscrowd": 0, **_box(row)}
            for number, (at, row) in enumerate(true, start=1)
        ],
    }
    answers = [
        {"image_id": at, "category_id": 0, "score": row[4], **_box(row)}
        for at, rows in enumerate(found)
        for row in rows
    ]
    if not answers:
        return 0.0, 0.0
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO(data)
        evaluation = COCOeval_faster(known, known.loadRes(answers), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1])


def _box(row: Sequence[float]) -> dict[str, Any]:
    left, top, right, bottom = row[:4]
    return {"bbox": [left, top, right - left, bottom - top], "area": (right - left) * (bottom - top)}


if __name__ == "__main__":
    for check in equal_minutes(float(sys.argv[1]) if sys.argv[1:] else MINUTES):
        print(f"{check.id:<24}  {check.wanted:<22}  {check.got:<48}  {'ok' if check.ok else 'NO'}", flush=True)
