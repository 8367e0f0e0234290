"""``striate evaluate``."""

import csv
import io
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from striate import evaluation
from striate.base.atomic import write_text
from striate.cli import recipe_flags
from striate.cli.console import answer, answer_json, say
from striate.data.names import counted

WRONG = (
    "CSV file for the pictures that were answered wrongly; of segmentation and super-resolution all pictures, the "
    "worst first"
)


def evaluate(
    model: Annotated[str, Parameter(help="a model file, a run folder, or a name such as efficientnet_lite0")],
    data: Annotated[Path, Parameter(help="labelled pictures, as for striate train")],
    /,
    *,
    split: Annotated[
        Literal["train", "val", "test", "all"] | None,
        Parameter(help="which pictures; default the run's own test split, else the folder test, else val, else all"),
    ] = None,
    device: Annotated[str, Parameter(help="auto, cpu, cuda or mps")] = "auto",
    workers: Annotated[
        int | None, Parameter(help="threads that prepare pictures", validator=Number(gte=0, lte=1024))
    ] = None,
    skip_unreadable: Annotated[bool, Parameter(help="leave out pictures that cannot be read", negative="")] = False,
    wrong: Annotated[Path | None, Parameter(help=WRONG)] = None,
    json: Annotated[bool, Parameter(help="print one JSON object on stdout", negative="")] = False,
    quiet: Annotated[bool, Parameter(help="no notices", negative="")] = False,
    flags: Annotated[Any, Parameter(name="*", group="Data")] = None,
) -> None:
    """Measure a model on labelled pictures, which are read as those were that it was trained on, but for the flags."""
    result = evaluation.evaluate(
        model,
        data,
        split=split,
        changes=recipe_flags.changes_of(flags).get("data"),
        device=device,
        workers=workers,
        skip_unreadable=skip_unreadable,
        on_notice=None if quiet else say,
    )
    if wrong:
        _write_wrong(wrong, result)
    if json:
        answer_json(result.as_json())
        return
    which = {"all": "all pictures"}.get(result.split, f"the {result.split} split")
    answer(f"{which}, {counted(result.images, 'picture')}: {result.summary}")
    for line in result.details:
        answer(line)


evaluate.__annotations__["flags"] = 'Annotated[recipe_flags.data_flags() | None, Parameter(name="*", group="Data")]'


def _write_wrong(path: Path, result: evaluation.Evaluation) -> None:
    columns = [name for name in (result.rows[0] if result.rows else {}) if name != "right"]
    text = io.StringIO()
    table = csv.DictWriter(text, columns, extrasaction="ignore")
    table.writeheader()
    table.writerows(result.worst)
    write_text(path, text.getvalue())
