"""A small run without files of pictures: a network of two blocks and a head, 14 grey pictures, three steps an epoch."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from striate import modelfile
from striate.data import ArrayHandle, Augmentation, Classes, Dataset, Loader, PictureCache, Record
from striate.data.targets import ClassIndex
from striate.models.network import Network
from striate.pictures.preprocess import Preprocess
from striate.recipe import Recipe, Stage
from striate.tasks.classify import Classify
from striate.training import checkpoint
from striate.training.events import Event
from striate.training.interruption import Interruption
from striate.training.learner import Learner
from striate.training.loop import Run, fit
from striate.training.runfolder import RunFolder
from striate.training.session import Controls, Session

CLASSES = Classes(("dark", "light", "striped"))
PREPROCESS = Preprocess(channels="grey", mean=(0.5,), scale=(0.5,), size=(8, 8), resize="stretch")


class Tiny(Network):
    """Two blocks with what a checkpoint could forget: running statistics and dropout. ``plain``: without both."""

    def __init__(self, plain: bool = False) -> None:
        super().__init__(
            classes=3,
            in_channels=1,
            blocks={
                "stem": ("conv1", "norm1", "relu"),
                "stage1": ("conv2", "norm2", "relu", "drop"),
                "head": ("flatten", "dense"),
            },
            feature_info=(),
        )
        self.conv1 = nn.Conv2d(1, 4, 3, stride=2, padding=1, bias=plain)
        self.norm1 = nn.Identity() if plain else nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=plain)
        self.norm2 = nn.Identity() if plain else nn.BatchNorm2d(6)
        self.drop = nn.Identity() if plain else nn.Dropout(0.3)
        self.relu = nn.ReLU()
        self.flatten = nn.Flatten()
        self.dense = nn.Linear(24, 3)


def pictures(count: int = 14, seed: int = 0) -> tuple[Record, ...]:
    """Noise run a grey that tells the class."""
    rng = np.random.default_rng(seed)
    targets = np.arange(count) % 3
    array = (rng.integers(0, 120, (count, 8, 8)) + 60 * targets[:, None, None]).astype(np.uint8)
    return tuple(
        Record(ArrayHandle(array, i), ClassIndex(int(targets[i])), rng.bytes(32), f"picture {i}", "train")
        for i in range(count)
    )


class Asking(Interruption):
    """Asked to stop by a function instead of a signal."""

    def __init__(self, stop: Callable[[], bool]) -> None:
        super().__init__()
        self.asked = stop  # type: ignore[method-assign]


@dataclasses.dataclass
class Workshop:
    """Makes the parts of a run, and runs it."""

    recipe: Recipe
    workers: int = 0
    plain: bool = False

    def network(self, seed: int = 0) -> Tiny:
        torch.manual_seed(seed)
        return Tiny(self.plain)

    def learner(self, seed: int = 0) -> Learner:
        network = self.network(seed)
        return Learner(network, Classify(CLASSES), self.recipe, PREPROCESS, torch.device("cpu"), torch.float32)

    def run(self, path: Path, stop: Callable[[], bool] = lambda: False) -> Run:
        def loader(records: tuple[Record, ...], training: bool) -> Loader:
            augment = self.recipe.augment if training else None
            return Loader(
                *(records, PREPROCESS),
                batch_size=self.recipe.batch_size,
                seed=self.recipe.seed,
                augmentation=augment,
                shuffle=training,
                workers=self.workers,
            )

        description = modelfile.Description("lenet5", {"classes": 3, "in_channels": 1}, "classify", CLASSES, PREPROCESS)
        session = Session(
            *(
                path,
                Classify(CLASSES),
                Controls(),
                torch.device("cpu"),
                self.workers,
                PictureCache(0),
                lambda event: None,
            ),
            interruption=Asking(stop),
            fingerprint="these",
        )
        return Run(
            session=session,
            data=Dataset(Path("root"), "arrays", CLASSES, pictures(), 1),
            training=loader(pictures(), True),
            validation=loader(pictures(9, seed=1), False),
            folder=RunFolder(path),
            description=description,
        )

    def start(self, path: Path, stop: Callable[[], bool] = lambda: False) -> tuple[Learner, list[Event]]:
        """Begin a run and let it go on until it ends or ``stop`` says yes."""
        learner, run = self.learner(), self.run(path, stop)
        run.folder.begin("")
        return learner, list(fit(learner, run))

    def resume(self, path: Path, stop: Callable[[], bool] = lambda: False) -> tuple[Learner, list[Event]]:
        """Go on with a run in what might be a new process: nothing is left of the old learner, not even the seed."""
        learner, run = self.learner(seed=99), self.run(path, stop)
        torch.manual_seed(98)
        header = checkpoint.read_header(run.folder.last)
        checkpoint.restore(run.folder.last, learner, header)
        run.folder.forget_after(header.metrics_size)
        return learner, list(fit(learner, run))


class StopAt:
    """Says yes when it is asked for the n-th time (from 0), and counts how often it was asked."""

    def __init__(self, turn: int) -> None:
        self.turn = turn
        self.asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.asked == self.turn + 1


TWO_STAGES = Recipe(
    model="lenet5",
    metric="top1",
    batch_size=3,  # 14 pictures: batches of 3, 3, 3, 3, 2
    accumulate=2,
    momentum=0.9,
    log_every=2,
    clip_norm=1.0,
    augment=Augmentation(flip=True, shift=1, crop=(1.0, 1.0)),
    stages=(Stage(epochs=1, rate=0.05, freeze=("stem", "stage1")), Stage(epochs=2, rate=0.02, warmup=0.3)),
)


@pytest.fixture
def two_stages() -> Recipe:
    """A head alone, then everything; three steps an epoch, one of them of a single batch."""
    return TWO_STAGES


@pytest.fixture
def workshop() -> Callable[..., Workshop]:
    """Makes a `Workshop` for a recipe."""
    return Workshop


@pytest.fixture
def stop_at() -> Callable[[int], StopAt]:
    """Makes a `StopAt`."""
    return StopAt


@pytest.fixture
def picture_records() -> Callable[..., tuple[Record, ...]]:
    """Makes records of pictures in memory."""
    return pictures


@pytest.fixture
def metrics_of() -> Callable[[Path], list[dict[str, Any]]]:
    """The metrics of a run folder without what depends on a clock."""
    return timeless_metrics


def timeless_metrics(folder: Path) -> list[dict[str, Any]]:
    def timeless(line: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in line.items() if "second" not in name}

    text = (folder / "metrics.jsonl").read_text(encoding="utf-8")
    return [timeless(json.loads(line)) for line in text.splitlines()]


@pytest.fixture
def same_state() -> Callable[[Learner, Learner], None]:
    """Asserts that two learners hold the same bits in all that they learn with."""

    def check(one: Learner, other: Learner) -> None:
        assert_equal_tensors(one.network.state_dict(), other.network.state_dict())
        assert (one.average is None) == (other.average is None)
        if one.average and other.average:
            assert one.average.updates == other.average.updates
            assert_equal_tensors(one.average.network.state_dict(), other.average.network.state_dict())
        ours, theirs = one.optimizer.state_dict(), other.optimizer.state_dict()
        assert ours["state"].keys() == theirs["state"].keys()
        for index, state in ours["state"].items():
            assert_equal_tensors(state, theirs["state"][index])
        for own, their in zip(ours["param_groups"], theirs["param_groups"], strict=True):
            assert own == their | {"lr": own["lr"]}  # the rate is set before each step
        assert one.progress == other.progress

    return check


def assert_equal_tensors(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        if tensor is None:
            assert other[name] is None
        else:
            assert torch.equal(tensor, other[name]), name
            assert tensor.stride() == other[name].stride(), name
