"""Memory as planned, and as torch's allocator counts it in a real step: networks, steps, precisions, kernels.

Beside the plan's tensors the allocator counts what libraries ask it for: oneDNN's workspaces and copies of weights.
"""

import itertools
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator

from accept import Check, at_least, at_most, noted
from accept.commands import REPOSITORY

NETWORKS = (
    *("lenet5", "alexnet", "vgg11", "vgg16", "googlenet", "resnet18", "resnet50", "resnet152", "xception"),
    *("squeezenet1_1", "mobilenet_v2", "efficientnet_lite0", "yolov3/resnet18", "unet/efficientnet_lite0"),
)
STEPS = ("inference", "sgd", "adamw")
WITHIN, SHARE, AT_MOST = 0.03, 0.95, 0.10


def checks() -> Iterator[Check]:
    errors = []
    for case in itertools.product(NETWORKS, STEPS, ("float32", "bfloat16"), ("auto", "off")):
        planned, true = measured(*case)
        errors.append(abs(planned / true - 1))
        yield noted("3." + " ".join(case), f"planned {planned:,}, true {true:,} ({planned / true - 1:+.1%})")
    yield at_least("3.within 3 %", statistics.fmean(error <= WITHIN for error in errors), SHARE)
    yield at_most("3.largest error", max(errors), AT_MOST)


def measured(name: str, step: str, precision: str, kernels: str) -> tuple[int, int]:
    """Bytes at the peak, without what is there before: as planned, and as the allocator counts them."""
    done = subprocess.run(
        [sys.executable, "-m", "accept.plan.stepping", name, step, precision],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "STRIATE_NATIVE": kernels},
    )
    planned, true, _ = json.loads(done.stdout)
    return planned, true
