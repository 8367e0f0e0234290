"""How long planning takes, after imports, and what it allocates: processor time, the least of three processes.

Each plans a network of two layers before, with which torch imports what it needs for tensors without numbers.
"""

import json
import subprocess
import sys
from collections.abc import Iterator

from accept import Check, at_most
from accept.commands import REPOSITORY

SECONDS = {"resnet50": 0.6, "resnet152": 1.2, "tood/efficientnet_lite0": 1.5}
MEGABYTES = 50
PROGRAM = """
import json, resource, sys, time
import torch
torch.set_num_threads(1)
from striate.planning import plan
plan(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)), size=8)
most = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before, begin = most(), time.process_time()
plan(sys.argv[1], batch=32)
print(json.dumps({"seconds": time.process_time() - begin, "bytes": most() - before}))
"""


def checks() -> Iterator[Check]:
    for name, most in SECONDS.items():
        found = [_planned(name) for _ in range(3)]
        yield at_most(f"5.{name} s", min(each["seconds"] for each in found), most)
        yield at_most(f"5.{name} MB", max(each["bytes"] for each in found) / 1e6, MEGABYTES)


def _planned(name: str) -> dict[str, float]:
    command = [sys.executable, "-c", PROGRAM, name]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found
