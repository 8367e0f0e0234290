"""The chapter's worked examples, as the command line says them; beside them what a step truly takes."""

from collections.abc import Iterator
from typing import Any

from accept import Check, noted
from accept.commands import striate

NETWORKS = "accept.plan.networks"


def checks() -> Iterator[Check]:
    one = planned("one_convolution", "100x150", 1)
    yield _equal("1.parameters", one["parameters"]["trainable"], 15_200)
    yield _equal("1.multiplications", one["multiply_adds"], 225_000_000)
    yield _equal("1.output", one["layers"][0]["output_bytes"], 12_000_000)
    exercise = planned("exercise", "200x300", 1)
    yield _equal("1.two_layers", exercise["rules"]["two_layers"], 12_613_600)
    yield noted("1.prediction", f"{exercise['inference']['bytes']:,} bytes in truth")
    many = planned("exercise", "200x300", 50)
    yield _equal("1.all_layers", many["rules"]["all_layers"], 565_613_600)
    yield noted("1.training", f"{many['training']['bytes']:,} bytes in truth")


def planned(factory: str, size: str, batch: int) -> dict[str, Any]:
    """What the command line says of a factory of `accept.plan.networks`."""
    return striate("plan", f"{NETWORKS}:{factory}", "--size", size, "--batch", str(batch))


def _equal(id: str, got: int, wanted: int) -> Check:
    return Check(id, f"{wanted:,}", f"{got:,}", got == wanted)
