"""Asks planning, before a run takes any memory, whether it fits; and lets it choose what the recipe leaves to it."""

from dataclasses import dataclass, replace

import torch

from striate.base.errors import ModelError, TrainingError
from striate.base.memory import in_words
from striate.data.records import Dataset
from striate.models.meta import build_on_meta
from striate.models.network import Network
from striate.pictures.preprocess import Preprocess
from striate.planning.choosing import batch_for, most_to_choose, rounded
from striate.planning.demand import Counts, Demand, demand_between, demand_of
from striate.planning.room import Room, room_here
from striate.planning.subjects import Subject
from striate.recipe import AUTO, Recipe
from striate.tasks.task import Task
from striate.training.events import Notice, Planned
from striate.training.multi_scale import sizes_of
from striate.training.session import Session
from striate.training.stages import set_mode


@dataclass(frozen=True, slots=True)
class Fitted:
    """A recipe that fits: what a run of it takes in bytes (None: nobody knows), and whether freed memory is kept."""

    recipe: Recipe
    takes: int | None
    keeps: bool


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

    def demand(self, batch: int) -> Demand:
        """What a run takes, exact for this batch."""
        return demand_of(self.subject(), batch, self.counts, accumulate=self.recipe.accumulate, kernels=self.kernels)

    def growing_demand(self) -> Demand:
        """What a run takes, exact for all batches."""
        many = max(2, self.batch)
        return demand_between(
            *(self.subject(), many // 2, many, self.counts),
            accumulate=self.recipe.accumulate,
            kernels=self.kernels,
        )


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
    """The recipe with a batch and blocks that fit, of which the user is told; decoded pictures then leave them room.

    A network that cannot be traced is not planned, and trains as the recipe says.

    Raises:
        TrainingError: nothing that was asked for fits, and nobody forces it.
    """
    try:
        with torch.random.fork_rng(devices=[]):
            recipe, demand = _chosen(trainee, room)
    except ModelError as error:
        session.tell(Notice(f"not planned, since the network cannot be traced: {error}"))
        return Fitted(replace(trainee.recipe, batch_size=trainee.batch, checkpoint_blocks=_named(trainee)), None, True)
    takes = demand.bytes_of(recipe.batch)
    keeps, chosen = room.keeps(takes), trainee.recipe.batch_size == AUTO
    if not silent and takes > room.bytes:
        _refuse(trainee, recipe, takes, room, session)
    elif not silent:
        session.tell(
            Planned(
                *(recipe.batch, takes, room.there, room.limit),
                more=None if chosen else _more(demand, recipe.batch, room.kept if keeps else room.bytes),
                chosen=chosen,
                keeps=keeps,
            )
        )
    session.cache.shrink_to(room.left_for_pictures(takes))
    return Fitted(recipe, takes, keeps)


def _named(trainee: Trainee) -> tuple[str, ...]:
    again = trainee.recipe.checkpoint_blocks
    return () if again == (AUTO,) else again


def _chosen(trainee: Trainee, room: Room) -> tuple[Recipe, Demand]:
    """The recipe with nothing left to choose, and what a run of it takes."""
    recipe = replace(trainee.recipe, checkpoint_blocks=_named(trainee))
    if recipe.batch_size != AUTO:
        return recipe, trainee.demand(recipe.batch)
    growing = trainee.growing_demand()
    most = most_to_choose(trainee.default, trainee.counts.training or 0)
    batch = batch_for(growing, room, trainee.default, most, lambda each: trainee.demand(each).bytes_of(each))
    return replace(recipe, batch_size=batch or trainee.default), growing


def _more(demand: Demand, batch: int, room: int) -> int | None:
    """A larger batch that would fit, too."""
    largest = rounded(demand.largest(room))
    return largest if largest > batch else None


def _refuse(trainee: Trainee, recipe: Recipe, takes: int, room: Room, session: Session) -> None:
    """Say that the run does not fit, and what would.

    Raises:
        TrainingError: that, unless somebody forces the run.
    """
    said = (
        f"{recipe.model}: a run in batches of {recipe.batch} takes {in_words(takes)} at its peak, and of the "
        f"{in_words(room.there)} that {room.limit} leaves it {in_words(room.bytes)} are for its tensors"
    )
    if session.controls.force:
        session.tell(Notice(f"{said}; it is tried nevertheless, since --force is given"))
        return
    raise TrainingError(f"{said}. {_advice(trainee, room)} --force tries it nevertheless")


def _advice(trainee: Trainee, room: Room) -> str:
    """The largest batch that fits, or that none does."""
    demand = trainee.growing_demand()
    if batch := rounded(demand.largest(room.bytes)):
        return f"Batches of {batch} fit: --batch-size {batch}."
    return f"Not even one picture fits, which would take {in_words(demand.bytes_of(1))}."


def gone_on(recipe: Recipe, takes: int, room: Room, session: Session) -> Fitted:
    """The recipe of a run whose checkpoint says what it takes, and which is not planned again.

    Where less is there, as on another machine, the user is told; a run that goes on is not refused.
    """
    if takes > room.bytes:
        said = f"this run takes {in_words(takes)} at its peak, as was planned when it began, and of the"
        here = f"{in_words(room.there)} that {room.limit} leaves now {in_words(room.bytes)} are for its tensors"
        session.tell(Notice(f"{said} {here}; it may end for want of memory"))
    session.cache.shrink_to(room.left_for_pictures(takes))
    return Fitted(recipe, takes, room.keeps(takes))
