"""A run on the flowers that trains when it is told to: ``python -m accept.speed.stepping today|before|torch``.

On stdin it reads for how many seconds; it trains whole epochs until they are over and answers with pictures a second.
``before`` is a run as it was when it took no turns; how its threads wait its environment says. ``torch`` is tuned
torch, step by step.
"""

import sys
import tempfile
import time
from pathlib import Path

from striate.base import spinning

READY = "ready"


class Meter:
    """Waits for a question, and answers it once its seconds are over."""

    def __init__(self) -> None:
        self._images, self._until, self._started = 0, 0.0, 0.0

    def ask(self) -> None:
        print(READY, flush=True)
        self._next()

    def add(self, images: int) -> None:
        self._images += images
        if (now := time.monotonic()) >= self._until:
            print(self._images / (now - self._started), flush=True)
            self._next()

    def _next(self) -> None:
        line = sys.stdin.readline()
        if not line:
            sys.exit()
        self._images, self._started = 0, time.monotonic()
        self._until = self._started + float(line)


def run(takes_turns: bool) -> None:
    """The default's second stage, on and on: EfficientNet-Lite0, batches of 32."""
    import striate
    from accept.commands import DATA
    from striate.base import turns
    from striate.training.events import EpochDone

    if not takes_turns:
        turns.turns = lambda threads: None
    meter, epochs = Meter(), 0

    def listen(event: object) -> None:
        nonlocal epochs
        if isinstance(event, EpochDone):
            epochs += 1
            if epochs == 2:  # pictures are in the cache from here on
                meter.ask()
            elif epochs > 2:
                meter.add(event.images)

    stage = {"epochs": 100_000, "rate": 1e-4, "freeze": ["stem", "stage1", "stage2"]}
    with tempfile.TemporaryDirectory(prefix="striate-stepping-") as folder:
        # Short epochs, since a run listens between them alone.
        changes = {"stages": [stage], "batch_size": 32, "split": [0.2, 0.05, 0.75]}
        striate.train(DATA / "flowers", out=Path(folder) / "run", changes=changes, progress=False, on_event=listen)


def torch_alone() -> None:
    from striate.benchmarking.workloads import training

    work, meter = training("torch_bfloat16", "efficientnet_lite0", 32, (224, 224)), Meter()
    work.step()
    meter.ask()
    while True:
        work.step()
        meter.add(work.images)


if __name__ == "__main__":
    which = sys.argv[1]
    if which == "today":
        spinning.bound()
    if which == "torch":
        torch_alone()
    else:
        run(takes_turns=which == "today")
