"""Detectors of others as contenders, in the environment of `make setup-detectors`.

python -m bench.peers.detection training ssdlite|yolo11n plain|float32|bfloat16 BATCH    a step, by the library's loss
python -m bench.peers.detection answer FOLDER/NAME                  what `detector_export` wrote, under ONNX Runtime
python -m bench.peers.detection suppression spread|crowds           torchvision's compiled operator alone
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bench import scenes
from striate.base.hardware import cores
from striate.benchmarking.worker import Workload, serve


def training(name: str, form: str, batch_size: str) -> Workload:
    import torch

    from bench.peers.detectors import DETECTORS, ORDERS, drawn, stepping

    torch.set_num_threads(cores())
    torch.manual_seed(0)
    step = stepping(DETECTORS[name](), form)
    images, boxes = drawn(int(batch_size))
    images = images.contiguous(memory_format=ORDERS[form])
    precision = "bfloat16" if form == "bfloat16" else "float32"
    return Workload(lambda: step(images, boxes), len(images), {"precision": precision, "versions": _versions(name)})


def answer(stem: str) -> Workload:
    """From a picture in memory, uint8 ``[1, H, W, 3]``, to its boxes."""
    import numpy as np

    from bench.peers.runtimes import onnxruntime

    answered, version = onnxruntime(Path(f"{stem}.onnx"), "float32")
    about = json.loads(Path(f"{stem}.json").read_text(encoding="utf-8"))
    picture, _ = scenes.pictures(1, scenes.SIDE)

    def answer_one() -> object:
        return answered(np.ascontiguousarray(picture.transpose(0, 3, 1, 2), np.float32) / 255)

    return Workload(answer_one, 1, {"precision": "float32", "versions": {"onnxruntime": version}, **about})


def suppression(kind: str) -> Workload:
    import torch
    from torchvision.ops import batched_nms  # type: ignore[import-not-found] # the detectors' environment has it

    torch.set_num_threads(cores())
    boxes, scores, classes = map(torch.from_numpy, scenes.candidates(kind))

    def suppressed() -> torch.Tensor:
        kept: torch.Tensor = batched_nms(boxes, scores, classes, scenes.IOU)
        return kept

    return Workload(suppressed, 1, {"kept": len(suppressed()), "versions": _versions("ssdlite")})


def _versions(name: str) -> dict[str, str]:
    from importlib.metadata import version

    return {each: version(each) for each in ("torch", {"ssdlite": "torchvision", "yolo11n": "ultralytics"}[name])}


WORKLOADS: Mapping[str, Callable[..., Workload]] = {
    "training": training,
    "answer": answer,
    "suppression": suppression,
}

if __name__ == "__main__":
    serve(lambda: WORKLOADS[sys.argv[1]](*sys.argv[2:]))
