"""Small annotated data sets, written on the spot."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def picture(path: Path, width: int = 20, height: int = 10, seed: int = 0) -> Path:
    """A picture of noise; equal arguments give equal bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng([seed, width, height]).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, format="PNG")
    return path


def voc_object(name: str, xmin: Any, ymin: Any, xmax: Any, ymax: Any, more: str = "") -> str:
    edges = zip(("xmin", "ymin", "xmax", "ymax"), (xmin, ymin, xmax, ymax), strict=True)
    box = "\n".join(f"<{edge}>{number}</{edge}>" for edge, number in edges)
    return f"<object>\n<name>{name}</name>\n{more}\n<bndbox>\n{box}\n</bndbox>\n</object>"


def voc(folder: Path, name: str, *objects: str, size: tuple[int, int] | None = (20, 10)) -> Path:
    """``Annotations/<name>.xml`` for ``<name>.png``; ``size`` is width and height. The first object is on line 4."""
    sides = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>" if size else ""
    file = folder / "Annotations" / f"{name}.xml"
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = ["<annotation>", f"<filename>{name}.png</filename>", sides, *objects, "</annotation>"]
    file.write_text("\n".join(lines), encoding="utf-8")
    return file


def coco(
    path: Path, annotations: list[Any], images: list[Any] | None = None, categories: list[Any] | None = None
) -> Path:
    """A JSON file; by default of the image 1, a.png, and the categories 1, cat, and 2, dog."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 20, "height": 10}] if images is None else images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}] if categories is None else categories,
    }
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def instance(**changed: Any) -> dict[str, Any]:
    """An annotation of COCO's: a cat in image 1."""
    return {"id": 7, "image_id": 1, "category_id": 1, "bbox": [2, 3, 4, 5], "iscrowd": 0, "area": 20} | changed
