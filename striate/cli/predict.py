"""``striate predict``."""

import itertools
import os
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from striate.base.errors import DecodeError
from striate.cli.console import answer, answer_json, say
from striate.data.names import printable
from striate.predictor import load, pictures_in, written


def predict(
    model: Annotated[str, Parameter(help="a model file, a run folder, or a name such as efficientnet_lite0")],
    images: Annotated[Path, Parameter(help="pictures, or folders of them")],
    /,
    *more: Annotated[Path, Parameter(help="more pictures, or folders of them")],
    top: Annotated[int, Parameter(help="how many of the most probable answers to show", validator=Number(gte=1))] = 3,
    out: Annotated[
        Path | None, Parameter(help="folder for what an answer shows: pictures with it drawn, masks")
    ] = None,
    device: Annotated[str, Parameter(help="auto, cpu, cuda or mps")] = "auto",
    skip_unreadable: Annotated[bool, Parameter(help="leave out pictures that cannot be read", negative="")] = False,
    json: Annotated[bool, Parameter(help="print one JSON object on stdout", negative="")] = False,
    quiet: Annotated[bool, Parameter(help="no notices", negative="")] = False,
) -> None:
    """Say what is on pictures."""
    predictor = load(model, device=device, on_notice=None if quiet else say)
    paths = (path for each in (images, *more) for path in pictures_in(each))

    def unreadable(error: DecodeError) -> None:
        if not quiet:
            say(f"left out: {error}")

    taken: set[str] = set()

    def free_name(path: Path) -> str:
        stem = os.fsdecode(os.fsencode(path.stem)[:200])
        names = (stem if number == 1 else f"{stem}-{number}" for number in itertools.count(1))
        taken.add(name := next(name for name in names if name not in taken))
        return name

    rows: list[dict[str, Any]] = []
    for picture, prediction in predictor.stream(paths, on_unreadable=unreadable if skip_unreadable else None):
        path = Path(str(picture))
        files = written(predictor.task, path, prediction, out, free_name(path)) if out else {}
        if json:
            rows.append({"image": str(path), **predictor.task.as_json(prediction, top), **files})
        else:
            named = f" ({', '.join(files.values())})" if files else ""
            answer(f"{printable(str(path))}: {predictor.task.as_text(prediction, top)}{named}")
    if json:
        answer_json({"predictions": rows})
