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
        bool,
        Later(as_before=False),
        Field(description="cut boxes and shapes that reach out of their picture at its border"),
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
        Literal["error", "background", "skip", "ignore"],
        Later(as_before="error"),
        Field(
            description='pictures without annotations: an "error", "background" without objects, or "skip" them; '
            '"ignore" skips them, too, and pixels that no shape covers are nobody\'s instead of "background"'
        ),
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
    mask_suffix: Annotated[
        str | None,
        Later(as_before=None),
        Field(
            min_length=1,
            description='what the names of masks have behind those of their pictures, as "_seg" in a_seg.png for '
            "a.jpg; by default nothing, _gt, _mask or _label",
        ),
    ] = None
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
MEANT_FOR = {
    "clip": ("boxes", "shapes"),
    "drop_degenerate": ("boxes",),
    "drop_duplicates": ("boxes",),
    "largest": ("boxes",),
    "unlabelled": ("boxes", "masks", "shapes"),
    "mask_suffix": ("masks",),
}
"""Those fields that mean nothing where the data have none of these."""
OF_SPLITS = ("group",)
"""Those fields that mean nothing where nothing is split."""
