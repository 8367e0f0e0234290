"""What runs foretell of their first epochs, beside what these took.

Pictures are made larger than usual where an epoch would otherwise be over before it is foretold.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from accept import Check, noted
from accept.commands import DATA, REPOSITORY
from striate.base.hardware import processor

OFF = 0.2
RUNS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("efficientnet_lite0", "flowers", {"size": [448, 448]}),
    ("mobilenet_v2", "flowers", {"size": [448, 448]}),
    ("resnet18", "flowers", {"size": [320, 320], "weights": "none"}),
    ("resnet50", "flowers", {"weights": "none"}),
    ("tood/efficientnet_lite0", "raccoon", {"size": [640, 640]}),
    ("unet/efficientnet_lite0", "camvid", {}),
)
PROGRAM = """
import json, sys
from pathlib import Path
from striate.training.events import EpochDone, Forecast
from striate.training.run import train
model, data, changes, out = sys.argv[1:]
events = []
train(data, model=model, changes=json.loads(changes), epochs=2, out=Path(out) / "run", on_event=events.append)
told = [event for event in events if isinstance(event, Forecast)]
took = [event.whole for event in events if isinstance(event, EpochDone)]
print(json.dumps({"told": [[each.seconds, each.least, each.most, each.epochs] for each in told], "took": took}))
"""


def checks() -> Iterator[Check]:
    yield noted("7.processor", f"{processor().name}; epochs with their validation, the first decodes its pictures")
    for model, data, changes in RUNS:
        yield _foretold(model, data, changes)


def _foretold(model: str, data: str, changes: dict[str, Any]) -> Check:
    with tempfile.TemporaryDirectory(prefix="striate-forecast-") as folder:
        command = [sys.executable, "-c", PROGRAM, model, str(DATA / data), json.dumps(changes), folder]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    if not found["told"]:
        return Check(f"7.{model}", "a forecast", f"none; epochs took {found['took']}", False)
    seconds, least, most, _ = found["told"][0]
    took = found["took"][0]
    off = seconds / took - 1
    got = f"{100 * off:+.1f} %: {seconds:.1f} s ({least:.1f} to {most:.1f}), it took {took:.1f}"
    return Check(f"7.{model}", f"within {100 * OFF:.0f} %", f"{got}, then {found['took'][1]:.1f}", abs(off) <= OFF)
