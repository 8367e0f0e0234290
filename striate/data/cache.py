"""Decoded, shrunk pictures and what targets read in memory, so that later epochs decode nothing."""

import threading
from pathlib import Path

from striate.data.records import Record
from striate.data.targets import Target
from striate.pictures.channels import Channels, to_channels
from striate.pictures.decode import Decoded, decode, shrink_factor
from striate.pictures.preprocess import Preprocess

_Key = tuple[bytes, Channels, int]


class PictureCache:
    """Keeps decoded pictures and opened targets up to a budget; any number of threads may use it.

    When the budget is used up, what came first stays: an epoch asks for every picture once, so any picture kept saves
    one decoding an epoch, and throwing one out for another would gain nothing. Pictures are kept by content, channels
    and the factor they were reduced by, so a hit and a miss give equal pixels, and another wanted size decodes a
    picture again only where it needs another factor. ``budget`` is in bytes of pixels; 0 keeps none.

    Example:
        >>> cache = PictureCache(0)
        >>> cache.fits(1)
        False
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.used = 0
        self._lock = threading.Lock()
        self._kept: dict[_Key, Decoded] = {}
        self._sizes: dict[bytes, tuple[int, int]] = {}  # photographs' own, by content: they decide the factor
        self._targets: dict[int, tuple[Target, Target]] = {}  # by identity, which is as long as the first is kept

    def __len__(self) -> int:
        return len(self._kept)

    def shrink_to(self, budget: int) -> None:
        """Keep no more than ``budget`` bytes from now on; of what is there already the latest pictures go first."""
        with self._lock:
            self.budget = max(0, min(self.budget, budget))
            while self._kept and self.used > self.budget:
                _, dropped = self._kept.popitem()
                self.used -= dropped.pixels.nbytes

    def fits(self, estimate: int) -> bool:
        """Whether so many bytes still fit, with a tenth to spare because it is an estimate."""
        return estimate * 1.1 <= self.budget - self.used

    def picture(self, record: Record, preprocess: Preprocess) -> Decoded:
        """The record's picture, decoded in the channels and at least at the size that ``preprocess`` needs.

        The pixels must not be written to.

        Raises:
            DecodeError: the file cannot be read; the message begins with the record's name.
        """
        if not isinstance(record.handle, Path):
            pixels = to_channels(record.handle.array[record.handle.index], preprocess.channels)
            return Decoded(pixels, pixels.shape[0], pixels.shape[1])
        size = self._sizes.get(record.content)
        if size is not None:
            factor = shrink_factor(*size, preprocess.shorter_side)
            kept = self._kept.get((record.content, preprocess.channels, factor))
            if kept is not None:
                return kept
        decoded = decode(record.handle, preprocess.channels, preprocess.shorter_side, name=record.name)
        self._keep((record.content, preprocess.channels, decoded.shrunk.factor), decoded)
        return decoded

    def target(self, record: Record) -> Target:
        """The record's target, `Target.opened`.

        Raises:
            DataError: it cannot be read; the message names it.
        """
        closed = record.target
        kept = self._targets.get(id(closed))
        if kept is not None:
            return kept[1]
        opened = closed.opened()
        if opened is not closed:
            with self._lock:
                if id(closed) not in self._targets and self.used + opened.nbytes <= self.budget:
                    self._targets[id(closed)] = closed, opened
                    self.used += opened.nbytes
        return opened

    def _keep(self, key: _Key, decoded: Decoded) -> None:
        size = decoded.pixels.nbytes
        with self._lock:
            if key[0] and key not in self._kept and self.used + size <= self.budget:
                decoded.pixels.setflags(write=False)
                self._kept[key] = decoded
                self._sizes[key[0]] = (decoded.height, decoded.width)
                self.used += size
