import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from striate.base.errors import ModelError, ModelFileError
from striate.pictures.decode import Decoded, shrink_factor
from striate.pictures.geometry import Crop, Geometry, Pad, Resize, Shrunk
from striate.pictures.preprocess import PREPROCESSING, Preprocess

PIXEL = {"rgb": (0, 128, 255), "bgr": (255, 128, 0)}  # R, G, B = 0, 128, 255


@pytest.mark.parametrize(
    ("name", "expected"),
    [  # figures.md D4: Keras' own functions on that pixel, and EfficientNet-Lite's (x - 127) / 128
        ("tf", (-1, 0.0039216280, 1)),
        ("caffe", (151.061005, 11.221001, -123.680000)),
        ("imagenet", (-2.117903948, 0.205182195, 2.640000105)),
        ("lite", (-127 / 128, 1 / 128, 1.0)),
        ("raw", (0, 128, 255)),
    ],
)
def test_check_values_of_the_presets(name, expected):
    preprocess = PREPROCESSING[name]
    pixel = torch.tensor(PIXEL[preprocess.channels], dtype=torch.uint8).view(1, 3, 1, 1)
    numbers = preprocess.normalise(pixel).flatten()
    assert numbers.dtype == torch.float32
    torch.testing.assert_close(numbers, torch.tensor(expected, dtype=torch.float32), rtol=2e-6, atol=3e-7)


def test_lite_is_exact_on_every_byte():
    every = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    assert torch.equal(PREPROCESSING["lite"].normalise(every)[0, 0].flatten(), (torch.arange(256) - 127) / 128)


@pytest.mark.parametrize("name", list(PREPROCESSING))
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_numbers_depend_on_the_byte_alone(name, memory_format):
    preprocess = PREPROCESSING[name]
    images = torch.randint(0, 256, (5, 3, 13, 17), dtype=torch.uint8)
    together = preprocess.normalise(images.contiguous(memory_format=memory_format))
    assert together.is_contiguous(memory_format=memory_format)
    alone = torch.cat([preprocess.normalise(image[None]) for image in images])
    assert torch.equal(together, alone)
    assert torch.equal(together, preprocess.normalise(images.flip(2)).flip(2))


@pytest.mark.parametrize("channels", [1, 4, 13])
def test_one_constant_serves_all_bands(channels):
    preprocess = Preprocess(channels=channels, mean=(0.5,), scale=(0.25,))
    images = torch.randint(0, 256, (2, channels, 5, 5), dtype=torch.uint8)
    for tensor in (images, images.contiguous(memory_format=torch.channels_last)):
        torch.testing.assert_close(preprocess.normalise(tensor), (images / 255 - 0.5) / 0.25)


@pytest.mark.parametrize("images", [torch.zeros(1, 1, 4, 4, dtype=torch.uint8), torch.zeros(1, 3, 4, 4)])
def test_other_images_are_refused(images):
    with pytest.raises(ModelError, match=r"expected uint8 images \[N, 3, H, W\]"):
        Preprocess().normalise(images)


rules = st.builds(
    Preprocess,
    size=st.tuples(st.integers(9, 90), st.integers(9, 90)),
    resize=st.sampled_from(["stretch", "crop", "letterbox"]),
    crop_fraction=st.floats(0.3, 1.0),
    border=st.integers(0, 3),
)


@given(rules, st.integers(1, 700), st.integers(1, 700), st.tuples(st.booleans(), st.booleans()))
def test_every_picture_gets_to_the_size(preprocess, height, width, sides):
    factor = shrink_factor(height, width, preprocess.shorter_side)
    small = np.zeros((-(-height // factor), -(-width // factor), 3), np.uint8)
    decoded = Decoded(small, height, width, Shrunk(factor, *sides))
    geometry = preprocess.geometry(decoded.geometry)
    assert geometry.output_size == preprocess.size
    image = geometry.image(decoded.pixels)
    assert image.shape == (*preprocess.size, 3)


@given(
    *(rules, st.integers(1, 4000), st.integers(1, 4000), st.sampled_from([1, 2, 4, 8])),
    *(st.booleans(), st.booleans(), st.lists(st.floats(0, 1), min_size=4, max_size=4)),
)
def test_boxes_come_back_from_every_network(preprocess, height, width, factor, top, left, places):
    geometry = preprocess.geometry(Geometry(height, width).then(Shrunk(factor, top, left)))
    boxes = np.array([[0, 0, width, height], np.multiply(places, [width, height, width, height])])
    assert np.abs(geometry.undo_boxes(geometry.boxes(boxes)) - boxes).max() < 1e-6


@given(st.integers(16, 64), st.sampled_from(["stretch", "crop", "letterbox"]), st.integers(64, 2000))
def test_a_square_that_was_reduced_need_not_be_enlarged(side, resize, picture):
    preprocess = Preprocess(size=(side, side), resize=resize)
    if (factor := shrink_factor(picture, picture, preprocess.shorter_side)) > 1:
        small = -(-picture // factor)
        steps = preprocess.geometry(Geometry(picture, picture).then(Shrunk(factor))).steps
        before = next((step.height for step in steps if isinstance(step, Crop)), small)
        assert before >= side


def test_crop_takes_the_centre():
    geometry = Preprocess().geometry(Geometry(500, 335))
    assert geometry.steps == (Crop(103, 21, 293, 293), Resize(224, 224, "bilinear"))
    assert Preprocess(size=(100, 200), crop_fraction=1.0).geometry(Geometry(300, 300)).steps[0] == Crop(75, 0, 150, 300)
    assert Preprocess(size=(200, 100), crop_fraction=0.5).geometry(Geometry(300, 300)).steps[0] == Crop(
        75, 112, 150, 75
    )


def test_the_lite_crop_is_seven_eighths_of_the_shorter_side():
    for height, width in [(480, 640), (333, 500), (501, 375), (224, 224), (256, 257)]:
        side = int(224 / (224 + 32) * min(height, width))
        top, left = (height - side) // 2, (width - side) // 2
        assert PREPROCESSING["lite"].geometry(Geometry(height, width)).steps[0] == Crop(top, left, side, side)


def test_letterbox_uses_darknets_integers():
    geometry = Preprocess(size=(416, 416), resize="letterbox", fill=127).geometry(Geometry(576, 768))
    assert geometry.steps == (Resize(312, 416, "bilinear"), Pad(52, 52, 0, 0, 127))
    geometry = Preprocess(size=(416, 416), resize="letterbox").geometry(Geometry(1000, 333))
    assert geometry.steps == (Resize(416, 138, "bilinear"), Pad(0, 0, 139, 139, 0))


def test_lenets_border():
    preprocess = Preprocess(channels="grey", mean=(0.1307,), scale=(0.3081,), size=(32, 32), border=2, resize="stretch")
    geometry = preprocess.geometry(Geometry(28, 28))
    assert geometry.steps == (Pad(2, 2, 2, 2, 0),)
    image = geometry.image(np.full((28, 28, 1), 9, np.uint8))
    assert image.shape == (32, 32, 1) and image.sum() == 9 * 28 * 28
    assert preprocess.shorter_side == 28


def test_a_reduced_photograph_begins_shrunk():
    geometry = Preprocess().geometry(Decoded(np.zeros((500, 400, 3), np.uint8), 1000, 800, Shrunk(2)).geometry)
    assert geometry.steps[:2] == (Shrunk(2), Crop(75, 25, 350, 350))
    assert (geometry.height, geometry.width) == (1000, 800)


def test_what_the_decoder_must_keep():
    assert Preprocess().shorter_side == 256
    assert Preprocess(crop_fraction=0.92, size=(380, 380)).shorter_side == 414
    assert Preprocess(resize="letterbox", size=(300, 400)).shorter_side == 400
    assert Preprocess(crop_fraction=1.0, size=(300, 400), border=10).shorter_side == 380


@pytest.mark.parametrize("name", list(PREPROCESSING))
def test_through_json_and_back(name):
    preprocess = replace(PREPROCESSING[name], border=1, size=(40, 50))
    assert Preprocess.from_dict(json.loads(json.dumps(preprocess.as_dict()))) == preprocess


def test_bands_survive_json():
    preprocess = Preprocess(channels=13, mean=(0.5,) * 13, scale=(1,))
    assert Preprocess.from_dict(json.loads(json.dumps(preprocess.as_dict()))) == preprocess


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chanels": "rgb"}, "no field 'chanels'. Did you mean 'channels'?"),
        ({"channels": "rbg"}, "channels is 'rbg', .* Did you mean 'rgb'?"),
        ({"channels": 0}, "channels is 0"),
        ({"channels": True}, "channels is True"),
        ({"channels": ["rgb"]}, "channels is"),
        ({"resize": "squash"}, "resize is 'squash', expected one of stretch, crop, letterbox"),
        ({"interpolation": "cubic"}, "Did you mean 'bicubic'"),
        ({"unit": 0}, "unit is 0, expected a number more than 0"),
        ({"unit": "255"}, "unit is '255'"),
        ({"mean": [0.5, 0.5]}, "mean is .*, expected 3 numbers"),
        ({"mean": 0.5}, "mean is 0.5"),
        ({"mean": [float("nan")]}, "mean is"),
        ({"scale": [1, 0, 1]}, "scale is .* cannot be 0"),
        ({"scale": None}, "scale is None"),
        ({"size": [224]}, "size is"),
        ({"size": [0, 224]}, "size is"),
        ({"size": 224}, "size is 224"),
        ({"size": [224.0, 224.0]}, "size is"),
        ({"crop_fraction": 1.5}, "crop_fraction is 1.5, expected a number more than 0, at most 1"),
        ({"border": 112}, "border is 112, expected 0 to 111"),
        ({"border": -1}, "border is -1"),
        ({"fill": 256}, "fill is 256"),
    ],
)
def test_wrong_fields_are_named(changes, message):
    with pytest.raises(ModelFileError, match=message):
        Preprocess.from_dict({**Preprocess().as_dict(), **changes})
    if "chanels" not in changes:
        with pytest.raises(ModelError, match=message):
            replace(
                Preprocess(),
                **{k: tuple(v) if isinstance(v, list) and k != "channels" else v for k, v in changes.items()},
            )


def test_a_field_that_is_missing_is_not_guessed():
    fields = Preprocess().as_dict()
    del fields["mean"], fields["size"]
    with pytest.raises(ModelFileError, match="preprocess lacks mean, size"):
        Preprocess.from_dict(fields)
