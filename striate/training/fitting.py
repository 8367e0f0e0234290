"""Asks planning, before a run takes any memory, whether it fits; and lets it choose what the recipe leaves to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from striate.base.errors import ModelError, TrainingError
from striate.base.memory import in_words, out_of_memory
from striate.data.records import Dataset
from striate.models.meta import build_on_meta
from striate.models.network import Network
from striate.pictures.preprocess import Preprocess
from striate.planning.asked import Asked
from striate.planning.blocks import blocks_for
from striate.planning.choosing import batch_for, most_to_choose, rounded
from striate.planning.demand import Counts, Needs
from striate.planning.remedies import remedies
from striate.planning.room import Room, room_here
from striate.planning.subjects import Subject
from striate.recipe import AUTO, Recipe
from striate.tasks.tables import table
from striate.tasks.task import Task
from striate.training.events import Event, Notice, Planned
from striate.training.multi_scale import sizes_of
from striate.training.session import Session
from striate.training.stages import set_mode


@dataclass(frozen=True, slots=True)
class Fitted:
    """A recipe that fits: what a run of it needs (None: nobody knows), and whether freed memory is kept.

    ``told`` is for the user, when the run begins.
    """

    recipe: Recipe
    needs: Needs | None
    keeps: bool
    told: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Trainee:
    """Whose steps are planned: the network that is to be trained, by a recipe that names its blocks.

    ``default`` is the batch that its task would take.
    """

    network: Network
    recipe: Recipe
    task: Task
    preprocess: Preprocess
    counts: Counts
    default: int
    kernels: bool

    @property
    def batch(self) -> int:
        """The recipe's batch, or the default one where it is to be chosen."""
        return self.default if self.recipe.batch_size == AUTO else self.recipe.batch

    def subject(self) -> Subject:
        """A step of the stage in which most learns, on the largest of the pictures that it sees."""
        recipe, network, preprocess = self.recipe, self.network, self.preprocess
        built = build_on_meta(
            recipe.model,
            classes=len(self.task.classes),
            in_channels=preprocess.count,
            arguments=self.task.network_arguments,
        )
        built.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        set_mode(built, min(recipe.stages, key=lambda stage: len(stage.freeze)))
        sizes = sizes_of(recipe, network, preprocess) or [recipe.augment.size(preprocess)]
        again = recipe.checkpoint_blocks
        return Subject(
            name=recipe.model,
            module=built,
            size=(preprocess.count, *preprocess.size),
            blocks=built.blocks,
            task=self.task,
            learns_from=sizes[-1],
            precision="float32" if recipe.precision == AUTO else recipe.precision,
            optimizer=recipe.optimizer,
            averaged=recipe.ema_decay > 0,
            computed_again=() if again == (AUTO,) else again,
            own_sizes=preprocess.resize == "none",
        )

    def asked(self) -> Asked:
        """What is asked of planning: the recipe, with what it leaves to be chosen as its task has it."""
        return Asked(self.subject(), self.batch, self.counts, self.recipe.accumulate, self.kernels)


def counts_of(data: Dataset, *, in_folds: bool) -> Counts:
    """How many pictures a run has at most; of folds nobody asks, since they differ."""
    if in_folds:
        return Counts()
    measured = max(len(data.of_split("val")), len(data.of_split("test")))
    return Counts(len(data.of_split("train")), measured)


def room_for(session: Session) -> Room:
    """The room on the run's device, before anything of it is there."""
    on_device = session.device.type == "cuda"
    return room_here(session.device, 0 if on_device else session.cache.used)


def fitted(trainee: Trainee, room: Room, session: Session, *, silent: bool = False) -> Fitted:
    """The recipe with a batch and blocks that fit; decoded pictures from now on leave them room.

    A network that cannot be traced is not planned, and trains as the recipe says. ``silent`` is for what was planned
    before: nothing is refused then, nor told.

    Raises:
        TrainingError: nothing that was asked for fits, and nobody forces it.
    """
    recipe = replace(trainee.recipe, batch_size=trainee.batch, checkpoint_blocks=_named(trainee))
    try:
        with torch.random.fork_rng(devices=[]):
            asked = trainee.asked()
            batch, blocks = _chosen(trainee, asked, room)
            asked = replace(asked, batch=batch).computed_again(blocks)
            demand = asked.demand()
            needs = demand.needs(batch)
            fits = needs.bytes <= room.bytes
            told: Event | None = None if fits or silent else _refused(asked, needs.bytes, room, session)
    except ModelError as error:
        said = Notice(f"not planned, since the network cannot be traced: {error}")
        return Fitted(recipe, None, True, () if silent else (said,))
    keeps, chosen = room.keeps(needs.steps), trainee.recipe.batch_size == AUTO
    if fits and not silent:
        larger = rounded(demand.largest_kept(room) if keeps else demand.largest(room.bytes))
        more = larger if larger > batch and not chosen else None
        again = () if blocks == recipe.checkpoint_blocks else blocks
        told = Planned(batch, needs.steps, needs.bytes, room.there, room.limit, more, chosen, keeps, again)
    _let_yield(session, room, needs)
    made = replace(recipe, batch_size=batch, checkpoint_blocks=blocks)
    return Fitted(made, needs, keeps, (told,) if told else ())


def _let_yield(session: Session, room: Room, needs: Needs) -> None:
    """Decoded pictures leave the run what it needs, where both want the same memory."""
    if session.device.type != "cuda":
        session.cache.shrink_to(room.left_for_pictures(needs.bytes, needs.steps))


def _named(trainee: Trainee) -> tuple[str, ...]:
    """The blocks that the recipe names itself."""
    again = trainee.recipe.checkpoint_blocks
    return () if again == (AUTO,) else again


def _chosen(trainee: Trainee, asked: Asked, room: Room) -> tuple[int, tuple[str, ...]]:
    """The batch, and the blocks to compute again: the recipe's, or those that fit where it leaves them to the run.

    Where both are left to it, blocks are computed again if the default batch would not fit otherwise.
    """
    blocks = asked.subject.computed_again
    if trainee.recipe.batch_size == AUTO:
        most = most_to_choose(trainee.default, trainee.counts.training or 0)
        batch = batch_for(asked, room, most)
        if batch >= trainee.default or trainee.recipe.checkpoint_blocks != (AUTO,):
            return batch or trainee.default, blocks
    if trainee.recipe.checkpoint_blocks == (AUTO,):
        blocks = blocks_for(asked, room.bytes) or ()
    return asked.batch, blocks


def _refused(asked: Asked, takes: int, room: Room, session: Session) -> Notice:
    """What is told of a run that does not fit, and that somebody forces.

    Raises:
        TrainingError: nobody does; says what would fit.
    """
    said = (
        f"{asked.subject.name}: a run in batches of {asked.batch} takes {in_words(takes)} at its peak, and of the "
        f"{in_words(room.there)} that {room.limit} leaves it {in_words(room.bytes)} are for its tensors"
    )
    if session.controls.force:
        return Notice(f"{said}; it is tried nevertheless, since --force is given")
    largest, growing = asked.largest(room.bytes)
    fits = f"Batches of {rounded(largest)} fit" if largest else f"One picture takes {in_words(growing.bytes_of(1))}"
    rows = [
        (r.what, in_words(r.bytes), "yes" if r.bytes <= room.bytes else "no", f"{r.work:.2f}x", r.cost, r.flag)
        for r in remedies(asked, largest)
    ]
    head = ("what would help", "takes", "fits", "products", "what it costs", "by")
    lines = "\n".join(f"  {line.rstrip()}" for line in table([head, *rows], left=(0, 2, 4, 5)))
    raise TrainingError(f"{said}. {fits}; --force tries it as it is\n{lines}")


def gone_on(recipe: Recipe, needs: Needs, room: Room, session: Session) -> Fitted:
    """The recipe of a run whose checkpoint says what it takes, and which is not planned again.

    Where less is there, as on another machine, the user is told; a run that goes on is not refused.
    """
    told = list[Event]()
    if needs.bytes > room.bytes:
        said = f"this run takes {in_words(needs.bytes)} at its peak, as was planned when it began, and of the"
        here = f"{in_words(room.there)} that {room.limit} leaves now {in_words(room.bytes)} are for its tensors"
        told.append(Notice(f"{said} {here}; it may end for want of memory"))
    _let_yield(session, room, needs)
    return Fitted(recipe, needs, room.keeps(needs.steps), tuple(told))


@contextmanager
def running(recipe: Recipe) -> Iterator[None]:
    """Within this block a run takes its memory.

    Raises:
        TrainingError: there was not enough.
    """
    try:
        yield
    except (RuntimeError, OSError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise TrainingError(
            f"{recipe.model}: there is no memory left for a run in batches of {recipe.batch}; start over with "
            "--batch-size auto or a smaller number, or with --checkpoint-blocks auto"
        ) from error
