"""``striate import``."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from json import loads
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter

from striate.base.errors import ModelError
from striate.cli.console import answer, answer_json, say
from striate.cli.sizes import SIZE, sides
from striate.data.names import counted, printable
from striate.importing import Imported, import_weights
from striate.importing.trial import Trial

PREPROCESSING = Group("Preprocessing", help="Fields of the preprocessing that are to be others than its kind's.")


@dataclass(frozen=True, kw_only=True)
class PreprocessFlags:
    """The fields of the preprocessing as flags; None is one that the user did not give."""

    channels: Literal["rgb", "bgr", "grey", "luma"] | None = None
    unit: Annotated[float | None, Parameter(help="what bytes are divided by")] = None
    mean: Annotated[str | None, Parameter(help="a number, or one a channel: 0.5,0.5,0.5")] = None
    scale: Annotated[str | None, Parameter(help="what it is divided by then, like --mean")] = None
    size: Annotated[str | None, Parameter(help=SIZE)] = None
    resize: Literal["stretch", "crop", "letterbox"] | None = None
    crop_fraction: Annotated[
        float | None, Parameter(name="--crop", help="part of the sides that resize crop keeps, to 1")
    ] = None
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] | None = None
    border: Annotated[int | None, Parameter(help="pixels of --fill around, inside --size")] = None
    fill: Annotated[int | None, Parameter(help="byte that borders are filled with")] = None


NO_FLAGS = PreprocessFlags()


def import_(
    file: Annotated[Path, Parameter(help="weights of PyTorch, safetensors, Keras, Caffe or darknet")],
    /,
    *,
    out: Annotated[Path, Parameter(name=("--out", "-o"), help="model file to write, NAME.safetensors")],
    model: Annotated[
        str | None,
        Parameter(help="the network that they are for, see striate models; a darknet detector's .cfg says it"),
    ] = None,
    classes: Annotated[
        str | None,
        Parameter(help="imagenet, cifar10, digits, coco, voc, how many, or a text file with one name a line"),
    ] = None,
    preprocess: Annotated[
        str | None, Parameter(help="imagenet, caffe, tf, lite or raw: how pictures are prepared for these weights")
    ] = None,
    data: Annotated[
        Path | None, Parameter(name="--try", help="labelled pictures on which every kind of preprocessing is measured")
    ] = None,
    config: Annotated[Path | None, Parameter(help="description that a darknet file needs; default FILE.cfg")] = None,
    state: Annotated[
        str | None, Parameter(help="which entry to take of a file that holds several sets of weights")
    ] = None,
    licence: Annotated[str | None, Parameter(help="of the weights, kept in the model file")] = None,
    argument: Annotated[
        tuple[str, ...],
        Parameter(help="of the network's builder, NAME=VALUE, such as factor=3", negative_iterable=""),
    ] = (),
    fresh_head: Annotated[
        bool, Parameter(help="random layers that answer, for other classes than the file's", negative="")
    ] = False,
    force: Annotated[bool, Parameter(help="replace --out if it exists", negative="")] = False,
    device: Annotated[str, Parameter(help="auto, cpu, cuda or mps, for --try")] = "auto",
    json: Annotated[bool, Parameter(help="print one JSON object on stdout", negative="")] = False,
    quiet: Annotated[bool, Parameter(help="no notices", negative="")] = False,
    flags: Annotated[PreprocessFlags, Parameter(name="*", group=PREPROCESSING)] = NO_FLAGS,
) -> None:
    """Turn another framework's file of weights into a model file."""
    result = import_weights(
        file,
        model,
        out,
        classes=classes,
        preprocess=preprocess,
        changes=_changes(flags),
        data=data,
        config=config,
        state=state,
        licence=licence,
        arguments=_arguments(argument),
        fresh_head=fresh_head,
        force=force,
        device=device,
        on_notice=None if quiet else say,
    )
    if json:
        answer_json(result.as_json())
        return
    for line in (*_table(result.decision.trials), *_lines(result)):
        answer(line)


def _changes(flags: PreprocessFlags) -> dict[str, Any]:
    """The fields that the user gave, by their names in `Preprocess`."""
    given: dict[str, Any] = {name: value for name, value in asdict(flags).items() if value is not None}
    for name in ("mean", "scale"):
        if name in given:
            given[name] = _numbers(name, given[name])
    if flags.size is not None:
        given["size"] = sides(flags.size)
    return given


def _arguments(given: Iterable[str]) -> dict[str, Any]:
    """Arguments by their names; values are JSON's, or texts."""
    found: dict[str, Any] = {}
    for each in given:
        name, is_there, value = each.partition("=")
        if not is_there:
            raise ModelError(f"--argument is {each!r}, expected NAME=VALUE, such as factor=3")
        try:
            found[name] = loads(value)
        except ValueError:
            found[name] = value
    return found


def _numbers(flag: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise ModelError(f"--{flag} is {text!r}, expected a number, or one a channel as in 0.485,0.456,0.406") from None


def _table(trials: tuple[Trial, ...]) -> list[str]:
    """The trials as lines, the best first."""
    if not trials:
        return []
    widest = max(len(trial.kind) for trial in trials)
    lines = [f"{'kind':{widest}}  top-1  top-5    loss  95 % interval of top-1"]
    for trial in trials:
        low, high = trial.interval
        figures = f"{trial.top1:.3f}  {trial.top5:.3f}  {trial.loss:6.3f}  {low:.3f} to {high:.3f}"
        lines.append(f"{trial.kind:{widest}}  {figures}")
    return lines


def _lines(result: Imported) -> list[str]:
    out, decision = printable(result.out), result.decision
    (height, width), kind = decision.preprocess.size, decision.kind or "its own"
    pictures = f"pictures of {height}x{width} {decision.preprocess.channels}, preprocessing {kind} ({decision.chosen})"
    if decision.preprocess.resize == "none":
        pictures = f"pictures of any size, {decision.preprocess.channels} ({decision.chosen})"
    classes = f", {counted(len(result.classes), 'class', 'classes')}" if result.classes.names else ""
    taken = "" if result.state is None else f", from the entry {printable(result.state)}"
    return [
        f"wrote {out}: {result.model}{classes}, {pictures}{taken}",
        f"next: striate predict {out} PICTURE",
    ]
