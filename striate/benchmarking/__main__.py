"""One contender as a process: ``python -m striate.benchmarking training striate resnet50 16 224 224``."""

import sys

from striate.base import spinning
from striate.benchmarking.worker import Workload, serve


def _build() -> Workload:
    kind, *rest = sys.argv[1:]
    if rest[0] in ("striate", "checkpointed", "predictor"):  # as the command line runs
        spinning.bound()
    from striate.benchmarking import workloads  # here, so that what fails is answered, and torch is not loaded before

    if kind == "convolution":
        return workloads.convolution(*rest)
    name, model, batch_size, height, width = rest
    return workloads.KINDS[kind](name, model, int(batch_size), (int(height), int(width)))


serve(_build)
