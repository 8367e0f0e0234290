"""The detectors of others, of one class: torchvision's SSDLite on MobileNetV2, and yolo11n as ultralytics builds it.

Each is built, and gives its loss of a batch, by its own library. Nothing here trains for long or answers.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from bench import scenes

SIDE = scenes.SIDE

# Neither looks for the network, nor installs anything, nor writes into its user's home.
os.environ.setdefault("YOLO_CONFIG_DIR", str(Path(sys.prefix) / "ultralytics"))
os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false", YOLO_VERBOSE="false")

Batch: TypeAlias = Tensor | Sequence[Tensor]
"""One tensor for each picture: floats ``[3, H, W]`` in 0..1, or the boxes xyxy ``[K, 4]`` of its objects."""


@dataclass(frozen=True, slots=True)
class Detector:
    """A network, its loss of pictures and boxes, and its optimizer.

    ``optimized`` is called after each backward pass, and takes a step where the library's own loop would.
    """

    network: Any
    loss: Callable[[Batch, Batch], Tensor]
    optimizer: torch.optim.Optimizer
    optimized: Callable[[], None]


ORDERS = {"plain": torch.contiguous_format, "float32": torch.channels_last, "bfloat16": torch.channels_last}
"""The forms in which a detector can be trained, and their order in memory; "bfloat16" is autocast to that."""


def stepping(detector: Detector, form: str) -> Callable[[Batch, Batch], None]:
    """What does one training step in a form; the network is brought into its order."""
    detector.network.to(memory_format=ORDERS[form])

    def step(images: Batch, boxes: Batch) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=form == "bfloat16"):
            loss = detector.loss(images, boxes)
        loss.backward()
        detector.optimized()
        loss.item()  # as every loop that shows its progress does

    return step


def ssdlite(weights: Path | None = None, rate: float = 1e-4) -> Detector:
    """With the optimizer of torchvision's reference training, SGD; ``weights`` is the file of its MobileNetV2."""
    network = _ssdlite(weights).train()
    optimizer = torch.optim.SGD(network.parameters(), rate, momentum=0.9, weight_decay=4e-5)

    def loss(images: Batch, boxes: Batch) -> Tensor:
        targets = [{"boxes": each, "labels": torch.ones(len(each), dtype=torch.int64)} for each in boxes]
        parts: list[Tensor] = list(network(list(images), targets).values())
        return torch.stack(parts).sum()

    def optimized() -> None:
        optimizer.step()
        optimizer.zero_grad()

    return Detector(network, loss, optimizer, optimized)


def _ssdlite(weights: Path | None) -> Any:
    """As `torchvision.models.detection.ssdlite320_mobilenet_v3_large` puts it together, on MobileNetV2."""
    from torchvision.models import mobilenet_v2  # type: ignore[import-not-found] # the detectors' environment has it
    from torchvision.models.detection import _utils, ssdlite  # type: ignore[import-not-found] # as above
    from torchvision.models.detection.anchor_utils import DefaultBoxGenerator  # type: ignore[import-not-found]
    from torchvision.models.detection.ssd import SSD  # type: ignore[import-not-found] # as above

    backbone = mobilenet_v2()
    if weights is not None:
        backbone.load_state_dict(torch.load(weights, weights_only=True))
    # The extractor divides the block of the last stride; it knows its layers by the name that they have in V3.
    divided = [block for block in backbone.features if getattr(block, "_is_cn", False)][-1]
    divided.__dict__["block"] = divided.conv
    norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)
    features = ssdlite._mobilenet_extractor(backbone, 6, norm)
    anchors = DefaultBoxGenerator([[2, 3] for _ in range(6)], min_ratio=0.2, max_ratio=0.95)
    channels = _utils.retrieve_out_channels(features, (SIDE, SIDE))
    return SSD(
        *(features, anchors, (SIDE, SIDE), 2),
        head=ssdlite.SSDLiteHead(channels, anchors.num_anchors_per_location(), 2, norm),
        score_thresh=0.001,
        nms_thresh=0.55,
        detections_per_img=300,
        topk_candidates=300,
    )


def yolo11n() -> Detector:
    """With what its trainer does for small data: AdamW, clipped gradients and averaged weights, once in 64 pictures."""
    from ultralytics.cfg import get_cfg  # type: ignore[import-not-found] # the detectors' environment has it
    from ultralytics.nn.tasks import DetectionModel  # type: ignore[import-not-found] # as above
    from ultralytics.utils.torch_utils import ModelEMA  # type: ignore[import-not-found] # as above

    network = DetectionModel("yolo11n.yaml", nc=1, verbose=False).train()
    network.args = get_cfg()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4, betas=(0.9, 0.999), weight_decay=5e-4)
    average, pictures = ModelEMA(network), 0

    def loss(images: Batch, boxes: Batch) -> Tensor:
        nonlocal pictures
        pictures += len(images)
        xyxy = torch.cat(list(boxes)) / SIDE
        batch = {
            "img": images,
            "cls": torch.zeros(len(xyxy), 1),
            "bboxes": torch.cat([(xyxy[:, :2] + xyxy[:, 2:]) / 2, xyxy[:, 2:] - xyxy[:, :2]], 1),
            "batch_idx": torch.repeat_interleave(torch.tensor([len(each) for each in boxes])).float(),
        }
        parts, _ = network(batch)
        whole: Tensor = parts.sum()
        return whole

    def optimized() -> None:
        nonlocal pictures
        if pictures >= network.args.nbs:
            nn.utils.clip_grad_norm_(network.parameters(), max_norm=10.0)
            optimizer.step()
            optimizer.zero_grad()
            average.update(network)
            pictures = 0

    return Detector(network, loss, optimizer, optimized)


DETECTORS: Mapping[str, Callable[[], Detector]] = {"ssdlite": ssdlite, "yolo11n": yolo11n}


def drawn(count: int) -> tuple[Tensor, Tensor]:
    """A batch of the pictures that all get: floats ``[N, 3, H, W]`` in 0..1, and boxes xyxy ``[N, K, 4]``."""
    pictures, boxes = scenes.pictures(count, SIDE)
    images = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
    return torch.from_numpy(images).float() / 255, torch.from_numpy(boxes)
