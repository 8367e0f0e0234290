"""Raccoons with one box, localized by default; five folds pooled."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from accept import Check, at_least, noted
from accept.commands import DATA, striate

RACCOON = DATA / "raccoon"


def localization() -> Iterator[Check]:
    """The localization part of line 4."""
    with tempfile.TemporaryDirectory(prefix="striate-localize-") as name:
        folder = Path(name)
        pictures = one_box_each(folder / "raccoon")
        words = ("--task", "localize", "--folds", "5", "--out", folder / "run")
        answer = striate("train", folder / "raccoon", *words)
        pooled, each = answer["pooled"], [round(fold["mean_iou"], 3) for fold in answer["folds"]]
        yield Check("4.localize.images", "184", str(pooled["images"]), pooled["images"] == pictures == 184)
        yield at_least("4.localize.mean_iou", pooled["mean_iou"], 0.74, f"{each}")
        yield noted("4.localize.iou50", f"{pooled['accuracy_iou50']:.4f}")
        speed = f"{answer['seconds'] / 60:.1f} min, {answer['images_seen']} images, {answer['processor']}"
        yield noted("4.localize.minutes", speed)


def one_box_each(folder: Path) -> int:
    """The raccoons that are alone on their picture, as links in a new folder; how many there are."""
    for part in ("images", "annotations"):
        (folder / part).mkdir(parents=True)
    pictures = 0
    for path in sorted((RACCOON / "annotations").glob("*.xml")):
        if len(ElementTree.parse(path).findall("object")) == 1:
            (folder / "annotations" / path.name).symlink_to(path)
            (folder / "images" / f"{path.stem}.jpg").symlink_to(RACCOON / "images" / f"{path.stem}.jpg")
            pictures += 1
    return pictures
