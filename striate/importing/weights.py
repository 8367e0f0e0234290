"""The road of a foreign file: read, recognised, placed in a network, tried on pictures, written as a model file."""

import errno
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from striate import modelfile
from striate.base.atomic import output_error
from striate.base.errors import DataError, OutputError, WeightsError
from striate.base.fields import annotated
from striate.data.names import counted, listed, printable
from striate.data.records import Classes
from striate.importing.classes import LISTS, classes_from
from striate.importing.constants import check_words
from striate.importing.decision import Decision, Ways, decided, undecided, ways
from striate.importing.trial import Trial, pictures, tried
from striate.models.building import NO_ARGUMENTS, build
from striate.models.network import Network
from striate.models.table import MODELS, architecture
from striate.pictures.preprocess import Preprocess
from striate.task_settings import SETTINGS
from striate.weights.class_lists import class_list, lists_of
from striate.weights.fitting import head_parameters, load_state
from striate.weights.foreign import Foreign
from striate.weights.pretrained import Pretrained, recognised
from striate.weights.reading import read
from striate.weights.schemes import Placed, answered_classes, describing_model, place

Notify = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a foreign file; ``as_json`` has the keys of ``docs/json.md``.

    Fields:
        out: the model file that was written.
        source, source_sha256, origin, container: the foreign file, and whose format it is.
        state: the entry of it that was taken, None where it holds nothing but one set of tensors.
        scheme: whose names and layouts its arrays have, a key of `SCHEMES`.
        model: the network that the weights are of; ``asked`` is the one that was asked for.
        decision: how pictures are prepared for them, who decided, and what was tried.
        fresh: the tensors that are random, since the file had none for them.
    """

    out: Path
    source: Path
    source_sha256: str
    origin: str
    container: str
    state: str | None
    scheme: str
    model: str
    asked: str
    classes: Classes
    decision: Decision
    licence: str | None
    fresh: tuple[str, ...]
    seconds: float

    def __repr__(self) -> str:
        count, kind = counted(len(self.classes), "class", "classes"), self.decision.kind or "its own"
        return f"Imported({printable(self.out.name)}, {self.model}, {count}, {kind} preprocessing)"

    def as_json(self) -> dict[str, Any]:
        """The result as ``striate import --json`` prints it."""
        names = ("source_sha256", "origin", "container", "state", "scheme", "model", "asked", "licence")
        return {name: getattr(self, name) for name in names} | {
            "seconds": self.seconds,
            "out": str(self.out),
            "source": str(self.source),
            "classes": len(self.classes),
            "preprocess": self.decision.preprocess.as_dict(),
            "chosen": self.decision.chosen,
            "kind": self.decision.kind,
            "fresh": list(self.fresh),
            "best": self.decision.best,
            "distinct": self.decision.distinct,
            "tried": [trial.as_json() for trial in self.decision.trials],
        }


def import_weights(
    file: str | Path,
    model: str | None,
    out: str | Path,
    *,
    classes: str | int | Path | Sequence[str] | None = None,
    preprocess: str | Preprocess | None = None,
    changes: Mapping[str, Any] | None = None,
    data: str | Path | None = None,
    config: str | Path | None = None,
    state: str | None = None,
    licence: str | None = None,
    arguments: Mapping[str, Any] = NO_ARGUMENTS,
    fresh_head: bool = False,
    force: bool = False,
    device: str = "auto",
    on_notice: Notify | None = None,
) -> Imported:
    """Turn another framework's file of weights into a model file.

    Args:
        file: weights of PyTorch, safetensors, Keras, Caffe or darknet.
        model: the network that they are for; where a framework means another by that name, that one is taken. None for
            a file that says its network itself: darknet's detectors, by their ``config``.
        out: the model file to write, ending in ``.safetensors``.
        classes: what the outputs are called: "imagenet", "cifar10", "digits", "coco", "voc", a number, the names, or a
            text file of them, one a line. None takes those of the published file that this is, if it is one.
        preprocess: a key of `PREPROCESSING` (at the network's own size), or all of it. None takes that of the
            published file, else what ``data`` shows to be best.
        changes: fields of the preprocessing that are to be others.
        data: labelled pictures on which every kind of preprocessing is measured, on ``device``.
        config, state: the description that a darknet file needs; the entry of a file with several sets of weights.
        licence: of the weights, to be kept in the model file. None takes that of the published file.
        arguments: further ones of the network's builder, such as ``{"factor": 3}``, where the file does not say them.
        fresh_head: begin the layers that answer afresh, for other classes than the file's.
        force: replace ``out`` if it exists.

    Raises:
        StriateError: the file cannot be read or does not fit, something that must be known is not, or the model file
            cannot be written. Nothing is left half-written.
    """
    say: Notify = on_notice or (lambda text: None)
    started, file, out, changes = time.monotonic(), Path(file), Path(out), changes or {}
    _check_words(model, preprocess, changes, fresh_head=fresh_head, classes=classes, data=data)
    _check_out(out, file, force=force)
    wanted, foreign = None if classes is None else classes_from(classes), read(file, config=config, state=state)
    model = describing_model(foreign) if model is None else model
    published, row = recognised(foreign.sha256, file.name) or (None, None)
    names = wanted or _published_classes(foreign, model, row)
    placed = place(foreign, model, classes=len(names), fresh_head=fresh_head, arguments=arguments)
    _check_trial(placed, data)
    network = _network(placed, file)
    possible = ways(network, placed, preprocess, row, changes)
    for text in (*_known(row, wanted, possible), *_meant(placed, model, published, foreign), *_random(placed, network)):
        say(text)
    decision = _decision(network, names, possible, data, device, file, say)
    licence = licence or (row.licence if row else None)
    result = _result(foreign, placed, model, out, names, decision, licence, time.monotonic() - started)
    modelfile.save(out, placed.tensors, _description(result, placed))
    return result


def _result(
    foreign: Foreign,
    placed: Placed,
    asked: str,
    out: Path,
    names: Classes,
    decision: Decision,
    licence: str | None,
    seconds: float,
) -> Imported:
    return Imported(
        out=out,
        source=foreign.path,
        source_sha256=foreign.sha256,
        origin=foreign.origin,
        container=foreign.container,
        state=foreign.facts.get("wrapper"),
        scheme=placed.scheme,
        model=placed.model,
        asked=asked,
        classes=names,
        decision=decision,
        licence=licence,
        fresh=placed.fresh,
        seconds=seconds,
    )


def _description(result: Imported, placed: Placed) -> modelfile.Description:
    """What the model file says of itself."""
    from striate import __version__

    row, described = architecture(placed.model), placed.described
    usual: dict[str, Any] = {"form": {"name": row.form, **row.form_arguments}} if row.form else {}
    # What the network must know and the task has a setting for, both do.
    usual |= {name: value for name, value in placed.arguments.items() if name in annotated(SETTINGS[row.task])}
    return modelfile.Description(
        model=placed.model,
        arguments={
            "classes": placed.classes,
            "in_channels": placed.in_channels,
            **placed.arguments,
        },
        task=row.task,
        task_arguments=described.task_arguments if described else usual,
        classes=result.classes,
        preprocess=result.decision.preprocess,
        provenance={
            "origin": result.origin,
            "container": result.container,
            "state": result.state,
            "scheme": result.scheme,
            "source": printable(result.source.name),
            "source_sha256": result.source_sha256,
            "fresh": list(result.fresh),
            "licence": result.licence,
            "version": __version__,
        },
    )


# Before anything is read


def _check_out(out: Path, source: Path, *, force: bool) -> None:
    """Refuse a place that the model file cannot be written to, before minutes are spent on it."""
    if out.suffix != ".safetensors":
        raise OutputError(f"cannot write {printable(out)}: a model file's name ends in .safetensors")
    try:
        if out.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(out))
        out.parent.stat()
        exists = out.exists()
        if exists and source.exists() and out.samefile(source):
            raise OutputError(f"cannot write {printable(out)}: it is the file that is read; give another name")
    except OSError as error:
        raise output_error(out, error) from error
    if exists and not force:
        raise OutputError(f"cannot write {printable(out)}: there is such a file already; --force replaces it")


def _check_words(
    model: str | None,
    preprocess: str | Preprocess | None,
    changes: Mapping[str, Any],
    *,
    fresh_head: bool,
    classes: Any,
    data: Any,
) -> None:
    """Refuse what is wrong whatever the file is."""
    if model is not None:
        architecture(model)
    check_words(preprocess, changes)
    if fresh_head and classes is None:
        raise DataError("--fresh-head begins the layers that answer afresh; say for which classes: --classes")
    if fresh_head and data is not None:
        raise WeightsError("--try measures answers, and with --fresh-head there are none yet; leave one of the two out")


# What the file is


def _published_classes(foreign: Foreign, model: str, row: Pretrained | None) -> Classes:
    """The classes of the published file, or none; an error that says what to give if there are some."""
    if row is not None:
        return class_list(row.classes)
    if not architecture(model).classes:
        return Classes(())
    outputs = answered_classes(foreign, model)
    has = f"answers with {counted(outputs, 'class', 'classes')}" if outputs else "has no layers that answer"
    like = f"the number alone ({outputs})" if outputs else "a number, with --fresh-head"
    lists = " or ".join(LISTS if outputs is None else lists_of(outputs))
    raise WeightsError(
        f"{printable(foreign.path)}: {has}, and what they are called is not known; give --classes: "
        f"{f'{lists}, ' if lists else ''}a text file with one name a line, or {like}"
    )


def _check_trial(placed: Placed, data: str | Path | None) -> None:
    if data is not None and (placed.described is not None or not placed.classes):
        by = "its configuration says" if placed.described else "is always the same"
        raise WeightsError(f"--try measures networks that classify; how pictures are prepared for this one, {by}")


def _network(placed: Placed, file: Path) -> Network:
    """The network with the weights in it, in evaluation mode."""
    if broken := [name for name, tensor in placed.tensors.items() if not torch.isfinite(tensor).all()]:
        raise WeightsError(f"{printable(file)}: {listed(broken)} hold numbers that are not finite")
    network = build(
        placed.model, classes=placed.classes, in_channels=placed.in_channels, seed=0, arguments=placed.arguments
    )
    load_state(network, placed.tensors, source=str(file))
    return network.eval()


# What is said


def _known(row: Pretrained | None, wanted: Classes | None, possible: Ways) -> list[str]:
    """That the file is a published one, and what is taken from that; or what it leaves in doubt."""
    if row is None:
        return list(possible.doubts)
    taken = ["preprocessing"] if possible.chosen == "known" else []
    taken += ["classes"] if wanted is None else []
    what = f"{row.origin} ({row.licence or 'licence not known'})"
    verb = "is" if taken == ["preprocessing"] else "are"
    its = f"; its {' and '.join(taken)} {verb} taken" if taken else ""
    return [f"this is a published file: {what}{its}"]


def _meant(placed: Placed, asked: str, published: str | None, foreign: Foreign) -> list[str]:
    """That the network is another than the one asked for, or than the one whose weights these are."""
    said = []
    if placed.model != asked:
        said.append(f"{asked} in {foreign.origin} files is {placed.model} here: {MODELS[placed.model].summary}")
    if published not in (None, placed.model):
        said.append(f"these weights were trained in {published}; {placed.model} will answer otherwise, likely worse")
    return said


def _random(placed: Placed, network: Network) -> list[str]:
    """That some tensors are not from the file."""
    if not placed.fresh:
        return []
    head = set(head_parameters(network)) & set(placed.fresh)
    answering = [name for name in head if name.startswith(tuple(f"{path}." for path in network.blocks["head"]))]
    if answering:
        return [f"{listed(sorted(answering))} are random: the network answers nothing sensible until it is trained"]
    return [f"{listed(placed.fresh)} are random, since the file has no auxiliary heads; those serve training alone"]


def _decision(
    network: Network,
    classes: Classes,
    possible: Ways,
    data: str | Path | None,
    device: str,
    file: Path,
    say: Notify,
) -> Decision:
    """How pictures are prepared: as is fixed, or as the data show, if there are any."""
    trials: tuple[Trial, ...] = ()
    if data is not None:
        given, cache = pictures(Path(data), classes, next(iter(possible.tried.values())))
        for text in given.notices:
            say(text)
        trials = tried(network, classes, possible.tried, given.records, cache, device)
    if possible.fixed is None and not trials:
        raise undecided(printable(file))
    decision = decided(possible, trials, len(classes))
    for text in decision.notes:
        say(text)
    return decision
