"""What changes while a run goes on: weights, average, optimizer, position; and one step of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from striate.base.errors import TrainingError
from striate.data.records import Batch
from striate.models.checkpointing import training_view
from striate.models.network import Network
from striate.pictures.preprocess import Preprocess
from striate.planning.demand import Needs
from striate.recipe import Recipe
from striate.tasks.task import Loss, Task
from striate.training.averaging import AveragedWeights
from striate.training.optimizers import clip, optimizer_for, set_rate, take_step
from striate.training.stages import set_mode
from striate.training.statistics import RunningStatistics

_REMEDY = 'A lower rate, clip_norm = 1 or precision = "float32" usually mends it; the last checkpoint is from before'


@dataclass(slots=True)
class Progress:
    """Where a run stands; plain numbers, so that a checkpoint can hold it as JSON.

    ``epoch`` counts from 0 over all stages, ``step`` is the next step in it. Losses, their parts and counts of images
    are sums since the last log line and since the epoch began. `keeping` has ``best`` to ``epochs_without_better``;
    checkpoints of before know neither value nor loss of the kept epoch, and the next that is good enough replaces it.
    ``task_arguments`` are those of the task as the last epoch's validation calibrated it; empty before the first.
    """

    epoch: int = 0
    step: int = 0
    images_seen: int = 0
    best: float | None = None
    good_enough: float = 0.0
    kept_epoch: int = -1
    kept_value: float = -math.inf
    kept_loss: float = math.inf
    epochs_without_better: int = 0
    loss_since_log: float = 0.0
    parts_since_log: dict[str, float] = field(default_factory=dict)
    images_since_log: int = 0
    loss_in_epoch: float = 0.0
    images_in_epoch: int = 0
    task_arguments: dict[str, Any] = field(default_factory=dict)


def has_ended(progress: Progress, recipe: Recipe) -> bool:
    """Whether a run has done all its epochs, or its patience has come to an end."""
    return progress.epoch >= recipe.epochs or 0 < recipe.patience <= progress.epochs_without_better


@dataclass(slots=True)
class Learner:
    """A network that learns. ``evaluated`` is what answers: the averaged weights where the recipe has them.

    ``kernels`` says whose kernels train it, for the checkpoint; "" if there is nothing that ours compute. So does
    ``needs``, the memory that its run takes as planned; None: nobody knows.
    """

    network: Network
    task: Task
    recipe: Recipe
    preprocess: Preprocess
    device: torch.device
    dtype: torch.dtype
    kernels: str = ""
    needs: Needs | None = None
    progress: Progress = field(default_factory=Progress)
    average: AveragedWeights | None = field(init=False)
    optimizer: torch.optim.Optimizer = field(init=False)
    statistics: RunningStatistics | None = field(init=False)
    _pending: list[tuple[Loss, int, Sequence[str]]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.network.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = AveragedWeights(self.network, self.recipe.ema_decay) if self.recipe.ema_decay else None
        self.statistics = RunningStatistics(self.network) if self.recipe.weights == "none" else None
        self.enter_stage(0)

    @property
    def evaluated(self) -> Network:
        """The network that validation measures and the model file holds."""
        return self.average.network if self.average else self.network

    @property
    def finished(self) -> bool:
        """Whether the run has come to its end."""
        return has_ended(self.progress, self.recipe)

    def enter_stage(self, index: int) -> None:
        """Freeze what this stage freezes, and begin with a fresh optimizer."""
        stage = self.recipe.stages[index]
        set_mode(self.network, stage)
        self.optimizer = optimizer_for(self.network, self.recipe, stage.body_rate)

    def step(self, batches: Sequence[Batch], rate: float) -> None:
        """One step of the optimizer over the gradients of these batches, each weighed by its pictures."""
        set_rate(self.optimizer, rate)
        pictures = sum(len(batch) for batch in batches)
        if self.statistics:
            done = self.progress.images_seen
            self.statistics.begin(done // (self.recipe.batch * self.recipe.accumulate))
        view = training_view(self.network, self.recipe.checkpoint_blocks)
        for batch in batches:
            images = self.task.inputs(batch.images.to(self.device, non_blocking=True))
            targets = self.task.encode(batch, self.device)
            low = self.dtype is torch.bfloat16
            with torch.autocast(self.device.type, torch.bfloat16, enabled=low, cache_enabled=True):
                main, auxiliary = view(self.preprocess.normalise(images))
            torch.clear_autocast_cache()  # inside a caller's autocast ours would keep the weights of the step before
            loss = self.task.loss(main, auxiliary, targets)
            (loss.total * (len(batch) / pictures)).backward()
            names = [record.name for record in batch.records]
            self._pending.append((replace(loss, total=loss.total.detach()), self.progress.step + 1, names))
        if self.recipe.clip_norm:
            clip(self.network, self.recipe.clip_norm)
        take_step(self.optimizer)
        self.optimizer.zero_grad(set_to_none=True)
        if self.average:
            self.average.update()
        self.progress.images_seen += pictures
        if self.device.type == "cpu":  # Reading a loss costs nothing here; elsewhere it waits for the device.
            self.read_losses()

    def read_losses(self) -> None:
        """Bring the losses since the last reading into the sums.

        Raises:
            TrainingError: a loss is not a finite number; names the pictures of the first such batch.
        """
        for loss, step, names in self._pending:
            value, pictures = float(loss.total), len(names)
            if not math.isfinite(value):
                raise TrainingError(
                    f"the loss became {value} in epoch {self.progress.epoch + 1}, step {step}. "
                    f"The pictures of that batch: {', '.join(names)}. {_REMEDY}"
                )
            self.progress.loss_since_log += value * pictures
            self.progress.images_since_log += pictures
            for name, part in loss.parts.items():
                before = self.progress.parts_since_log.get(name, 0.0)
                self.progress.parts_since_log[name] = before + float(part) * pictures
            self.progress.loss_in_epoch += value * pictures
            self.progress.images_in_epoch += pictures
        self._pending.clear()

    def refuse_broken_weights(self) -> None:
        """See that there is something worth saving: a step can break the weights before any loss shows it.

        Raises:
            TrainingError: a weight is not a finite number.
        """
        for name, parameter in self.network.named_parameters():
            if not torch.isfinite(parameter).all():
                raise TrainingError(
                    f"the weights {name} became infinite or NaN in epoch {self.progress.epoch + 1}, before step "
                    f"{self.progress.step + 1}. {_REMEDY}"
                )
