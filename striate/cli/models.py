"""``striate models``."""

from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from striate.cli.console import answer_json
from striate.models.table import MODELS
from striate.weights.pretrained import PRETRAINED


def models(
    *,
    json: Annotated[bool, Parameter(help="print one JSON object on stdout", negative="")] = False,
) -> None:
    """List the networks: parameters, input, and the pretrained weights that there are."""
    rows = [
        {
            "name": name,
            "parameters": architecture.parameters,
            "size": list(architecture.preprocess.size),
            "channels": architecture.preprocess.channels,
            "pretrained": name in PRETRAINED,
            "licence": PRETRAINED[name].licence if name in PRETRAINED else None,
            "summary": architecture.summary,
        }
        for name, architecture in MODELS.items()
    ]
    if json:
        answer_json({"models": rows})
        return
    table = Table(box=None)
    for column in ("name", "parameters", "input", "pretrained", "what it is"):
        numbers, words = column == "parameters", column == "what it is"
        table.add_column(column, justify="right" if numbers else "left", overflow="fold", no_wrap=not words)
    for name, architecture in MODELS.items():
        height, width = architecture.preprocess.size
        table.add_row(
            name,
            f"{architecture.parameters:,}",
            f"{height}x{width} {architecture.preprocess.channels}",
            f"ImageNet, {PRETRAINED[name].licence}" if name in PRETRAINED else "",
            architecture.summary,
        )
    Console().print(table)
