"""A large photograph answered in tiles, by oracles that see exactly what is there: every object once."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from striate import modelfile
from striate.base.errors import DecodeError, ModelError
from striate.data.records import Classes
from striate.models import build
from striate.pictures import tiles
from striate.pictures.preprocess import Preprocess
from striate.predictor import Predictor
from striate.tasks.detect import Detect, Detection

TILE = 64
NAMES = ("cat", "dog", "bird")
PREPROCESS = Preprocess(size=(TILE, TILE), resize="letterbox", interpolation="nearest")


@dataclasses.dataclass(frozen=True)
class Oracle(Detect):
    """Takes the picture itself for the network's outputs: every colour but black is an object, its blue the class.

    How sure it is depends on the box alone, so that pieces are often surer than wholes. What is smaller than ``least``
    in the network's pixels it does not see, and of shrunk pictures nothing unless it ``sees_shrunk``.
    """

    least: int = 1
    sees_shrunk: bool = False

    def decode(self, outputs, geometries):
        answers = []
        for image, geometry in zip(outputs.numpy(), geometries, strict=True):
            packed = image[0].astype(np.int64) << 16 | image[1].astype(np.int64) << 8 | image[2]
            found = []
            shrunk = max(geometry.height, geometry.width) > TILE
            for colour in np.unique(packed[packed > 0]).tolist() if self.sees_shrunk or not shrunk else []:
                rows, columns = (np.flatnonzero((packed == colour).any(axis)) for axis in (1, 0))
                box = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
                if min(box[2] - box[0], box[3] - box[1]) >= self.least:
                    (there,) = geometry.undo_boxes(np.array([box])).tolist()
                    there = np.clip(there, 0, [geometry.width, geometry.height] * 2).tolist()
                    sure = 0.3 + np.random.default_rng([colour, *map(int, there)]).uniform(0, 0.7)
                    found.append(Detection(NAMES[colour & 255], float(sure), tuple(there)))
            answers.append(tuple(found))
        return answers


@pytest.fixture(scope="module")
def network():
    return build("tood/resnet18", classes=3, seed=0).eval()


@pytest.fixture(scope="module")
def predictor(network):
    return with_oracle(network)


def with_oracle(network, **settings):
    description = modelfile.Description("tood/resnet18", {"classes": 3}, "detect", Classes(NAMES), PREPROCESS)
    predictor = Predictor(network, description)
    predictor.task, predictor.outputs = Oracle(Classes(NAMES), **settings), lambda images: images
    return predictor


def composed(height, width, boxes):
    """A black photograph with a rectangle for each box, in a colour of its own, and what is on it."""
    pixels = np.zeros((height, width, 3), np.uint8)
    there = set()
    for number, (left, top, right, bottom) in enumerate(boxes):
        place = pixels[top:bottom, left:right]
        if place.size and not place.any():
            place[...] = [1 + number // 250, 1 + number % 250, number % 3]
            there.add((NAMES[number % 3], (left, top, right, bottom)))
    return pixels, there


def said(prediction):
    return {(each.name, tuple(map(round, each.xyxy))) for each in prediction}


@st.composite
def scenes(draw):
    height, width = draw(st.integers(1, 220)), draw(st.integers(1, 220))
    boxes = []
    for _ in range(draw(st.integers(0, 12))):
        left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
        boxes.append((left, top, draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height))))
    return composed(height, width, boxes)


@settings(max_examples=40)
@given(scenes(), st.sampled_from([0.02, 0.25, 0.5]))
def test_every_object_is_found_once_whatever_its_size_and_place(predictor, scene, overlap):
    pixels, there = scene
    if max(pixels.shape[:2]) <= TILE:
        predictor = with_oracle(predictor.network, sees_shrunk=True)
    answer = predictor(pixels, tile=TILE, overlap=overlap)
    assert len(answer) == len(there) and said(answer) == there


# Under twice the height of the network, or the decoder would reduce the whole to means of colours: new objects.
BUSY = composed(
    125, 300, [(10, 10, 210, 90), (60, 100, 68, 110), (250, 40, 262, 52), (230, 110, 239, 124), (290, 0, 300, 10)]
)


def test_the_whole_shows_what_is_larger_than_a_tile_and_nothing_else(network):
    """Here no piece smaller than 8 pixels is seen; the whole is shrunk by 300 / 64, and its boxes are that rough."""
    pixels, there = BUSY
    answer = with_oracle(network, least=3, sees_shrunk=True)(pixels, tile=TILE)
    assert len(answer) == len(there)
    assert said(answer) >= {(name, box) for name, box in there if max(box[2] - box[0], box[3] - box[1]) <= TILE / 4}
    (large,) = (each for each in answer if each.xyxy[2] - each.xyxy[0] > TILE)
    assert large.xyxy == pytest.approx((10, 10, 210, 90), abs=300 / 64)


def test_a_tile_is_brought_to_the_networks_size_and_boxes_come_back(network):
    """Tiles of 128 for a network of 64: exact to a pixel of the network, two of the photograph's."""
    pixels, there = composed(127, 333, [(100, 90, 130, 120), (250, 10, 270, 30), (305, 100, 333, 120)])
    found = with_oracle(network, sees_shrunk=True)(pixels, tile=128)
    assert sorted(each.name for each in found) == sorted(name for name, _ in there)
    for name, box in there:
        (each,) = (each for each in found if each.name == name)
        assert each.xyxy == pytest.approx(box, abs=2)


def test_a_picture_is_answered_alike_by_path_by_its_bytes_by_array_and_by_pil(predictor, tmp_path):
    pixels, there = BUSY
    path = tmp_path / "large.png"
    exif = Image.Exif()
    exif[274] = 6  # stored lying on its left side
    Image.fromarray(np.ascontiguousarray(np.rot90(pixels))).save(path, exif=exif)
    answers = predictor([path, str(path), path.read_bytes(), Image.open(path), pixels], tile=TILE)
    assert [said(answer) for answer in answers] == [there] * 5
    assert predictor(pixels, tile=TILE, top=2) == tuple(sorted(answers[4], key=lambda each: -each.probability)[:2])


def test_a_folder_streams_and_small_pictures_are_answered_as_usual(predictor, tmp_path, monkeypatch):
    pixels, there = BUSY
    small = pixels[60:124, 40:104]
    for number in range(20):
        Image.fromarray(pixels if number % 7 == 3 else small).save(tmp_path / f"{number:02}.png")
    counts = []
    monkeypatch.setattr(predictor, "outputs", lambda images: counts.append(len(images)) or images)
    answers = dict(predictor(tmp_path, tile=TILE))
    assert [path.name for path in answers] == [f"{number:02}.png" for number in range(20)]
    usual = predictor(small)
    for number, answer in enumerate(answers.values()):
        assert said(answer) == there if number % 7 == 3 else answer == usual
    assert max(counts) == 16  # tiles come in batches as pictures do


def test_what_does_not_fit_into_memory_is_left_out(predictor, tmp_path, monkeypatch):
    """The whole is decoded at a reduced size; at its own it may be too large."""
    for name in ("a.png", "b.png"):
        Image.fromarray(BUSY[0]).save(tmp_path / name)

    def opened(picture, preprocess, *, reduced=True):
        raise DecodeError(picture, "its pixels do not fit into memory")

    monkeypatch.setattr("striate.predictor.opened", opened)
    missing = []
    assert list(predictor.stream([tmp_path / "a.png"], tile=TILE, on_unreadable=missing.append)) == []
    assert [error.path for error in missing] == [tmp_path / "a.png"]
    with pytest.raises(DecodeError, match="do not fit"):
        predictor([tmp_path / "a.png", tmp_path / "b.png"], tile=TILE)


def test_what_cannot_be_tiled_is_refused(predictor):
    with pytest.raises(ModelError, match=r"tile is 3; expected its side in pixels"):
        predictor(BUSY[0], tile=3)
    with pytest.raises(ModelError, match=r"overlap is 2; expected the part"):
        predictor(BUSY[0], tile=TILE, overlap=2)
    with pytest.raises(ModelError, match=r"overlap is 0.5, which is how far tiles overlap, but no tile is given"):
        predictor(BUSY[0], overlap=0.5)


def test_a_class_of_a_part_is_none_of_the_whole():
    classes = Classes(("a", "b"))
    network = build("resnet20", classes=2, seed=0).eval()
    description = modelfile.Description("resnet20", {"classes": 2}, "classify", classes, PREPROCESS)
    with pytest.raises(ModelError, match=r"tile is 64, but classify answers a picture as a whole: .* leave tile out"):
        Predictor(network, description)(BUSY[0], tile=TILE)


def test_many_tiles_are_announced(network, monkeypatch):
    monkeypatch.setattr(tiles, "MANY", 9)
    description = modelfile.Description("tood/resnet18", {"classes": 3}, "detect", Classes(NAMES), PREPROCESS)
    said = []
    predictor = Predictor(network, description, on_notice=said.append)
    predictor.task, predictor.outputs = Oracle(Classes(NAMES)), lambda images: images
    for side, told in ((2 * TILE, []), (4 * TILE, ["one without a path: answered in 25 tiles, one after the other"])):
        said.clear()
        predictor(np.zeros((side, side, 3), np.uint8), tile=TILE)
        assert [text.rpartition(",")[0] for text in said] == told
