"""``striate predict``."""

import itertools
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from striate.base.errors import DataError, DecodeError, OutputError
from striate.base.memory import answer_fits
from striate.cli.budgets import memory_in
from striate.cli.console import answer, answer_json, say
from striate.data.names import counted, printable
from striate.data.unlabelled import is_folder, pictures_in
from striate.pictures.decode import PICTURE_SUFFIXES, path_of
from striate.pictures.tiles import MOST_OVERLAP, OVERLAP
from striate.predictor import load
from striate.tasks.asked import refuse_top
from striate.tasks.task import Task
from striate.tasks.written import written

TOP = 3
MOST_PROBABLE = f"how many of the most probable answers to show, where there are several; default {TOP}"
LEAST = "of detection: name what scores so much or more, 0 to 1; default the model file's"
TILE = (
    "for large photographs of small things: what is wider or higher than so many of its own pixels is answered in "
    "squares of that side, and what they show is merged"
)
BUDGET = (
    "memory, such as 2GB, or auto: of segmentation and detection each photograph is answered in its own full "
    "resolution, not shrunk to the model's usual size, with no more than that beside what Python and torch take, and "
    "as it would be with any amount; --tile is then the longest side of a tile"
)
OUT = (
    "folder for what an answer shows: pictures with it drawn, masks, enlarged pictures; or a file for one enlarged "
    "picture, in the format of its ending"
)
OVERLAPPING = (
    f"the part of a tile's side that neighbours share, 0 to {MOST_OVERLAP}; what is no larger lies whole in some tile; "
    f"default {OVERLAP}, of super-resolution as little as gives the pixels of the whole"
)


def predict(
    model: Annotated[str, Parameter(help="a model file, a run folder, or a name such as efficientnet_lite0")],
    images: Annotated[str, Parameter(help="pictures, or folders of them")],
    /,
    *more: Annotated[str, Parameter(help="more pictures, or folders of them")],
    top: Annotated[int | None, Parameter(help=MOST_PROBABLE, validator=Number(gte=1))] = None,
    score_threshold: Annotated[float | None, Parameter(help=LEAST)] = None,
    tile: Annotated[int | None, Parameter(help=TILE)] = None,
    overlap: Annotated[float | None, Parameter(help=OVERLAPPING)] = None,
    budget: Annotated[str | None, Parameter(help=BUDGET)] = None,
    out: Annotated[Path | None, Parameter(help=OUT)] = None,
    device: Annotated[str, Parameter(help="auto, cpu, cuda or mps")] = "auto",
    strict: Annotated[bool, Parameter(help="stop at the first picture that cannot be read", negative="")] = False,
    json: Annotated[bool, Parameter(help="print one JSON object on stdout", negative="")] = False,
    quiet: Annotated[bool, Parameter(help="no notices", negative="")] = False,
) -> None:
    """Say what is on pictures, or enlarge them."""
    predictor = load(model, device=device, score_threshold=score_threshold, on_notice=None if quiet else say)
    refuse_top(predictor.task, top)
    top = top or TOP
    given = [path_of(each) for each in (images, *more)]
    paths = (path for each in given for path in pictures_in(each))
    alone = len(given) == 1 and not is_folder(given[0])
    file = out if out and _names_a_file(out, predictor.task, given[0] if alone else None) else None
    if out and not file:
        _refuse_among_photographs(out, given)
    unreadable: list[DecodeError] = []
    answered, wrote, changed = 0, False, False
    taken: set[str] = set()
    rows: list[dict[str, Any]] = []
    cut: dict[str, dict[str, Any]] = {}
    memory, lenient = None if budget is None else memory_in(budget), None if strict or alone else unreadable.append
    within = partial(predictor.stream, tile=tile, overlap=overlap, budget=memory)
    answers = within(paths, on_unreadable=lenient, on_tiles=lambda _, tiles: cut.update(tiles=tiles.to_dict()))
    for picture, prediction in answers:
        path = Path(str(picture))
        try:
            files = _written(predictor.task, path, prediction, out, file, taken)
            with answer_fits(printable(path)):
                said = predictor.task.as_json(prediction, top) if json else predictor.task.as_text(prediction, top)
        except DecodeError as error:  # it is gone by now, or its answer does not fit into memory
            if strict or alone:
                raise
            unreadable.append(error)
            continue
        answered, wrote = answered + 1, wrote or bool(files)
        changed = changed or any(Path(each).suffix != path.suffix.lower() for each in files.values())
        if isinstance(said, dict):
            rows.append({"image": str(path), **said, **cut, **files})
        else:
            named = f" ({', '.join(files.values())})" if files else ""
            answer(f"{printable(str(path))}: {said}{named}")
    if answered and not quiet:
        _say_of_files(predictor.task, out, wrote=wrote, changed=changed and not file)
    _tell_of_unreadable(unreadable, answered, quiet=quiet)
    if json:
        missing = [{"image": str(error.path), "reason": error.reason} for error in unreadable]
        answer_json({"predictions": rows, "unreadable": missing})


def _tell_of_unreadable(unreadable: Sequence[DecodeError], answered: int, *, quiet: bool) -> None:
    """Say which pictures were left out.

    Raises:
        DataError: all were.
    """
    if unreadable and not answered:
        raise DataError(_told(f"none of {counted(len(unreadable), 'picture')} can be read", unreadable))
    if unreadable and not quiet:
        of = f"{len(unreadable)} of {counted(answered + len(unreadable), 'picture')}"
        say(_told(f"left out {of} that cannot be read (--strict stops at the first)", unreadable))


def _say_of_files(task: Task, out: Path | None, *, wrote: bool, changed: bool) -> None:
    """Why there are no files, where somebody may look for them, or why they have not the photographs' formats."""
    if wrote:
        if changed and task.one_file:
            endings = ", ".join(task.one_file.endings)
            say(f"written without loss; of one picture --out FILE has the format of the file's ending ({endings})")
    elif out:
        say(f"nothing was written into {printable(out)}: answers of {task.name} are text alone")
    elif task.files:
        say(f"nothing was written; --out FOLDER takes {task.files}")


def _names_a_file(out: Path, task: Task, photograph: Path | None) -> bool:
    """Whether ``--out`` is the one file for the answer to the one photograph, by its ending; else it is a folder.

    Raises:
        OutputError: it is called like one, and cannot be.
    """
    if out.suffix.lower() not in PICTURE_SUFFIXES or is_folder(out):
        return False
    if task.one_file is None:
        what = f"is called like a picture, and one file does not hold an answer of {task.name}; give a folder"
    elif out.suffix.lower() not in task.one_file.endings:
        what = f"cannot be written; expected an ending of {', '.join(task.one_file.endings)}, or a folder"
    elif photograph is None:
        what = "is one file for answers to several pictures; give a folder"
    elif out.resolve() == photograph.resolve():
        what = "is the photograph itself; give another --out"
    else:
        return True
    raise OutputError(f"{printable(out)}: {what}")


def _written(
    task: Task, path: Path, prediction: Any, out: Path | None, file: Path | None, taken: set[str]
) -> dict[str, str]:
    """Write what there is to be written, as the one file or under a free name into the folder; see `written`."""
    if file:
        return written(task, path, prediction, file.parent, file.stem, file.suffix)
    return written(task, path, prediction, out, _free_name(path, taken)) if out else {}


def _free_name(path: Path, taken: set[str]) -> str:
    """A name like the picture's that no other has; it is taken now."""
    stem = os.fsdecode(os.fsencode(path.stem)[:200])
    names = (stem if number == 1 else f"{stem}-{number}" for number in itertools.count(1))
    taken.add(name := next(name for name in names if name not in taken))
    return name


def _refuse_among_photographs(out: Path, given: Sequence[Path]) -> None:
    """See that nothing is written where photographs lie, or will be looked for while others are answered already."""
    for each in given:
        folder = each if is_folder(each) else each.absolute().parent
        inside = out.resolve().is_relative_to(folder.resolve())
        if inside and (is_folder(each) or out.resolve() == folder.resolve()):
            raise OutputError(
                f"{printable(out)}: lies where the photographs are, {printable(folder)}; give another --out"
            )


def _told(what: str, errors: Sequence[DecodeError]) -> str:
    return "\n".join((f"{what}:", *(f"  {error}" for error in errors)))
