"""Data in arrays: .npz files and idx files, and the choice between formats."""

import gzip
import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from striate.base.errors import DataError
from striate.data import ArrayHandle, open_data
from striate.tasks.classify import Classify

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
Y = np.array([0, 1, 2, 0, 1, 2])


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def idx(folder: Path, prefix: str, images: np.ndarray, labels: np.ndarray, gz: bool = True) -> None:
    for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
        content = idx_bytes(array)
        name = f"{prefix}-{kind}-ubyte" + (".gz" if gz else "")
        (folder / name).write_bytes(gzip.compress(content) if gz else content)


def pixels(record: Any) -> np.ndarray:
    assert isinstance(record.handle, ArrayHandle)
    return record.handle.array[record.handle.index]


class TestNpz:
    def test_x_and_y(self, tmp_path: Path) -> None:
        dataset = open_data(npz(tmp_path / "d.npz", x=X, y=Y))
        assert (dataset.format, dataset.channels, dataset.fixed_splits) == ("arrays", 3, False)
        assert dataset.classes.names == ("0", "1", "2")
        assert [record.target.index for record in dataset.records] == Y.tolist()
        assert all(np.array_equal(pixels(record), X[i]) for i, record in enumerate(dataset.records))
        assert [record.content for record in dataset.records] == [hashlib.sha256(x.tobytes()).digest() for x in X]
        assert dataset.records[4].name == "d.npz:x[4]"

    def test_keras_names_and_labels_in_a_column(self, tmp_path: Path) -> None:
        path = npz(tmp_path / "d.npz", x_train=X[:4], y_train=Y[:4, None], x_test=X[4:], y_test=Y[4:, None])
        dataset = open_data(path)
        assert dataset.fixed_splits
        assert [record.split for record in dataset.records] == ["train"] * 4 + ["test"] * 2

    def test_a_folder_with_one_file(self, tmp_path: Path) -> None:
        npz(tmp_path / "d.npz", images=X, labels=Y)
        assert len(open_data(tmp_path).records) == 6
        npz(tmp_path / "e.npz", images=X, labels=Y)
        with pytest.raises(DataError, match=r"expected one \.npz file, found several: d\.npz, e\.npz"):
            open_data(tmp_path)

    def test_words_as_labels(self, tmp_path: Path) -> None:
        dataset = open_data(npz(tmp_path / "d.npz", x=X, y=np.array(["dog", "cat", "dog", "cat", "ant", "ant"])))
        assert dataset.classes.names == ("ant", "cat", "dog")
        assert [record.target.index for record in dataset.records] == [2, 1, 2, 1, 0, 0]

    def test_given_names_fix_the_indices(self, tmp_path: Path) -> None:
        dataset = open_data(npz(tmp_path / "d.npz", x=X[:4], y=np.array([2, 0, 2, 0]), names=np.array(["a", "b", "c"])))
        assert dataset.classes.names == ("a", "b", "c")
        assert [record.target.index for record in dataset.records] == [2, 0, 2, 0]
        assert dataset.notices == ("no picture is labelled b",)

    def test_labels_with_gaps(self, tmp_path: Path) -> None:
        dataset = open_data(npz(tmp_path / "d.npz", x=X, y=np.array([10, 2, 10, 2, 10, 2])))
        assert dataset.classes.names == ("2", "10")
        assert [record.target.index for record in dataset.records] == [1, 0, 1, 0, 1, 0]

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            (np.array([0.0, 0.5, 1.0], np.float32), [0, 128, 255]),
            (np.array([0, 257, 65535], np.uint16), [0, 1, 255]),
            (np.array([False, True]), [0, 255]),
            (np.array([0, 7, 255], np.int64), [0, 7, 255]),
        ],
    )
    def test_types_are_scaled(self, tmp_path: Path, given: np.ndarray, expected: list[int]) -> None:
        dataset = open_data(npz(tmp_path / "d.npz", x=given[:, None, None], y=np.arange(len(given))))
        assert dataset.channels == 1
        assert [int(pixels(record)[0, 0]) for record in dataset.records] == expected

    @pytest.mark.parametrize(("most", "said"), [(1, 1), (4095, 1), (4096, 0), (65535, 0)])
    def test_a_sixteenth_of_16_bits_is_told(self, tmp_path: Path, most: int, said: int) -> None:
        x = np.zeros((4, 3, 3), np.uint16)
        x[1, 2, 2] = most
        dataset = open_data(
            npz(tmp_path / "d.npz", x_train=x, y_train=[0, 1, 0, 1], x_test=x // 2, y_test=[0, 1, 0, 1])
        )
        sentences = [notice for notice in dataset.notices if "sixteenth" in notice]
        assert len(sentences) == said
        assert all("the 16-bit pictures (8) use less than a sixteenth" in sentence for sentence in sentences)

    def test_many_bands(self, tmp_path: Path) -> None:
        x = RNG.integers(0, 256, (4, 6, 6, 7), dtype=np.uint8)
        assert open_data(npz(tmp_path / "d.npz", x=x, y=np.array([0, 1, 0, 1]))).channels == 7

    REFUSED: dict[str, tuple[dict[str, Any], str]] = {  # noqa: RUF012
        "names": ({"a": X, "b": Y}, "has the arrays a, b; expected x and y"),
        "shape": ({"x": X[0, 0], "y": Y[:5]}, r"shape \[4, 3\]; expected pictures, \[N, H, W\]"),
        "channels first": ({"x": np.zeros((2, 3, 9, 9), np.uint8), "y": [0, 1]}, r"channels first; transpose it"),
        "range": ({"x": X / 16.0, "y": Y}, "floats from 0 to 1"),
        "nan": ({"x": np.full((2, 4, 4), np.nan), "y": [0, 1]}, "from nan to nan"),
        "count": ({"x": X, "y": Y[:5]}, "expected one label for each of 6 pictures"),
        "one-hot": ({"x": X, "y": np.eye(3)[Y]}, "one-hot, save its argmax"),
        "fractions": ({"x": X, "y": Y / 2}, "type float64; expected whole numbers or words"),
        "out of names": ({"x": X, "y": Y, "names": ["a", "b"]}, "0 to 2, but there are 2 class names; expected 0 to 1"),
        "negative": ({"x": X, "y": Y - 1, "names": ["a", "b", "c"]}, "are -1 to 1"),
        "one class": ({"x": X, "y": Y * 0}, "one class only, '0'"),
        "new in test": (
            {"x_train": X[:4], "y_train": [0, 1, 0, 1], "x_test": X[4:], "y_test": [0, 7]},
            "test has 1 label out of range, of which train has no picture: 7; train has 0, 1",
        ),
        "two labels": ({"x": X[[0, 1, 2, 0]], "y": [0, 1, 0, 1]}, r"d\.npz:x\[0\] is '0' and d\.npz:x\[3\] is '1'"),
        "pickles": ({"x": X, "y": np.array([object()] * 6)}, "pickled objects, which are never loaded"),
    }

    @pytest.mark.parametrize("case", REFUSED)
    def test_refused(self, tmp_path: Path, case: str) -> None:
        arrays, message = self.REFUSED[case]
        with pytest.raises(DataError, match=message):
            dataset = open_data(npz(tmp_path / "d.npz", **arrays))
            Classify(dataset.classes).checked(dataset)

    @pytest.mark.parametrize("keep", [0, 10, 200, -30])
    def test_damaged(self, tmp_path: Path, keep: int) -> None:
        path = npz(tmp_path / "d.npz", x=X, y=Y)
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(DataError, match=r"d\.npz cannot be read"):
            open_data(path)

    def test_damaged_inside(self, tmp_path: Path) -> None:
        path = tmp_path / "d.npz"
        np.savez_compressed(path, x=X, y=Y)
        content = bytearray(path.read_bytes())
        content[150:170] = bytes(20)
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"d\.npz cannot be read"):
            open_data(path)


class TestIdx:
    IMAGES = RNG.integers(0, 256, (9, 4, 5), dtype=np.uint8)
    LABELS = np.arange(9) % 3

    @pytest.mark.parametrize("gz", [True, False])
    def test_train_and_t10k(self, tmp_path: Path, gz: bool) -> None:
        idx(tmp_path, "train", self.IMAGES[:6], self.LABELS[:6], gz)
        idx(tmp_path, "t10k", self.IMAGES[6:], self.LABELS[6:], gz)
        dataset = open_data(tmp_path)
        assert (dataset.format, dataset.channels, dataset.fixed_splits) == ("idx", 1, True)
        assert dataset.classes.names == ("0", "1", "2")
        assert [record.split for record in dataset.records] == ["train"] * 6 + ["test"] * 3
        assert all(np.array_equal(pixels(r), self.IMAGES[i]) for i, r in enumerate(dataset.records))
        assert [record.target.index for record in dataset.records] == self.LABELS.tolist()

    def test_one_pair_has_no_splits(self, tmp_path: Path) -> None:
        idx(tmp_path, "emnist-letters-train", self.IMAGES, self.LABELS + 1)
        dataset = open_data(tmp_path)
        assert not dataset.fixed_splits and dataset.classes.names == ("1", "2", "3")

    def test_refused(self, tmp_path: Path) -> None:
        idx(tmp_path, "train", self.IMAGES, self.LABELS)
        images, labels = tmp_path / "train-images-idx3-ubyte.gz", tmp_path / "train-labels-idx1-ubyte.gz"
        good, good_labels = images.read_bytes(), labels.read_bytes()
        plain = idx_bytes(self.IMAGES)
        for content, message in (
            (good[: len(good) // 2], "damaged or truncated gzip"),
            (b"not a gzip file", "damaged or truncated gzip"),
            (b"", "is not an idx file"),
            (gzip.compress(b"\x89PNG" + plain), "is not an idx file: it starts with"),
            (gzip.compress(b"\0\0\x0d\x03" + plain[4:]), "numbers of idx type 0x0d; expected 0x08"),
            (gzip.compress(plain[:-1]), "promises 180 numbers and it holds only 179"),
            (gzip.compress(plain + b"!"), "promises 180 numbers and it holds more"),
            (gzip.compress(struct.pack(">I3I", 0x0803, 2**31, 2**31, 28)), "its header speaks of"),
            (gzip.compress(struct.pack(">I3I", 0x0803, 60000, 28, 28)), "47040000 numbers and it holds only 0"),
            (gzip.compress(idx_bytes(self.LABELS)), "expected pictures"),
        ):
            images.write_bytes(content)
            with pytest.raises(DataError, match=message):
                open_data(tmp_path)
        images.write_bytes(good)
        labels.write_bytes(gzip.compress(idx_bytes(self.LABELS[:-1])))
        with pytest.raises(DataError, match=r"labels of shape \[8\] for the 9 images"):
            open_data(tmp_path)
        labels.unlink()
        with pytest.raises(DataError, match="no labels beside it; expected train-labels-idx1-ubyte or"):
            open_data(tmp_path)
        labels.write_bytes(good_labels)
        idx(tmp_path, "t10k", 255 - self.IMAGES, self.LABELS + 5)
        with pytest.raises(DataError, match="test has 3 labels out of range"):
            open_data(tmp_path)

    def test_fashion_is_known_by_its_labels_mnist_has_digits(self, shared_data: Path) -> None:
        fashion = open_data(shared_data / "fashion-mnist")
        assert fashion.classes.names[::9] == ("T-shirt/top", "Ankle boot")
        assert len(fashion.of_split("train")) == 60_000 and len(fashion.of_split("test")) == 10_000
        assert np.bincount([record.target.index for record in fashion.records]).tolist() == [7000] * 10
        digits = open_data(shared_data / "mnist" / "t10k-images-idx3-ubyte.gz")
        assert digits.classes.names == tuple("0123456789") and len(digits.records) == 10_000


class TestChoice:
    def test_two_formats_name_the_option(self, tmp_path: Path) -> None:
        npz(tmp_path / "d.npz", x=X, y=Y)
        idx(tmp_path, "train", TestIdx.IMAGES, TestIdx.LABELS)
        with pytest.raises(DataError, match=r"more than one format: idx and arrays; .*--format idx or --format"):
            open_data(tmp_path)
        assert len(open_data(tmp_path, format="arrays").records) == 6
        assert len(open_data(tmp_path, format="idx").records) == 9

    def test_unknown_format(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"--format folder is not a format of data; Did you mean 'folders'\?"):
            open_data(tmp_path, format="folder")

    def test_forced_format_says_what_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="holds no idx images; expected files such as"):
            open_data(tmp_path, format="idx")
        with pytest.raises(DataError, match=r"expected one \.npz file, found none"):
            open_data(tmp_path, format="arrays")

    def test_no_such_path(self, tmp_path: Path) -> None:
        (tmp_path / "flowers").mkdir()
        with pytest.raises(DataError, match=r"flower: no such file or folder\. Did you mean 'flowers'\?"):
            open_data(tmp_path / "flower")
        (tmp_path / "link").symlink_to("nowhere")
        with pytest.raises(DataError, match="link: a symbolic link to nowhere, which does not exist"):
            open_data(tmp_path / "link")
        (tmp_path / "loop").symlink_to("loop")
        with pytest.raises(DataError, match="loop: a loop of symbolic links"):
            open_data(tmp_path / "loop")

    def test_a_file_of_no_format(self, tmp_path: Path) -> None:
        (tmp_path / "photo.jpg").write_bytes(b"x")
        with pytest.raises(
            DataError, match=r"is a file in no format of data that is known here; expected coco: .*; folders: "
        ):
            open_data(tmp_path / "photo.jpg")
