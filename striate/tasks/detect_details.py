"""What a person asks when figures are in: which classes, which errors, which pictures."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from striate.data.names import counted
from striate.tasks.detect_errors import ERRORS
from striate.tasks.tables import table, table_of_classes
from striate.tasks.task import shown

MOST_PICTURES = 10
COLUMNS = {"ap": "AP", "ap50": "AP50", "precision": "precision", "recall": "recall"}


def details(figures: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Lines: a table of the classes, what the answers are like, the errors, the pictures with most of them.

    ``rows`` are a meter's, each with the picture's name under ``image``. Of more than 40 classes those are shown that
    are found worst.
    """
    yield from table_of_classes(
        ("objects", *COLUMNS.values()),
        figures["per_class"],
        lambda row: (str(row["objects"]), *(shown(row[name]) for name in COLUMNS)),
        quality=lambda row: float(row["ap"]),
        done="found",
    )
    yield from _answers(figures, rows)
    yield from _errors(figures["errors"], figures["score_threshold"])
    yield from _worst([row for row in rows if not row["right"]])


def _answers(figures: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    objects, named, found = (sum(row[name] for row in rows) for name in ("objects", "named", "found"))
    score, best = figures["score_threshold"], figures["best_threshold"]
    yield ""
    yield (
        f"from a score of {shown(score)} on {counted(named, 'object')} named, {found} of them right, of {objects} "
        f"that are there: F1 {shown(figures['f1'])}"
    )
    if best not in (None, score):
        yield f"the best F1 on these pictures is {shown(figures['best_f1'])}, from a score of {shown(best)} on"


def _errors(errors: Mapping[str, Mapping[str, Any]], score: float) -> Iterator[str]:
    kinds = sorted((kind for kind in ERRORS if errors[kind]["count"]), key=lambda kind: -errors[kind]["count"])
    if kinds:
        lines = [("errors", f"count (from {shown(score)} on)", "AP50 lost (any score)")]
        lines += [(ERRORS[kind], str(errors[kind]["count"]), shown(errors[kind]["gain"])) for kind in kinds]
        yield ""
        yield from table(lines)
    if errors["missed"]["count"]:
        yield f"what is found with a lower score counts as {ERRORS['missed']}, and loses no AP50"


def _worst(wrong: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if wrong:
        yield ""
        yield f"not all right: {counted(len(wrong), 'picture')}; the worst of them:"
        for row in sorted(wrong, key=lambda row: (-row["missed"] - _wrongly(row), -row["loss"]))[:MOST_PICTURES]:
            more = f", {_wrongly(row)} named wrongly" if _wrongly(row) else ""
            yield f"  {row['image']}: {row['found']} of {counted(row['objects'], 'object')} found{more}"


def _wrongly(row: Mapping[str, Any]) -> int:
    return int(row["named"] - row["found"])
