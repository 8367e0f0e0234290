"""The 1,000 classes of ImageNet (ILSVRC-2012), in the order that all pretrained weights share."""

import csv
from functools import cache
from importlib.resources import files


@cache
def imagenet_classes() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names (each class's first synonym) and the ids (WordNet's "wnids"), 1,000 of each.

    Two names occur twice ("crane" the bird and the machine, "maillot" of two kinds); the ids tell them apart.

    Example:
        >>> names, ids = imagenet_classes()
        >>> names[1], ids[1]
        ('goldfish', 'n01443537')
    """
    text = files("striate.weights").joinpath("imagenet_classes.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    return tuple(row["name"] for row in rows), tuple(row["wnid"] for row in rows)
