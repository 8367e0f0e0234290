"""What a person asks when figures are in: which classes, what for what, which pictures."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from striate.data.names import printable
from striate.tasks.tables import table, table_of_classes
from striate.tasks.task import shown

MOST_MISTAKES, MOST_PICTURES = 5, 10
COLUMNS = {"iou": "IoU", "recall": "recall", "precision": "precision", "boundary_f1": "boundary F1"}


def details(figures: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Lines: a table of the classes, the commonest mistakes, the pictures that are answered worst.

    ``rows`` are a meter's, each with the picture's name under ``image``. Of more than 40 classes those are shown that
    are answered worst; classes neither in masks nor in answers are left out.
    """
    yield from table_of_classes(
        ("pictures", "share", *COLUMNS.values()),
        [row for row in figures["per_class"] if row["iou"] is not None],
        lambda row: (str(row["images"]), f"{row['share']:.1%}", *(shown(row[name]) for name in COLUMNS)),
        quality=lambda row: float(row["iou"]),
        done="answered",
    )
    yield from _mistakes(figures)
    yield from _worst([row for row in rows if row["mean_iou"] is not None])


def _mistakes(figures: Mapping[str, Any]) -> Iterator[str]:
    confusion = np.array(figures["confusion"], np.int64)
    wrong = confusion * ~np.eye(len(confusion), dtype=bool)
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_MISTAKES]
    pairs = [divmod(at, len(confusion)) for at in order.tolist()]
    names = [printable(row["name"]) for row in figures["per_class"]]
    lines = [
        (f"{names[true]} as {names[said]}", f"{wrong[true, said] / confusion.sum():.1%}")
        for true, said in pairs
        if wrong[true, said]
    ]
    if lines:
        yield ""
        yield from table([("commonest mistakes", "of all pixels"), *lines])


def _worst(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if len(rows) > 1:
        yield ""
        yield "the pictures that are answered worst:"
        for row in sorted(rows, key=lambda row: row["mean_iou"])[:MOST_PICTURES]:
            yield (
                f"  {row['image']}: mean IoU {shown(row['mean_iou'])}, {row['pixel_accuracy'] or 0:.1%} of the pixels "
                "right"
            )
