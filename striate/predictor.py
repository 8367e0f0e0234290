"""A model file that answers."""

import copy
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from striate import modelfile
from striate.answering import FoldedNetwork
from striate.base.errors import DecodeError, ModelError
from striate.base.hardware import cores
from striate.base.memory import answer_fits, if_it_fits
from striate.data.names import counted, printable
from striate.data.unlabelled import is_folder, pictures_in
from striate.inference import Picture, answered_in_tiles, answering, device_named, evaluating, opened, prepared, task_of
from striate.models.network import Network
from striate.ops.own_state import own_draws, own_modes
from striate.pictures.decode import path_of
from striate.pictures.exact_tiles import ExactTiles, Seams
from striate.pictures.geometry import Geometry
from striate.pictures.preprocess import Preprocess
from striate.pictures.remarks import Remark, Remarks
from striate.pictures.tiles import OVERLAP, Tiling, announced
from striate.tasks.asked import refuse_budget, refuse_top, scoring
from striate.tasks.task import Merged, MostProbable

BATCH_SIZE = 16
SIDE = 256  # of tiles where a network answers them as it would the whole picture, which then takes less memory

_IN_COLOURS = Preprocess()
_Prepared = tuple[NDArray[np.uint8], Geometry, Remark]
_Decode = Callable[[Tensor, Sequence[Geometry]], Sequence[Any]]


def load(
    model: str | Path,
    *,
    device: str = "auto",
    score_threshold: float | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> "Predictor":
    """Load a model file, a run folder's best model, or a pretrained network by its name.

    ``score_threshold`` is the least probability of what answers name (of detection), instead of the model file's.
    ``on_notice`` is told before pretrained weights are fetched, and what a `Predictor` has to say.

    Raises:
        ModelFileError: it is none of these, or is damaged, or is newer than this version.
        ModelError: ``score_threshold`` is out of range, or the task leaves nothing out of its answers by a score.

    Example:
        >>> predictor = load("efficientnet_lite0")          # doctest: +SKIP
        >>> predictor("dog.jpg", top=3)                     # doctest: +SKIP
        (Answer(name='beagle', ...), Answer(name='basset', ...), Answer(...))
    """
    with own_draws(), own_modes():
        network, description = modelfile.open_model(model, on_notice=on_notice)
        task = task_of(description, model)
        if score_threshold is not None:
            description = replace(description, task_arguments=scoring(task, score_threshold).arguments)
        return Predictor(network, description, device=device, on_notice=on_notice)


class Predictor:
    """A network with all that it needs to answer: how pictures are prepared, and what its outputs mean.

    It answers with the weights that the network has when it first does. ``on_notice`` is told why a network cannot be
    folded, and once for all pictures of a call what was odd about them (`striate.pictures.remarks`); a copy tells
    nobody.
    """

    def __init__(
        self,
        network: Network,
        description: modelfile.Description,
        *,
        device: str = "auto",
        on_notice: Callable[[str], None] | None = None,
    ) -> None:
        self.description = description
        self._on_notice = on_notice
        self.task = task_of(description)
        self.device = device_named(device)
        self.network = network.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._modules, self._threads = tuple(self.network.modules()), cores()
        with evaluating(self._modules):
            self._answer = answering(self.network, self.device, on_notice)
        if isinstance(self._answer, FoldedNetwork):
            self._modules = self._answer.modules  # looking at all takes as long as a small layer

    def __reduce__(self) -> tuple[Callable[..., "Predictor"], tuple[Network, modelfile.Description]]:
        """What a copy is made of; plans are made anew, and a listener stays where it listens.

        Weights travel on the CPU: whoever reads them need not have the device to say that it is missing.
        """
        on_cpu = self.device.type == "cpu"
        network = self.network if on_cpu else copy.deepcopy(self.network).to("cpu")
        return partial(type(self), device=str(self.device)), (network, self.description)

    def __repr__(self) -> str:
        count = len(self.classes)
        classes = f"{counted(count, 'class', 'classes')}, " if count else ""
        height, width = self.description.preprocess.size
        return f"Predictor({self.description.model}, {classes}{height}x{width})"

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes in the order of their indices; empty where answers have none."""
        return self.description.classes.names

    @overload
    def __call__(
        self,
        pictures: Picture,
        *,
        top: int | None = None,
        tile: int | None = None,
        overlap: float | None = None,
        budget: int | None = None,
    ) -> Any: ...
    @overload
    def __call__(
        self,
        pictures: Sequence[Picture],
        *,
        top: int | None = None,
        tile: int | None = None,
        overlap: float | None = None,
        budget: int | None = None,
    ) -> list[Any]: ...
    def __call__(
        self,
        pictures: Picture | Sequence[Picture],
        *,
        top: int | None = None,
        tile: int | None = None,
        overlap: float | None = None,
        budget: int | None = None,
    ) -> Any:
        """Answer one picture, a list of them, or a folder.

        Args:
            pictures: one `Picture`, a sequence of them, or a folder's path.
            top: None gives each answer whole; K only the K most probable parts of it.
            tile: a picture that is wider or higher than so many of its own pixels is answered in squares of that side,
                and once as a whole; what was found in them is merged (`striate.pictures.tiles`). The picture is decoded
                at its full size, one at a time.
            overlap: the part of a tile's side that neighbours share, 0 to 0.9; None is 0.25. What is no larger lies
                whole in some tile. Where the network says how far it looks (`Network.margin`) None is as little as it
                needs, and large pictures are cut unasked.
            budget: each picture is answered in its own full resolution, not shrunk to the network's usual size, with at
                most so many bytes beside Python's and torch's own, and as it would be with any amount: in tiles that
                show whatever the network looks at (`striate.planning.Cutter`), no longer than ``tile``.

        Returns:
            One answer; a list of answers; or for a folder an iterator of (path, answer), so that a folder of any size
            can be answered. What an answer is, by the predictor's ``task.name``:

            classify: a `Scores`, the probability of every class; with ``top`` a tuple of ``name``, ``id``,
                ``probability``.
            localize: one ``name``, ``probability`` and ``xyxy`` in the photograph's pixels.
            detect: a tuple of these, most probable first.
            segment: class indices, uint8 ``[height, width]`` of the photograph; their names are ``predictor.classes``
                (``predictor.description.classes.names``).
            upscale: the enlarged picture, uint8 ``[factor * height, factor * width, channels]``.

        Raises:
            DecodeError: a picture cannot be read.
            DataError: the folder holds no pictures, an array is no picture, or a path is empty.
            ModelError: ``top`` is no whole number from 1, or the task gives each picture one answer; ``tile``,
                ``overlap`` or ``budget`` is out of range or not for this task; no tile fits that answers as the whole.
        """
        stream = partial(self.stream, top=top, tile=tile, overlap=overlap, budget=budget)
        if isinstance(pictures, str | os.PathLike) and is_folder(path_of(pictures)):
            return stream(pictures_in(pictures))
        if isinstance(pictures, Sequence) and not isinstance(pictures, str | bytes | bytearray | memoryview):
            return [prediction for _, prediction in stream(pictures)]
        ((_, prediction),) = stream([pictures])
        return prediction

    def stream(
        self,
        pictures: Iterable[Picture],
        *,
        top: int | None = None,
        tile: int | None = None,
        overlap: float | None = None,
        budget: int | None = None,
        on_unreadable: Callable[[DecodeError], None] | None = None,
        on_tiles: Callable[[Picture, ExactTiles], None] | None = None,
    ) -> Iterator[tuple[Picture, Any]]:
        """Each picture with its answer, in order, while the next ones are decoded; memory does not grow.

        Args:
            top, tile, overlap, budget: as for the predictor itself.
            on_unreadable: called instead of raising for a picture that cannot be read, or whose answer does not fit
                into memory, which is then left out.
            on_tiles: with a budget, called with each picture and how it was cut, before its answer comes.

        Raises, with the first answer:
            DataError, ModelError: as if the pictures were given to the predictor itself.
        """
        refuse_top(self.task, top)
        if budget is not None:
            refuse_budget(self.task, budget, tile, overlap)
            for picture, answer in self._within(budget, pictures, tile, on_unreadable, on_tiles):
                yield picture, self._best(answer, top)
            return
        tiling = self._tiling(tile, overlap)
        todo = iter(pictures)
        remarks = Remarks()
        with ThreadPoolExecutor(self._threads) as pool:
            answered = partial(self._answered, pool=pool, top=top, tiling=tiling, on_unreadable=on_unreadable)
            first = list(itertools.islice(todo, BATCH_SIZE))
            coming = self._prepared(pool if len(first) > 1 else None, first)
            while coming:
                following = self._prepared(pool, list(itertools.islice(todo, BATCH_SIZE)))
                good = []
                for picture, result in coming:
                    try:
                        image, geometry, remark = result()
                        good.append((picture, image, geometry))
                        remarks.add(_name(picture), remark)
                    except DecodeError as error:
                        if on_unreadable is None:
                            yield from answered(good)  # whoever reads along has what came before
                            raise
                        on_unreadable(error)
                yield from answered(good)
                coming = following
        self._say(remarks.sentences())

    def draw(self, picture: Picture, answer: Any) -> NDArray[np.uint8] | None:
        """The photograph with the predictor's answer to it drawn, uint8 ``[H, W, 3]``; None where nothing is drawn.

        Below it may be a legend. ``answer`` is a whole one, not the ``top`` most probable parts of one.

        Raises:
            DecodeError: the picture cannot be read.
            DataError: an array is no picture.
        """
        return self.task.draw(answer, lambda: opened(picture, _IN_COLOURS, reduced=False).pixels)

    def outputs(self, images: Tensor) -> Tensor:
        """Prepared pictures, uint8 ``[N, C, H, W]``, to the network's raw outputs, float32 ``[N, ...]``.

        Raises:
            ModelError: these are no prepared pictures, or have other channels or another size than the network takes.
        """
        if not isinstance(images, Tensor):
            raise ModelError(
                "outputs takes prepared pictures, uint8 [N, C, H, W]; for a path or a photograph call the predictor "
                "itself"
            )
        with own_modes(), torch.inference_mode(), evaluating(self._modules):
            return self._answer(self.description.preprocess.normalise(images.to(self.device))).float()

    def _within(
        self,
        budget: int,
        pictures: Iterable[Picture],
        tile: int | None,
        on_unreadable: Callable[[DecodeError], None] | None,
        on_tiles: Callable[[Picture, ExactTiles], None] | None,
    ) -> Iterator[tuple[Picture, Any]]:
        """Each picture with its answer, gathered from tiles that fit the budget; one picture is there at a time."""
        from striate.planning import Cutter  # which loads torch's tensors without numbers, for half a second

        remarks, seams = Remarks(), Seams()
        cutter = Cutter(self.description.model, self.network, self.network.in_channels, self.network.smallest)
        for picture in pictures:

            def cut(size: tuple[int, int], held: int, picture: Picture = picture) -> ExactTiles:
                try:
                    tiles = cutter.cut(size, budget, held=held, longest=tile)
                except ModelError as error:
                    raise ModelError(f"{_name(picture)}: {error}") from None
                if on_tiles is not None:
                    on_tiles(picture, tiles)
                return tiles

            asked = picture, self.task, self.description.preprocess, self.outputs, cut, seams
            try:
                with answer_fits(_name(picture)), own_modes():
                    prediction, remark = answered_in_tiles(*asked)
                remarks.add(_name(picture), remark)
            except DecodeError as error:
                if on_unreadable is None:
                    raise
                on_unreadable(error)
                continue
            yield picture, prediction
        self._say([*remarks.sentences(), *seams.sentences()])

    def _say(self, sentences: Iterable[str]) -> None:
        if self._on_notice is not None:
            for sentence in sentences:
                self._on_notice(sentence)

    def _tiling(self, tile: int | None, overlap: float | None) -> Tiling | None:
        margin = self.network.margin
        if tile is None:
            if overlap is not None:
                raise ModelError(f"overlap is {overlap!r}, which is how far tiles overlap, but no tile is given")
            return None if margin is None else Tiling(SIDE, 0.0, margin)
        if self.task.merged is None:
            raise ModelError(
                f"tile is {tile!r}, but {self.task.name} answers a picture as a whole: what parts of it show cannot be "
                "merged; leave tile out"
            )
        usual = OVERLAP if margin is None else 0.0
        return Tiling(tile, usual if overlap is None else overlap, margin or 0)

    def _prepared(
        self, pool: ThreadPoolExecutor | None, pictures: list[Picture]
    ) -> list[tuple[Picture, Callable[[], _Prepared]]]:
        """What gives each picture prepared; without a pool when it is asked, since starting a thread takes longer."""
        work: list[tuple[Picture, Callable[[], _Prepared]]] = [
            (picture, partial(prepared, picture, self.description.preprocess)) for picture in pictures
        ]
        return work if pool is None else [(picture, pool.submit(each).result) for picture, each in work]

    def _answered(
        self,
        batch: Sequence[tuple[Picture, NDArray[np.uint8], Geometry]],
        *,
        pool: ThreadPoolExecutor,
        top: int | None,
        tiling: Tiling | None,
        on_unreadable: Callable[[DecodeError], None] | None,
    ) -> Iterator[tuple[Picture, Any]]:
        if not batch:
            return
        cut = [tiling is not None and tiling.cuts(geometry.height, geometry.width) for _, _, geometry in batch]
        at_once = [each[1:] for each, tiled in zip(batch, cut, strict=True) if not tiled]
        whole = if_it_fits(lambda: iter(self._predictions(at_once)))
        for (picture, image, geometry), tiled in zip(batch, cut, strict=True):
            try:
                with answer_fits(_name(picture)):
                    if tiling is not None and tiled:
                        prediction = self._by_tiles(pool, picture, (image, geometry), tiling)
                    else:
                        prediction = next(whole) if whole else self._predictions([(image, geometry)])[0]
            except DecodeError as error:  # it, decoded again, or its answer does not fit into memory
                if on_unreadable is None:
                    raise
                on_unreadable(error)
                continue
            yield picture, self._best(prediction, top)

    def _best(self, prediction: Any, top: int | None) -> Any:
        return prediction if top is None else cast("MostProbable", self.task.most_probable)(prediction, top)

    def _predictions(
        self, prepared: Sequence[tuple[NDArray[np.uint8], Geometry]], decode: _Decode | None = None
    ) -> Sequence[Any]:
        """Those of prepared pictures, in their order; pictures of one size that follow each other at once."""
        answers: list[Any] = []
        with own_modes():  # not around a yield: whoever consumes must find his own
            for _, group in itertools.groupby(prepared, key=lambda each: each[0].shape):
                images, geometries = zip(*group, strict=True)
                outputs = self.outputs(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2))
                answers += (decode or self.task.decode)(outputs, geometries)
        return answers

    def _by_tiles(
        self, pool: ThreadPoolExecutor, picture: Picture, whole: tuple[NDArray[np.uint8], Geometry], tiling: Tiling
    ) -> Any:
        """A photograph's prediction, merged of those for its tiles, which are cut batch by batch, and for the whole."""
        preprocess = self.description.preprocess
        pixels = opened(picture, preprocess, reduced=False).pixels
        places, decode = tiling.places(*pixels.shape[:2]), self.task.decode_tiles
        self._say(announced(_name(picture), len(places)))

        def cut(place: Geometry) -> tuple[NDArray[np.uint8], Geometry]:
            geometry = preprocess.geometry(Geometry(*place.output_size))  # a tile is a photograph of its own
            return geometry.image(place.image(pixels)), geometry

        def parts() -> Iterator[tuple[Geometry, Any]]:
            for start in range(0, len(places), BATCH_SIZE):
                batch = places[start : start + BATCH_SIZE]
                yield from zip(batch, self._predictions(list(pool.map(cut, batch)), decode), strict=True)
            yield Geometry(*pixels.shape[:2]), *self._predictions([whole], decode)

        merged = cast("Merged", self.task.merged)  # `_tiling` has seen to it that there is one
        return merged(parts(), tiling)


def _name(picture: Picture) -> str:
    return printable(path_of(picture)) if isinstance(picture, str | os.PathLike) else "one without a path"
