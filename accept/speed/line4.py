"""Runs with our kernels and without, three seeds; and each kernel's gradients."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from typing import Any

from accept import Check, at_most, noted
from accept.commands import DATA, metrics, striate
from accept.speed import gradients

SEEDS, BATCH = (0, 1, 2), 32  # 15 steps an epoch
NETWORKS = {
    "efficientnet_lite0": ("--epochs", "20"),
    # With 3x3 windows in tiles, of which EfficientNets have none; and from weights that are drawn.
    "resnet18": ("--epochs", "10", "--weights", "none"),
}
KERNELS = {"kernels": "auto", "torch alone": "off"}
NOISE = 2.0
"""Standard errors of a difference of two shares of the held-out pictures."""


def checks() -> Iterator[Check]:
    yield from gradients.checks()
    for network in NETWORKS:
        yield from _curves(network)


def _curves(network: str) -> Iterator[Check]:
    right: dict[str, int] = {}
    losses: dict[str, list[float]] = {}
    pictures = 0
    with tempfile.TemporaryDirectory(prefix="striate-kernels-") as name:
        for said, value in KERNELS.items():
            runs = [(Path(name) / f"{value}-{seed}", seed) for seed in SEEDS]
            answers = [_train(run, network, seed, value) for run, seed in runs]
            tops = [round(answer["test"]["top1"], 4) for answer in answers]
            pictures = sum(answer["test"]["images"] for answer in answers)
            right[said] = sum(round(a["test"]["top1"] * a["test"]["images"]) for a in answers)
            losses[said] = [_last_losses(run) for run, _ in runs]
            speed = mean(answer["images_per_second"] for answer in answers)
            line = f"4.{network}.{said}"
            yield noted(line, f"{right[said]} of {pictures}, each {tops}, {speed:.1f} images/s")
            yield noted(f"{line}.loss", f"last five epochs, each {[round(loss, 4) for loss in losses[said]]}")
    ours, theirs = right.values()
    share = (ours + theirs) / (2 * pictures)
    allowed = NOISE * (2 * share * (1 - share) / pictures) ** 0.5
    yield at_most(f"4.{network}.accuracy.difference", abs(ours - theirs) / pictures, allowed)
    spread = max(max(each) - min(each) for each in losses.values())
    ours_mean, theirs_mean = (mean(each) for each in losses.values())
    yield at_most(f"4.{network}.loss.difference", abs(ours_mean - theirs_mean), spread, "(the spread of the seeds)")


def _train(run: Path, network: str, seed: int, kernels: str) -> dict[str, Any]:
    words = [*f"--model {network} --batch-size {BATCH} --seed {seed}".split(), *NETWORKS[network]]
    return striate("train", DATA / "flowers", *words, "--out", run, env={"STRIATE_NATIVE": kernels})


def _last_losses(run: Path) -> float:
    epochs = [line["loss"] for line in metrics(run) if line["kind"] == "epoch"]
    return mean(epochs[-5:])
