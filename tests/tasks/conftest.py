"""What tests of tasks share."""

import json

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def squares(tmp_path):
    """Twelve pictures with a bright square or two in the dark, in COCO's format."""
    drawn = np.random.default_rng(0)
    folder = tmp_path / "squares"
    (folder / "images").mkdir(parents=True)
    told = {"images": [], "annotations": [], "categories": [{"id": 7, "name": "square"}]}
    for number in range(12):
        pixels = drawn.integers(0, 60, (60, 90, 3)).astype(np.uint8)
        left, top, side = (int(each) for each in drawn.integers([5, 5, 20], [50, 25, 30]))
        pixels[top : top + side, left : left + side] = 230
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        told["images"].append({"id": number, "file_name": f"{number}.png", "width": 90, "height": 60})
        told["annotations"].append(
            {"id": number + 1, "image_id": number, "category_id": 7, "bbox": [left, top, side, side]}
            | {"area": side * side, "iscrowd": 0}
        )
    (folder / "annotations.json").write_text(json.dumps(told))
    return folder
