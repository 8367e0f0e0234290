"""Who trains, who validates, who tests: by rank of content hash, so that names and order of files decide nothing.

Within each class the different pictures are ranked by a salted hash of their content and cut by exact counts; copies
of one picture, and all records of one group, always share a side. A picture of several classes counts for the rarest of
them. Folder names, where they decide, are kept.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from striate.base.errors import DataError, RecipeError
from striate.data.names import counted, listed, printable
from striate.data.records import Dataset, Record, Split, occurring_in

Fractions = tuple[float, float, float]

_SIDES: tuple[Split, ...] = ("train", "val", "test")
_REST = -1
"""The stratum of what has no class and, where not every class must be on each side, of all that are too rare."""


def split(
    dataset: Dataset, fractions: Fractions = (0.8, 0.1, 0.1), seed: int = 0, *, every_class: bool = True
) -> Dataset:
    """Give every record its split: ``fractions`` are the shares of train, val and test within each class.

    Where folder names decide: train, val and test stay as they are; with train and test, validation is carved out of
    train (the share ``fractions[1]`` of it); with train and val there is no test. ``every_class`` says that each class
    must be trained and validated with; without, rare classes are cut together.

    Raises:
        RecipeError: the fractions are not three shares that add up to 1.
        DataError: a class (without ``every_class``: all of them together) would have no training picture, or no
            validation picture although some are asked for.

    Example:
        >>> dataset = split(open_data("photos"), (0.7, 0.15, 0.15), seed=1)  # doctest: +SKIP
    """
    shares = _checked(fractions)
    present = {record.split for record in dataset.records}
    if not dataset.fixed_splits:
        sides = _cut(dataset, dataset.records, shares, seed, every_class)
        return _with_sides(dataset, sides)
    if "train" not in present:
        raise DataError(f"{printable(dataset.root)} has no train folder; there is nothing to train on")
    if "val" in present:
        if every_class:
            _check_every_class_validated(dataset)
        return dataset
    carved = (1 - shares[1], shares[1], Fraction(0))
    sides = _cut(dataset, dataset.of_split("train"), carved, seed, every_class)
    return _with_sides(dataset, sides, only="train")


def folds(
    dataset: Dataset, count: int, seed: int = 0, validation: float = 0.1, *, every_class: bool = True
) -> tuple[Dataset, ...]:
    """``count`` data sets for cross-validation; each picture is in the test split of exactly one.

    In each, the share ``validation`` of the rest of every class (at least one picture) validates and the others train.
    Folder names decide nothing here: all records are pooled.

    Raises:
        RecipeError: fewer than two folds, or a share outside 0..1.
        DataError: a class (without ``every_class``: all of them together) has fewer different pictures than there are
            folds, or fewer than three.
    """
    if count < 2:
        raise RecipeError(f"folds = {count}: cross-validation takes at least 2 folds")
    if not 0 <= validation < 1:
        raise RecipeError(f"validation = {validation}: expected a share of at least 0 and below 1")
    least = max(count, 3)
    ranked = _ranked(dataset.records, seed, 0 if every_class else least)
    short = {stratum: len(units) for stratum, units in ranked.items() if len(units) < least}
    if short := _lacking(short, ranked, every_class):
        raise DataError(
            f"{_with_counts(dataset, short)}: too few for {count} folds; add pictures, or use fewer folds "
            f"({'a class' if every_class else 'a data set'} needs at least 3 pictures, and one for each fold)"
        )
    pooled = dataset
    if dataset.fixed_splits:
        notice = "cross-validation pools all pictures: the folders train, val and test decide nothing"
        pooled = replace(dataset, notices=(*dataset.notices, notice), fixed_splits=False)
    runs = []
    for fold in range(count):
        sides: dict[bytes, Split] = {}
        for turn, units in enumerate(ranked.values()):
            # Each class begins with another fold, so that the folds differ by few pictures in all.
            tested = [unit for rank, unit in enumerate(units) if (rank + turn) % count == fold]
            rest = [unit for rank, unit in enumerate(units) if (rank + turn) % count != fold]
            validated = max(round(len(rest) * validation), 1 if validation else 0)
            for side, units_of_side in zip(_SIDES, (rest[validated:], rest[:validated], tested), strict=True):
                sides |= dict.fromkeys(units_of_side, side)
        runs.append(_with_sides(pooled, sides))
    return tuple(runs)


def fingerprint(dataset: Dataset) -> str:
    """64 hexadecimal digits that say which labelled pictures these are; names and order of files do not matter.

    Where groups join different pictures 64 more say which.
    """
    names = [name.encode("utf-8", "surrogateescape") for name in dataset.classes.names]
    digest = hashlib.sha256()
    for line in sorted(record.content + record.target.as_bytes(names) for record in dataset.records):
        digest.update(len(line).to_bytes(4, "little") + line)
    joined = sorted(content + unit for content, unit in kept_together(dataset.records).items() if content != unit)
    return digest.hexdigest() + (hashlib.sha256(b"".join(joined)).hexdigest() if joined else "")


def _checked(fractions: Sequence[float]) -> tuple[Fraction, Fraction, Fraction]:
    """The shares as exact decimals: 0.1 of 30 pictures is 3, whatever binary makes of 0.1."""
    given = list(fractions)
    try:
        shares = [Fraction(repr(float(share))) for share in given]
    except (TypeError, ValueError):
        shares = []
    if len(shares) != 3 or min(shares) < 0 or shares[0] == 0 or abs(sum(shares, Fraction(-1))) > Fraction(1, 10**6):
        raise RecipeError(
            f"split = {given}: expected three shares for train, val and test that add up to 1, "
            "train above 0, such as [0.8, 0.1, 0.1]"
        )
    total = sum(shares)
    return shares[0] / total, shares[1] / total, shares[2] / total


def kept_together(records: Iterable[Record]) -> dict[bytes, bytes]:
    """For each content that of its unit: the least of all contents that groups join with it.

    Records of equal content, or of one group, are never split.
    """
    units = {record.content: record.content for record in records}
    first: dict[bytes, bytes] = {}

    def unit(content: bytes) -> bytes:
        while units[content] != content:
            content = units[content]
        return content

    for record in records:
        if record.group is not None:
            one, other = unit(first.setdefault(record.group, record.content)), unit(record.content)
            units[max(one, other)] = min(one, other)
    return {content: unit(content) for content in units}


def _ranked(records: Sequence[Record], seed: int, least: int = 0) -> dict[int, list[bytes]]:
    """What must stay together, for each class (in their order), by the hash of salt and content.

    Classes with fewer than ``least`` are taken together.
    """
    salt = f"striate split {seed}\0".encode()
    classes: dict[bytes, set[int]] = {}
    units = kept_together(records)
    for record in records:
        classes.setdefault(units[record.content], set()).update(record.target.occurring() or ())
    counts = Counter(index for found in classes.values() for index in found)
    strata: dict[int, set[bytes]] = {}
    for unit, found in classes.items():
        rarest = min(found, key=lambda index: (counts[index], index), default=_REST)
        strata.setdefault(rarest, set()).add(unit)
    for index in [index for index, units in strata.items() if len(units) < least and index != _REST]:
        strata.setdefault(_REST, set()).update(strata.pop(index))
    return {
        index: sorted(strata[index], key=lambda unit: hashlib.sha256(salt + unit).digest()) for index in sorted(strata)
    }


def _cut(
    dataset: Dataset,
    records: Sequence[Record],
    shares: tuple[Fraction, Fraction, Fraction],
    seed: int,
    every_class: bool,
) -> dict[bytes, Split]:
    """The side of each content or group, or an error about all classes that a side with a share would miss."""
    sides: dict[bytes, Split] = {}
    short: dict[int, int] = {}
    least = _least(shares)
    ranked = _ranked(records, seed, 0 if every_class else least)
    for stratum, units in ranked.items():
        train, val, _ = counts = _counts(len(units), shares)
        if train == 0 or (val == 0 and shares[1] > 0):
            short[stratum] = len(units)
        start = 0
        for side, count in zip(_SIDES, counts, strict=True):
            sides |= dict.fromkeys(units[start : start + count], side)
            start += count
    if short := _lacking(short, ranked, every_class):
        given = " ".join(f"{float(share):g}" for share in shares)
        raise DataError(
            f"{_with_counts(dataset, short)}: too few for a split of {given}, which would leave none of them "
            f"to train or to validate with; add pictures (at least {least} different ones"
            f"{' a class' if every_class else ''}), choose another --split with a larger middle share, or use --folds"
        )
    return sides


def _lacking(short: dict[int, int], ranked: Mapping[int, object], every_class: bool) -> dict[int, int]:
    """Of the strata that are too small those that matter: each class, or all if no stratum is large enough."""
    if every_class:
        return {stratum: count for stratum, count in short.items() if stratum != _REST}
    return short if len(short) == len(ranked) else {}


def _least(shares: tuple[Fraction, Fraction, Fraction]) -> int:
    """The number of pictures from which on every class is both trained and validated with."""
    needed = [share for share in shares[:2] if share > 0]
    certain = min(math.ceil(1 / min(needed)), 100_000)  # with so many, whole numbers come without remainders
    short = [count for count in range(certain) if 0 in _counts(count, shares)[: len(needed)]]
    return max(short, default=0) + 1


def _counts(total: int, shares: Sequence[Fraction]) -> list[int]:
    """``total`` cut by ``shares`` into whole numbers: floors first, then one each to the largest remainders."""
    exact = [share * total for share in shares]
    counts = [int(part) for part in exact]
    by_remainder = sorted(range(len(shares)), key=lambda side: (counts[side] - exact[side], side))
    for side in by_remainder[: total - sum(counts)]:
        counts[side] += 1
    return counts


def _with_sides(dataset: Dataset, sides: Mapping[bytes, Split], only: Split | None = None) -> Dataset:
    """The records with their sides (of the split ``only``, if given: the others keep theirs)."""
    units = kept_together(dataset.records if only is None else dataset.of_split(only))
    records = tuple(
        replace(record, split=sides[units[record.content]]) if only is None or record.split == only else record
        for record in dataset.records
    )
    return replace(dataset, records=records)


def _check_every_class_validated(dataset: Dataset) -> None:
    missing = occurring_in(dataset.records) - occurring_in(dataset.of_split("val"))
    if missing:
        names = listed([repr(dataset.classes.names[target]) for target in sorted(missing)])
        raise DataError(
            f"the folder val of {printable(dataset.root)} has no picture of {names}; put some there, or take the "
            "folder away so that validation is carved out of train"
        )


def _with_counts(dataset: Dataset, counts: Mapping[int, int]) -> str:
    unit = "group" if any(record.group is not None for record in dataset.records) else "different picture"
    texts = [
        f"{printable(dataset.root) if stratum == _REST else f'class {dataset.classes.names[stratum]!r}'} has "
        f"{counted(count, unit)}"
        for stratum, count in sorted(counts.items())
    ]
    return listed(texts, most=3)
