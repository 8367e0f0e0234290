"""Which preprocessing foreign weights get: the given one, the published file's, or the one that is measured best."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch

from striate.base.errors import ModelError, WeightsError
from striate.data.names import counted
from striate.importing.constants import KINDS, changed, described, for_channels, of_kind
from striate.importing.trial import Trial, distinct
from striate.models.network import Network
from striate.models.table import architecture
from striate.pictures.preprocess import Preprocess
from striate.weights.pretrained import Pretrained
from striate.weights.schemes import Placed

Fixed = Literal["given", "known", "described"]
Chosen = Fixed | Literal["measured"]


@dataclass(frozen=True, slots=True)
class Ways:
    """What there is to decide between.

    ``tried`` are all kinds at the network's size with the user's changes, by name; ``fixed`` is the one that need not
    be measured, and ``chosen`` whose it is, both None if that is not known. One of no kind stands in ``tried`` under
    the name of who chose it. ``doubts`` are sentences on what the file leaves open, and the user, too.
    """

    tried: Mapping[str, Preprocess]
    fixed: Preprocess | None
    chosen: Fixed | None
    doubts: tuple[str, ...] = ()

    @property
    def kind(self) -> str | None:
        """The name in ``tried`` of the fixed one."""
        return next((kind for kind, way in self.tried.items() if way == self.fixed), None)


def ways(
    network: Network,
    placed: Placed,
    given: str | Preprocess | None,
    row: Pretrained | None,
    changes: Mapping[str, Any],
) -> Ways:
    """The ways of preparing pictures for the weights of this network, each checked against it.

    The user's goes before that of the published file, and this before what the file itself describes, or the network.

    Raises:
        ModelError: a change is out of range, or the network cannot take such pictures.
    """
    channels = network.in_channels
    row_of_network = architecture(placed.model)
    itself = None if placed.described is None else placed.described.preprocess
    if not row_of_network.classes:  # it turns pictures into pictures, and the colours are its own affair
        itself = for_channels(row_of_network.preprocess, channels)
    own = itself or row_of_network.preprocess
    tried = {kind: changed(of_kind(kind, own, channels), changes) for kind in KINDS}
    fixed: Preprocess | None = None
    chosen: Fixed | None = None
    if given is not None:
        chosen, fixed = "given", tried[given] if isinstance(given, str) else changed(given, changes)
    elif row is not None:
        chosen, fixed = "known", changed(for_channels(row.preprocess, channels), changes)
    elif itself is not None:
        chosen, fixed = "described", changed(itself, changes)
    if chosen is not None and fixed is not None and fixed not in tried.values():
        tried[chosen] = fixed
    for way in tried.values():
        _check_fit(network, placed.model, way)
    different: dict[str, Preprocess] = {}
    for kind, way in tried.items():  # changes can make two kinds the same; both need not be tried
        if way not in different.values():
            different[kind] = way
    left_open = placed.described.doubts if placed.described and chosen == "described" else {}
    doubts = tuple(doubt for name, doubt in left_open.items() if name not in changes)
    return Ways(different, fixed, chosen, doubts)


@dataclass(frozen=True, slots=True)
class Decision:
    """How pictures are prepared for the weights, and why.

    ``chosen`` says who decided: "given", "known" (the file is a published one), "described" (it says so itself) or
    "measured"; ``kind`` is the key of `PREPROCESSING` that it comes from, if it comes from one. ``trials`` is what was
    tried, the best first, and ``notes`` what that says, in sentences.
    """

    preprocess: Preprocess
    chosen: Chosen
    kind: str | None
    trials: tuple[Trial, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def best(self) -> str | None:
        """The kind that was measured best, if any was tried."""
        return self.trials[0].kind if self.trials else None

    @property
    def distinct(self) -> bool | None:
        """Whether the best kind differs from the second with 95 % confidence; None if fewer than two were tried."""
        return distinct(*self.trials[:2]) if len(self.trials) > 1 else None


def decided(ways: Ways, trials: tuple[Trial, ...], classes: int) -> Decision:
    """The fixed way if there is one, else the best of the trials."""
    notes = tuple(_verdict(trials, ways, classes)) if trials else ()
    if ways.fixed is not None and ways.chosen is not None:
        kind = ways.kind if ways.kind in KINDS else None
        return Decision(ways.fixed, ways.chosen, kind, trials, notes)
    best = trials[0].kind
    return Decision(ways.tried[best], "measured", best, trials, notes)


def undecided(where: str) -> WeightsError:
    """What to say to somebody who leaves the preprocessing of unknown weights open."""
    return WeightsError(
        f"{where}: how pictures must be prepared for these weights is not known, and a wrong guess costs accuracy "
        f"without a word. Say it with --preprocess; there are {described()}. Or have all of them measured: --try DATA, "
        f"with labelled pictures"
    )


def _verdict(trials: tuple[Trial, ...], ways: Ways, classes: int) -> list[str]:
    """The best, whether that may be chance, whether the way that is taken is another."""
    best, *others = trials
    sentences = [f"best: {best.kind}, top-1 {best.top1:.3f} of {counted(best.images, 'picture')}"]
    if others:
        second = others[0]
        sure = "is worse" if distinct(best, second) else "cannot be told from it"
        sentences[0] += f"; {second.kind}, the second, {sure} with 95 % confidence"
    if best.interval[0] <= 1 / classes:  # answering at random could have done as well
        sentences.append(
            "even the best may be chance: the classes may be in another order, or the weights of another network"
        )
    taken = next((trial for trial in others if trial.kind == ways.kind), None)
    if taken is not None and distinct(best, taken):
        whose = "which you gave" if ways.chosen == "given" else "which the published file wants"
        sentences.append(f"{taken.kind}, {whose}, is taken, though {best.kind} is measured better")
    return sentences


def _check_fit(network: Network, model: str, preprocess: Preprocess) -> None:
    (height, width), what = preprocess.size, f"preprocess: size is {preprocess.size[0]}x{preprocess.size[1]}"
    if preprocess.count != network.in_channels:
        raise ModelError(
            f"preprocess: channels is {preprocess.channels!r}, but the first convolution of these weights reads "
            f"{network.in_channels}"
        )
    if network.size is not None and network.size != preprocess.size:
        raise ModelError(f"{what}, but {model} takes pictures of {network.size[0]}x{network.size[1]} alone")
    if height < network.smallest[0] or width < network.smallest[1]:
        raise ModelError(f"{what}, but {model} takes pictures of {network.smallest[0]}x{network.smallest[1]} and more")
    try:
        network.check_images(torch.empty(1, preprocess.count, height, width, device="meta"))
    except ModelError as error:
        raise ModelError(f"{what}, but {error}") from None
