"""What SAME costs in training, and local response normalization against torch's: alternated, step by step.

EfficientNet-Lite0 with its own paddings against the same network with symmetric ones, in float32 and under bfloat16
autocast, channels-last, 32 pictures of 224: forward, backward and a step of SGD. Single layers, forward and backward.
Response normalization at AlexNet's second place, 27x27x256, 32 pictures: forward and backward.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.section import Section, Settings, Table, wanted
from striate.base.heap import keep_freed_memory
from striate.layers import Conv2d
from striate.models import build
from striate.ops import ResponseNorm, conv2d, local_response_normalization

SAME_WANTED, LAYER_WANTED, LRN_WANTED = 1.15, 1.1, 3.0
BATCH = 32

HOW = (
    f"Channels-last, batches of {BATCH}, contenders that take turns within one process. SAME against symmetric "
    "padding, which give equally many places: a training step of EfficientNet-Lite0 at 224x224, and single layers "
    "forward and backward. The process keeps the memory it frees, as a run does; without that, a strided 3x3 window in "
    "float32 takes 1.14 times as long as the symmetric one. Local response normalization against torch's: 27x27x256, "
    "forward and backward."
)


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution whose SAME padding is worth asking for: with a stride, or depthwise."""

    window: int
    stride: int
    size: int
    channels: int
    depthwise: bool

    def __str__(self) -> str:
        kind = "depthwise " if self.depthwise else ""
        return f"{kind}{self.window}x{self.window}, stride {self.stride}, {self.size}x{self.size}x{self.channels}"


LAYERS = (
    Layer(3, 2, 112, 96, depthwise=True),
    Layer(3, 1, 56, 144, depthwise=True),
    Layer(5, 2, 56, 144, depthwise=True),
    Layer(5, 1, 28, 240, depthwise=True),
    Layer(3, 2, 56, 128, depthwise=False),
    Layer(5, 2, 56, 64, depthwise=False),
)


def run(settings: Settings) -> Section:
    keep_freed_memory()
    rounds = settings.rounds(3)
    same, layers = same_against_symmetric(4 * rounds), same_layers(5 * rounds)
    normalization = response_normalization(5 * rounds)
    rows = [(f"EfficientNet-Lite0, {kind}", f"{ratio:.3f}") for kind, ratio in same.items()]
    rows += [(name, f"{ratio:.3f}") for name, ratio in layers.items()]
    checks = [wanted(f"same.{kind}", ratio, most=SAME_WANTED) for kind, ratio in same.items()]
    checks.append(wanted("same.layers", max(layers.values()), most=LAYER_WANTED))
    checks += [wanted(f"lrn.{kind}", ratio, least=LRN_WANTED) for kind, ratio in normalization.items()]
    return Section(
        "Windows",
        HOW,
        (
            Table("SAME padding", ("", "times symmetric's time"), tuple(rows)),
            Table(
                "local response normalization",
                ("", "times as fast as torch"),
                tuple((kind, f"{ratio:.1f}") for kind, ratio in normalization.items()),
            ),
        ),
        tuple(checks),
        {"same": same, "layers": layers, "normalization": normalization},
    )


def same_layers(steps: int) -> dict[str, float]:
    """Of each layer and precision, how many times as long forward and backward take with SAME as with symmetric."""
    torch.manual_seed(0)
    found = {}
    for layer in LAYERS:
        for dtype, name in ((torch.float32, "float32"), (torch.bfloat16, "bfloat16")):
            contenders = {padding: _pass(layer, padding, dtype) for padding in ("same", "symmetric")}
            found[f"{layer}, {name}"] = ratio(contenders, steps)
    return found


def _pass(layer: Layer, padding: str, dtype: torch.dtype) -> Callable[[], None]:
    x = torch.randn(BATCH, layer.channels, layer.size, layer.size, dtype=dtype)
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    inner, groups = (1, layer.channels) if layer.depthwise else (layer.channels, 1)
    weight = torch.randn(layer.channels, inner, layer.window, layer.window, dtype=dtype, requires_grad=True)
    places = -(-layer.size // layer.stride)
    gradient = torch.randn(BATCH, layer.channels, places, places, dtype=dtype)
    gradient = gradient.contiguous(memory_format=torch.channels_last)

    def both() -> None:
        y = conv2d(x, weight, stride=layer.stride, padding=padding, groups=groups)
        torch.autograd.grad(y, (x, weight), gradient)

    return both


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
