"""Raccoons by the defaults."""

from collections.abc import Iterator

from accept import Check
from accept.detect.localization import localization


def checks() -> Iterator[Check]:
    yield from localization()
