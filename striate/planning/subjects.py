"""What is to be planned: a module without numbers, what it is called with, what it learns by, and its blocks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from striate import modelfile
from striate import recipe as recipes
from striate.base.errors import ModelError, RecipeError
from striate.data.names import printable
from striate.data.records import Batch, Classes
from striate.models.checkpointing import refuse_blocks, training_view
from striate.models.meta import build_on_meta
from striate.models.network import Network
from striate.models.table import Architecture, architecture
from striate.pictures.geometry import Geometry
from striate.pictures.preprocess import Preprocess
from striate.planning.factories import module_of
from striate.recipe import Recipe
from striate.tasks import task_named
from striate.tasks.task import Task
from striate.tracing import summed
from striate.tracing.calls import tensors_within

OBJECTS = 8
"""How many objects are on each picture of a planned step, where a task has any."""

SUMMED = "outputs.float().sum()"
CPU = torch.device("cpu")
Loss = Callable[[Any], Tensor]


@dataclass(frozen=True)
class Subject:
    """What is planned, before it is known for how many pictures.

    ``size`` is (channels, height, width) of a picture; ``batch``, ``precision`` and ``optimizer`` are its own where it
    says some. ``blocks`` are names with the paths of their modules, "" the whole. ``learns_from`` is the size of what a
    step of training shows it, ``averaged`` whether averages of its weights are kept beside them, and
    ``computed_again`` the blocks that keep for backward only what goes in. ``preprocess`` is how photographs become
    its pictures, of its own size, where that is known. With ``own_sizes`` it is measured on whole pictures, each in its
    own size, which nobody knows here.
    """

    name: str
    module: nn.Module
    size: tuple[int, int, int]
    blocks: Mapping[str, tuple[str, ...]]
    task: Task | None = None
    learns_from: tuple[int, int] | None = None
    batch: int | None = None
    precision: str = "float32"
    optimizer: str = "sgd"
    averaged: bool = False
    computed_again: tuple[str, ...] = ()
    preprocess: Preprocess | None = None
    own_sizes: bool = False

    @property
    def loss_name(self) -> str:
        """What it learns by, in words."""
        return SUMMED if self.task is None else f"that of the task {self.task.name}"

    def images(self, batch: int) -> Tensor:
        """Pictures without numbers, as it gets them to answer."""
        return self._empty(batch, self.size)

    def learner(self) -> nn.Module:
        """What a step of training calls, on torch's "meta"."""
        return training_view(self.module, self.computed_again) if isinstance(self.module, Network) else self.module

    @property
    def prefix(self) -> str:
        """What the paths of its modules begin with in what learns."""
        return "network." if isinstance(self.module, Network) else ""

    def step(self, batch: int) -> tuple[Tensor, Loss]:
        """What a step of training shows it, and what it learns by."""
        if self.task is None:
            return self.images(batch), summed
        size = self.learns_from or self.size[1:]
        shown = torch.zeros(1, self.size[0], *size, dtype=torch.uint8).expand(batch, -1, -1, -1)
        target, geometry = self.task.example(size, OBJECTS), Geometry(*size)
        made = Batch(shown, (target,) * batch, (geometry,) * batch, ())
        task, targets = self.task, self.task.encode(made, CPU)

        def loss(outputs: tuple[Tensor, tuple[Tensor, ...]]) -> Tensor:
            main, auxiliary = outputs
            return task.loss(main, auxiliary, targets).total

        return self._empty(batch, tuple(task.inputs(shown[:1]).shape[1:])), loss

    def beside_a_picture(self) -> int:
        """Bytes that a step holds for each picture beside what a trace shows: its pixels as bytes, and its targets."""
        if self.task is None:
            return 0
        size = self.learns_from or self.size[1:]
        target, geometry = self.task.example(size, OBJECTS), Geometry(*size)
        shown = torch.zeros(1, self.size[0], *size, dtype=torch.uint8)
        targets = self.task.encode(Batch(shown, (target,), (geometry,), ()), CPU)
        return shown.nbytes + sum(each.nbytes for each in tensors_within(targets))

    def _empty(self, batch: int, size: tuple[int, ...]) -> Tensor:
        images = torch.empty(batch, *size, device="meta")
        ours = isinstance(self.module, Network)  # which trains and answers channels-last
        return images.contiguous(memory_format=torch.channels_last) if ours else images


def subject_of(what: nn.Module | str | Path, size: int | tuple[int, ...] | None = None) -> Subject:
    """What a module, a network's name, a model file, a run's recipe or ``package.module:factory`` means.

    Args:
        what: as above; a recipe may be named by its run's folder.
        size: of the pictures, where it is not the subject's own: one side, (height, width) or (channels, height,
            width).

    Raises:
        ModelError, ModelFileError, RecipeError: there is no such thing, or it cannot be made.
    """
    if isinstance(what, nn.Module):
        return _of_module(type(what).__name__, what, size)
    path, text = Path(what), str(what)
    if path.is_dir() and (path / "recipe.toml").is_file():
        path = path / "recipe.toml"
    if path.suffix == ".toml":
        return _sized(_of_recipe(path), size)
    if path.is_file() or path.suffix == ".safetensors":
        return _sized(_of_file(path), size)
    if ":" in text:
        return _of_module(text, module_of(text), size)
    if path.suffix or path.is_absolute() or path.is_dir():
        what = "is a folder without recipe.toml" if path.is_dir() else "there is no such file"
        raise ModelError(
            f"{printable(text)}: {what}; expected a network's name, a model file, a run's folder or recipe, or "
            "package.module:factory"
        )
    return _sized(_of_name(text, architecture(text)), size)


def _sizes(size: int | tuple[int, ...] | None, usual: tuple[int, int, int]) -> tuple[int, int, int]:
    match size:
        case None:
            found = usual
        case int():
            found = (usual[0], size, size)
        case (height, width):
            found = (usual[0], height, width)
        case (channels, height, width):
            found = (channels, height, width)
        case _:
            raise ModelError(f"size is {list(size)}; expected one side, (height, width) or (channels, height, width)")
    if min(found) < 1:
        raise ModelError(f"size is {list(found)}; channels, height and width are 1 or more")
    return found


def _sized(subject: Subject, size: int | tuple[int, ...] | None) -> Subject:
    if size is None:
        return subject
    found = _sizes(size, subject.size)
    if found[0] != subject.size[0]:
        raise ModelError(f"size has {found[0]} channels, and {subject.name} takes pictures of {subject.size[0]}")
    return replace(subject, size=found, learns_from=None)


def _of_module(name: str, module: nn.Module, size: int | tuple[int, ...] | None) -> Subject:
    blocks: Mapping[str, tuple[str, ...]] = {child: (child,) for child, _ in module.named_children()} or {name: ("",)}
    if isinstance(module, Network):
        blocks = module.blocks
    return Subject(name, module, _sizes(size, (3, 224, 224)), blocks)


def _of_name(name: str, row: Architecture, classes: Classes | None = None) -> Subject:
    classes = classes or Classes(tuple(str(index) for index in range(row.classes)))
    recipe = recipes.changed(Recipe(), {"task": row.task, "model": name})
    task = task_named(row.task, classes).fitted(recipe, ())
    return _network(name, classes, row.preprocess, task)


def _network(
    name: str,
    classes: Classes,
    preprocess: Preprocess,
    task: Task,
    arguments: Mapping[str, Any] | None = None,
) -> Subject:
    arguments = task.network_arguments if arguments is None else arguments
    network = build_on_meta(name, classes=len(classes), in_channels=preprocess.count, arguments=arguments)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    size = (preprocess.count, *preprocess.size)
    return Subject(name, network, size, network.blocks, task, preprocess=preprocess)


def _of_file(path: Path) -> Subject:
    said = modelfile.describe(path)
    task = task_named(said.task, said.classes, said.task_arguments)
    further = {name: value for name, value in said.arguments.items() if name not in ("classes", "in_channels")}
    found = _network(said.model, said.classes, said.preprocess, task, further)
    return replace(found, name=str(path))


def _of_recipe(path: Path) -> Subject:
    """A step of its last stage; classes are those of the model file beside it, or as many as were published."""
    recipe = recipes.changed(Recipe(), recipes.read_toml(path), source=str(path))
    row, beside = architecture(recipe.model), path.with_name("model.safetensors")
    if beside.is_file():
        said = modelfile.describe(beside)
        classes, preprocess = said.classes, said.preprocess
        task = task_named(said.task, classes, said.task_arguments)
    else:
        classes = Classes(tuple(str(index) for index in range(row.classes)))
        preprocess = row.preprocess
        task = task_named(recipe.task, classes).fitted(recipe, ())
    seen = replace(preprocess, size=recipe.size or preprocess.size, resize=recipe.fit or preprocess.resize)
    found = _network(recipe.model, classes, seen, task)
    frozen = recipe.stages[-1].freeze
    again = () if recipe.checkpoint_blocks == (recipes.AUTO,) else recipe.checkpoint_blocks
    assert isinstance(found.module, Network)
    found.module.train()
    try:
        found.module.freeze([*found.blocks][:-1] if recipes.BODY in frozen else frozen)
        refuse_blocks(found.module, again)
    except ModelError as error:
        raise RecipeError(f"{printable(path)}: {error}") from None
    return replace(
        found,
        name=str(path),
        learns_from=recipe.augment.crop_size or None,
        batch=None if recipe.batch_size == recipes.AUTO else recipe.batch_size,
        precision="float32" if recipe.precision == "auto" else recipe.precision,
        optimizer=recipe.optimizer,
        averaged=recipe.ema_decay > 0,
        computed_again=again,
    )
