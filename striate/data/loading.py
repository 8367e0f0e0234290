"""The loader: records to batches in a pinned order, by threads that compute whole batches ahead, or a batch together.

What a batch holds is a function of (seed, epoch, contents) alone. Workers only decide who computes it, the cache only
whether a picture is decoded again.
"""

import itertools
import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from striate.base.hardware import cores
from striate.base.seeds import order, uniforms
from striate.data.array_batches import ArrayBatches
from striate.data.augmentation import DRAWS, MOSAIC, NO_AUGMENTATION, Augmentation
from striate.data.cache import PictureCache
from striate.data.mosaic import Mosaics
from striate.data.records import Batch, Record, Sample
from striate.data.targets import Target
from striate.pictures.geometry import Geometry
from striate.pictures.preprocess import Preprocess

_AUGMENT = 1  # the stream of the augmentation's numbers
_ALONE = 32_767  # so few numbers torch computes in the thread that asks, without calling its team


class Batches(Protocol):
    """The batches of any epoch, from any batch on."""

    def __len__(self) -> int:
        """Batches in an epoch."""

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        """The batches of this epoch from ``start_batch`` on."""

    def pixels(self, epoch: int) -> list[int]:
        """How many pixels each batch of this epoch has; 1 each where that is not known before they are read."""


class Loader:
    """Gives the batches of any epoch, from any batch on.

    ``workers`` threads compute batches ahead, of which at most ``workers + 1`` wait; or, without ``ahead``, each batch
    together when it is asked for, which is for who uses all cores himself in between. With 0 workers whoever asks
    computes. Decoders, Pillow and torch work outside Python's lock. A remainder of one picture joins the batch before
    it, since a batch norm cannot train on one. ``size_of(epoch, batch)`` is the height and width of a batch where they
    change, else they are those of ``preprocess``. Where pictures stay in their own pixels and are seen whole, each is a
    batch. ``mosaic_epochs`` is how many epochs have mosaics (None: all).

    Example:
        >>> loader = Loader(dataset.of_split("train"), preprocess, batch_size=32, shuffle=True)  # doctest: +SKIP
        >>> for batch in loader.epoch(0):  # doctest: +SKIP
        ...     print(batch.images.shape, batch.targets)
    """

    def __init__(
        self,
        records: Sequence[Record],
        preprocess: Preprocess,
        *,
        batch_size: int,
        seed: int = 0,
        augmentation: Augmentation | None = None,
        shuffle: bool = False,
        workers: int = 0,
        ahead: bool = True,
        cache: PictureCache | None = None,
        size_of: Callable[[int, int], tuple[int, int]] | None = None,
        mosaic_epochs: int | None = None,
    ) -> None:
        self.records = tuple(records)
        self.preprocess = preprocess
        self.seed = seed
        self.augmentation = augmentation or NO_AUGMENTATION
        self._own_sizes = preprocess.resize == "none" and not self.augmentation.windows
        self.batch_size = 1 if self._own_sizes else batch_size
        self.shuffle = shuffle
        self.workers = workers
        self.ahead = ahead
        self.cache = cache if cache is not None else PictureCache(0)
        self.bounds = batch_bounds(len(self.records), self.batch_size)
        heads = b"".join(record.content[:8].ljust(8, b"\0") for record in self.records)
        # From the content, so a renamed copy behaves the same.
        self._keys = np.frombuffer(heads, dtype="<u8").astype(np.uint64)
        self._size_of = size_of
        self._mosaics = Mosaics(self.records, self._keys, seed) if self.augmentation.mosaic else None
        self._mosaic_epochs = mosaic_epochs
        self._arrays = None if size_of else ArrayBatches.of(self.records, preprocess, self.augmentation)

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.bounds)

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        """The batches of this epoch from ``start_batch`` on; closing the iterator early stops the threads.

        Raises:
            DecodeError: a picture cannot be read (it names it).
        """
        count = len(self.records)
        positions = order(self.seed, epoch, self._keys) if self.shuffle else np.arange(count, dtype=np.int64)
        parts = [
            _Part(positions[start:stop], self._prepared_as(epoch, start_batch + number))
            for number, (start, stop) in enumerate(self.bounds[start_batch:])
        ]
        stopped = threading.Event()
        if self.workers == 0:
            return (self._batch(part, epoch, stopped) for part in parts)
        if self.ahead or self._arrays is not None:  # arrays take so little that nobody could share it
            workers = self.workers if self.ahead else 1
            return _ahead(lambda part: self._batch(part, epoch, stopped), parts, workers, stopped)
        return self._together(parts, epoch, stopped)

    def pixels(self, epoch: int) -> list[int]:
        """How many pixels each batch of this epoch has; 1 each where pictures are seen whole, in their own pixels."""
        if self._own_sizes:
            return [1] * len(self)
        return [
            (stop - start) * math.prod(self.augmentation.size(self._prepared_as(epoch, number)))
            for number, (start, stop) in enumerate(self.bounds)
        ]

    def _prepared_as(self, epoch: int, batch: int) -> Preprocess:
        if self._size_of is None:
            return self.preprocess
        return replace(self.preprocess, size=self._size_of(epoch, batch))

    def _together(self, parts: Sequence["_Part"], epoch: int, stopped: threading.Event) -> Iterator[Batch]:
        with ThreadPoolExecutor(self.workers, thread_name_prefix="striate-loader") as pool:
            try:
                for part in parts:
                    yield self._batch(part, epoch, stopped, pool)
            finally:
                stopped.set()

    def _batch(
        self, part: "_Part", epoch: int, stopped: threading.Event, pool: ThreadPoolExecutor | None = None
    ) -> Batch:
        records = [self.records[position] for position in part.positions.tolist()]
        draws = uniforms(self.seed, epoch, self._keys[part.positions], DRAWS, stream=_AUGMENT)
        if self._arrays is not None:
            images, geometries = self._arrays.batch(part.positions, draws)
            targets = tuple(record.target.moved(each) for record, each in zip(records, geometries, strict=True))
        else:
            images, targets, geometries = self._compose(part, epoch, draws, stopped, pool)
        return Batch(
            images=torch.from_numpy(images).permute(0, 3, 1, 2),
            targets=targets,
            geometries=geometries,
            records=tuple(records),
        )

    def _compose(
        self,
        part: "_Part",
        epoch: int,
        draws: NDArray[np.float64],
        stopped: threading.Event,
        pool: ThreadPoolExecutor | None,
    ) -> tuple[NDArray[np.uint8], tuple[Target, ...], tuple[Geometry, ...]]:
        positions, preprocess = part.positions.tolist(), part.preprocess
        if self._own_sizes:
            sample = self._seen(positions[0], epoch, preprocess, draws[0])
            return sample.image[None].copy(), (sample.target,), (sample.geometry,)
        images = np.empty((len(positions), *self.augmentation.size(preprocess), preprocess.count), dtype=np.uint8)

        def place(rows: range) -> list[tuple[Target, Geometry]]:
            placed = []
            for row in rows:
                if stopped.is_set():
                    break  # nobody will look at this batch
                sample = self._seen(positions[row], epoch, preprocess, draws[row])
                _put(images[row], sample.image)
                placed.append((sample.target, sample.geometry))
            return placed

        if pool is None:
            placed = place(range(len(positions)))
        else:
            bounds = [len(positions) * share // self.workers for share in range(self.workers + 1)]
            shares = pool.map(place, itertools.starmap(range, itertools.pairwise(bounds)))
            placed = list(itertools.chain.from_iterable(shares))
        return images, tuple(target for target, _ in placed), tuple(geometry for _, geometry in placed)

    def _seen(self, position: int, epoch: int, preprocess: Preprocess, draws: NDArray[np.float64]) -> Sample:
        """What the network sees for a record: alone, or in a mosaic."""
        making = self._mosaic_epochs is None or epoch < self._mosaic_epochs
        if self._mosaics is None or not making or draws[MOSAIC] >= self.augmentation.mosaic:
            return self.sample(self.records[position], preprocess, draws)
        return self._mosaics.sample(
            *(position, epoch, self.augmentation.size(preprocess), draws),
            placed=lambda record, frame, numbers: self.sample(record, preprocess, numbers, frame),
        )

    def sample(
        self,
        record: Record,
        preprocess: Preprocess,
        draws: NDArray[np.float64],
        frame: tuple[int, int] | None = None,
    ) -> Sample:
        """One record as the network will see it, or as a frame of it, with the numbers ``[DRAWS]`` drawn for it."""
        decoded = self.cache.picture(record, preprocess)
        try:
            opened = self.cache.target(record)
            place = self.augmentation.place(opened, draws)
            geometry = self.augmentation.geometry(decoded.geometry, preprocess, draws, frame, place)
            image = self.augmentation.colour_image(geometry.image(decoded.pixels), draws)
            target = opened.moved(geometry)
        except Exception as error:  # a fault of ours: say with which picture it came
            error.add_note(f"while preparing {record.name}")
            raise
        return Sample(image, target, geometry)


@dataclass(frozen=True, slots=True)
class _Part:
    """The records of a batch, by their positions, and how their pictures are prepared."""

    positions: NDArray[np.int64]
    preprocess: Preprocess


def _put(place: NDArray[np.uint8], image: NDArray[np.uint8]) -> None:
    """Copy ``[H, W, C]``; a mirrored view goes by torch, as numpy is slow at runs of C bytes."""
    if image.strides[1] > 0:
        place[...] = image
        return
    height, width, count = image.shape
    rows = max(1, _ALONE // (width * count))
    for top in range(0, height, rows):
        band = torch.from_numpy(np.array(image[top : top + rows, ::-1]))
        place[top : top + rows] = band.flip(1).numpy()


def prepares_ahead(device: torch.device) -> bool:
    """Whether pictures for a device are prepared ahead: not for a processor, all of whose cores compute.

    A thread that takes one of them now and then stops the others, too, who wait for each other. Pictures are then
    prepared in between, by all cores. EfficientNet-Lite0 on two cores so trains by a tenth faster.
    """
    return device.type != "cpu"


def threads_for(asked: int | None, device: torch.device) -> int:
    """How many threads prepare pictures for a device: as many as are asked for, else half of the cores or all."""
    if asked is not None:
        return asked
    return max(1, cores() // 2) if prepares_ahead(device) else cores()


def batch_bounds(count: int, batch_size: int) -> list[tuple[int, int]]:
    """Where each batch starts and stops.

    Example:
        >>> batch_bounds(9, 4)
        [(0, 4), (4, 9)]
        >>> batch_bounds(10, 4)
        [(0, 4), (4, 8), (8, 10)]
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    bounds = [(start, min(start + batch_size, count)) for start in range(0, count, batch_size)]
    if len(bounds) > 1 and count - bounds[-1][0] == 1 < batch_size:
        bounds[-2:] = [(bounds[-2][0], count)]
    return bounds


def _ahead(
    make: Callable[[_Part], Batch],
    parts: Sequence[_Part],
    workers: int,
    stopped: threading.Event,
) -> Iterator[Batch]:
    """Make the batches in order, up to ``workers + 1`` of them ahead of the consumer."""
    waiting: deque[Future[Batch]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="striate-loader") as pool:
        try:
            for part in parts:
                waiting.append(pool.submit(make, part))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            stopped.set()
            for future in waiting:
                future.cancel()
