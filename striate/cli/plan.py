"""``striate plan``."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from striate.base.errors import ModelError, OutputError
from striate.cli.budgets import room_in
from striate.cli.console import answer, answer_json
from striate.cli.sizes import picture_shape

if TYPE_CHECKING:
    from striate.planning import Advice, Plan
    from striate.planning.room import Room

WHAT = "a network's name, a model file, a run's recipe.toml, or package.module:factory"


def plan(
    network: Annotated[str, Parameter(help=WHAT)],
    /,
    *,
    size: Annotated[
        str | None, Parameter(help="pixels: 224, HEIGHTxWIDTH or CHANNELSxHEIGHTxWIDTH; default its own")
    ] = None,
    batch: Annotated[
        int | None, Parameter(help="pictures in a step; default a recipe's, else 32, or 1", validator=Number(gte=1))
    ] = None,
    precision: Annotated[
        Literal["float32", "bfloat16"] | None, Parameter(help="default a recipe's, else float32")
    ] = None,
    optimizer: Annotated[Literal["sgd", "adamw"] | None, Parameter(help="default a recipe's, else sgd")] = None,
    mode: Annotated[Literal["training", "inference"], Parameter(help="inference plans no training")] = "training",
    depth: Annotated[int, Parameter(help="how often blocks are unfolded", validator=Number(gte=0))] = 0,
    budget: Annotated[
        str | None,
        Parameter(
            help="memory for a whole process, such as 8GB, or auto: says the largest batch that fits, and remedies"
        ),
    ] = None,
    picture: Annotated[
        Path | None, Parameter(help="FILE.png or FILE.svg: draws memory over the course of a step (needs matplotlib)")
    ] = None,
    field: Annotated[
        Path | None, Parameter(help="a photograph; --picture then has what the network's maps see, drawn on it")
    ] = None,
    json: Annotated[bool, Parameter(help="print one JSON object on stdout", negative="")] = False,
) -> None:
    """Say what a network takes, before a byte is allocated: layers, multiply-adds, memory, receptive fields."""
    if budget is not None and mode != "training":
        raise ModelError("--budget is about steps of training; leave --mode inference out")
    _check_picture(picture, field)
    from striate.planning import Advice, advise, subject_of  # which load torch
    from striate.planning.planning import planned

    room = None if budget is None else room_in(budget)
    subject = subject_of(network, None if size is None else picture_shape(size))
    found = planned(subject, batch, precision, optimizer, mode)
    advice: Advice | None = None
    if room is not None:
        advice = advise(subject, room.bytes, batch=found.input[0], precision=found.precision, optimizer=found.optimizer)
    if picture is not None:
        _draw(found, picture, field, None if room is None else room.bytes)
    if json:
        drawn = None if picture is None else str(picture)
        answer_json(found.to_dict(depth) | {"advice": advice.to_dict() if advice else None, "picture": drawn})
        return
    _print_plan(found, depth)
    if picture is not None:
        answer(f"picture      {picture}")
    if advice and room:
        _print_advice(advice, room, found.input[0])


def _check_picture(picture: Path | None, field: Path | None) -> None:
    """Refuse what no picture can be drawn of or to, before anything is planned."""
    if picture is None and field is not None:
        raise OutputError("--field draws on a photograph; say where to by --picture FILE.png or FILE.svg")
    if picture is not None:
        from striate.reporting.figures import checked_path

        checked_path(picture)


def _draw(found: "Plan", picture: Path, field: Path | None, budget: int | None) -> None:
    from striate.reporting import field_picture, memory_picture

    if field is None:
        memory_picture(found, picture, budget=budget)
    else:
        field_picture(found, field, picture)


def _print_plan(found: "Plan", depth: int) -> None:
    from striate.tasks.tables import table

    head = ("block", "layer", "what", "output", "parameters", "MACs", "kept", "sees", "stride")
    rows = [
        (
            *(row.block, row.path, row.what, "x".join(map(str, row.shape[1:])) or "-"),
            *(f"{row.trainable + row.frozen:,}", f"{row.multiply_adds:,}", _size(row.kept_bytes), row.sees, row.stride),
        )
        for row in found.table(depth)
    ]
    for line in table([head, *rows], left=(0, 1, 2, 3, 7, 8)):
        answer(line.rstrip())
    answer("")
    loss = f", {found.optimizer}, loss: {found.loss}" if found.loss else ""
    answer(f"{found.name}: {found.input[0]} x {'x'.join(map(str, found.input[1:]))}, {found.precision}{loss}")
    whole = found.whole
    answer(
        f"parameters   {whole.trainable:,} that learn, {whole.frozen:,} frozen, {whole.statistics:,} running "
        f"statistics; {found.inference.weights:,} bytes"
    )
    pictures = "one picture" if found.input[0] == 1 else f"all {found.input[0]} pictures"
    answer(f"work         {found.multiply_adds:,} multiply-adds, {2 * found.multiply_adds:,} FLOPs, of {pictures}")
    if found.last_field:
        answer(
            f"sees         {found.last_field.sees} pixels, stride {found.last_field.stride}, {found.last_field.block}"
        )
    for line in _memory("inference", found.inference.to_dict()):
        answer(line)
    for line in _memory("training", found.training.to_dict()) if found.training else ():
        answer(line)
    answer(
        f"by the rules {found.two_layers:,} bytes of two consecutive layers (inference), {found.all_layers:,} of all "
        "layers (training)"
    )


def _memory(what: str, memory: dict[str, object]) -> Iterable[str]:
    """The peak of a step, and what it is made of."""
    kinds = ("weights", "gradients", "optimizer_state", "saved_for_backward", "averaged_weights", "temporaries")
    parts = ", ".join(f"{kind.replace('_', ' ')} {memory[kind]:,}" for kind in kinds if memory[kind])
    at = memory["at"]
    assert isinstance(at, dict)
    place = f"{at['operation']} in {at['path']}" if at["path"] else at["operation"] or "its beginning"
    yield f"{what:<12} {memory['bytes']:,} bytes at the peak, {place} ({at['phase']})"
    yield f"{'':<12} {parts}"


def _print_advice(advice: "Advice", room: "Room", batch: int) -> None:
    from striate.tasks.tables import table

    answer("")
    answer(
        f"budget       {room.there:,} bytes beside Python and torch, {advice.budget:,} of them for tensors: batches of "
        f"up to {advice.batch} fit, with {advice.bytes:,}"
    )
    answer(f"a run in batches of {batch} takes {advice.asked:,} bytes at its peak; instead:")
    rows = [
        (r.what, _size(r.bytes), _size(advice.asked - r.bytes), f"{r.work:.2f}x", r.cost, r.flag)
        for r in advice.remedies
    ]
    head = ("remedy", "takes", "saves", "MACs a picture", "cost", "striate train")
    for line in table([head, *rows], left=(0, 4, 5)):
        answer(line.rstrip())


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
