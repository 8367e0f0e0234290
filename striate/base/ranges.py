"""Ranges of the numbers that recipes take, which pydantic sees to."""

from typing import Annotated

from pydantic import Field

MOST = 1_000_000_000
"""The largest whole number that a recipe takes, so that no sum or product of them leaves 64 bits."""

Whole = Annotated[int, Field(ge=1, le=MOST)]
Side = Annotated[int, Field(ge=1, le=8192)]
Seed = Annotated[int, Field(ge=0, lt=1 << 63)]
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0.0, lt=1.0)]
NotNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
