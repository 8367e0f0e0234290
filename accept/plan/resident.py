"""``python -m accept.plan.resident NETWORK BATCH SIDE PRECISION HEAP``: a step's peak by plan and by the system.

HEAP is kept, as runs have it where there is room, or returned, as they have it where there is little.
"""

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from striate.base.heap import freed_memory_kept, freed_memory_returned
from striate.models import build
from striate.models.table import architecture
from striate.ops import native
from striate.planning import plan
from striate.tracing import OPTIMIZERS, summed

STEPS = 5


def main(name: str, batch: str, side: str, precision: str, heap: str) -> None:
    """Print both, in bytes, and their ratio."""
    native.prepare(native.silent)
    row = architecture(name)
    found = plan(name, size=int(side), batch=int(batch), precision=precision)  # type: ignore[arg-type]
    assert found.training is not None
    before = _resident("VmRSS")
    network: Any = build(name, classes=row.classes, seed=0)
    network.to(memory_format=torch.channels_last).train()
    optimizer = OPTIMIZERS["sgd"](list(network.parameters()))
    images = torch.rand(int(batch), row.preprocess.count, int(side), int(side))
    images = images.contiguous(memory_format=torch.channels_last)
    with freed_memory_kept() if heap == "kept" else freed_memory_returned():
        for _ in range(STEPS):
            low = torch.autocast("cpu", torch.bfloat16) if precision == "bfloat16" else nullcontext()
            with low:
                outputs = network(images)
            torch.clear_autocast_cache()
            summed(outputs).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    resident = _resident("VmHWM") - before
    print(json.dumps([found.training.bytes, resident, round(resident / found.training.bytes, 3)]))


def _resident(line: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(text.split()[1]) * 1024 for text in lines if text.startswith(f"{line}:"))


if __name__ == "__main__":
    main(*sys.argv[1:])
