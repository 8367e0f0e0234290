"""``python -m accept.plan.predicting TOOL NETWORK BATCH``: what others say that a step of training takes, in bytes.

It runs in the peers' environment (``make setup-peers``), on our networks as torch alone computes them, in float32, by
SGD with momentum. A tool that cannot says why.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

os.environ["STRIATE_NATIVE"] = "off"

import torch

from striate.models import build
from striate.models.table import architecture


def by_torchinfo(network: Any, size: tuple[int, ...], batch: int) -> int:
    """Its "estimated total size": pictures, parameters, and outputs twice, for forward and backward."""
    import torchinfo  # type: ignore[import-not-found] # the peers' environment has it

    found = torchinfo.summary(network, (batch, *size), verbose=0, device="cpu")
    return int(found.total_input + found.total_output_bytes + found.total_param_bytes)


def by_kitsune(network: Any, size: tuple[int, ...], batch: int) -> int:
    """Its total, without the 15 % that it adds for CUDA's allocator."""
    from kitsune.predict import predict_memory  # type: ignore[import-not-found] # the peers' environment has it

    found = predict_memory(network, size, batch_size=batch, optimizer="sgd")
    return int(found.total_bytes - found.overhead_bytes)


def by_mem_tracker(network: Any, size: tuple[int, ...], batch: int) -> int:
    """The peak of a second step on tensors without numbers, whose optimizer has its state."""
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed._tools.mem_tracker import MemTracker

    mode = FakeTensorMode()
    for module in network.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[name] = torch.nn.Parameter(mode.from_tensor(parameter.detach()))
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = mode.from_tensor(buffer)
    with mode:
        images = torch.rand(batch, *size).contiguous(memory_format=torch.channels_last)
        optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
        tracker = MemTracker()
        tracker.track_external(network, optimizer, images)
        with tracker:
            for _ in range(2):
                tracker.reset_mod_stats()
                network(images).float().sum().backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        return int(tracker.get_tracker_snapshot("peak")[torch.device("cpu")]["Total"])


TOOLS: Mapping[str, Callable[[Any, tuple[int, ...], int], int]] = {
    "torchinfo": by_torchinfo,
    "torch-kitsune": by_kitsune,
    "MemTracker": by_mem_tracker,
}


def main(tool: str, name: str, batch: str) -> None:
    """Print the bytes, or why there are none."""
    row = architecture(name)
    size = (row.preprocess.count, *row.preprocess.size)
    network: Any = build(name, classes=row.classes, seed=0)
    network.to(memory_format=torch.channels_last).train()
    try:
        print(json.dumps({"bytes": TOOLS[tool](network, size, int(batch))}))
    except Exception as error:  # noqa: BLE001 - whatever goes wrong in a tool is its answer
        print(json.dumps({"failure": f"{type(error).__name__}: {error}".splitlines()[0]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
