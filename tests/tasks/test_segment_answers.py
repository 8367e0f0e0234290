"""Answers of segmentation: in the photograph's pixels, in tiles, as polygons, pictures and words."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from striate.data.records import Classes
from striate.pictures.geometry import Flip, Geometry, Resize, Shrunk
from striate.pictures.preprocess import Preprocess
from striate.pictures.tiles import Tiling
from striate.tasks import segment_decoding
from striate.tasks.segment import Segment
from striate.tasks.segment_decoding import class_maps
from striate.tasks.segment_drawing import as_picture, palette
from striate.tasks.segment_polygons import polygons, simplified

CLASSES = Classes(("background", "red", "blue"))
TASK = Segment(CLASSES)


def logits(height, width, classes=3, seed=0):
    """Smooth ones, so that interpolation means something."""
    coarse = torch.randn(1, classes, 5, 6, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, size=(height, width), mode="bilinear")


def test_a_picture_of_the_networks_size_is_answered_as_it_is():
    given = logits(9, 13)
    (answer,) = class_maps(given, [Geometry(9, 13)])
    assert answer.dtype == np.uint8 and np.array_equal(answer, given[0].argmax(0).numpy())


@pytest.mark.parametrize("size", [(40, 61), (18, 26), (7, 5), (9, 100)])
@pytest.mark.parametrize("band", [1 << 22, 100])
def test_stretched_pictures_are_answered_as_torch_interpolates_logits(size, band, monkeypatch):
    monkeypatch.setattr(segment_decoding, "BAND", band)
    given = logits(9, 13)
    wanted = F.interpolate(given, size=size, mode="bilinear")[0].argmax(0).numpy()
    (answer,) = class_maps(given, [Geometry(*size).then(Resize(9, 13))])
    assert (answer == wanted).mean() > 0.999  # but for ties to rounding


@pytest.mark.parametrize("size", [(60, 45), (45, 60), (20, 90)])
def test_what_the_network_says_of_a_letterbox_border_counts_nowhere(size):
    geometry = Preprocess(size=(30, 30), resize="letterbox").geometry(Geometry(*size))
    given = logits(30, 30)
    left, top, right, bottom = geometry.boxes(np.array([[0, 0, size[1], size[0]]]))[0].astype(int)
    inside = given[:, :, top:bottom, left:right]
    wanted = F.interpolate(inside, size=size, mode="bilinear")[0].argmax(0).numpy()
    outside = torch.full_like(given, 0)
    outside[:, 2] = 1e9
    outside[:, :, top:bottom, left:right] = inside
    (answer,) = class_maps(outside, [geometry])
    assert answer.shape == size and (answer == wanted).mean() > 0.999


@pytest.mark.parametrize("shrunk", [Shrunk(2), Shrunk(4, top=True), Shrunk(2, left=True, top=True)])
def test_a_picture_that_the_decoder_reduced_is_answered_where_its_pixels_lie(shrunk):
    """A class for each quarter: its border comes back within a pixel of the network's."""
    geometry = Preprocess(size=(24, 32), resize="letterbox").geometry(Geometry(97, 129).then(shrunk))
    mask = np.zeros((97, 129), np.uint8)
    mask[40:], mask[:, 70:] = 1, 2
    there = torch.from_numpy(np.where((seen := geometry.mask(mask)) == 255, 0, seen)).long()
    given = F.one_hot(there, 3).permute(2, 0, 1)[None].float()
    (answer,) = class_maps(given, [geometry])
    far = np.ones_like(mask, bool)
    far[40 - 5 : 40 + 5], far[:, 70 - 5 : 70 + 5] = False, False
    assert np.array_equal(answer[far], mask[far]) and (answer == mask).mean() > 0.95


def test_a_mirrored_picture_is_answered_as_itself():
    given = logits(9, 13)
    mirrored = Geometry(9, 13).then(Flip())
    (answer,) = class_maps(given.flip(3), [mirrored])
    assert np.array_equal(answer, given[0].argmax(0).numpy())
    assert torch.equal(TASK.undo(given.flip(3), (9, 13)), given)


def test_tiles_are_put_together_from_the_middles_of_each():
    """Each tile answers its own number: pixels belong to the tile whose own border, inside the picture, is farthest."""
    tiling = Tiling(20, overlap=0.4)
    places = tiling.places(30, 46)
    parts = [(place, np.full(place.output_size, at, np.uint8)) for at, place in enumerate(places)]
    whole = TASK.merged([*parts, (Geometry(30, 46), np.full((30, 46), 99, np.uint8))], tiling)
    windows = [place.window[0] for place in places]
    for (y, x), got in np.ndenumerate(whole):
        depths = []
        for left, top, right, bottom in windows:
            ends = [
                math.inf if at_edge else distance
                for distance, at_edge in (
                    (x + 0.5 - left, left == 0),
                    (right - x - 0.5, right == 46),
                    (y + 0.5 - top, top == 0),
                    (bottom - y - 0.5, bottom == 30),
                )
            ]
            depths.append(min(ends))
        assert depths[got] == max(depths), (y, x)


def test_tiles_cut_out_of_one_answer_give_it_back():
    answer = np.random.default_rng(0).integers(0, 3, (67, 45)).astype(np.uint8)
    tiling = Tiling(16)
    parts = [(place, place.mask(answer)) for place in tiling.places(67, 45)]
    assert np.array_equal(TASK.merged(parts, tiling), answer)


def filled(rings, shape):
    """Pixels inside an odd number of rings, by crossing their upright edges."""
    inside = np.zeros(shape, bool)
    for ring in rings:
        for (x, y), (u, v) in zip(ring.tolist(), np.roll(ring, -1, 0).tolist(), strict=True):
            if x == u:
                inside[min(y, v) : max(y, v), :x] ^= True
    return inside


def test_exact_polygons_are_the_very_pixels():
    random = np.random.default_rng(0)
    for turn in range(100):
        mask = random.integers(0, 3, random.integers(1, 13, 2)).astype(np.uint8)
        mask = mask.repeat(1 + turn % 3, axis=0)
        mask[random.random(mask.shape) < 0.1] = 255
        back = np.full_like(mask, 255)
        for each in polygons(mask, tolerance=0, least=0):
            there = filled(each.rings, mask.shape)
            assert there.sum() == each.pixels and each.index != 255 and (back[there] == 255).all()
            back[there] = each.index
        assert np.array_equal(back, mask)


def test_a_ring_in_a_ring_has_its_own_hole():
    mask = np.zeros((21, 21), np.uint8)
    mask[2:19, 2:19], mask[5:16, 5:16], mask[8:13, 8:13], mask[9:12, 9:12] = 1, 0, 1, 0
    found = {(each.index, each.pixels): len(each.rings) for each in polygons(mask)}
    assert found == {(0, 152): 2, (1, 168): 2, (0, 96): 2, (1, 16): 2, (0, 9): 1}
    assert [each.pixels for each in polygons(mask)] == sorted((p for _, p in found), reverse=True)
    assert polygons(mask)[0].rings[0].tolist() == [[2, 2], [19, 2], [19, 19], [2, 19]]


def test_simplified_rings_stay_within_the_tolerance_and_are_few():
    y, x = np.mgrid[:200, :200]
    disc = (np.hypot(y - 99.5, x - 99.5) < 70).astype(np.uint8)
    exact = polygons(disc, tolerance=0)[1].rings[0]
    ring = polygons(disc)[1].rings[0]
    assert len(ring) < len(exact) / 5
    ends = np.roll(ring, -1, axis=0)
    for corner in exact:
        along, offset = ends - ring, corner - ring
        part = np.clip((offset * along).sum(1) / (along**2).sum(1), 0, 1)
        assert np.hypot(*(offset - part[:, None] * along).T).min() <= 1
    square = np.array([[0, 0], [9, 0], [9, 9], [0, 9]])
    assert np.array_equal(simplified(square, 5.0), square)


def test_specks_are_left_out_and_their_holes_filled():
    mask = np.zeros((300, 300), np.uint8)
    mask[10:12, 10:12], mask[50:60, 50:60] = 1, 2
    assert [(each.index, each.pixels, len(each.rings)) for each in polygons(mask)] == [(0, 89_900, 2), (2, 100, 1)]


def test_an_answer_as_json_and_words():
    mask = np.zeros((10, 20), np.uint8)
    mask[:, 12:], mask[0, 0] = 2, 255
    assert TASK.as_json(mask, 1) == {
        "areas": [{"name": "background", "share": 0.595}, {"name": "blue", "share": 0.4}],
        "polygons": [
            {"name": "background", "pixels": 119, "rings": [[1, 0, 12, 0, 12, 10, 0, 10]]},
            {"name": "blue", "pixels": 80, "rings": [[12, 0, 20, 0, 20, 10, 12, 10]]},
        ],
    }
    assert TASK.as_text(mask, 1) == "of the picture: background 59.5%; and 1 more class"
    assert TASK.as_text(mask, 3) == "of the picture: background 59.5%, blue 40.0%"
    assert TASK.most_probable(mask, 1) is mask


def test_a_mask_is_a_picture_of_a_palette(tmp_path):
    mask = np.random.default_rng(0).integers(0, 3, (10, 20)).astype(np.uint8)
    assert TASK.write(mask, tmp_path, "a", tmp_path / "a.jpg") == {"mask": "a.mask.png"}
    with Image.open(tmp_path / "a.mask.png") as picture:
        assert np.array_equal(np.asarray(picture), mask) and picture.mode == "P"
        assert np.array_equal(np.asarray(picture.convert("RGB")), palette(CLASSES.names)[mask])
    assert np.array_equal(np.asarray(as_picture(mask, CLASSES.names)), mask)


def test_colours_can_be_told_apart_and_background_is_none():
    colours = palette([str(at) for at in range(20)])[:20].astype(int)
    apart = abs(colours[:, None] - colours[None]).sum(2) + 999 * np.eye(20)
    assert apart.min() > 60
    assert (palette(CLASSES.names)[[0, 255]] == 0).all()


def test_drawn_is_the_photograph_in_colours_with_names_below():
    photograph = np.full((60, 90, 3), 100, np.uint8)
    mask = np.zeros((60, 90), np.uint8)
    mask[20:40, 30:60] = 1
    drawn = TASK.draw(mask, lambda: photograph)
    assert drawn.shape[1:] == (90, 3) and drawn.shape[0] > 60
    colour = palette(CLASSES.names)[1].astype(int)
    assert (drawn[:60][mask == 0] == 100).all()  # of the background nothing is drawn
    assert (abs(drawn[30, 45] - (colour + 100) / 2) <= 1).all() and (drawn[20, 40] == colour).all()  # and a border
    names = [CLASSES.names[0], *(["a class with a long name"] * 20)]
    long = dataclasses.replace(TASK, classes=Classes(tuple(names)))
    many = np.arange(60 * 90).reshape(60, 90) % 21
    assert long.draw(many.astype(np.uint8), lambda: photograph).shape[0] > 60 + 20 * 10
