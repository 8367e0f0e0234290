"""``python -m accept.plan.stepping NETWORK STEP PRECISION [BATCH]``: a step's peak by plan and by the allocator."""

import itertools
import json
import sys
from contextlib import nullcontext
from typing import Any

import torch

from striate.models import build
from striate.models.table import architecture
from striate.ops import native
from striate.planning import plan
from striate.tracing import OPTIMIZERS, summed

THERE = ("parameters", "buffers", "inputs", "optimizer state")


def main(name: str, step: str, precision: str, batch: str = "2") -> None:
    """Print both, in bytes, beyond what is there before the step; and that."""
    native.prepare(native.silent)
    row = architecture(name)
    size = (row.preprocess.count, *row.preprocess.size)
    network: Any = build(name, classes=row.classes, seed=0)
    network.to(memory_format=torch.channels_last)
    images = torch.rand(int(batch), *size).contiguous(memory_format=torch.channels_last)
    learns = step != "inference"
    network.train(learns)
    optimizer = OPTIMIZERS[step](list(network.parameters())) if learns else None

    def run() -> None:
        low = torch.autocast("cpu", torch.bfloat16) if precision == "bfloat16" else nullcontext()
        with low, nullcontext() if learns else torch.no_grad():
            outputs = network(images)
        torch.clear_autocast_cache()
        if optimizer is not None:
            summed(outputs).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    run()  # after which the optimizer has its state
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        run()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    words: Any = {"mode": "training", "optimizer": step, "loss": summed} if learns else {"mode": "inference"}
    found = plan(network, size=size, batch=int(batch), precision=precision, **words)  # type: ignore[arg-type]
    memory = found.training or found.inference
    there = sum(size for kind, size in memory.kinds.items() if kind in THERE)
    print(json.dumps([memory.bytes - there, max(itertools.accumulate(changes)), there]))


if __name__ == "__main__":
    main(*sys.argv[1:])
