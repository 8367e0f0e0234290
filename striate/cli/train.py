"""``striate train``."""

import shlex
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from striate.cli import recipe_flags
from striate.cli.console import answer, answer_json
from striate.cli.progress import TrainingProgress
from striate.data.names import counted
from striate.data.records import Classes
from striate.tasks import task_named
from striate.tasks.task import Task
from striate.training.one_network import RunStopped
from striate.training.result import Result
from striate.training.run import train as train_run

FORCE = "start over in a folder that is not empty; train what does not fit into memory, as planned"


def train(
    data: Annotated[
        Path, Parameter(help="class folders, boxes (COCO, YOLO, Pascal VOC ...), masks, idx files or arrays")
    ],
    /,
    *,
    out: Annotated[Path | None, Parameter(help="folder of the run; default runs/DATA-N")] = None,
    recipe: Annotated[Path | None, Parameter(help="TOML file with a recipe or part of one; flags go over it")] = None,
    epochs: Annotated[int | None, Parameter(help="passes over the training pictures, in all stages together")] = None,
    resume: Annotated[bool, Parameter(help="go on with the run in --out", negative="")] = False,
    extend: Annotated[
        int,
        Parameter(
            help="go on with a finished run for so many more epochs at a tenth of its rate", validator=Number(gte=0)
        ),
    ] = 0,
    force: Annotated[bool, Parameter(help=FORCE, negative="")] = False,
    device: Annotated[str, Parameter(help="auto, cpu, cuda or mps")] = "auto",
    workers: Annotated[
        int | None,
        Parameter(help="threads that prepare pictures; never changes a result", validator=Number(gte=0, lte=1024)),
    ] = None,
    skip_unreadable: Annotated[
        bool, Parameter(help="leave out pictures that cannot be read, or whose masks cannot", negative="")
    ] = False,
    json: Annotated[bool, Parameter(help="print one JSON object on stdout", negative="")] = False,
    quiet: Annotated[bool, Parameter(help="no progress", negative="")] = False,
    flags: Annotated[Any, Parameter(name="*", group="Recipe")] = None,
) -> None:
    """Train a network on a folder of pictures, and measure it on pictures that it never saw."""
    with TrainingProgress(False if quiet else "rich") as progress:
        try:
            result = train_run(
                data,
                epochs=epochs,
                recipe=recipe,
                changes=recipe_flags.changes_of(flags),
                out=out,
                resume=resume,
                extend=extend,
                force=force,
                device=device,
                workers=workers,
                skip_unreadable=skip_unreadable,
                on_event=progress,
            )
        except RunStopped as stop:
            words = ("striate", "train", str(data), "--resume", "--out", str(stop.run))
            stop.args = (f"{stop}; to go on: {shlex.join(words)}",)
            raise
    if json:
        answer_json(result.as_json())
    else:
        for line in _lines(result, data, again=extend > 0):
            answer(line)


# A text, which is evaluated for each command line: flags are those of the tasks that there are then.
train.__annotations__["flags"] = 'Annotated[recipe_flags.all_flags() | None, Parameter(name="*", group="Recipe")]'


def _lines(result: Result, data: Path, *, again: bool) -> list[str]:
    """What is said of a result; ``again``: its test pictures were looked at before, when the run first ended."""
    said = result.summaries
    if result.pooled:
        spread = result.pooled["spread"]
        return [
            f"cross-validation: {said['pooled']} over {result.pooled['images']} pictures that were held out",
            f"folds: mean {spread['mean']:.3f}, standard deviation {spread['deviation']:.3f}",
            f"A cross-validation measures; for a model to keep, run again without --folds. Its runs: {result.run}",
        ]
    lines = []
    if result.best:
        lines.append(f"validation: {said['best']}")
    if result.test:
        used = "that were looked at before the run was extended" if again else "never used before"
        lines.append(f"test, {counted(result.test['images'], 'picture')} {used}: {said['test']}")
    else:
        lines.append("no pictures were left for a test; the figure above chose the epoch, and flatters")
    model = result.run / "model.safetensors"
    return [*lines, f"wrote {model}; next: {_next(task_named(result.task, Classes(())), model, data)}"]


def _next(task: Task, model: Path, data: Path) -> str:
    """The commands that show what was learnt."""
    file = shlex.quote(str(model))
    out = " --out FOLDER" if task.files else ""
    more = f"; striate evaluate {file} {shlex.quote(str(data))} says {task.evaluated}" if task.evaluated else ""
    return f"striate predict {file} PICTURE{out}{more}"
