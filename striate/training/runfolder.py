"""The folder of one run: where its files lie, and how they come to be there whole."""

import errno
import json
import math
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from striate.base.atomic import output_error, remove_partials, write_text
from striate.base.compiling.locking import turn
from striate.base.errors import OutputError, TrainingError
from striate.base.nearest import did_you_mean

_TRIES = 100
"""So often a folder may vanish between its making and its locking: at the end of a run that came to nothing."""


class HeldError(OutputError):
    """A folder is another run's, which is going on."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """``recipe.toml``, ``metrics.jsonl``, ``model.safetensors`` (kept), ``last.safetensors`` (to go on from)."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.path / "recipe.toml"

    @property
    def metrics(self) -> Path:
        """A JSON line a log step and a line an epoch."""
        return self.path / "metrics.jsonl"

    @property
    def model(self) -> Path:
        """The model file of the kept epoch (`keeping`)."""
        return self.path / "model.safetensors"

    @property
    def last(self) -> Path:
        """The checkpoint."""
        return self.path / "last.safetensors"

    @property
    def lock(self) -> Path:
        """Is there while a run is going on, and says whose; a killed run may leave it, which means nothing."""
        return self.path / ".lock"

    @property
    def started(self) -> bool:
        """Whether there is a run to go on with."""
        return self.recipe.is_file() and self.last.is_file()

    @property
    def unborn(self) -> bool:
        """Whether there is nothing here but what a run leaves that was killed before it had its recipe."""
        return all(path == self.metrics or path.name.endswith(".partial") for path in self._content())

    def _content(self) -> list[Path]:
        return [path for path in self.path.iterdir() if path != self.lock] if self.path.is_dir() else []

    def perhaps_meant(self) -> str:
        """`` Did you mean 'flowers-1'?``, with its leading space: the nearest name of a run beside this folder."""
        return did_you_mean(self.path.name, [each.parent.name for each in self.path.parent.glob("*/recipe.toml")])

    def refuse_if_unwritable(self) -> None:
        """See that files can be written here, before any work is done; nothing is written yet.

        Raises:
            OutputError: the path is a file, or cannot be read and written.
        """
        try:
            part = next(part for part in (self.path, *self.path.parents) if part.exists() or part.is_symlink())
        except OSError as error:
            raise output_error(self.path, error) from None
        if not part.is_dir():
            raise OutputError(f"{self.path}: cannot be a run's folder, because {part} is no folder; give another --out")
        if not os.access(part, os.W_OK | os.X_OK | (os.R_OK if part == self.path else 0)):
            raise OutputError(f"{self.path}: cannot be written ({part} is read-only for you); give another --out")

    def refuse_if_occupied(self, *, force: bool) -> None:
        """See that a new run can begin here, before any work is done; nothing is written yet.

        Raises:
            OutputError: as in `refuse_if_unwritable`, or the folder holds something and ``force`` is not given.
        """
        self.refuse_if_unwritable()
        if self._content() and not force:
            if self.recipe.exists():
                raise OutputError(
                    f"{self.path}: holds a run already; --resume goes on with it, --force starts it over, "
                    f"and another --out leaves it alone"
                )
            raise OutputError(f"{self.path}: is not empty and holds no run of ours; give another --out, or --force")

    @contextmanager
    def held(self, *, new: bool = False) -> Iterator[None]:
        """Make the folder if need be, and keep other runs out of it until the block ends.

        The lock falls with its process, however that ends; where the file system has none, there is none. A folder that
        was made here and in which nothing has come to lie is removed again. With ``new`` it must not have been there.

        Raises:
            HeldError: another run holds it, or, with ``new``, it is there.
            OutputError: it cannot be made or written.
        """
        if not (new and os.path.lexists(self.path)):  # else `_take` says so
            self.refuse_if_unwritable()
        made = [part for part in (self.path, *self.path.parents) if not part.exists()]
        with ExitStack() as lock:
            lock.callback(_remove_empty, made)
            if not any(self._take(lock, new) for _ in range(_TRIES)):
                raise output_error(self.path, FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)))
            yield

    def _take(self, lock: ExitStack, new: bool) -> bool:
        """Make the folder and lock it; False if another run has removed it in between, because it came to nothing."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self.path.mkdir(exist_ok=not new)
            except FileExistsError:
                if not new:
                    raise
                raise HeldError(f"{self.path}: is there already") from None
            if sys.platform != "win32":  # which has no such locks
                lock.enter_context(turn(self.lock, math.inf, self._refuse_second, mode=0o666))
                with suppress(OSError):  # a full disk: then nobody hears whose it is
                    self.lock.write_text(f"process {os.getpid()} on {platform.node()}", encoding="utf-8")
        except FileNotFoundError:
            return False
        except OSError as error:
            raise output_error(self.lock if self.path.is_dir() else self.path, error) from None
        return True

    def _refuse_second(self) -> None:
        whose = ""
        with suppress(OSError, UnicodeDecodeError):
            whose = f" ({holder})" if (holder := self.lock.read_text(encoding="utf-8")) else ""
        raise HeldError(
            f"{self.path}: another run is going on there{whose}; wait for its end, or stop it and go on with --resume; "
            f"another --out starts a run beside it"
        )

    def begin(self, recipe_text: str) -> None:
        """Make the folder with a recipe and empty metrics, and without what an earlier run left.

        The recipe comes last: a folder with one holds a run, a folder without can be begun again.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._clear()
        except OSError as error:
            raise output_error(self.path, error) from None
        write_text(self.metrics, "")
        write_text(self.recipe, recipe_text)

    @contextmanager
    def beginning(self, recipe_text: str) -> Iterator[None]:
        """`begin`; if that or the block fails for want of room or leave to write, nothing of it is left behind.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            self.begin(recipe_text)
            yield
        except OutputError:
            with suppress(OSError):
                self._clear()
            raise

    def _clear(self) -> None:
        for path in (self.recipe, self.metrics, self.model, self.last):
            path.unlink(missing_ok=True)
        remove_partials(self.path)
        for part in self.path.glob("fold-*"):  # of a cross-validation that is started over
            if part.is_dir() and not part.is_symlink():
                RunFolder(part)._clear()
                with suppress(OSError):  # somebody else's files stay
                    part.rmdir()

    def change_recipe(self, recipe_text: str) -> None:
        """Replace the recipe of a run that is extended.

        Raises:
            OutputError: it cannot be written.
        """
        write_text(self.recipe, recipe_text)

    def log(self, line: Mapping[str, Any]) -> None:
        """Add a line to the metrics; numbers that are not finite, which JSON has no words for, are null there.

        Raises:
            OutputError: it cannot be written.
        """
        text = json.dumps(_finite(line), allow_nan=False)
        try:
            with self.metrics.open("a", encoding="utf-8") as file:
                file.write(text + "\n")
        except OSError as error:
            raise output_error(self.metrics, error) from None

    def metrics_size(self) -> int:
        """Bytes of the metrics so far, safely on disk.

        Raises:
            OutputError: they are not there, or could not be written.
        """
        try:
            with self.metrics.open("rb") as file:
                os.fsync(file.fileno())
                return os.fstat(file.fileno()).st_size
        except OSError as error:
            raise output_error(self.metrics, error) from None

    def forget_after(self, size: int) -> None:
        """Forget what was written after the checkpoint that a run goes on from, half-written files too.

        Raises:
            TrainingError: there is less than there was.
            OutputError: it cannot be written.
        """
        if not self.metrics.is_file() or self.metrics.stat().st_size < size:
            raise TrainingError(
                f"{self.metrics}: has less than the {size} bytes that the checkpoint knows of; put the file back, or "
                f"start the run over with --force"
            )
        try:
            remove_partials(self.path)
            os.truncate(self.metrics, size)
        except OSError as error:
            raise output_error(self.metrics, error) from None


def next_free(data: Path) -> Path:
    """``runs/<data>-<n>`` with the smallest n that is not there yet."""
    name = os.fsdecode(os.fsencode(data.resolve().name.split(".")[0])[:200]) or "data"
    number = 1
    while os.path.lexists(path := Path("runs") / f"{name}-{number}"):
        number += 1
    return path


@contextmanager
def held_next(data: Path) -> Iterator[RunFolder]:
    """`next_free`, made and `RunFolder.held` until the block ends; if somebody was faster, the one after that.

    Raises:
        OutputError: it cannot be made or written.
    """
    with ExitStack() as lock:
        while True:
            folder = RunFolder(next_free(data))
            with suppress(HeldError):
                lock.enter_context(folder.held(new=True))
                break
        yield folder


def _remove_empty(folders: Sequence[Path]) -> None:
    """Remove folders, each inside the next one, up to the first that holds something."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
