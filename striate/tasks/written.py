"""What an answer shows, as files."""

from pathlib import Path
from typing import Any

from PIL.Image import fromarray

from striate.base.atomic import output_error, replace_file
from striate.base.memory import answer_fits
from striate.data.names import printable
from striate.pictures.decode import decode
from striate.tasks.task import Task


def written(
    task: Task, picture: Path, prediction: Any, folder: Path, name: str, ending: str | None = None
) -> dict[str, str]:
    """Write what a prediction shows into a folder, as files ``name.key.png``, say, where key is that of the JSON.

    With an ``ending``, one of those of the task's `one_file`, it is that file, called by name and ending alone.

    Returns:
        Their names, by the keys of ``docs/json.md``: ``drawn`` is the photograph with what was found drawn on it, where
        the task draws; the others are the task's own.

    Raises:
        OutputError: a file cannot be written.
        DecodeError: the photograph cannot be read any more, or there is no memory.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(folder, error) from None
    with answer_fits(printable(picture)):
        if ending is not None and task.one_file is not None:
            task.one_file.write(prediction, folder / f"{name}{ending}", picture)
            return {task.one_file.key: f"{name}{ending}"}
        files = dict(task.write(prediction, folder, name, picture))
        drawn = task.draw(prediction, lambda: decode(picture, "rgb", name=printable(picture)).pixels)
        if drawn is not None:
            files["drawn"] = f"{name}.drawn.png"
            with replace_file(folder / files["drawn"]) as partial:
                fromarray(drawn).save(partial, "png")
        return files
