"""Train a detector for so many seconds, and answer pictures with it.

python -m bench.peers.detector_run ssdlite JOB SECONDS FORM RATE
python -m bench.peers.detector_run yolo11n JOB SECONDS FORM

JOB is a file of JSON: ``weights`` (the backbone's), ``training`` (rows of ``path`` and ``boxes``, xyxy in pixels) and
``held_out`` (paths). FORM is one of `bench.peers.detectors.ORDERS`; ultralytics' own training has no bfloat16 on a CPU.
It prints ``images_seen`` and, for each picture held out, ``found``: rows of xyxy and score.
"""

import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import torchvision.transforms.v2 as transforms  # type: ignore[import-not-found] # the detectors' environment has it
from torch import Tensor
from torchvision import tv_tensors
from torchvision.io import ImageReadMode, decode_image  # type: ignore[import-not-found] # as above

from bench.peers.detectors import SIDE, ssdlite, stepping
from striate.base.hardware import cores

BATCH, WARMUP = 8, 0.1
SEEN, MOST = 0.01, 100
"""What is said of a picture held out: at most so many boxes, and none that is less sure."""

Answer = tuple[int, list[list[list[float]]]]


def train_ssdlite(job: Mapping[str, Any], seconds: float, form: str, rate: str) -> Answer:
    """By the steps of torchvision's reference training: its augmentation for SSDLite, SGD, a cosine by the clock."""
    torch.manual_seed(0)
    detector = ssdlite(Path(job["weights"]))
    step = stepping(detector, form)
    photographs = Photographs([(each["path"], each["boxes"]) for each in job["training"]])
    loader = torch.utils.data.DataLoader(
        photographs, BATCH, shuffle=True, drop_last=True, num_workers=cores(), persistent_workers=True, collate_fn=list
    )
    seen, started = 0, time.monotonic()
    for batch in _endless(loader):
        done = (time.monotonic() - started) / seconds
        if done >= 1:
            break
        for group in detector.optimizer.param_groups:
            group["lr"] = float(rate) * min(1.0, done / WARMUP) * (1 + math.cos(math.pi * done)) / 2
        step([image for image, _ in batch], [boxes for _, boxes in batch])
        seen += len(batch)
    network = detector.network.eval()
    network.score_thresh, network.detections_per_img = SEEN, MOST
    return seen, [_answer(network, path) for path in job["held_out"]]


class Photographs(torch.utils.data.Dataset[Any]):
    """Letterboxed photographs in 0..1 with their boxes, decoded once."""

    def __init__(self, rows: list[tuple[str, list[list[float]]]]) -> None:
        self.pictures = [_read(path) for path, _ in rows]
        self.boxes = [torch.tensor(boxes).reshape(-1, 4) for _, boxes in rows]
        self.changed = transforms.Compose(
            [transforms.RandomIoUCrop(), transforms.RandomHorizontalFlip(), transforms.SanitizeBoundingBoxes()]
        )

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, at: int) -> tuple[Tensor, Tensor]:
        picture = self.pictures[at]
        boxes = tv_tensors.BoundingBoxes(self.boxes[at], format="XYXY", canvas_size=picture.shape[1:])
        labels = torch.ones(len(boxes), dtype=torch.int64)
        image, target = self.changed(tv_tensors.Image(picture), {"boxes": boxes, "labels": labels})
        image, factors, corner = letterboxed(image)
        return image, torch.as_tensor(target["boxes"]) * factors + corner


def letterboxed(picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Bytes ``[3, H, W]`` as floats in 0..1, in the middle of a square; its boxes follow by ``boxes * a + b``."""
    height, width = picture.shape[1:]
    rows, columns = (max(1, round(side * SIDE / max(height, width))) for side in (height, width))
    top, left = (SIDE - rows) // 2, (SIDE - columns) // 2
    resized = transforms.functional.resize(torch.as_tensor(picture), [rows, columns], antialias=True)
    square = transforms.functional.pad(resized, [left, top, SIDE - columns - left, SIDE - rows - top])
    return square.float() / 255, torch.tensor([columns / width, rows / height] * 2), torch.tensor([left, top] * 2)


def _read(path: str) -> Tensor:
    return decode_image(path, ImageReadMode.RGB)


def _endless(loader: Any) -> Iterator[list[tuple[Tensor, Tensor]]]:
    while True:
        yield from loader


def _answer(network: Any, path: str) -> list[list[float]]:
    image, factors, corner = letterboxed(_read(path))
    with torch.inference_mode():
        (found,) = network([image])
    boxes = (found["boxes"] - corner) / factors
    return torch.cat([boxes, found["scores"][:, None]], 1).tolist()


def train_yolo11n(job: Mapping[str, Any], seconds: float, form: str) -> Answer:
    """By ultralytics' own command, from scratch, told how long it may take."""
    from ultralytics import YOLO  # type: ignore[import-not-found] # the detectors' environment has it

    with tempfile.TemporaryDirectory() as name:
        model = YOLO("yolo11n.yaml", verbose=False)
        model.train(
            data=str(_as_yolo(job["training"], Path(name) / "data")),
            time=seconds / 3600,
            imgsz=SIDE,
            amp=False,
            channels_last=form != "plain",
            cache=True,
            val=False,
            plots=False,
            project=name,
            device="cpu",
        )
        seen = len(job["training"]) * (model.trainer.epoch + 1)
        last = YOLO(str(model.trainer.last), verbose=False)
        answers = [last.predict(path, imgsz=SIDE, conf=SEEN, max_det=MOST, device="cpu") for path in job["held_out"]]
    return seen, [torch.cat([found.boxes.xyxy, found.boxes.conf[:, None]], 1).tolist() for (found,) in answers]


def _as_yolo(training: list[dict[str, Any]], folder: Path) -> Path:
    """The training pictures as links with texts beside them; its file of YAML. They validate, too, where it must."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for each in training:
        path = Path(each["path"])
        height, width = _read(each["path"]).shape[1:]
        (folder / "images" / path.name).symlink_to(path)
        lines = [
            f"0 {(left + right) / 2 / width} {(top + bottom) / 2 / height} {(right - left) / width} "
            f"{(bottom - top) / height}\n"
            for left, top, right, bottom in each["boxes"]
        ]
        (folder / "labels" / path.with_suffix(".txt").name).write_text("".join(lines), encoding="utf-8")
    config = folder / "data.yaml"
    config.write_text(f"path: {folder}\ntrain: images\nval: images\nnames: [object]\n", encoding="utf-8")
    return config


RUNS: Mapping[str, Callable[..., Answer]] = {"ssdlite": train_ssdlite, "yolo11n": train_yolo11n}


def main(name: str, job: str, seconds: str, *words: str) -> None:
    torch.set_num_threads(cores())
    given = json.loads(Path(job).read_text(encoding="utf-8"))
    seen, found = RUNS[name](given, float(seconds), *words)
    print("\n" + json.dumps({"images_seen": seen, "found": found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
