"""The checkpoint: all that a run needs to go on as if it had never stopped, in one file that is replaced atomically.

It is a model file, too, of the weights that would be validated now: the averaged ones where the recipe has them.

safetensors stores contiguous tensors; the formats in memory come back because every tensor is copied into one that
already has its format.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from striate.base.atomic import replace_file
from striate.base.errors import TrainingError
from striate.modelfile import Description, metadata_of
from striate.planning.demand import Needs
from striate.recipe import Recipe, hash_of
from striate.training.learner import Learner, Progress
from striate.training.stages import stage_at
from striate.weights.tensorfiles import open_tensors

FORMAT = 2
NO_STAGES = [{"epochs": 10, "rate": 0.05, "freeze": [], "keep_statistics": False, "warmup": 0.1}]
"""What stands for the stages in `fixed_part`, for ever: a recipe's default when the first checkpoints were written."""


@dataclasses.dataclass(frozen=True, slots=True)
class Header:
    """What a checkpoint says beside its tensors.

    ``data`` is the fingerprint of the pictures that it learns from, ``recipe`` the `fixed_part` of its recipe, and
    ``kernels`` says whose kernels computed depthwise windows (None in checkpoints from before there were several).
    ``needs`` is the memory that the run takes as planned; None where it was not.
    """

    progress: Progress
    average_updates: int
    metrics_size: int
    data: str
    recipe: str
    kernels: str | None
    needs: Needs | None


def fixed_part(recipe: Recipe) -> str:
    """The hash of what a run never changes about its recipe: all but the stages, to which an extension adds one."""
    return hash_of(recipe, stages=NO_STAGES)


def save(path: Path, learner: Learner, description: Description, *, metrics_size: int, data: str) -> None:
    """Write the checkpoint; ``description`` is that of its weights as a model file.

    Raises:
        OutputError: it cannot be written.
    """
    learner.read_losses()
    header = {
        "format": FORMAT,
        "progress": dataclasses.asdict(learner.progress),
        "average_updates": learner.average.updates if learner.average else 0,
        "metrics_size": metrics_size,
        "data": data,
        "recipe": fixed_part(learner.recipe),
        "kernels": learner.kernels,
        "needs": dataclasses.asdict(learner.needs) if learner.needs else None,
    }
    tensors = {f"network.{name}": tensor for name, tensor in learner.network.state_dict().items()}
    if learner.average:
        tensors |= {f"average.{name}": tensor for name, tensor in learner.average.network.state_dict().items()}
    answering = "average." if learner.average else "network."
    tensors |= _optimizer_tensors(learner)
    tensors["random.cpu"] = torch.get_rng_state()
    if learner.device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(learner.device)
    with replace_file(path) as partial:
        save_file(
            {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()},
            partial,
            metadata={"striate_checkpoint": json.dumps(header), **metadata_of(description, prefix=answering)},
        )


def read_header(path: Path) -> Header:
    """What the checkpoint says beside its tensors.

    Raises:
        TrainingError: the file is no checkpoint of ours, damaged, or newer than this version.
    """
    try:
        with open_tensors(path) as file:
            values = json.loads((file.metadata() or {})["striate_checkpoint"])
        if values["format"] > FORMAT:
            raise TrainingError(f"{path}: is a checkpoint of a newer Striate (format {values['format']})")
        progress = Progress(**values["progress"])
        return Header(
            progress=progress,
            average_updates=values["average_updates"],
            metrics_size=values["metrics_size"],
            data=values["data"],
            recipe=values["recipe"],
            kernels=values.get("kernels"),
            needs=Needs(**needs) if (needs := values.get("needs")) else None,
        )
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"{path}: is no checkpoint, or is damaged ({error}); --force starts the run over") from None


def restore(path: Path, learner: Learner, header: Header) -> None:
    """Bring a learner to where the checkpoint was taken.

    Raises:
        TrainingError: the tensors are not those of this learner.
    """
    try:
        with open_tensors(path) as file:
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        _load(learner.network, tensors, "network.")
        if learner.average:
            _load(learner.average.network, tensors, "average.")
            learner.average.updates = header.average_updates
        learner.progress = header.progress
        if header.progress.epoch < learner.recipe.epochs:
            index, within = stage_at(learner.recipe.stages, header.progress.epoch)
            learner.enter_stage(index)
            if within or header.progress.step:
                _load_optimizer(learner, tensors)
        torch.set_rng_state(tensors["random.cpu"])
        if learner.device.type == "cuda" and "random.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["random.cuda"], learner.device)
    except (SafetensorError, OSError, KeyError, RuntimeError) as error:
        raise TrainingError(f"{path}: does not fit this run, or is damaged ({error})") from None


def _load(network: torch.nn.Module, tensors: dict[str, Tensor], prefix: str) -> None:
    state = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    network.load_state_dict(state)


def _optimizer_tensors(learner: Learner) -> dict[str, Tensor]:
    tensors = {}
    for index, parameter in enumerate(_parameters(learner)):
        for name, value in learner.optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{name}"] = value
    return tensors


def _load_optimizer(learner: Learner, tensors: dict[str, Tensor]) -> None:
    for index, parameter in enumerate(_parameters(learner)):
        prefix = f"optimizer.{index}."
        state: dict[str, Any] = {}
        for name in [name for name in tensors if name.startswith(prefix)]:
            tensor = tensors[name]
            # Of the parameter's own shape (momentum): in its memory format. A count of steps is of none, but the fused
            # step wants it on the same device too.
            like = parameter if tensor.shape == parameter.shape else tensor
            state[name.removeprefix(prefix)] = torch.empty_like(
                like, dtype=tensor.dtype, device=parameter.device, requires_grad=False
            ).copy_(tensor)
        if state:
            learner.optimizer.state[parameter] = state


def _parameters(learner: Learner) -> list[torch.nn.Parameter]:
    return [parameter for group in learner.optimizer.param_groups for parameter in group["params"]]
