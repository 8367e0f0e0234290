"""Splits: exact counts, no picture on two sides, and nothing but seed and content decides."""

import hashlib
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from striate.base.errors import DataError, RecipeError
from striate.data.records import Classes, Dataset, Record, Split
from striate.data.splits import fingerprint, folds, split
from striate.data.targets import ClassIndex


def record(content: object, target: int, name: str = "", side: Split | None = None) -> Record:
    digest = hashlib.sha256(str(content).encode()).digest()
    return Record(Path(name or "x.jpg"), ClassIndex(target), digest, name or "x.jpg", side)


def dataset(counts: list[int], copies: int = 1) -> Dataset:
    """Classes of so many different pictures, each there ``copies`` times."""
    records = [
        record((target, number), target, f"{target}/{number}-{copy}.jpg")
        for target, count in enumerate(counts)
        for copy in range(copies)
        for number in range(count)
    ]
    return Dataset(Path("root"), "folders", Classes(tuple(f"c{i}" for i in range(len(counts)))), tuple(records), 3)


def sides(data: Dataset) -> dict[bytes, Split | None]:
    """The side of every content; fails if a content has two."""
    found: dict[bytes, Split | None] = {}
    for each in data.records:
        assert found.setdefault(each.content, each.split) == each.split
    return found


def counts(data: Dataset) -> list[tuple[int, int, int]]:
    tally = Counter((r.target.index, r.split) for r in data.records)
    return [tuple(tally[target, side] for side in ("train", "val", "test")) for target in range(len(data.classes))]


@pytest.mark.parametrize(
    ("count", "fractions", "expected"),
    [
        (10, (0.8, 0.1, 0.1), (8, 1, 1)),
        (120, (0.8, 0.1, 0.1), (96, 12, 12)),
        (5, (0.8, 0.1, 0.1), (4, 1, 0)),  # 4, 0.5, 0.5: of equal remainders validation comes first
        (14, (0.8, 0.1, 0.1), (11, 2, 1)),  # 11.2, 1.4, 1.4
        (100, (0.29, 0.57, 0.14), (29, 57, 14)),  # 0.29 * 100 is 28.999999999999996 in binary
        (7, (0.5, 0.5, 0.0), (4, 3, 0)),
        (15, (0.5, 0.1, 0.4), (8, 1, 6)),  # 7.5, 1.5, 6: equal remainders, though binary's 0.1 is a little more
        (3, (0.9, 0.0, 0.1), (3, 0, 0)),  # no validation was asked for
    ],
)
def test_counts_are_exact(count: int, fractions: tuple[float, float, float], expected: tuple[int, int, int]) -> None:
    assert counts(split(dataset([count, count]), fractions)) == [expected, expected]


@given(st.lists(st.integers(5, 40), min_size=2, max_size=4), st.integers(1, 3), st.integers(0, 2**40), st.randoms())
def test_order_and_names_decide_nothing(sizes: list[int], copies: int, seed: int, random: object) -> None:
    before = dataset(sizes, copies)
    shuffled = list(before.records)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    renamed = [replace(each, name=f"other{i}", handle=Path(f"{i}")) for i, each in enumerate(shuffled)]
    after = replace(before, records=tuple(renamed), root=Path("elsewhere"))
    assert sides(split(before, seed=seed)) == sides(split(after, seed=seed))
    assert fingerprint(before) == fingerprint(after)


@given(
    st.lists(st.integers(1, 60), min_size=2, max_size=4),
    st.tuples(st.integers(1, 20), st.integers(0, 20), st.integers(0, 20)),
    st.integers(0, 9),
)
def test_every_picture_has_a_side_and_counts_are_within_one(
    sizes: list[int], weights: tuple[int, int, int], seed: int
) -> None:
    total = sum(weights)
    fractions = (weights[0] / total, weights[1] / total, weights[2] / total)
    try:
        done = split(dataset(sizes, copies=2), fractions, seed)
    except DataError:
        assume(False)
    for size, found in zip(sizes, counts(done), strict=True):
        assert sum(found) == 2 * size
        assert all(abs(count / 2 - share * size) < 1 for count, share in zip(found, fractions, strict=True))
        assert found[0] > 0 and (found[1] > 0 or weights[1] == 0)
    assert set(sides(done).values()) <= {"train", "val", "test"}


def test_another_seed_splits_otherwise_and_more_pictures_move_few() -> None:
    data = dataset([100, 100])
    one, other = sides(split(data, seed=0)), sides(split(data, seed=1))
    assert one != other
    more = sides(split(dataset([110, 100]), seed=0))
    assert sum(more[content] != side for content, side in one.items()) <= 10  # ranks shift, they are not drawn anew


def test_sides_are_independent_of_the_class_rank() -> None:
    """The hash is salted: without salt, split and key-driven order would both follow the content."""
    data = dataset([200, 200])
    tested = [int.from_bytes(r.content[:8], "little") for r in split(data).records if r.split == "test"]
    assert min(tested) < 2**63 < max(tested)


def test_a_class_without_validation_picture_says_what_to_do() -> None:
    with pytest.raises(DataError) as caught:
        split(dataset([30, 4]), (0.9, 0.05, 0.05))
    assert str(caught.value) == (
        "class 'c1' has 4 different pictures: too few for a split of 0.9 0.05 0.05, which would leave none of them to "
        "train or to validate with; add pictures (at least 7 different ones a class), choose another --split with a "
        "larger middle share, or use --folds"
    )


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 30))
def test_the_advised_number_is_enough_and_one_less_is_not(train: int, val: int, test: int) -> None:
    total = train + val + test
    fractions = (train / total, val / total, test / total)
    try:
        split(dataset([1, 1]), fractions)
    except DataError as error:
        least = int(re.search(r"at least (\d+) different", str(error))[1])  # type: ignore[index]
    for count in range(least, least + 20):
        split(dataset([count, count]), fractions)
    with pytest.raises(DataError):
        split(dataset([least - 1] * 2), fractions)


def test_the_advice_is_true() -> None:
    with pytest.raises(DataError, match="at least 4 different"):
        split(dataset([30, 3]))
    assert counts(split(dataset([30, 4])))[1] == (3, 1, 0)
    assert len(folds(dataset([30, 3]), 3)) == 3


BAD = [(0.8, 0.1), (0.8, 0.3, 0.1), (1.1, -0.2, 0.1), (0.0, 0.5, 0.5), (0.8, float("nan"), 0.1)]


@pytest.mark.parametrize("bad", BAD)
def test_fractions_must_be_shares(bad: tuple[float, ...]) -> None:
    with pytest.raises(RecipeError, match=r"split = .*three shares for train, val and test that add up to 1"):
        split(dataset([10, 10]), bad)  # type: ignore[arg-type]


def fixed(**groups: int) -> Dataset:
    """Two classes with so many pictures a class in each named split."""
    records = [
        record((side, target, number), target, f"{side}/{target}/{number}.jpg", side)  # type: ignore[arg-type]
        for side, count in groups.items()
        for target in range(2)
        for number in range(count)
    ]
    return Dataset(Path("root"), "folders", Classes(("a", "b")), tuple(records), 3, fixed_splits=True)


def test_named_splits_stay() -> None:
    data = fixed(train=5, val=1, test=3)
    assert split(data) == data
    assert counts(split(fixed(train=5, val=2))) == [(5, 2, 0)] * 2


def test_validation_is_carved_out_of_train() -> None:
    data = fixed(train=20, test=7)
    done = split(data, seed=3)
    assert counts(done) == [(18, 2, 7)] * 2
    assert [r.name for r in done.of_split("test")] == [r.name for r in data.of_split("test")]
    with pytest.raises(DataError, match="too few for a split"):
        split(fixed(train=2, test=7))


def test_named_splits_without_train_or_with_too_little_validation() -> None:
    with pytest.raises(DataError, match="no train folder"):
        split(fixed(test=3))
    data = fixed(train=5, val=1)
    less = replace(data, records=tuple(r for r in data.records if (r.split, r.target.index) != ("val", 1)))
    with pytest.raises(DataError, match=r"the folder val of root has no picture of 'b'"):
        split(less)


@given(st.lists(st.integers(5, 33), min_size=2, max_size=4), st.integers(2, 5), st.integers(0, 99))
def test_folds_test_every_picture_once(sizes: list[int], count: int, seed: int) -> None:
    data = dataset(sizes, copies=2)
    runs = folds(data, count, seed)
    tested = [content for run in runs for content, side in sides(run).items() if side == "test"]
    assert sorted(tested) == sorted({r.content for r in data.records})
    for run in runs:
        for size, (train, val, test) in zip(sizes, counts(run), strict=True):
            assert train > 0 and val > 0 and train + val + test == 2 * size
            assert size // count <= test / 2 <= -(-size // count)


def test_folds_are_of_near_equal_size_in_all() -> None:
    totals = [len(run.of_split("test")) for run in folds(dataset([6] * 10), 5)]
    assert totals == [12] * 5


def test_folds_pool_named_splits_and_say_so() -> None:
    runs = folds(fixed(train=8, test=2), 5)
    assert [len(run.of_split("test")) for run in runs] == [4] * 5
    assert not runs[0].fixed_splits and "pools all pictures" in runs[0].notices[-1]


def test_folds_refused() -> None:
    with pytest.raises(DataError, match=r"class 'c1' has 4 different pictures: too few for 5 folds"):
        folds(dataset([9, 4]), 5)
    with pytest.raises(RecipeError, match="at least 2 folds"):
        folds(dataset([9, 9]), 1)


def test_fingerprint_sees_content_label_and_copies() -> None:
    data = dataset([3, 3])
    relabelled = replace(data, records=(replace(data.records[0], target=ClassIndex(1)), *data.records[1:]))
    fewer = replace(data, records=data.records[1:])
    renamed = replace(data, classes=Classes(("c0", "C1")))
    found = {fingerprint(each) for each in (data, relabelled, fewer, renamed, dataset([3, 3], copies=2))}
    assert len(found) == 5 and all(len(each) == 64 for each in found)


def test_fingerprint_sees_which_different_pictures_groups_join() -> None:
    data = dataset([3, 3], copies=2)
    grouped = [replace(data, records=_in_groups(data, names)) for names in ("aabcde", "xxbcde", "abbcde", "abcdef")]
    found = [fingerprint(each) for each in grouped]
    assert found[0] == found[1] and [len(each) for each in found] == [128, 128, 128, 64]
    assert {each[:64] for each in found} == {fingerprint(data)} and found[0] != found[2]


def _in_groups(data: Dataset, names: str) -> tuple[Record, ...]:
    """The records with a group each; copies of a picture follow each other three places later."""
    places = [3 * each.target.index + number % 3 for number, each in enumerate(data.records)]
    return tuple(replace(each, group=names[place].encode()) for each, place in zip(data.records, places, strict=True))


def test_the_split_is_what_it_was() -> None:
    """Saved runs are resumed and evaluated by recomputing their split, so it may never change."""
    tested = [r.name for r in split(dataset([10, 10]), seed=0).records if r.split != "train"]
    assert tested == ["0/0-0.jpg", "0/3-0.jpg", "1/6-0.jpg", "1/8-0.jpg"]
    assert fingerprint(dataset([2, 2])).startswith("91a4850bc31763948a67")
