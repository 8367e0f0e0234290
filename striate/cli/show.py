"""``striate show``."""

import shutil
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter
from cyclopts.validators import Number
from PIL.Image import fromarray

from striate.base.atomic import replace_file
from striate.base.errors import OutputError
from striate.cli import recipe_flags
from striate.cli.console import answer, answer_json, picture, say
from striate.cli.half_blocks import half_blocks
from striate.data.names import printable
from striate.showing import COUNT
from striate.showing import show as show_data

ENDINGS = (".png", ".jpg", ".jpeg", ".webp")


def show(
    data: Annotated[Path, Parameter(help="what striate train takes")],
    /,
    *,
    out: Annotated[Path | None, Parameter(help="picture for the sheet (PNG, JPEG or WebP); default DATA.png")] = None,
    part: Annotated[
        Literal["train", "val", "test"], Parameter(help="of the split; val and test pictures are not augmented")
    ] = "train",
    epoch: Annotated[int, Parameter(help="each has an order and draws of its own", validator=Number(gte=1))] = 1,
    count: Annotated[int, Parameter(help="pictures at most", validator=Number(gte=1, lte=1000))] = COUNT,
    columns: Annotated[int | None, Parameter(help="of the sheet", validator=Number(gte=1))] = None,
    recipe: Annotated[Path | None, Parameter(help="TOML file with a recipe or part of one; flags go over it")] = None,
    json: Annotated[bool, Parameter(help="print one JSON object on stdout", negative="")] = False,
    quiet: Annotated[bool, Parameter(help="no notices", negative="")] = False,
    flags: Annotated[Any, Parameter(name="*", group="Recipe")] = None,
) -> None:
    """Show what a network would be fed: pictures as a run augments them, with what is known of them drawn."""
    file = out or Path(f"{data.absolute().name or 'data'}.png")
    if file.suffix.lower() not in ENDINGS:
        raise OutputError(f"{printable(file)}: cannot be written; expected an ending of {', '.join(ENDINGS)}")
    if data.exists() and file.absolute() == data.absolute():
        raise OutputError(f"{printable(file)}: are the data themselves; give another --out")
    changes = recipe_flags.changes_of(flags)
    notice = None if quiet else say
    found = show_data(data, recipe=recipe, changes=changes, part=part, epoch=epoch, count=count, on_notice=notice)
    sheet = found.sheet(columns=columns)
    with replace_file(file) as partial:
        fromarray(sheet).save(partial, {".jpg": "jpeg"}.get(file.suffix.lower(), file.suffix.lower()[1:]))
    if json:
        shown = [{"image": each.name, "known": each.known} for each in found.samples]
        answer_json({"sheet": str(file), "part": part, "epoch": epoch, "images": found.images, "shown": shown})
        return
    if sys.stdout is not None and sys.stdout.isatty():
        picture(half_blocks(np.asarray(sheet), shutil.get_terminal_size().columns))
    answer(f"{found}; written to {file}")


# A text, which is evaluated for each command line: flags are those of the tasks that there are then.
show.__annotations__["flags"] = 'Annotated[recipe_flags.all_flags() | None, Parameter(name="*", group="Recipe")]'
