"""The loader: one order, one content of each batch, whoever computes it and wherever the pixels come from."""

import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from striate.base.errors import DecodeError
from striate.data import ArrayHandle, Augmentation, Batch, Dataset, Loader, PictureCache, Record, loading, open_data
from striate.data.loading import _put, batch_bounds, threads_for
from striate.data.targets import ClassIndex
from striate.pictures.preprocess import Preprocess

RGB = Preprocess(size=(24, 24))
GREY = Preprocess(channels="grey", mean=(0.5,), scale=(0.5,), size=(8, 8), resize="stretch")
STRONG = Augmentation(flip=True, shift=1, rotation=5, colour=0.3)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, photo_folder: Callable[..., Path]) -> Path:
    """Large enough to be shrunk by 2 while they are decoded."""
    return photo_folder(tmp_path_factory.mktemp("photos") / "data", per_class=7, size=(80, 64))


@pytest.fixture(scope="module")
def dataset(photos: Path) -> Dataset:
    return open_data(photos)


def array_records(array: np.ndarray) -> tuple[Record, ...]:
    return tuple(
        Record(ArrayHandle(array, i), ClassIndex(i % 3), (i * 7919 + 1).to_bytes(32, "little"), f"x[{i}]")
        for i in range(len(array))
    )


def same(one: Iterator[Batch] | Sequence[Batch], other: Iterator[Batch] | Sequence[Batch]) -> None:
    one, other = list(one), list(other)
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        assert torch.equal(left.images, right.images)
        assert left.targets == right.targets and left.geometries == right.geometries
        assert [r.content for r in left.records] == [r.content for r in right.records]


@given(st.integers(0, 200), st.integers(1, 40))
def test_bounds(count: int, batch_size: int) -> None:
    bounds = batch_bounds(count, batch_size)
    sizes = [stop - start for start, stop in bounds]
    assert [position for start, stop in bounds for position in range(start, stop)] == list(range(count))
    assert 1 not in sizes or count == 1 or batch_size == 1
    assert all(size == batch_size for size in sizes[:-1]) and max(sizes, default=0) <= batch_size + 1


def test_images_are_bytes_in_channels_last(dataset: Dataset) -> None:
    (batch,) = Loader(dataset.records, RGB, batch_size=14).epoch(0)
    assert batch.images.dtype == torch.uint8 and batch.images.shape == (14, 3, 24, 24)
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert batch.targets == tuple(r.target for r in dataset.records) and batch.records == dataset.records
    assert len(batch) == len(batch.geometries) == 14
    assert batch.geometries[0].steps[0].size(80, 64) == (40, 32)  # decoded at half its size


@pytest.mark.parametrize("augmentation", [None, STRONG])
def test_workers_and_cache_change_nothing(
    dataset: Dataset, augmentation: Augmentation | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def batches(workers: int, cache: PictureCache | None, ahead: bool = True) -> list[Batch]:
        loader = Loader(
            *(dataset.records, RGB),
            batch_size=3,
            seed=5,
            augmentation=augmentation,
            shuffle=True,
            workers=workers,
            ahead=ahead,
            cache=cache,
        )
        return [*loader.epoch(0), *loader.epoch(1)]

    cold = batches(0, None)
    warm, small = PictureCache(1 << 30), PictureCache(20_000)
    for workers in (0, 1, 2, 3):
        same(cold, batches(workers, None))
        same(cold, batches(workers, warm))
        same(cold, batches(workers, small))
        same(cold, batches(workers, warm, ahead=False))
    assert len(warm) == 14
    assert 0 < len(small) < 14 and small.used <= 20_000
    monkeypatch.setattr("striate.data.cache.decode", lambda *_, **__: pytest.fail("decoded again"))
    same(cold, batches(0, warm))


def test_names_and_order_of_files_change_nothing(dataset: Dataset, photos: Path, tmp_path: Path) -> None:
    for folder in photos.iterdir():
        (tmp_path / "new" / folder.name).mkdir(parents=True)
        for number, path in enumerate(sorted(folder.iterdir(), reverse=True)):
            shutil.copy(path, tmp_path / "new" / folder.name / f"copy-{number}{path.suffix}")
    renamed = open_data(tmp_path / "new")
    assert [r.content for r in renamed.records] != [r.content for r in dataset.records]
    options = {"batch_size": 4, "seed": 1, "augmentation": STRONG, "shuffle": True}
    same(Loader(dataset.records, RGB, **options).epoch(3), Loader(renamed.records, RGB, **options).epoch(3))  # type: ignore[arg-type]


def test_epochs_and_seeds_differ_and_repeat(dataset: Dataset) -> None:
    def order(seed: int, epoch: int) -> list[bytes]:
        loader = Loader(dataset.records, RGB, batch_size=5, seed=seed, shuffle=True)
        return [r.content for batch in loader.epoch(epoch) for r in batch.records]

    orders = [order(0, 0), order(0, 1), order(1, 0)]
    assert all(sorted(found) == sorted(r.content for r in dataset.records) for found in orders)
    assert len({tuple(found) for found in orders}) == 3 and order(0, 1) == orders[1]


def test_a_sample_looks_different_in_each_epoch_but_not_by_its_place(dataset: Dataset) -> None:
    loader = Loader(dataset.records, RGB, batch_size=14, augmentation=STRONG)
    (first,), (second,) = loader.epoch(0), loader.epoch(1)
    assert not any(torch.equal(a, b) for a, b in zip(first.images, second.images, strict=True))
    (alone,) = Loader(dataset.records[6:7], RGB, batch_size=1, augmentation=STRONG).epoch(0)
    assert torch.equal(alone.images[0], first.images[6])


@pytest.mark.parametrize("workers", [0, 2])
def test_starting_in_the_middle(dataset: Dataset, workers: int) -> None:
    loader = Loader(dataset.records, RGB, batch_size=3, augmentation=STRONG, shuffle=True, workers=workers)
    whole = list(loader.epoch(2))
    assert len(loader) == len(whole) == 5
    for start in (0, 2, 4, 5):
        same(whole[start:], loader.epoch(2, start))


def test_a_remainder_of_one_joins(dataset: Dataset) -> None:
    assert [len(batch) for batch in Loader(dataset.records[:9], RGB, batch_size=4).epoch(0)] == [4, 5]


@pytest.mark.parametrize(("workers", "ahead"), [(0, True), (1, True), (2, True), (2, False)])
def test_errors_reach_the_consumer_with_the_name(dataset: Dataset, tmp_path: Path, workers: int, ahead: bool) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("no picture")
    records = [*dataset.records[:6], Record(bad, ClassIndex(0), b"\1" * 32, "disc/bad.jpg")]
    loader = Loader(records, RGB, batch_size=2, workers=workers, ahead=ahead)
    batches = loader.epoch(0)
    assert len(next(batches)) == 2 and len(next(batches)) == 2
    with pytest.raises(DecodeError, match=r"^disc/bad\.jpg: "):
        list(batches)
    assert not loader_threads()


def test_our_own_errors_say_which_picture(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Augmentation, "colour_image", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError) as caught:
        list(Loader(dataset.records, RGB, batch_size=2).epoch(0))
    assert caught.value.__notes__ == [f"while preparing {dataset.records[0].name}"]


def loader_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("striate-loader")]


@pytest.mark.parametrize("ahead", [True, False])
def test_closing_early_stops_the_threads(dataset: Dataset, ahead: bool) -> None:
    batches = Loader(dataset.records * 20, RGB, batch_size=4, workers=2, ahead=ahead).epoch(0)
    next(batches)
    assert loader_threads()
    batches.close()  # type: ignore[attr-defined]
    assert not loader_threads()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A number for each batch that anybody has begun to make."""
    begun, original = list[int](), Loader._batch
    monkeypatch.setattr(Loader, "_batch", lambda *args: (begun.append(1), original(*args))[1])
    return begun


def test_no_more_than_a_few_batches_wait(dataset: Dataset, made: list[int]) -> None:
    batches = Loader(dataset.records * 10, RGB, batch_size=4, workers=2).epoch(0)
    for taken in range(1, 20):
        next(batches)
        assert len(made) <= taken + 2
    list(batches)


def test_who_needs_all_cores_in_between_has_them(dataset: Dataset, made: list[int]) -> None:
    batches = Loader(dataset.records * 10, RGB, batch_size=4, workers=2, ahead=False).epoch(0)
    for taken in range(1, 20):
        next(batches)
        assert len(made) == taken
    list(batches)


def test_how_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "cores", lambda: 5)
    assert [threads_for(None, torch.device(name)) for name in ("cuda", "cpu")] == [2, 5]
    assert [threads_for(asked, torch.device("cpu")) for asked in (0, 7)] == [0, 7]


@pytest.mark.parametrize("shape", [(5, 7, 3), (301, 224, 3), (3, 20_000, 3), (9, 1, 1), (200, 300, 5)])
def test_mirrored_pictures_reach_their_place_in_the_batch(shape: tuple[int, int, int]) -> None:
    """Sizes above and below what is mirrored at once; the cache's own pixels cannot be written to."""
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    pixels.setflags(write=False)
    places = np.zeros((3, *shape), np.uint8)
    _put(places[1], pixels[:, ::-1])
    assert np.array_equal(places[1], np.flip(pixels, 1)) and not places[[0, 2]].any()


def test_no_records() -> None:
    assert list(Loader((), RGB, batch_size=4, workers=2).epoch(0)) == []


MOVES = [
    Augmentation(crop=(1.0, 1.0), flip=False),
    Augmentation(crop=(1.0, 1.0), flip=True),
    Augmentation(crop=(1.0, 1.0), flip=False, shift=1),
    Augmentation(crop=(1.0, 1.0), flip=True, shift=3),
]


@pytest.mark.parametrize("augmentation", MOVES)
@pytest.mark.parametrize("bands", [None, 1, 3])
@pytest.mark.parametrize(
    "preprocess",
    [
        GREY,
        replace(GREY, channels="rgb", fill=9),
        replace(GREY, size=(12, 12), border=2, fill=50),
        replace(GREY, resize="letterbox"),
        replace(GREY, resize="crop", crop_fraction=1.0),
    ],
)
def test_the_quick_way_is_the_long_way(augmentation: Augmentation, bands: int | None, preprocess: Preprocess) -> None:
    generator = np.random.default_rng(0)
    shape = (8, 8) if bands is None else (8, 8, bands)
    one, other = (generator.integers(0, 256, (count, *shape), dtype=np.uint8) for count in (20, 9))
    one.setflags(write=False)
    records = array_records(one) + array_records(other)
    loader = Loader(records, preprocess, batch_size=8, seed=3, augmentation=augmentation, shuffle=True, workers=2)
    assert loader._arrays is not None
    quick = [*loader.epoch(0), *loader.epoch(1)]
    loader._arrays = None
    same(quick, [*loader.epoch(0), *loader.epoch(1)])
    assert quick[0].images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("augmentation", "preprocess"),
    [
        (Augmentation(), GREY),
        (replace(MOVES[0], rotation=5.0), GREY),
        (replace(MOVES[0], colour=0.1), GREY),
        (MOVES[0], replace(GREY, size=(9, 9))),
        (MOVES[0], replace(GREY, resize="crop", crop_fraction=0.875)),
    ],
)
def test_what_the_quick_way_cannot_do_goes_the_long_way(augmentation: Augmentation, preprocess: Preprocess) -> None:
    array = np.random.default_rng(0).integers(0, 256, (9, 8, 8), dtype=np.uint8)
    loader = Loader(array_records(array), preprocess, batch_size=4, augmentation=augmentation)
    assert loader._arrays is None
    assert [len(batch) for batch in loader.epoch(0)] == [4, 5]


def test_pictures_of_different_sizes_go_the_long_way() -> None:
    small, large = np.zeros((4, 8, 8), np.uint8), np.ones((4, 16, 16), np.uint8)
    loader = Loader(array_records(small) + array_records(large), GREY, batch_size=8)
    assert loader._arrays is None
    assert [int(image.max()) for image in next(loader.epoch(0)).images] == [0] * 4 + [1] * 4


def test_kept_pixels_cannot_be_written_to(dataset: Dataset) -> None:
    cache = PictureCache(1 << 30)
    kept = cache.picture(dataset.records[0], RGB)
    assert cache.picture(dataset.records[0], RGB) is kept
    with pytest.raises(ValueError, match="read-only"):
        kept.pixels[0, 0] = 0


def test_the_cache_keeps_what_decode_was_asked_for_apart(dataset: Dataset) -> None:
    cache = PictureCache(1 << 30)
    record = dataset.records[0]
    shapes = {
        cache.picture(record, preprocess).pixels.shape
        for preprocess in (RGB, GREY, replace(RGB, size=(64, 64)), replace(RGB, channels="bgr"))
    }
    assert shapes == {(40, 32, 3), (10, 8, 1), (80, 64, 3)} and len(cache) == 4


def test_an_unreadable_record_is_not_kept_by_its_empty_content(dataset: Dataset) -> None:
    cache = PictureCache(1 << 30)
    cache.picture(replace(dataset.records[0], content=b""), RGB)
    assert len(cache) == 0


def test_the_cache_fits_with_a_tenth_to_spare() -> None:
    cache = PictureCache(1100)
    assert cache.fits(1000) and not cache.fits(1001)
