"""`striate.train`: the run of `striate.training`, with somebody who shows it."""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from striate.cli.progress import TrainingProgress
from striate.cli.verbs import CallError
from striate.recipe import Recipe
from striate.training import run
from striate.training.events import Event
from striate.training.result import Result

PROGRESS = """\
        progress: True shows notices and a line an epoch on stderr, "rich" a bar where there is a terminal, False
            nothing; a notebook that can show a bar (with ipywidgets) has one for True as well.
"""


# The signature stands twice, since nothing that is made while a program runs could tell type checkers and editors of
# ``progress``; a test holds the two together, and the docstring is written once.
def train(  # noqa: D103 - below
    data: str | Path,
    *,
    model: str | None = None,
    task: str | None = None,
    epochs: int | None = None,
    recipe: Recipe | str | Path | None = None,
    changes: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    extend: int = 0,
    force: bool = False,
    format: str | None = None,
    device: str = "auto",
    workers: int | None = None,
    skip_unreadable: bool = False,
    progress: bool | Literal["rich"] = True,
    on_event: Callable[[Event], None] | None = None,
) -> Result:
    if progress not in (True, False, "rich"):
        raise CallError(f"progress is {progress!r}; expected True (a line an epoch), 'rich' (a bar) or False (nothing)")
    with TrainingProgress(progress, resume="resume=True, out='{}'") as shown:

        def listen(event: Event) -> None:
            with contextlib.suppress(OSError, ValueError):  # a program may have closed its stderr; the run goes on
                shown(event)
            if on_event:
                on_event(event)

        return run.train(
            data,
            model=model,
            task=task,
            epochs=epochs,
            recipe=recipe,
            changes=changes,
            out=out,
            resume=resume,
            extend=extend,
            force=force,
            format=format,
            device=device,
            workers=workers,
            skip_unreadable=skip_unreadable,
            on_event=listen,
        )


train.__doc__ = (
    (run.train.__doc__ or "")
    .replace("        on_event:", f"{PROGRESS}        on_event:")
    .replace("; nothing is ever printed", ", whatever is shown")
)
