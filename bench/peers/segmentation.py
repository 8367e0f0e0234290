"""Networks of others that say a class for each pixel, as contenders, in the environment of `make setup-peers`.

python -m bench.peers.segmentation unet|lraspp|deeplabv3 plain|float32|bfloat16         a training step
"""

import os
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from bench.crops import BATCH, CLASSES, SIDE, UNKNOWN, crops
from bench.peers.without_operators import torchvision
from striate.base.hardware import cores
from striate.benchmarking.worker import Workload, serve

os.environ["HF_HUB_OFFLINE"] = "1"  # nobody looks for weights

ENCODER = "tu-efficientnet_lite0"
"""EfficientNet-Lite0 with symmetric paddings, which torch computes faster than SAME ones."""
RATE = 1e-4
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def unet() -> Any:
    import segmentation_models_pytorch  # type: ignore[import-not-found] # the peers' environment has it

    return segmentation_models_pytorch.Unet(ENCODER, encoder_weights=None, classes=CLASSES)


def lraspp() -> Any:
    models = torchvision.models.segmentation
    return models.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=CLASSES)


def deeplabv3() -> Any:
    models = torchvision.models.segmentation
    return models.deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=CLASSES)


NETWORKS: Mapping[str, Callable[[], Any]] = {"unet": unet, "lraspp": lraspp, "deeplabv3": deeplabv3}
PACKAGES = {
    "unet": ("torch", "segmentation-models-pytorch", "timm"),
    "lraspp": ("torch", "torchvision"),
    "deeplabv3": ("torch", "torchvision"),
}


def build(name: str, form: str) -> Workload:
    """Steps of AdamW on one batch of crops; ``form`` is "plain", or channels-last and the precision of autocast."""
    torch.set_num_threads(cores())
    torch.manual_seed(0)
    network = NETWORKS[name]()
    about = {
        "precision": "bfloat16" if form == "bfloat16" else "float32",
        "multiply_adds": multiply_adds(network),
        "versions": {package: version(package) for package in PACKAGES[name]},
    }
    step = stepping(network, form)
    images, masks = batch()
    if form != "plain":
        images = images.contiguous(memory_format=torch.channels_last)
    return Workload(lambda: step(images, masks), len(images), about)


def stepping(network: Any, form: str) -> Callable[[Tensor, Tensor], None]:
    """What does one training step in a form; the network is brought into its order."""
    tuned = form != "plain"
    network.train().to(memory_format=torch.channels_last if tuned else torch.contiguous_format)
    optimizer = torch.optim.AdamW(network.parameters(), RATE, fused=tuned or None)

    def step(images: Tensor, masks: Tensor) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=form == "bfloat16"):
            outputs = network(images)
        logits = outputs["out"] if isinstance(outputs, Mapping) else outputs
        loss = F.cross_entropy(logits.float(), masks, ignore_index=UNKNOWN)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        loss.item()  # as every loop that shows its progress does

    return step


def batch() -> tuple[Tensor, Tensor]:
    """The crops that all get: normalised floats ``[N, 3, H, W]``, and class indices, int64 ``[N, H, W]``."""
    pictures, masks = crops(BATCH)
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous().float() / 255
    mean, deviation = (torch.tensor(each).view(3, 1, 1) for each in (MEAN, DEVIATION))
    return (images - mean) / deviation, torch.from_numpy(masks).long()


def multiply_adds(network: Any) -> int:
    """Of one crop."""
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        network.eval()(torch.zeros(1, 3, SIDE, SIDE))
    return counted.get_total_flops() // 2


if __name__ == "__main__":
    serve(lambda: build(sys.argv[1], sys.argv[2]))
