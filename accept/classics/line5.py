"""Every network learns: 32 photographs of flowers by heart, and LeNet-5 of 1998 the digits.

The size is the smallest that is legal, but 32x32 at least: below that there is no picture. Networks that need 224
learn from 8 pictures a step, the others from all; without dropout, which is there to prevent what is asked here. Right
answers are counted in evaluation mode, with the running statistics of batch norms taken anew over the same pictures.
"""

import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

from accept import Check, at_least
from accept.commands import DATA, striate
from striate.base.hardware import processor
from striate.data import open_data
from striate.data.loading import Loader
from striate.data.records import Classes
from striate.models import MODELS, build
from striate.models.network import Network, TrainingView
from striate.pictures.preprocess import Preprocess
from striate.tasks.classify import Classify
from striate.tasks.classify_meter import class_indices
from striate.training import precision

PICTURES, RATE = 32, 3e-4
LARGE, PICTURES_LARGE, RATE_LARGE = 100, 8, 1e-4  # pixels from which on, and then
MOST_STEPS, EVERY = 300, 8
TASK = Classify(Classes(tuple("abcde")))


def checks() -> Iterator[Check]:
    for name in (name for name, row in MODELS.items() if row.form is None):
        started = time.monotonic()
        accuracy, steps, size = by_heart(name)
        spent = time.monotonic() - started
        yield at_least(f"5.{name}", accuracy, 0.95, f"after {steps} steps of {size[0]}x{size[1]}, {spent:.0f} s")
    with TemporaryDirectory(prefix="striate-lenet-") as folder:
        words = ("--model", "lenet5_1998", "--epochs", "5", "--out", Path(folder) / "run")
        answer = striate("train", DATA / "mnist", *words)
    yield at_least("5.lenet5_1998-mnist", answer["test"]["top1"], 0.985)


def by_heart(name: str) -> tuple[float, int, tuple[int, int]]:
    """The part of 32 flowers answered rightly, after how many steps, at which size."""
    network = build(name, classes=5, in_channels=3, seed=0)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    height, width = (max(side, 32) for side in network.smallest) if network.size is None else network.size
    images, targets = _flowers(Preprocess(size=(height, width), resize="crop"))
    dtype = precision.choose("auto", network, processor(), torch.device("cpu")).dtype
    batch, rate = (PICTURES_LARGE, RATE_LARGE) if height >= LARGE else (PICTURES, RATE)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate)
    accuracy, steps = 0.0, 0
    while steps < MOST_STEPS and accuracy < 0.95:
        network.train()
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.eval()
        for _ in range(EVERY):
            some = torch.arange(steps * batch, (steps + 1) * batch) % PICTURES
            with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
                main, auxiliary = TrainingView(network)(images[some])
            optimizer.zero_grad()
            TASK.loss(main, auxiliary, targets[some]).total.backward()
            optimizer.step()
            steps += 1
        accuracy = _accuracy(network, images, targets)
    return accuracy, steps, (height, width)


def _accuracy(network: Network, images: Tensor, targets: Tensor) -> float:
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    usual = [norm.momentum for norm in norms]
    with torch.no_grad():
        if norms:
            for norm in norms:
                norm.reset_running_stats()
                norm.momentum = None  # the plain mean over what it sees from now on
            network.train()(images)
        answers = network.eval()(images).argmax(1)
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
    return float((answers == targets).float().mean())


def _flowers(preprocess: Preprocess) -> tuple[Tensor, Tensor]:
    """``PICTURES`` photographs, of each of the five classes in turn, ready for the network, and their classes."""
    dataset = open_data(DATA / "flowers")
    by_class = [
        [r for r in dataset.records if r.target.occurring() == (index,)] for index in range(len(dataset.classes))
    ]
    turns = cycle(iter(records) for records in by_class)
    records = tuple(next(turn) for turn in islice(turns, PICTURES))
    loader = Loader(records, preprocess, batch_size=PICTURES, seed=0, shuffle=False, workers=1, cache=None)
    (batch,) = loader.epoch(0)
    images = preprocess.normalise(batch.images.contiguous(memory_format=torch.channels_last))
    return images, class_indices(batch)
