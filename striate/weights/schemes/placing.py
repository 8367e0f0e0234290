"""Foreign arrays to a network of ours: the scheme that leaves nothing over, or a list of what is left."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from striate.base.errors import WeightsError
from striate.models.building import NO_ARGUMENTS, build
from striate.models.table import architecture
from striate.weights.class_lists import lists_of
from striate.weights.fitting import Misfits, head_parameters, misfits
from striate.weights.foreign import Foreign
from striate.weights.schemes.table import SCHEMES, Described, Scheme, function_at

if TYPE_CHECKING:
    from torch import Tensor

    from striate.models.network import Network


MEMORY = "memory"
"""The container of weights that are in no file: what is wrong with them is said in Python's words."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Tensors by our names that fill the network ``model`` wholly, and the scheme that they were written in.

    ``fresh`` are the names of those that are not from the file but newly begun. ``described`` is what the file says of
    the network, if it does.
    """

    model: str
    scheme: str
    classes: int
    in_channels: int
    tensors: "dict[str, Tensor]"
    fresh: tuple[str, ...] = ()
    described: Described | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


def place(
    foreign: Foreign,
    model: str,
    *,
    classes: int,
    fresh_head: bool = False,
    arguments: Mapping[str, Any] = NO_ARGUMENTS,
) -> Placed:
    """The arrays of a foreign file as tensors of the network ``model`` for ``classes``; every one has its place.

    The number of channels is the file's. An auxiliary head, which serves training alone, may be missing as a whole,
    and is begun afresh; so are, with ``fresh_head``, all layers that depend on the classes, whatever the file has for
    them. Of several schemes the one counts that leaves the fewest tensors over. ``arguments`` are the builder's, where
    the file does not say them itself.

    Raises:
        ModelError: no network has this name.
        WeightsError: no scheme of the file's origin knows the network; or the file is for another number of classes;
            or under no scheme do all arrays fit: lists what is missing, unexpected and misshapen under the closest; or
            what the file says of its network makes none.
    """
    closest = _closest(foreign, model, classes, fresh_head, arguments)
    if closest.misfits:
        raise WeightsError(_complaint(closest, foreign, model))
    return _filled(closest)


def answered_classes(foreign: Foreign, model: str) -> int | None:
    """How many classes the weights of ``model`` in a foreign file answer with; None if they lack what answers.

    Raises:
        ModelError: no network has this name.
        WeightsError: not even the rest fits.
    """
    closest = _closest(foreign, model, architecture(model).classes, fresh_head=True)
    if closest.misfits:
        raise WeightsError(_complaint(closest, foreign, model))
    if closest.described is not None:
        return closest.described.classes
    shapes = _answering(closest)
    return int(shapes[-1][0]) if shapes and shapes[-1] else None


def describing_model(foreign: Foreign) -> str:
    """The network of a file that says itself what it is.

    Raises:
        WeightsError: files of its origin do not.
    """
    for row in SCHEMES.values():
        if foreign.origin in row.origins and row.describe is not None:
            return next(iter(row.models))
    raise WeightsError(
        f"{foreign.path}: a file of {foreign.origin} does not say which network it is for; say it with --model, a name "
        "that striate models lists"
    )


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A file read by one scheme: the network on the meta device, the tensors that were found for it.

    ``fresh`` are the names that are to be begun afresh, whatever ``tensors`` hold for them.
    """

    scheme: str
    model: str
    network: "Network"
    tensors: "dict[str, Tensor]"
    fresh: tuple[str, ...]
    misfits: Misfits
    described: Described | None


def _closest(
    foreign: Foreign, model: str, classes: int, fresh_head: bool, arguments: Mapping[str, Any] = NO_ARGUMENTS
) -> _Attempt:
    """The attempt that leaves the fewest tensors over."""
    architecture(model)  # a wrong name is said first
    best: _Attempt | None = None
    for name, row in SCHEMES.items():
        if foreign.origin in row.origins and model in row.models:
            attempt = _attempt(name, row, foreign, row.models[model], classes, fresh_head, arguments)
            if best is None or len(attempt.misfits) < len(best.misfits):
                best = attempt
            if not best.misfits:
                break
    if best is None:
        known = sorted({name for row in SCHEMES.values() if foreign.origin in row.origins for name in row.models})
        raise WeightsError(
            f"{foreign.path}: weights of {model} in {foreign.origin} files are not known here; "
            f"of such files these networks are: {', '.join(known)}"
        )
    return best


def _attempt(
    name: str,
    row: Scheme,
    foreign: Foreign,
    model: str,
    classes: int,
    fresh_head: bool,
    arguments: Mapping[str, Any],
) -> _Attempt:
    from striate.models.meta import build_on_meta  # which loads torch

    convert = function_at(row.convert)
    described: Described | None = None if row.describe is None else function_at(row.describe)(foreign)
    arguments = arguments if described is None else described.arguments
    network = build_on_meta(model, classes=classes, arguments=arguments)
    tensors: dict[str, Tensor] = convert(foreign, network)
    channels = _channels(network, tensors)
    if channels != network.in_channels:
        network = build_on_meta(model, classes=classes, in_channels=channels, arguments=arguments)
        tensors = convert(foreign, network)
    fresh = _fresh(network, tensors, fresh_head)
    return _Attempt(name, model, network, tensors, fresh, misfits(network, tensors, skip=fresh), described)


def _channels(network: "Network", tensors: "dict[str, Tensor]") -> int:
    """The channels of the pictures that the file's first convolution reads; the network's where that cannot be told."""
    first = next(iter(network.blocks.values()))[0]
    for name, wanted in network.state_dict().items():
        if name.startswith(f"{first}.") and wanted.dim() == 4:
            shape = tensors[name].shape if name in tensors else wanted.shape
            if shape == wanted.shape:  # it may read the luma alone
                break
            same = len(shape) == 4 and (shape[0], *shape[2:]) == (wanted.shape[0], *wanted.shape[2:])
            return shape[1] if same and shape[1] else network.in_channels
    return network.in_channels


def _fresh(network: "Network", tensors: "dict[str, Tensor]", fresh_head: bool) -> tuple[str, ...]:
    """The tensors that are to be begun afresh."""
    if fresh_head:
        return head_parameters(network)
    fresh: list[str] = []
    for path in network.auxiliary.values():
        names = [name for name in network.state_dict() if name.startswith(f"{path}.")]
        if not any(name in tensors for name in names):
            fresh += names
    return tuple(fresh)


def _filled(attempt: _Attempt) -> Placed:
    tensors, network = dict(attempt.tensors), attempt.network
    if attempt.fresh:
        # A seed of its own: the same file makes the same network every time.
        channels, arguments = network.in_channels, network.built_with
        begun = build(attempt.model, classes=network.classes, in_channels=channels, seed=0, arguments=arguments)
        state = begun.state_dict()
        tensors |= {name: state[name].clone() for name in attempt.fresh}
    return Placed(
        *(attempt.model, attempt.scheme, network.classes, network.in_channels, tensors, attempt.fresh),
        described=attempt.described,
        arguments=network.built_with,
    )


def _complaint(attempt: _Attempt, foreign: Foreign, model: str) -> str:
    """What is wrong with the closest scheme, in one paragraph."""
    network, tensors = attempt.network, attempt.tensors
    read = f"read as {SCHEMES[attempt.scheme].summary}"
    meant = model if attempt.model == model else f"{model}, which means {attempt.model} in such files,"
    if not misfits(network, tensors, skip=head_parameters(network)):
        wanted = network.state_dict()
        head = _head(network)
        shapes = _answering(attempt)
        if not shapes:
            mend = "leave them as they are: skip_head=True"
            if foreign.container != MEMORY:
                mend = "ask for fresh ones, to be trained: --fresh-head, or fresh_head=True"
            return (
                f"{foreign.path}: fits {meant} but for the layers that answer, which it does not have "
                f"({', '.join(head)}; {read}); {mend}"
            )
        rest = [shape[1:] for shape in shapes] == [wanted[name].shape[1:] for name in head]
        answers = {tuple(shape[:1]) for shape in shapes}
        if attempt.described is not None:  # whose outputs are more than the classes
            answers = {(attempt.described.classes,)}
        (found, *_) = answers.pop() if rest and len(answers) == 1 and () not in answers else (network.classes,)
        if found != network.classes:
            if foreign.container == MEMORY:
                return (
                    f"{foreign.path}: answer with {found} classes, the network with {network.classes}; make it for "
                    f"{found}, or leave the layers that answer as they are: skip_head=True"
                )
            return (
                f"{foreign.path}: the file answers with {found} classes, {network.classes} were asked for; "
                f"give --classes {''.join(f'{name}, or ' for name in lists_of(found))}{found}"
            )
    hint = _hint(attempt, foreign, model)
    return f"{foreign.path}: does not fit {meant} of {network.classes} classes, {read}: {attempt.misfits}{hint}"


def _hint(attempt: _Attempt, foreign: Foreign, model: str) -> str:
    """That the tensors fit, or nearly so, without a word that stands before most names; scripts keep others beside."""
    words = Counter(name.partition(".")[0] for name in foreign.arrays if "." in name)
    word, count = max(words.items(), key=lambda item: item[1], default=("", 0))
    under = {
        name.removeprefix(f"{word}."): each for name, each in foreign.arrays.items() if name.startswith(f"{word}.")
    }
    if 2 * count < len(foreign.arrays) or not under:
        return ""
    without = _closest(replace(foreign, arrays=under), model, attempt.network.classes, fresh_head=True)
    if 2 * len(without.misfits) >= len(attempt.misfits):
        return ""
    how = "give those alone" if foreign.container == MEMORY else f"--state {word} takes those"
    return f". {count} of its {len(foreign.arrays)} tensors begin with '{word}.'; {how}, without it"


def _head(network: "Network") -> list[str]:
    """The names of the tensors of the block that answers; auxiliary heads have others."""
    paths = tuple(f"{path}." for path in network.blocks["head"])
    return [name for name in network.state_dict() if name.startswith(paths)]


def _answering(attempt: _Attempt) -> list[tuple[int, ...]]:
    """The shapes of what the file has for the block that answers."""
    return [tuple(attempt.tensors[name].shape) for name in _head(attempt.network) if name in attempt.tensors]
