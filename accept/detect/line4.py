"""Raccoons by the defaults: detected, detected with anchors, and localized; five folds pooled."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from accept import Check, at_least, at_most, noted
from accept.commands import DATA, striate
from accept.detect.localization import localization

MINUTES = 8.0


def checks() -> Iterator[Check]:
    yield from _detection("4.default", {"ap50": 0.93, "ap": 0.48}, minutes=MINUTES)
    yield from _detection("4.yolov3", {"ap50": 0.60}, "--model", "yolov3/efficientnet_lite0")
    yield from localization()


def _detection(row: str, least: dict[str, float], *words: str, minutes: float | None = None) -> Iterator[Check]:
    with tempfile.TemporaryDirectory(prefix="striate-raccoon-") as name:
        run = ("--folds", "5", "--group", "near", "--out", Path(name) / "run")
        answer = striate("train", DATA / "raccoon", *words, *run)
    pooled = answer["pooled"]
    for figure, value in least.items():
        each = [round(fold[figure], 3) for fold in answer["folds"]]
        yield at_least(f"{row}.{figure}", pooled[figure], value, f"{each}, {pooled['images']} pictures")
    a_fold = answer["seconds"] / 60 / len(answer["folds"])
    said = f"a fold, {answer['images_seen']} images in all, {answer['processor']}"
    yield (
        noted(f"{row}.minutes", f"{a_fold:.1f} {said}")
        if minutes is None
        else at_most(f"{row}.minutes", a_fold, minutes, said)
    )
