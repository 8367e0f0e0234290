"""Which epoch to keep: four rules on the same runs, five folds of the flowers, whose held-out pictures judge them.

`held_out.jsonl` in a fold's folder says of each epoch what the rules go by, and which held-out pictures are answered
right.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

import striate
from accept import Check, at_least, noted
from accept.commands import DATA
from striate.data.loading import Loader
from striate.inference import measure
from striate.tasks.intervals import wilson_interval
from striate.training import one_network
from striate.training.events import EpochDone, Event
from striate.training.keeping import judge
from striate.training.learner import Learner, Progress
from striate.training.loop import Run, fit

Epochs = Sequence[dict[str, Any]]


def ours(epochs: Epochs) -> int:
    """What `striate.train` keeps: the latest that cannot be told from the best, but none that is plainly worse."""
    progress = Progress()
    for progress.epoch, epoch in enumerate(epochs):
        judge(progress, epoch["top1"], epoch["margin"], epoch["loss"])
    return progress.kept_epoch


def latest(epochs: Epochs) -> int:
    """The latest that cannot be told from the best."""
    return _equal_to_the_best(epochs)[-1]


def least_loss(epochs: Epochs) -> int:
    """That of the least loss among those that cannot be told from the best."""
    return min(_equal_to_the_best(epochs), key=lambda i: epochs[i]["loss"])


def highest(epochs: Epochs) -> int:
    """The first of the highest figure."""
    return max(range(len(epochs)), key=lambda i: epochs[i]["top1"])


def _equal_to_the_best(epochs: Epochs) -> list[int]:
    best = epochs[highest(epochs)]
    return [i for i, epoch in enumerate(epochs) if epoch["top1"] >= best["top1"] - best["margin"]]


RULES: tuple[Callable[[Epochs], int], ...] = (ours, latest, least_loss, highest)


def checks() -> Iterator[Check]:
    with tempfile.TemporaryDirectory(prefix="striate-kept-") as name, patch.object(one_network, "fit", _watched):
        striate.train(DATA / "flowers", changes={"folds": 5}, out=Path(name) / "run", progress=False)
        folds = [
            [json.loads(line) for line in path.read_text().splitlines()]
            for path in sorted(Path(name).glob("run/fold-*/held_out.jsonl"))
        ]
    yield from compared(folds)


def compared(folds: Sequence[Epochs]) -> Iterator[Check]:
    """A row a rule: its top-1 pooled over the folds' held-out pictures. Ours may not fall behind by more than noise."""
    pooled = {}
    for rule in RULES:
        chosen = [rule(epochs) for epochs in folds]
        right = [one for epochs, i in zip(folds, chosen, strict=True) for one in epochs[i]["right"]]
        low, high = wilson_interval(sum(right), len(right))
        pooled[rule] = right
        text = f"{sum(right) / len(right):.4f} ({low:.3f} to {high:.3f}), epochs {[i + 1 for i in chosen]}"
        yield noted(f"10.{rule.__name__}", text)
    for rule in RULES[1:]:
        we = sum(mine > its for mine, its in zip(pooled[ours], pooled[rule], strict=True))
        they = sum(mine < its for mine, its in zip(pooled[ours], pooled[rule], strict=True))
        # Of the pictures that only one of the two answers right, half could be ours with 95 % confidence.
        _, high = wilson_interval(we, we + they) if we + they else (0.5, 0.5)
        yield at_least(f"10.against.{rule.__name__}", high, 0.5, f"({we} ours alone, {they} its alone)")
    for images in (3, 5, 12, 25):
        yield noted(f"10.validation of {images}", _by_few(folds, images))


def _by_few(folds: Sequence[Epochs], images: int) -> str:
    """The rules' mean top-1 where so few held-out pictures validate and the others judge, over 200 draws a fold."""
    found: dict[str, list[float]] = {rule.__name__: [] for rule in RULES}
    draws = np.random.default_rng(0)
    for epochs in folds:
        right, losses = (np.array([epoch[name] for epoch in epochs]) for name in ("right", "losses"))
        for _ in range(200):
            order = draws.permutation(right.shape[1])
            drawn, others = order[:images], order[images:]
            seen = [_seen(*each) for each in zip(right[:, drawn], losses[:, drawn], strict=True)]
            for rule in RULES:
                found[rule.__name__].append(float(right[rule(seen), others].mean()))
    return ", ".join(f"{name} {np.mean(values):.4f}" for name, values in found.items())


def _seen(right: np.ndarray, losses: np.ndarray) -> dict[str, float]:
    top1 = float(right.mean())
    low, _ = wilson_interval(int(right.sum()), len(right))
    return {"top1": top1, "margin": top1 - low, "loss": float(losses.mean())}


def _watched(learner: Learner, run: Run) -> Iterator[Event]:
    """The events of a run, while each epoch's weights answer the held-out pictures, too."""
    task, preprocess = learner.task, learner.preprocess
    session = run.session
    held_out = Loader(
        *(run.data.of_split("test"), preprocess),
        batch_size=learner.recipe.batch,
        workers=session.workers,
        ahead=False,
        cache=session.cache,
    )
    for event in fit(learner, run):
        if isinstance(event, EpochDone):
            meter = measure(learner.evaluated, task, preprocess, held_out.epoch(0), learner.device)
            figures = event.figures
            line = {
                "top1": figures["top1"],
                "margin": task.margin("top1", figures),
                "loss": figures["loss"],
                "kept": event.kept,
                "right": [int(row["right"]) for row in meter.rows()],
                "losses": [row["loss"] for row in meter.rows()],
            }
            with (run.folder.path / "held_out.jsonl").open("a") as file:
                file.write(json.dumps(line) + "\n")
        yield event
