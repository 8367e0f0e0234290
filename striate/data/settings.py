"""What decides how data are read; a recipe and a model file keep it, so that pictures are read alike later."""

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from striate.base.fields import Later


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """How the data are read."""

    format: Annotated[
        str | None, Later(as_before=None), Field(description="format of the data, if it cannot be told")
    ] = None


USUAL = DataSettings()
