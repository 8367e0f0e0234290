"""What SAME costs in training, and local response normalization against torch's: alternated, step by step.

EfficientNet-Lite0 with its own paddings against the same network with symmetric ones, in float32 and under bfloat16
autocast, channels-last, 32 pictures of 224: forward, backward and a step of SGD. Response normalization at AlexNet's
second place, 27x27x256, 32 pictures: forward and backward.
"""

import os
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.fashion_cnn import processor, write_results
from striate.layers import Conv2d
from striate.models import build
from striate.ops import ResponseNorm, local_response_normalization

SAME_WANTED, LRN_WANTED = 1.15, 3.0
BATCH = 32


def run(rounds: int) -> bool:
    """Measure, print, write to bench/results; whether both ratios are as wanted."""
    name, _ = processor()
    print(f"windows; {name}, {len(os.sched_getaffinity(0))} cores, {torch.get_num_threads()} threads")
    same, normalization = same_against_symmetric(4 * rounds), response_normalization(5 * rounds)
    for kind, ratio in same.items():
        verdict = "ok" if ratio <= SAME_WANTED else "NO"
        print(f"efficientnet_lite0, {kind}: SAME takes {ratio:.3f} of symmetric (wanted {SAME_WANTED}) {verdict}")
    for kind, ratio in normalization.items():
        verdict = "ok" if ratio >= LRN_WANTED else "NO"
        print(f"response normalization, {kind}: {ratio:.1f} times as fast as torch's (wanted {LRN_WANTED}) {verdict}")
    write_results({"processor": name, "same": same, "normalization": normalization}, "windows")
    return max(same.values()) <= SAME_WANTED and min(normalization.values()) >= LRN_WANTED


def same_against_symmetric(steps: int) -> dict[str, float]:
    """Of each precision, how many times as long a training step takes with SAME as with symmetric padding."""
    torch.manual_seed(0)
    images = torch.randn(BATCH, 3, 224, 224).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (BATCH,))
    found = {}
    for name in ("float32", "bfloat16"):
        networks = {"same": network("same"), "symmetric": network("symmetric")}
        found[name] = ratio({who: step_of(one, images, labels, name) for who, one in networks.items()}, steps)
    return found


def network(padding: str) -> nn.Module:
    """EfficientNet-Lite0 in training; "symmetric" replaces its SAME paddings, and nothing else."""
    made = build("efficientnet_lite0", classes=10, in_channels=3).train()
    made.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch's own stubs lack it
    for module in made.modules():
        if isinstance(module, Conv2d) and module.padding == "same":
            module.padding = padding
    return made


def step_of(network: nn.Module, images: Tensor, labels: Tensor, precision: str) -> Callable[[], None]:
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            logits = network(images)
        F.cross_entropy(logits.float(), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def response_normalization(steps: int) -> dict[str, float]:
    """Of each memory format, how many times as fast forward and backward are as torch's."""
    torch.manual_seed(0)
    norm = ResponseNorm.caffe(local_size=5, alpha=1e-4, beta=0.75, k=1.0)
    found = {}
    for name, memory_format in (("contiguous", torch.contiguous_format), ("channels-last", torch.channels_last)):
        x = torch.randn(BATCH, 256, 27, 27).contiguous(memory_format=memory_format).requires_grad_()
        gradient = torch.randn_like(x)

        def theirs(x: Tensor = x, gradient: Tensor = gradient) -> None:
            torch.autograd.grad(F.local_response_norm(x, 5, 1e-4, 0.75, 1.0), x, gradient)

        def ours(x: Tensor = x, gradient: Tensor = gradient) -> None:
            torch.autograd.grad(local_response_normalization(x, norm), x, gradient)

        found[name] = ratio({"torch": theirs, "striate": ours}, steps)
    return found


def ratio(contenders: dict[str, Callable[[], None]], steps: int) -> float:
    """The median time of the first over that of the second; they take turns, and two turns are not counted."""
    times: dict[str, list[float]] = {who: [] for who in contenders}
    for _ in range(steps + 2):
        for who, work in contenders.items():
            started = time.perf_counter()
            work()
            times[who].append(time.perf_counter() - started)
    first, second = (statistics.median(found[2:]) for found in times.values())
    return first / second
