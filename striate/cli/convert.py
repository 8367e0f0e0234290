"""``striate convert``."""

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from striate.base.fields import validated
from striate.base.hardware import cores
from striate.cli import recipe_flags
from striate.cli.console import answer, answer_json, say
from striate.data.names import counted, printable
from striate.data.settings import DataSettings
from striate.data.sources import open_data
from striate.data.writers import WRITERS
from striate.data.writers import convert as convert_data


def convert(
    data: Annotated[Path, Parameter(help="a data set of boxes, as for striate train")],
    /,
    *,
    to: Annotated[Literal[tuple(WRITERS)], Parameter(help="the format to write")],  # type: ignore[valid-type]
    out: Annotated[Path, Parameter(name=("--out", "-o"), help="folder to write, which is not there yet")],
    skip_unreadable: Annotated[bool, Parameter(help="leave out pictures that cannot be read", negative="")] = False,
    json: Annotated[bool, Parameter(help="print one JSON object on stdout", negative="")] = False,
    quiet: Annotated[bool, Parameter(help="no notices", negative="")] = False,
    flags: Annotated[Any, Parameter(name="*", group="Data")] = None,
) -> None:
    """Write a data set of boxes in another format, with copies of its pictures.

    Classes, boxes and what marks them are written; licences, keypoints, the ids of pictures and the like are not.
    """
    settings = validated(DataSettings, recipe_flags.changes_of(flags).get("data", {}), "the command line")
    dataset = open_data(data, format=settings.format, settings=settings)
    module = import_module(WRITERS[to])
    written = convert_data(dataset, out, module.place, module.write, workers=cores(), skip_unreadable=skip_unreadable)
    for notice in () if quiet else written.notices:
        say(notice)
    if json:
        found = {"data": str(data), "out": str(out), "format": to, "images": len(written.records)}
        answer_json({**found, "classes": list(written.classes.names), "notices": list(written.notices)})
        return
    answer(f"wrote {printable(out)} as {to}: {counted(len(written.records), 'picture')}")


convert.__annotations__["flags"] = 'Annotated[recipe_flags.data_flags() | None, Parameter(name="*", group="Data")]'
