"""The 120 photographs of ImageNet classes, arranged as a data set."""

import csv
from pathlib import Path

from accept.commands import DATA

SAMPLES = DATA / "imagenet-samples"


def rows(name: str) -> list[dict[str, str]]:
    """The rows of ``labels.csv`` or ``classes.csv``."""
    with (SAMPLES / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def by_wnid(folder: Path) -> Path:
    """Links to the photographs in new folders called by their class's wnid."""
    for row in rows("labels.csv"):
        link(row, folder / row["wnid"])
    return folder


def link(row: dict[str, str], folder: Path) -> None:
    """One photograph as a link in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / row["file"]).symlink_to(SAMPLES / row["file"])
