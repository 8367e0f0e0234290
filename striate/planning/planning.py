"""From a subject to its plan: a trace as it answers, and one of a step as it learns."""

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, get_args

from torch import Tensor, nn

from striate.base.errors import ModelError
from striate.base.nearest import did_you_mean
from striate.planning.course import Course, course_of
from striate.planning.plan import Layer, Memory, Plan, by_the_rules
from striate.planning.subjects import Subject, subject_of
from striate.tracing import Mode, Row, Trace, rows_by_path, summed_by_path, trace
from striate.tracing.trace import Precision

POOLS = ("max_pool", "avg_pool")
BYTES = {"float32": 4, "bfloat16": 2}


def plan(
    model: nn.Module | str | Path,
    *,
    size: int | tuple[int, ...] | None = None,
    batch: int | None = None,
    precision: Precision | None = None,
    optimizer: str | None = None,
    mode: Mode = "training",
    loss: Callable[[Any], Tensor] | None = None,
) -> Plan:
    """What a network takes, before a byte of it is allocated.

    Args:
        model: any module, the name of a network of ours, a model file, a run's folder or recipe, or
            ``package.module:factory``. A module is not touched.
        size: of the pictures: one side, (height, width) or (channels, height, width); by default its own, and of
            somebody's module (3, 224, 224).
        batch: pictures in a step; by default a recipe's own, 32 to learn and 1 to answer.
        precision: "float32" or "bfloat16" (under autocast); by default a recipe's own, or float32.
        optimizer: "sgd" (with momentum) or "adamw"; by default a recipe's own, or sgd.
        mode: "training" plans a step of both, "inference" one that answers alone.
        loss: of what the module gives, one number; by default that of the network's task, with eight objects on each
            picture where it has any, or the sum of all outputs.

    Raises:
        StriateError: there is no such network, or it cannot be planned; says which part of it, and why.

    Example:
        >>> plan("lenet5", mode="inference").multiply_adds
        416520
    """
    return planned(subject_of(model, size), batch, precision, optimizer, mode, loss)


def planned(
    subject: Subject,
    batch: int | None = None,
    precision: str | None = None,
    optimizer: str | None = None,
    mode: str = "training",
    loss: Callable[[Any], Tensor] | None = None,
) -> Plan:
    """The plan of a subject; see `plan`."""
    if mode not in get_args(Mode):
        raise ModelError(f"mode is {mode!r}.{did_you_mean(mode, get_args(Mode))} It is inference or training")
    batch = (subject.batch or (32 if mode == "training" else 1)) if batch is None else batch
    if batch < 1:
        raise ModelError(f"batch is {batch}; it is 1 or more")
    asked = precision or subject.precision
    images = subject.images(batch)
    answering = trace(subject.module, images, mode="inference", precision=asked)  # type: ignore[arg-type]
    learning = None
    if mode == "training":
        learning = learning_step(subject, batch, asked, optimizer or subject.optimizer, loss)
    outputs = _layer_outputs(answering, asked)
    numbers = sum(each.numel() for each in subject.module.parameters())
    rules = by_the_rules(outputs, images.numel() * BYTES[asked], numbers * BYTES["float32"])
    return Plan(
        name=subject.name,
        input=tuple(images.shape),
        precision=asked,
        optimizer=(optimizer or subject.optimizer) if learning else None,
        loss=None if learning is None else subject.loss_name if loss is None else getattr(loss, "__name__", "its own"),
        layers=_layers(subject, answering, learning),
        blocks=dict(subject.blocks),
        inference=_of_answering(answering),
        training=None if learning is None else at_most(subject, learning),
        two_layers=rules[0],
        all_layers=rules[1],
        course=_course(subject, answering, learning),
        preprocess=subject.preprocess,
    )


def learning_step(
    subject: Subject,
    batch: int,
    precision: str,
    optimizer: str,
    loss: Callable[[Any], Tensor] | None = None,
    *,
    kernels: bool = True,
) -> Trace:
    """The trace of a step as the subject learns, without its counts."""
    shown, own = subject.step(batch)
    learner = subject.learner() if loss is None else subject.module
    return trace(
        learner,
        shown if loss is None else subject.images(batch),
        mode="training",
        precision=precision,  # type: ignore[arg-type]
        optimizer=optimizer,
        loss=loss or own,
        kernels=kernels,
        counts=False,
    )


def at_most(subject: Subject, learning: Trace) -> Memory:
    """When most memory is in use in a step of training."""
    peak = learning.peak()
    averaged = sum(peak.kinds[kind] for kind in ("parameters", "buffers")) if subject.averaged else 0
    return Memory.of(peak, _own_path(subject, peak.path), averaged)


def _course(subject: Subject, answering: Trace, learning: Trace | None) -> Course:
    bare = {each.path for each in answering.rows if each.leaf and not (each.trainable or each.frozen)}
    everywhere = {each.path for each in answering.rows if each.path in bare and each.runs > 1}
    if learning is None:
        return course_of(answering, subject.blocks, everywhere=everywhere)
    own_path = partial(_own_path, subject)
    return course_of(learning, subject.blocks, own_path=own_path, everywhere=everywhere, averaged=subject.averaged)


def _of_answering(answering: Trace) -> Memory:
    peak = answering.peak()
    return Memory.of(peak, peak.path)


def _own_path(subject: Subject, path: str) -> str:
    """The path of a module in a trace of what learns, as in the subject itself."""
    return f"{path}.".removeprefix(subject.prefix).removesuffix(".")


def _layer_outputs(answering: Trace, precision: str) -> list[int]:
    """Bytes of the outputs of all layers that multiply by weights or pool, in their order."""
    return [
        math.prod(each.shape) * BYTES[precision]
        for each in answering.counted
        if each.multiply_adds or any(word in each.name for word in POOLS)
    ]


def _layers(subject: Subject, answering: Trace, learning: Trace | None) -> tuple[Layer, ...]:
    rows, module = rows_by_path(answering.rows), subject.module
    named = list(module.named_parameters())
    trainable = _numbers(each for each in named if each[1].requires_grad)
    frozen = _numbers(each for each in named if not each[1].requires_grad)
    statistics = _numbers(each for each in module.named_buffers() if each[1].is_floating_point())
    storages = learning.storages if learning else ()
    kept = summed_by_path(
        (_own_path(subject, each.path), each.bytes) for each in storages if each.kind == "saved for backward"
    )
    parts = dict(module.named_modules())
    order = [*rows, *(path for path in parts if path not in rows and (path in trainable or path in frozen))]
    return tuple(
        _layer(path, type(parts[path]).__name__, rows.get(path), trainable, frozen, statistics, kept) for path in order
    )


def _numbers(named: Iterable[tuple[str, Tensor]]) -> Mapping[str, int]:
    """How many numbers tensors have that modules name, by the modules' paths."""
    return summed_by_path((name.rpartition(".")[0], each.numel()) for name, each in named)


def _layer(path: str, what: str, row: Row | None, *counts: Mapping[str, int]) -> Layer:
    trainable, frozen, statistics, kept = (count.get(path, 0) for count in counts)
    shape, size, work, field = (row.shape, row.output_bytes, row.multiply_adds, row.field) if row else ((), 0, 0, None)
    return Layer("", path, what, shape, trainable, frozen, statistics, work, size, kept, field)
