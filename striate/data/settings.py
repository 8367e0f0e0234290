"""What decides how data are read; a recipe and a model file keep it, so that pictures are read alike later."""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from striate.base.fields import Later


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """How the data are read."""

    format: Annotated[
        str | None, Later(as_before=None), Field(description="format of the data, if it cannot be told")
    ] = None
    clip: Annotated[
        bool, Later(as_before=False), Field(description="cut boxes that reach out of their picture at its border")
    ] = False
    drop_degenerate: Annotated[
        bool,
        Later(as_before=False),
        Field(description="leave out boxes without any area, also those that clip empties"),
    ] = False
    drop_duplicates: Annotated[
        bool, Later(as_before=False), Field(description="leave out boxes that repeat another of the same class")
    ] = False
    unlabelled: Annotated[
        Literal["error", "background", "skip"],
        Later(as_before="error"),
        Field(description='pictures without annotations: an "error", "background" without objects, or "skip" them'),
    ] = "error"
    largest: Annotated[
        bool,
        Later(as_before=False),
        Field(description="of each picture take the largest object alone, and leave out pictures without any"),
    ] = False
    first_pixel: Annotated[
        Literal[0, 1],
        Later(as_before=1),
        Field(description="number of the first pixel in Pascal VOC files: 1, or 0 where coordinates are edges, from 0"),
    ] = 1
    group: Annotated[
        str | None,
        Later(as_before=None),
        Field(
            min_length=1,
            description='pictures that no split parts: those that look alike ("near": copies in other sizes or '
            "qualities), or by a CSV file with the columns picture and group",
        ),
    ] = None


USUAL = DataSettings()
OF_BOXES = ("clip", "drop_degenerate", "drop_duplicates", "unlabelled", "largest")
"""Those fields that mean nothing where there are no boxes."""
OF_FIRST_PIXEL = ("first_pixel",)
"""Those fields that mean nothing where a format says which pixel is the first."""
OF_SPLITS = ("group",)
"""Those fields that mean nothing where nothing is split."""
