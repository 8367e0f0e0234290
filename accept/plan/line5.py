"""How long planning takes, after imports, and what it allocates: processor time, the best of five."""

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
before, seconds = most(), []
for _ in range(5):
    begin = time.process_time()
    plan(sys.argv[1], batch=32)
    seconds.append(time.process_time() - begin)
    if len(seconds) == 1:
        grown = most() - before
print(json.dumps({"seconds": min(seconds), "first": seconds[0], "bytes": grown}))
"""


def checks() -> Iterator[Check]:
    for name, most in SECONDS.items():
        command = [sys.executable, "-c", PROGRAM, name]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        yield at_most(f"5.{name} s", found["seconds"], most, f"(the first {found['first']:.2f})")
        yield at_most(f"5.{name} MB", found["bytes"] / 1e6, MEGABYTES)
