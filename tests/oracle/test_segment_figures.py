"""IoU, mean IoU and pixel accuracy against torchmetrics, on drawn masks and on real ones."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from striate.data import open_data
from striate.data.records import Batch, Classes, Record
from striate.data.targets import Mask
from striate.pictures.geometry import UNKNOWN, Geometry
from striate.tasks.segment import Segment

ORACLE = """
import json, sys, types
import numpy as np, torch
# Where torchvision's compiled operators cannot be loaded this module of it fails, and torchmetrics imports it, too.
sys.modules["torchvision._meta_registrations"] = types.ModuleType("torchvision._meta_registrations")
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex
figures = []
for path, classes in json.load(open(sys.argv[1])):
    settings = dict(num_classes=classes, ignore_index=255, validate_args=False)
    metrics = {
        "iou": MulticlassJaccardIndex(average="none", **settings),
        "mean_iou": MulticlassJaccardIndex(average="macro", **settings),
        "pixel_accuracy": MulticlassAccuracy(average="micro", **settings),
    }
    with np.load(path) as file:
        for at in range(len(file.files) // 2):
            true, said = (torch.from_numpy(file[f"{name}{at}"].astype(np.int64)) for name in ("true", "said"))
            for metric in metrics.values():
                metric.update(said[None], true[None])
    figures.append({name: metric.double().compute().tolist() for name, metric in metrics.items()})
json.dump(figures, open(sys.argv[2], "w"))
"""


def torchmetrics(python: Path, folder: Path, scenes) -> list[dict]:
    """The figures of scenes, each the true and the answered class indices of its pictures, and how many classes."""
    asked = []
    for number, (masks, answers, classes) in enumerate(scenes):
        arrays = {f"true{at}": each for at, each in enumerate(masks)} | {f"said{at}": e for at, e in enumerate(answers)}
        np.savez(folder / f"{number}.npz", **arrays)
        asked.append((str(folder / f"{number}.npz"), classes))
    (folder / "asked.json").write_text(json.dumps(asked))
    subprocess.run([python, "-c", ORACLE, folder / "asked.json", folder / "figures.json"], check=True)
    return json.loads((folder / "figures.json").read_text())


def figures_of(masks, answers, classes) -> dict:
    """Ours, from logits that answer so, in two meters."""
    names = Classes(tuple(map(str, range(classes))))
    meters = [Segment(names).meter() for _ in range(2)]
    for at, (mask, answer) in enumerate(zip(masks, answers, strict=True)):
        outputs = torch.nn.functional.one_hot(torch.from_numpy(answer).long(), classes).permute(2, 0, 1)[None].float()
        record = Record(Path("none"), Mask(mask), b"", str(at))
        images = torch.zeros(1, 3, *mask.shape, dtype=torch.uint8)
        meters[at % 2].add(outputs, Batch(images, (record.target,), (Geometry(*mask.shape),), (record,)))
    meters[0].merge(meters[1].state())
    return meters[0].figures()


def equal(got, wanted):
    """Up to torchmetrics' division in float32."""
    assert got["mean_iou"] == pytest.approx(wanted["mean_iou"], rel=1e-6)
    assert got["pixel_accuracy"] == pytest.approx(wanted["pixel_accuracy"], rel=1e-6)
    # Of classes that are nowhere torchmetrics says 0, and leaves them out of the mean, as we do.
    assert [row["iou"] or 0.0 for row in got["per_class"]] == pytest.approx(wanted["iou"], rel=1e-6)


@pytest.mark.oracle
def test_drawn_scenes_have_the_figures_of_torchmetrics(oracle_python: Path, tmp_path: Path) -> None:
    scenes = []
    for seed in range(20):
        random = np.random.default_rng(seed)
        classes, size = int(random.integers(2, 30)), random.integers(5, 40, 2)
        masks = [random.integers(0, max(2, classes - seed % 3), size).astype(np.uint8) for _ in range(4)]
        answers = [np.where(random.random(size) < 0.5, each, random.integers(0, classes - 1, size)) for each in masks]
        for mask in masks:
            mask[random.random(size) < 0.2] = UNKNOWN
        scenes.append((masks, [np.minimum(each, classes - 1).astype(np.uint8) for each in answers], classes))
    for scene, wanted in zip(scenes, torchmetrics(oracle_python, tmp_path, scenes), strict=True):
        equal(figures_of(*scene), wanted)


@pytest.mark.oracle
def test_real_masks_have_the_figures_of_torchmetrics(oracle_python: Path, tmp_path: Path, shared_data: Path) -> None:
    data = open_data(shared_data / "camvid")
    masks = [record.target.indices() for record in data.records[::60]]
    # Every frame is answered by the next one's mask, and void by a building.
    answers = [np.where(each == UNKNOWN, 1, each).astype(np.uint8) for each in (*masks[1:], masks[0])]
    classes = len(data.classes)
    (wanted,) = torchmetrics(oracle_python, tmp_path, [(masks, answers, classes)])
    got = figures_of(masks, answers, classes)
    equal(got, wanted)
    assert classes == 11 and 0.1 < got["mean_iou"] < 0.8
