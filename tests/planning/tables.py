"""Kept tables of what all networks are made of: ``python -m tests.planning.tables`` writes them anew."""

import json
from pathlib import Path
from typing import Any

from striate.models.table import MODELS
from striate.planning import Layer, plan

PLACE = Path(__file__).with_name("tables.json")


def table_of(name: str) -> list[list[Any]]:
    """The rows of a network on one picture, as JSON has them."""
    return [_row(layer) for layer in plan(name, mode="inference").table()]


def _row(layer: Layer) -> list[Any]:
    counts = (layer.trainable, layer.frozen, layer.statistics, layer.multiply_adds)
    return [layer.block, list(layer.shape), *counts, layer.sees, layer.stride]


def main() -> None:
    """Write the tables, a row a line."""
    lines = []
    for name in MODELS:
        rows = ",\n  ".join(json.dumps(row) for row in table_of(name))
        lines.append(f"{json.dumps(name)}: [\n  {rows}\n ]")
    PLACE.write_text("{" + ",\n ".join(lines) + "}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
