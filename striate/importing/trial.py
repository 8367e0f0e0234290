"""Which way of preparing pictures foreign weights want: measured on labelled pictures, with what chance may do."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from striate.data import open_data
from striate.data.alignment import aligned
from striate.data.cache import PictureCache
from striate.data.loading import Loader, prepares_ahead, threads_for
from striate.data.reading import readable
from striate.data.records import Classes, Dataset, Record
from striate.inference import device_named, measure
from striate.models.network import Network
from striate.pictures.preprocess import Preprocess
from striate.tasks.classify import Classify

MOST = 400
"""Pictures that a trial looks at: wrong constants cost more than the few points that more pictures would show."""

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Trial:
    """The figures of one kind of preprocessing; ``right`` says of each picture whether its answer was."""

    kind: str
    images: int
    top1: float
    top5: float
    loss: float
    interval: tuple[float, float]
    right: tuple[bool, ...] = field(repr=False)

    def as_json(self) -> dict[str, Any]:
        """The figures as ``striate import --json`` prints them."""
        return {name: getattr(self, name) for name in ("kind", "images", "top1", "top5", "loss", "interval")}


def pictures(path: Path, classes: Classes, preprocess: Preprocess) -> tuple[Dataset, PictureCache]:
    """At most `MOST` labelled pictures: of the folder test, else val, else of all; those of the lowest content hashes.

    They have the indices of ``classes`` and lie in the cache; ``preprocess`` is one of those that will be tried.

    Raises:
        DataError: the data cannot be read, or have classes that the weights do not answer with.
    """
    dataset = open_data(path)
    dataset = Classify(dataset.classes).checked(dataset)
    records = dataset.of_split("test") or dataset.of_split("val") or dataset.records
    chosen = tuple(sorted(records, key=lambda record: record.content)[:MOST])
    aligned(chosen, dataset.classes, classes)  # what does not fit is said before anything is decoded
    dataset, cache = readable(replace(dataset, records=chosen), preprocess, skip=False)
    return replace(dataset, records=aligned(dataset.records, dataset.classes, classes)), cache


def tried(
    network: Network,
    classes: Classes,
    kinds: Mapping[str, Preprocess],
    records: Sequence[Record],
    cache: PictureCache,
    device: str,
) -> tuple[Trial, ...]:
    """A trial for each kind, the best first: by top-1, then by loss."""
    where = device_named(device)
    network.to(device=where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    trials = []
    for kind, preprocess in kinds.items():
        loader = Loader(
            records,
            preprocess,
            batch_size=32,
            workers=threads_for(None, where),
            ahead=prepares_ahead(where),
            cache=cache,
        )
        meter = measure(network, Classify(classes), preprocess, loader.epoch(0), where)
        figures, right = meter.figures(), tuple(bool(row["right"]) for row in meter.rows())
        low, high = figures["interval"]
        trials.append(Trial(kind, len(right), figures["top1"], figures["top5"], figures["loss"], (low, high), right))
    return tuple(sorted(trials, key=_rank, reverse=True))


def distinct(one: Trial, other: Trial) -> bool:
    """Whether the two differ with 95 % confidence, by the pictures that only one of them answers rightly.

    McNemar 1947, exactly: were they alike, each such picture would fall to either side with even odds.

    Example:
        >>> one, other = (Trial(kind, 6, 0, 0, 0, (0, 1), 6 * (kind == "a",)) for kind in "ab")
        >>> distinct(one, other)
        True
    """
    pairs = list(zip(one.right, other.right, strict=True))
    gained, lost = pairs.count((True, False)), pairs.count((False, True))
    differing, fewer = gained + lost, min(gained, lost)
    chance = min(1.0, 2 * sum(math.comb(differing, count) for count in range(fewer + 1)) / 2**differing)
    return chance < 1 - CONFIDENCE


def _rank(trial: Trial) -> tuple[float, float]:
    return trial.top1, -trial.loss if math.isfinite(trial.loss) else -math.inf
