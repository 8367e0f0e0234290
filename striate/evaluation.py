"""A model file against a data set."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from striate import modelfile
from striate.base.errors import DataError, RecipeError
from striate.base.fields import annotated, refuse_unknown, validated
from striate.base.hardware import cores
from striate.data import open_data, splits
from striate.data.alignment import aligned
from striate.data.grouping import grouped
from striate.data.loading import Loader, prepares_ahead, threads_for
from striate.data.names import printable
from striate.data.reading import readable
from striate.data.records import Dataset, Record
from striate.data.settings import OF_SPLITS, USUAL, DataSettings
from striate.data.sources import SOURCES, format_of, meaningless
from striate.data.splits import fingerprint
from striate.inference import device_named, measure, task_of
from striate.ops.own_state import own_state
from striate.tasks.task import Task

Pictures = Literal["train", "val", "test", "all"]

MOST = 32
"""Pictures that are answered at once."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures of a model on pictures; ``as_json`` has the keys of ``docs/json.md``.

    ``split`` says which pictures they are: "test", "val", "train" or "all"; ``summary`` is the figures in a phrase,
    ``details`` are lines that say more, ``rows`` a result a picture, with its name as ``image``; ``worst`` are those of
    the pictures that were answered wrongly or, where answers are not right or wrong, of all, the worst first.
    """

    task: str
    model: str
    data: str
    split: str
    images: int
    seconds: float
    figures: Mapping[str, Any]
    summary: str
    details: Sequence[str]
    rows: Sequence[Mapping[str, Any]]
    worst: Sequence[Mapping[str, Any]]

    @property
    def wrong(self) -> list[Mapping[str, Any]]:
        """The rows of the pictures that were answered wrongly; empty where answers are not right or wrong."""
        return [row for row in self.rows if not row.get("right", True)]

    def as_json(self) -> dict[str, Any]:
        """The evaluation as ``striate evaluate --json`` prints it."""
        own = {name: getattr(self, name) for name in ("task", "model", "data", "split", "images", "seconds")}
        figures = {name: value for name, value in self.figures.items() if name != "images"}
        return own | figures | {"wrong": self.wrong}


@own_state()
def evaluate(
    model: str | Path,
    data: str | Path,
    *,
    split: Pictures | None = None,
    format: str | None = None,
    changes: Mapping[str, Any] | None = None,
    device: str = "auto",
    workers: int | None = None,
    batch_size: int | None = None,
    skip_unreadable: bool = False,
    on_notice: Callable[[str], None] | None = None,
) -> Evaluation:
    """Measure a model file, or a pretrained network by its name, on labelled pictures.

    Args:
        split: which pictures; None takes the run's own test split when these are the data that the model was trained
            on, else the folder ``test``, else ``val``, else all.
        changes: fields of a recipe's table ``[data]`` where these data are to be read otherwise: ``{"clip": True}``.
        batch_size: pictures that are answered at once; None is 32, or as many as have the pixels of 32 of 224x224.

    Raises:
        StriateError: model or data are not usable, or the data have classes that the model does not know.
    """
    started = time.monotonic()
    network, description = modelfile.open_model(model, on_notice=on_notice)
    task = task_of(description, model)
    whole = task.checked(_opened(Path(data), format, description, changes or {}))
    every, least = task.every_class, task.least_side(None)
    dataset, cache = readable(whole, description.preprocess, skip=skip_unreadable, every_class=every, least_side=least)
    if on_notice:
        for text in dataset.notices:
            on_notice(text)
    name, records = _chosen(dataset, whole, description, task, split)
    records = aligned(records, dataset.classes, description.classes)
    where = device_named(device)
    network.to(device=where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    size = _batch_size(description.preprocess.size, batch_size)
    threads, ahead = threads_for(workers, where), prepares_ahead(where)
    loader = Loader(records, description.preprocess, batch_size=size, workers=threads, ahead=ahead, cache=cache)
    meter = measure(network, task, description.preprocess, loader.epoch(0), where)
    if on_notice and (doubt := _doubt(dataset, description, name)):
        on_notice(doubt)
    figures = meter.figures()
    rows = [{"image": record.name, **row} for record, row in zip(records, meter.rows(), strict=True)]
    return Evaluation(
        task=description.task,
        model=str(model),
        data=str(data),
        split=name,
        images=len(records),
        seconds=time.monotonic() - started,
        figures=figures,
        summary=task.summary(figures),
        details=tuple(task.details(figures, rows)),
        rows=rows,
        worst=_worst(task, rows),
    )


def _worst(task: Task, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The wrong ones in their order; of rows that are not right or wrong all, by the task's metric or else the loss.

    What has no such figure comes last.
    """
    if any("right" in row for row in rows):
        return [row for row in rows if not row["right"]]
    figure = task.metric if any(task.metric in row for row in rows) else "loss"
    direction = task.directions.get(figure, -1)

    def place(row: Mapping[str, Any]) -> tuple[bool, float]:
        value = row.get(figure)
        return value is None, direction * (value or 0.0)

    return sorted(rows, key=place)


def _batch_size(size: tuple[int, int], asked: int | None) -> int:
    """Pictures at once: networks that answer each pixel need a gigabyte for a few large ones."""
    if asked is not None:
        if asked < 1:
            raise RecipeError(f"batch_size is {asked!r}; expected a whole number from 1")
        return asked
    return max(1, min(MOST, MOST * 224 * 224 // (size[0] * size[1])))


def _opened(data: Path, format: str | None, description: modelfile.Description, changes: Mapping[str, Any]) -> Dataset:
    """The data, read for the model's task by its settings, where they mean something for the format, and the changes.

    Groups decide nothing but a split, see `_split_as_trained`.
    """
    refuse_unknown(changes, [name for name in annotated(DataSettings) if name not in OF_SPLITS], "changes")
    asked = format or validated(DataSettings, dict(changes), "changes").format
    name = format_of(data, format=asked, settings=description.data, task=description.task)
    _, has = SOURCES[name].reader(data, description.task)
    vain = {field: getattr(USUAL, field) for field in (*OF_SPLITS, *meaningless(name, has))}
    settings = validated(DataSettings, asdict(description.data) | vain | dict(changes), "changes")
    return open_data(data, format=name, settings=settings, task=description.task)


def _doubt(dataset: Dataset, description: modelfile.Description, name: str) -> str | None:
    """What makes these pictures no fair measure of the model, or may."""
    known = description.provenance.get("data")
    if known and not _same_pictures(dataset, description):
        return (
            "these are not the data that the model was trained on; if some of the pictures are among those, the "
            "figures will flatter"
        )
    if known and name == "all":
        return "the pictures that the model learnt from are among these, so the figures will flatter"
    if known and name == "val":
        return "these pictures chose the epoch that was kept, so the figures flatter"
    return None


def _same_pictures(dataset: Dataset, description: modelfile.Description) -> bool:
    """Whether these are the pictures of the model's run, however they were grouped there."""
    known = description.provenance.get("data")
    return isinstance(known, str) and known.startswith(fingerprint(dataset))


def _chosen(
    dataset: Dataset, whole: Dataset, description: modelfile.Description, task: Task, wanted: Pictures | None
) -> tuple[str, tuple[Record, ...]]:
    """The pictures to measure on, and what to call them; ``whole`` has those that cannot be read, too."""
    if wanted == "all":
        return "all", dataset.records
    dataset = _split_as_trained(dataset, whole, description, task)
    if wanted is not None:
        if records := dataset.of_split(wanted):
            return wanted, records
        raise DataError(
            f"{dataset.root}: has no {wanted} pictures, neither in a folder {wanted!r} nor by the split of the run "
            f"that the model is from; --split all takes every picture"
        )
    for name in ("test", "val"):
        if records := dataset.of_split(name):
            return name, records
    return "all", dataset.records


def _split_as_trained(dataset: Dataset, whole: Dataset, description: modelfile.Description, task: Task) -> Dataset:
    """The data with the split that the model's run gave them, if they are its data; else as their folders say.

    A run's own split goes by content, so it is found again however the pictures are put into folders now; one that
    folders decided is lost where there are no such folders.

    Raises:
        DataError: the run's groups are not to be found again.
    """
    provenance, group = description.provenance, description.data.group
    if not _same_pictures(dataset, description):
        return dataset
    if group is not None:
        groups = {record.name: record.group for record in grouped(whole, group, cores()).records}
        records = tuple(replace(record, group=groups[record.name]) for record in dataset.records)
        dataset = replace(dataset, records=records)
        if provenance["data"] != fingerprint(dataset):
            raise DataError(
                f"{printable(dataset.root)}: by {printable(group)} other pictures belong together now than when the "
                "model was trained, so which it was not trained with cannot be told; --split all takes every picture"
            )
    by_folders = provenance.get("fixed_splits", dataset.fixed_splits)
    if by_folders and not dataset.fixed_splits:
        return dataset
    dataset = replace(dataset, fixed_splits=by_folders)
    fractions, seed = tuple(provenance["split"]), provenance["split_seed"]
    if fold := provenance.get("fold"):
        validation = fractions[1] / (fractions[0] + fractions[1])
        return splits.folds(dataset, provenance["folds"], seed, validation, every_class=task.every_class)[fold - 1]
    return splits.split(dataset, fractions, seed, every_class=task.every_class)
