"""Write a detector as ONNX, box decoding and suppression included.

python -m bench.peers.detector_export ssdlite|yolo11n FOLDER CANDIDATES

``FOLDER/NAME.onnx`` finds so many boxes to suppress in the picture that all get, ``NAME.json`` has its multiply-adds.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bench.peers.detectors import DETECTORS, SIDE, drawn


def settled(name: str) -> Any:
    """The network in evaluation mode, the statistics of its norms those of a few drawn pictures."""
    torch.manual_seed(0)
    detector = DETECTORS[name]()
    for module in detector.network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        detector.loss(*drawn(4))
    return detector.network.eval()


class OfOne(nn.Module):
    """A detector that takes a list of pictures, for a batch of one."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Any:
        return self.network([images[0]])


def ssdlite(network: Any, images: Tensor, path: Path, candidates: int) -> None:
    """The whole model, from normalising on, as torchvision documents it."""
    normalised, _ = network.transform(list(images))
    maps = list(network.backbone(normalised.tensors).values())
    network.score_thresh = _threshold(network.head(maps)["cls_logits"].softmax(-1)[0, :, 1], candidates)
    torch.onnx.export(OfOne(network), (images,), str(path), dynamo=False, opset_version=17)


def yolo11n(network: Any, images: Tensor, path: Path, candidates: int) -> None:
    """By ultralytics' own export, with its suppression in the graph."""
    from ultralytics import YOLO  # type: ignore[import-not-found] # the detectors' environment has it

    least = _threshold(network(images)[0][0, 4], candidates)
    with tempfile.TemporaryDirectory() as folder:
        model = YOLO("yolo11n.yaml", verbose=False)
        network.args, network.task = model.model.args, model.task
        network.pt_path = str(Path(folder) / "yolo11n.pt")  # what is written goes beside
        model.model = network
        shutil.move(model.export(format="onnx", imgsz=SIDE, nms=True, conf=least, device="cpu"), path)


EXPORTS: Mapping[str, Callable[[Any, Tensor, Path, int], None]] = {"ssdlite": ssdlite, "yolo11n": yolo11n}


def _threshold(scores: Tensor, candidates: int) -> float:
    """Between the score that is the last of so many and the next."""
    best = scores.sort(descending=True).values
    return float(best[candidates - 1 : candidates + 1].mean())


def main(name: str, folder: Path, candidates: int) -> None:
    network = settled(name)
    images, _ = drawn(1)
    with torch.no_grad():
        with FlopCounterMode(display=False) as counted:
            network(images)
        EXPORTS[name](network, images, folder / f"{name}.onnx", candidates)
    about = {"multiply_adds": counted.get_total_flops() // 2}
    (folder / f"{name}.json").write_text(json.dumps(about), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
