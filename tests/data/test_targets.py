"""Targets: what a split, a fingerprint, an alignment and a geometry ask of each kind."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from striate.base.errors import DataError
from striate.data import Classes, Dataset, Loader, Record
from striate.data.alignment import aligned
from striate.data.records import ArrayHandle
from striate.data.splits import fingerprint, folds, split
from striate.data.targets import LARGER, VISIBLE, Boxes, ClassIndex, Mask
from striate.pictures.geometry import UNKNOWN, Crop, Flip, Geometry, Pad, Resize
from striate.pictures.preprocess import Preprocess

NAMES = [b"cat", b"dog", b"eel"]


def boxes(*rows: tuple[float, float, float, float, int]) -> Boxes:
    return Boxes.of([row[:4] for row in rows], [row[4] for row in rows])


CORNERS = st.tuples(*[st.floats(-20, 60)] * 2, *[st.floats(0.5, 40)] * 2, st.integers(0, 2))


@given(st.lists(CORNERS, max_size=6), st.booleans(), st.integers(1, 30), st.integers(1, 30))
def test_a_box_keeps_what_is_visible_and_goes_with_the_rest(found, mirrored, height, width):
    """Against one box at a time, by hand."""
    rows = [(left, top, left + wide, top + high, index) for left, top, wide, high, index in found]
    geometry = Geometry(40, 50).then(Crop(3, 5, 30, 40), Resize(height, width), *[Flip()] * mirrored)
    expected = []
    for left, top, right, bottom, index in rows:
        x = [(edge - 5) * width / 40 for edge in (left, right)]
        y = [(edge - 3) * height / 30 for edge in (top, bottom)]
        if mirrored:
            x = [width - x[1], width - x[0]]
        area = (x[1] - x[0]) * (y[1] - y[0])
        x, y = [min(max(e, 0), width) for e in x], [min(max(e, 0), height) for e in y]
        seen = max(x[1] - x[0], 0) * max(y[1] - y[0], 0)
        if abs(seen - VISIBLE * area) < 1e-9:
            return  # either is right
        if seen > VISIBLE * area:
            expected.append((x[0], y[0], x[1], y[1], index))
    moved = boxes(*rows).moved(geometry)
    assert moved.classes.tolist() == [row[4] for row in expected]
    assert np.allclose(moved.xyxy, np.array([row[:4] for row in expected]).reshape(-1, 4), atol=1e-9)
    assert len(moved.difficult) == len(moved.crowd) == len(moved)


def test_ids_areas_and_marks_go_with_their_boxes():
    given_ = Boxes(
        np.array([[0.0, 0, 4, 4], [30, 30, 34, 34], [5, 5, 9, 9]]),
        np.array([0, 1, 2]),
        difficult=np.array([False, True, True]),
        crowd=np.array([True, False, False]),
        ids=("7", "x", "9"),
        areas=np.array([10.0, 11.0, 12.0]),
    )
    moved = given_.moved(Geometry(40, 40).then(Crop(0, 0, 20, 20)))
    assert (moved.ids, moved.areas.tolist()) == (("7", "9"), [10.0, 12.0])
    assert (moved.difficult.tolist(), moved.crowd.tolist()) == ([False, True], [True, False])


def test_what_boxes_say_depends_on_boxes_classes_and_marks_but_not_on_their_order():
    one, other = boxes((0, 0, 4, 4, 0), (1, 1, 5, 5, 2)), boxes((1, 1, 5, 5, 2), (0, 0, 4, 4, 0))
    assert one.as_bytes(NAMES) == other.as_bytes(NAMES)
    marked = dataclasses.replace(one, difficult=np.array([True, False]))
    others = [
        boxes((0, 0, 4, 4, 0)),
        boxes((0, 0, 4, 4, 0), (1, 1, 5, 5, 1)),
        boxes((0, 0, 4, 4.5, 0), (1, 1, 5, 5, 2)),
    ]
    assert len({each.as_bytes(NAMES) for each in (one, marked, boxes(), *others)}) == 6
    assert one.renumbered({0: 2, 2: 0}).as_bytes(NAMES[::-1]) == one.as_bytes(NAMES)
    assert one.occurring() == (0, 2) and boxes().occurring() == ()


def test_a_mask_moves_by_nearest_pixels_and_is_read_when_it_is_needed(tmp_path):
    indices = np.arange(12, dtype=np.uint8).reshape(3, 4) % 3
    Image.fromarray(indices).save(tmp_path / "mask.png")
    mask = Mask(tmp_path / "mask.png", b"1")
    assert mask.occurring() is None
    moved = mask.moved(Geometry(3, 4).then(Pad(1, 0, 0, 1), Flip()))
    assert moved.indices().tolist() == [[UNKNOWN] * 5, *[[UNKNOWN, *row[::-1]] for row in indices.tolist()]]
    other = mask.renumbered({0: 2, 1: 0})
    assert other.indices().tolist() == [[{0: 2, 1: 0}.get(i, UNKNOWN) for i in row] for row in indices.tolist()]
    assert other.renumbered({2: 1, 0: 1}).indices().max() == UNKNOWN and other.as_bytes(NAMES) != mask.as_bytes(NAMES)
    assert mask.as_bytes(NAMES) != Mask(indices, b"2").as_bytes(NAMES)


def test_an_opened_mask_says_the_same_and_reads_nothing_more(tmp_path):
    indices = np.arange(12, dtype=np.uint8).reshape(3, 4) % 3
    Image.fromarray(indices).save(tmp_path / "mask.png")
    mask = Mask(tmp_path / "mask.png", b"1", areas={0: 4, 1: 4, 2: 4}).renumbered({0: 2, 1: 0})
    wanted, opened = mask.indices(), mask.opened()
    (tmp_path / "mask.png").unlink()
    assert opened.nbytes == 12 and opened.opened() is opened and opened.areas == mask.areas
    assert np.array_equal(opened.indices(), wanted)
    assert np.array_equal(opened.renumbered({0: 1, 2: 2}).indices(), mask_of(wanted, {0: 1, 2: 2}))
    with pytest.raises(DataError, match=r"mask\.png: is 3 x 4 pixels, and its picture is 3 x 5"):
        opened.moved(Geometry(3, 5))
    for other in (ClassIndex(1), Boxes.of([[0, 0, 4, 4]], [0]), LARGER, Mask(indices)):
        assert other.opened() is other and other.nbytes == 0


def mask_of(indices, numbers):
    return np.vectorize(lambda index: numbers.get(int(index), UNKNOWN))(indices)


@pytest.mark.parametrize("content", [b"", b"no picture", None, "rgb"])
def test_what_is_no_mask_is_named(tmp_path, content):
    path = tmp_path / "mask.png"
    if content == "rgb":
        Image.new("RGB", (4, 4), "red").save(path)
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"mask\.png"):
        Mask(path).indices()


def records(targets):
    return tuple(Record(Path(f"{i}.png"), target, bytes([i]) * 32, f"{i}.png") for i, target in enumerate(targets))


def data(targets, names=("cat", "dog", "eel")):
    return Dataset(Path("root"), "boxes", Classes(names), records(targets), 3)


def test_a_split_balances_the_rarest_class_of_each_picture_and_cuts_rare_classes_together():
    common, rare = (0, 0, 4, 4, 0), (1, 1, 5, 5, 1)
    targets = [boxes(common, rare) if i % 4 == 0 else boxes(common) for i in range(80)]
    targets += [boxes(common, (2, 2, 6, 6, 2)), boxes()]  # a class of one picture, and a picture of no class
    parts = split(data(targets), (0.8, 0.1, 0.1), every_class=False)
    counts = {side: sum(1 in r.target.occurring() for r in parts.of_split(side)) for side in ("train", "val", "test")}
    assert counts == {"train": 16, "val": 2, "test": 2}
    assert [len(parts.of_split(side)) for side in ("train", "val", "test")] == [66, 8, 8]
    with pytest.raises(DataError, match=r"^class 'eel' has 1 different picture: too few"):
        split(data(targets), (0.8, 0.1, 0.1))
    with pytest.raises(DataError, match=r"root has 1 different picture: too few.*\(at least 4 different ones\)"):
        split(data(targets[:1]), (0.8, 0.1, 0.1), every_class=False)
    held_out = [sorted(r.name for r in run.of_split("test")) for run in folds(data(targets), 4, every_class=False)]
    assert sorted(name for names in held_out for name in names) == sorted(r.name for r in records(targets))
    with pytest.raises(DataError, match="a data set needs at least 3 pictures"):
        folds(data(targets[:2]), 2, every_class=False)


def test_records_of_one_group_are_never_split():
    whole = data([ClassIndex(i % 2) for i in range(40)], ("cat", "dog"))
    whole = dataclasses.replace(
        whole, records=tuple(dataclasses.replace(r, group=bytes([i // 4])) for i, r in enumerate(whole.records))
    )
    for parts in (split(whole, (0.5, 0.3, 0.2), seed=3), *folds(whole, 3)):
        sides = {}
        for record in parts.records:
            sides.setdefault(record.group, set()).add(record.split)
        assert all(len(each) == 1 for each in sides.values()) and len({*map(frozenset, sides.values())}) == 3


def test_alignment_asks_masks_for_all_classes_and_boxes_for_their_own():
    ours = Classes(("eel", "cat"))
    (cat,) = aligned(records([boxes((0, 0, 1, 1, 0))]), Classes(("cat", "dog")), ours)
    assert cat.target.classes.tolist() == [1]
    with pytest.raises(DataError, match="class 'dog' of the data is none of the model's"):
        aligned(records([Mask(np.zeros((2, 2), np.uint8))]), Classes(("cat", "dog")), ours)


def test_words_of_pascal_voc_mean_classes_of_coco():
    theirs = Classes(("airplane", "motorcycle", "couch", "potted plant", "dining table", "tv"))
    ours = Classes(("tvmonitor", "aeroplane", "sofa", "diningtable", "pottedplant", "motorbike"))
    every = records([boxes(*((0, 0, 1, 1, index) for index in range(6)))])
    assert aligned(every, theirs, ours)[0].target.classes.tolist() == [1, 5, 2, 4, 3, 0]
    assert aligned(every, ours, theirs)[0].target.classes.tolist() == [5, 0, 2, 4, 3, 1]


def test_a_fingerprint_sees_boxes():
    first = data([boxes((0, 0, 4, 4, 0))])
    assert fingerprint(first) != fingerprint(data([boxes((0, 0, 4, 5, 0))]))
    assert fingerprint(first) == fingerprint(data([boxes((0, 0, 4, 4, 0))]))


def test_batches_of_other_sizes_hold_targets_in_their_pixels():
    array = np.zeros((5, 20, 10, 3), np.uint8)
    whole = tuple(Record(ArrayHandle(array, i), boxes((2, 4, 6, 8, 0)), bytes([i]) * 32, str(i)) for i in range(5))
    preprocess = Preprocess(channels="rgb", mean=(0.0,) * 3, scale=(1.0,) * 3, size=(20, 10), resize="stretch")
    sizes = {0: (20, 10), 1: (40, 30)}
    for workers in (0, 1, 2):
        for ahead in (True, False):
            loader = Loader(
                *(whole, preprocess),
                batch_size=3,
                workers=workers,
                ahead=ahead,
                size_of=lambda e, b: sizes[(e + b) % 2],
            )
            for epoch in (0, 1):
                for start in (0, 1):
                    for number, batch in enumerate(loader.epoch(epoch, start), start=start):
                        height, width = sizes[(epoch + number) % 2]
                        assert batch.images.shape[2:] == (height, width)
                        expected = np.array([2, 4, 6, 8]) * [width / 10, height / 20, width / 10, height / 20]
                        assert all(np.allclose(target.xyxy, expected) for target in batch.targets)
                        assert batch.records[0].target.xyxy.tolist() == [[2, 4, 6, 8]]
