"""COCO's JSON: ``instances.json`` beside ``images/``, or with splits ``annotations/instances_train.json`` and so on.

All of a data set of boxes is kept, coordinates to a millionth of a pixel. "difficult", which COCO has no word for, is a
key of its own.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from striate.data.records import Classes
from striate.data.writers.converting import Picture
from striate.data.writers.numbers import plain


def place(picture: Picture) -> str:
    """``images/NAME``, or in a folder called as the split."""
    return f"{picture.split or 'images'}/{picture.name}"


def write(folder: Path, pictures: Sequence[Picture], classes: Classes) -> list[str]:
    """One JSON file a split; ids are those of the data, else count from 1."""
    numbers = [_key(each) for each in classes.ids or map(str, range(1, len(classes) + 1))]
    categories = [{"id": each, "name": name} for each, name in zip(numbers, classes.names, strict=True)]
    keys = [each for picture in pictures for each in picture.boxes.ids or ()]
    own = len(set(keys)) == sum(len(picture.boxes) for picture in pictures)
    names: dict[str, Any] = {
        f"annotations/instances_{picture.split}.json" if picture.split else "instances.json": picture.split
        for picture in pictures
    }
    count = 0
    for name, split in names.items():
        images, annotations = [], []
        for number, picture in enumerate(pictures, start=1):
            if picture.split == split:
                images.append(
                    {"id": number, "file_name": picture.name, "height": picture.height, "width": picture.width}
                )
                rows = _annotations(picture, number, numbers)
                for row, key in zip(rows, picture.boxes.ids or [""] * len(rows), strict=True):
                    count += 1
                    annotations.append({"id": _key(key) if own else count, **row})
        (folder / name).parent.mkdir(exist_ok=True)
        content = {"images": images, "annotations": annotations, "categories": categories}
        (folder / name).write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8", newline="")
    return []


def _key(word: str) -> int | str:
    """An id as a number where it is one."""
    return int(word) if re.fullmatch(r"0|[1-9]\d{0,17}", word, re.ASCII) else word


def _annotations(picture: Picture, number: int, categories: Sequence[int | str]) -> list[dict[str, Any]]:
    boxes = picture.boxes
    sides = boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]
    areas = np.prod(sides, axis=1) if boxes.areas is None else boxes.areas
    rows = []
    for position, (left, top, width, height) in enumerate(np.hstack([boxes.xyxy[:, :2], sides]).tolist()):
        row: dict[str, Any] = {
            "image_id": number,
            "category_id": categories[boxes.classes[position]],
            "bbox": [plain(each) for each in (left, top, width, height)],
            "area": plain(areas[position]),
            "iscrowd": int(boxes.crowd[position]),
        }
        if boxes.difficult[position]:
            row["difficult"] = 1
        if boxes.outlines is not None and boxes.outlines[position]:
            row["segmentation"] = boxes.outlines[position]
        rows.append(row)
    return rows
