"""COCO's twelve figures against pycocotools: on drawn scenes, and on the true objects of COCO's own pictures."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from striate.data import open_data
from striate.data.records import Batch
from striate.pictures.geometry import Geometry, Resize
from striate.tasks.coco_figures import COCO_FIGURES, coco_figures
from striate.tasks.detect import Detect
from striate.tasks.detect_matching import Measured
from tests.tasks.detect_scenes import scene

ORACLE = """
import contextlib, json, os, sys
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
figures = []
for there, found in json.load(open(sys.argv[1])):
    with contextlib.redirect_stdout(open(os.devnull, "w")):
        truth = COCO()
        truth.dataset = there
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    figures.append(evaluation.stats.tolist())
json.dump(figures, open(sys.argv[2], "w"))
"""


def pycocotools(python: Path, folder: Path, scenes) -> list[dict[str, float | None]]:
    """The twelve figures of scenes, each what is there and what was found as COCO's JSON has them."""
    (folder / "scenes.json").write_text(json.dumps(scenes))
    subprocess.run([python, "-c", ORACLE, folder / "scenes.json", folder / "figures.json"], check=True)
    values = json.loads((folder / "figures.json").read_text())
    return [dict(zip(COCO_FIGURES, (None if v < 0 else v for v in each), strict=True)) for each in values]


def results(found, pictures, categories):
    return [
        {"image_id": pictures[int(row[0])], "category_id": categories[int(row[6])], "bbox": xywh(row), "score": row[5]}
        for row in found.tolist()
    ]


def xywh(row):
    return [row[1], row[2], row[3] - row[1], row[4] - row[2]]


def equal(got, wanted):
    for name in COCO_FIGURES:
        assert (got[name] is None) == (wanted[name] is None), name
        assert got[name] is None or got[name] == pytest.approx(wanted[name], abs=1e-9), name


@pytest.mark.oracle
def test_fifty_scenes_have_the_figures_of_pycocotools(oracle_python: Path, tmp_path: Path) -> None:
    scenes, got = [], []
    for seed in range(50):
        images, classes = 3 + seed % 17, 1 + seed % 5
        # Equal scores in some, more than a hundred answers of a class in others.
        answers, digits = (150 if seed % 10 == 0 else 12), (1 if seed % 4 == 0 else 9)
        found, true = scene(seed, images, answers=answers, classes=classes, digits=digits)
        there = {
            "images": [{"id": at} for at in range(images)],
            "categories": [{"id": at} for at in range(classes)],
            "annotations": [
                {"id": at, "image_id": int(row[0]), "category_id": int(row[5]), "bbox": xywh(row), "area": row[6]}
                | {"iscrowd": int(row[7])}
                for at, row in enumerate(true.tolist(), start=1)
            ],
        }
        scenes.append((there, results(found, range(images), range(classes))))
        got.append(coco_figures(Measured.of(found, true, images, classes))[0])
    wanted = pycocotools(oracle_python, tmp_path, scenes)
    for each, figures in zip(got, wanted, strict=True):
        equal(each, figures)
    # Each figure is there in most scenes, and in some one that has no such objects is not.
    assert all(sum(each[name] is not None for each in got) > 40 for name in COCO_FIGURES)


@pytest.mark.oracle
def test_the_pictures_of_coco_have_the_figures_of_pycocotools(
    oracle_python: Path, tmp_path: Path, shared_data: Path
) -> None:
    there = json.loads((shared_data / "coco128" / "instances.json").read_text())
    data = open_data(shared_data / "coco128", format="coco")
    assert sum(each["iscrowd"] for each in there["annotations"]) == 10
    meter = Detect(data.classes).meter()
    for record in data.records:  # answered by nothing
        height, width = next((e["height"], e["width"]) for e in there["images"] if record.name.endswith(e["file_name"]))
        geometry = Geometry(height, width).then(Resize(32, 32))
        images = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
        nothing = torch.full((1, 16 + 4 + 1, 4 + len(data.classes)), -20.0)
        meter.add(nothing, Batch(images, (record.target.moved(geometry),), (geometry,), (record,)))
    true = meter.state()["true"].numpy()
    assert len(true) == len(there["annotations"]) and not len(meter.state()["found"])

    draws = np.random.default_rng(0)
    about = true[draws.integers(0, len(true), 3000)]
    sides = np.tile(about[:, 3:5] - about[:, 1:3], 2)
    boxes = about[:, 1:5] + sides * draws.normal(0, 0.12, (3000, 4)) * draws.random((3000, 1))
    named = np.where(draws.random(3000) < 0.8, about[:, 5], draws.integers(0, len(data.classes), 3000))
    found = np.column_stack([about[:, 0], boxes, draws.random(3000), named])
    found = found[(found[:, 3:5] > found[:, 1:3]).all(axis=1)]
    numbers = {each["file_name"]: each["id"] for each in there["images"]}
    pictures = [numbers[Path(record.name).name] for record in data.records]
    assert data.classes.ids is not None
    categories = [int(each) for each in data.classes.ids]
    got, _ = coco_figures(Measured.of(found, true, len(pictures), len(categories)))
    (wanted,) = pycocotools(oracle_python, tmp_path, [(there, results(found, pictures, categories))])
    equal(got, wanted)
    assert 0.1 < got["ap"] < got["ap50"] < 0.9 and all(value is not None for value in got.values())
