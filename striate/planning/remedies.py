"""What makes a step need less: the remedies of the textbook and ours, each with what it takes and what it costs."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from striate.base.errors import ModelError
from striate.models.network import Network
from striate.models.table import MODELS
from striate.planning.asked import Asked
from striate.planning.choosing import rounded
from striate.planning.planning import planned
from striate.planning.subjects import Subject, subject_of


@dataclass(frozen=True, slots=True)
class Remedy:
    """A way to need less: its words, what a run then takes, and its multiply-adds over those of before, a picture.

    ``flag`` is what one writes for it on the command line of a training, "" where there is nothing.
    """

    what: str
    bytes: int
    work: float
    cost: str
    flag: str = ""


def remedies(asked: Asked, largest: int) -> Iterator[Remedy]:
    """Each remedy that there is for what somebody asked; ``largest`` is the largest batch that fits as it is."""
    fewer = rounded(largest) if 0 < largest < asked.batch else max(1, asked.batch // 2)
    for rows in ROWS:
        try:
            yield from rows(asked, fewer)
        except ModelError:  # the network refuses it, for instance pictures of that size
            continue


def _smaller_batches(asked: Asked, fewer: int) -> Iterator[Remedy]:
    takes = replace(asked, batch=fewer).bytes
    yield Remedy(
        f"batches of {fewer}", takes, 1.0, "more steps an epoch, by gradients of fewer", f"--batch-size {fewer}"
    )
    times = math.ceil(asked.batch / fewer)
    each, count = math.ceil(asked.batch / times), asked.accumulate * times
    yield Remedy(
        f"batches of {each}, accumulate = {count}",
        *(replace(asked, batch=each, accumulate=count).bytes, 1.0, "the same steps; norms see fewer pictures"),
        f"--batch-size {each} --accumulate {count}",
    )


def _more_devices(asked: Asked, fewer: int) -> Iterator[Remedy]:
    half = max(1, asked.batch // 2)
    yield Remedy(
        f"two devices, {half} pictures each",
        replace(asked, batch=half).bytes,
        1.0,
        "another device, and other software",
    )


def _smaller_pictures(asked: Asked, fewer: int) -> Iterator[Remedy]:
    subject = asked.subject
    height, width = (side // 2 for side in subject.size[1:])
    crop = subject.learns_from and (subject.learns_from[0] // 2, subject.learns_from[1] // 2)
    if crop and subject.learns_from == subject.size[1:]:
        crop = None
    smaller = replace(subject, size=(subject.size[0], height, width), learns_from=crop)
    flag = f"--size {height}x{width}"
    if crop and max(crop) <= max(height, width):  # larger ones are those of training at several scales, which follow
        flag += f" --crop-size {crop[0]} {crop[1]}"
    work = _work(smaller) / _work(subject)
    yield Remedy(
        f"pictures of {height}x{width}", replace(asked, subject=smaller).bytes, work, "small things are not seen", flag
    )


def _shorter_numbers(asked: Asked, fewer: int) -> Iterator[Remedy]:
    if asked.subject.precision == "float32":
        low = replace(asked, subject=replace(asked.subject, precision="bfloat16"))
        cost = "rounding; slow where the processor does not multiply in it"
        yield Remedy("bfloat16", low.bytes, 1.0, cost, "--precision bfloat16")


def _fewer_layers(asked: Asked, fewer: int) -> Iterator[Remedy]:
    subject = asked.subject
    for name in fewer_layers(subject):
        made = subject_of(name)
        other = replace(subject, name=name, module=made.module, blocks=made.blocks, task=made.task, computed_again=())
        work = _work(other) / _work(subject)
        yield Remedy(
            name, replace(asked, subject=other).bytes, work, "another network, of fewer layers", f"--model {name}"
        )


def _computed_again(asked: Asked, fewer: int) -> Iterator[Remedy]:
    subject = asked.subject
    if isinstance(subject.module, Network) and subject.module.computes_by_blocks and not subject.computed_again:
        blocks = (*subject.blocks,)[:-1]
        work = works(subject)
        again = sum(work[name] for name in blocks) / max(1, 3 * sum(work.values()))  # backward is two forwards
        yield Remedy(
            "all blocks but the head computed again",
            *(asked.computed_again(blocks).bytes, 1.0 + again, "as many products more; the same gradients"),
            "--checkpoint-blocks auto",
        )


def _frozen(asked: Asked, fewer: int) -> Iterator[Remedy]:
    subject = asked.subject
    if not isinstance(subject.module, Network) or len(subject.blocks) < 2:
        return
    body = [*subject.blocks][:-1]
    before = {each: each.requires_grad for each in subject.module.parameters()}
    modes = {each: each.training for each in subject.module.modules()}
    try:
        subject.module.freeze(body)
        takes = asked.bytes
    finally:
        for parameter, learns in before.items():
            parameter.requires_grad_(learns)
        for module, mode in modes.items():
            module.training = mode
    work = works(subject)
    share = work[[*subject.blocks][-1]] / max(1, sum(work.values()))
    cost = "only the head learns, from what the weights know already"
    yield Remedy("all but the head frozen", takes, (1 + 2 * share) / 3, cost, 'freeze = ["body"] in [[stages]]')


Rows = Callable[[Asked, int], Iterator[Remedy]]
ROWS: tuple[Rows, ...] = (
    *(_smaller_batches, _more_devices, _smaller_pictures, _shorter_numbers, _fewer_layers, _computed_again, _frozen),
)
"""Chapter and ours, in the order in which they are said."""


def works(subject: Subject) -> dict[str, int]:
    """Multiply-adds of a forward pass of one picture by block; of what is in none nobody is told."""
    layers = planned(subject, 1, mode="inference").table()
    found = dict.fromkeys(subject.blocks, 0)
    for layer in layers:
        if layer.block in found:
            found[layer.block] += layer.multiply_adds
    return found


def _work(subject: Subject) -> int:
    """Multiply-adds a picture."""
    return planned(subject, 1, mode="inference").multiply_adds


def fewer_layers(subject: Subject) -> list[str]:
    """Of the same family, for pictures of the same size, the largest network that has less work, if there is one."""
    head, stroke, name = subject.name.rpartition("/")
    if name not in MODELS:
        return []
    row, family = MODELS[name], name.rstrip("0123456789")
    alike = [
        (each.multiply_adds or 0, other)
        for other, each in MODELS.items()
        if other.rstrip("0123456789") == family
        and each.preprocess.size == row.preprocess.size
        and (each.multiply_adds or 0) < (row.multiply_adds or 0)
    ]
    return [f"{head}{stroke}{max(alike)[1]}"] if alike else []
