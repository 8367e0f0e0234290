"""What `striate.show` shows: what a run would be fed, to the byte, and what is known of it where it is."""

import numpy as np
import pytest
from PIL import Image

from striate.base.errors import DataError, RecipeError
from striate.showing import in_colours, show
from striate.tasks.drawing import COLOURS
from striate.tasks.segment_drawing import palette
from striate.training.learner import Learner
from striate.training.run import train
from tests.data.sources.annotated import picture, voc, voc_object
from tests.tasks.segment_scenes import NAMES, draw_scenes


def test_it_is_what_a_run_is_fed(tmp_path, photo_folder, monkeypatch):
    data = photo_folder(tmp_path / "data", ("disc", "square"), per_class=10, size=40)
    changes = {"model": "lenet5", "weights": "none", "batch_size": 4, "augment": {"rotation": 20.0}}
    fed, step = [], Learner.step

    def listening(self, batches, rate):
        for batch in batches:
            images = batch.images.permute(0, 2, 3, 1).numpy()
            fed.extend((record.name, image) for record, image in zip(batch.records, images, strict=True))
        step(self, batches, rate)

    monkeypatch.setattr(Learner, "step", listening)
    train(data, changes=changes, epochs=2, out=tmp_path / "run", workers=0)
    every = len(fed) // 2
    for epoch in (1, 2):
        found = show(data, changes=changes, epoch=epoch, count=7)
        assert found.images == every and len(found.samples) == 7
        for sample, (name, image) in zip(found.samples, fed[(epoch - 1) * every :], strict=False):
            assert sample.name == name and sample.known == name.split("/")[0]
            assert (sample.pixels == in_colours(image)).all()
    assert str(found) == f"7 of {every} training pictures as epoch 2 sees them, for lenet5 (stretch 32x32)"
    assert show(data, changes={**changes, "batch_size": "auto"}, count=7).images == every  # a run chooses, not this
    known = show(data, changes=changes, part="val", count=100)
    assert str(known) == f"{known.images} of {known.images} validation pictures, for lenet5 (stretch 32x32)"
    assert not {each.name for each in known.samples} & {name for name, _ in fed}


def test_boxes_lie_where_the_objects_are_also_in_mosaics_and_other_sizes(tmp_path):
    for number in range(12):  # dark pictures, each with one white object
        pixels = np.full((60, 80, 3), 40, np.uint8)
        top, left = 5 + number, 10 + 2 * number
        pixels[top : top + 20, left : left + 30] = 255
        path = picture(tmp_path / f"{number}.png", 80, 60)
        Image.fromarray(pixels).save(path)
        voc(tmp_path, str(number), voc_object("thing", left + 1, top + 1, left + 30, top + 20), size=(80, 60))
    augment = {"mosaic": 0.5, "colour": 0.0, "multi_scale": [0.5, 1.0]}
    changes = {"model": "tood/efficientnet_lite0", "size": [128, 128], "batch_size": 2, "augment": augment}
    found = show(tmp_path, changes=changes, count=8)
    assert {each.known for each in found.samples} > {"1 object"}  # mosaics have more
    assert len({each.pixels.shape for each in found.samples}) > 1 and str(found).endswith("(letterbox 128x128)")
    colour = np.array([int(COLOURS[0][at : at + 2], 16) for at in (1, 3, 5)])
    for each in show(tmp_path, changes={**changes, "augment": {"mosaic": 0.0, "colour": 0.0}}, count=8).samples:
        white = (each.pixels.min(2) > 250).nonzero()
        framed = (each.pixels == colour).all(2).nonzero()
        for inside, frame in zip(white, framed, strict=True):
            assert abs(int(frame.max()) - int(inside.max())) <= 3 and frame.min() <= inside.min() + 3


def test_masks_are_drawn_in_the_colours_of_answers_with_their_names(tmp_path):
    data = draw_scenes(tmp_path, 12)
    changes = {"model": "unet/efficientnet_lite0", "weights": "none", "augment": {"colour": 0.0}}
    for each in show(data, changes=changes, count=4).samples:
        height = each.pixels.shape[0]
        assert height > 32 and each.known == ""  # a legend is below
        red = (each.pixels[:32, :, 0] > 150) & (each.pixels[:32, :, 2] < 120)
        assert red.any() or not (each.pixels[32:] == palette(NAMES)[1]).all(2).any()


def test_what_is_to_be_enlarged_stands_beside_what_is_to_come_of_it(tmp_path, photo_folder):
    data = photo_folder(tmp_path / "data", ("disc",), per_class=10, size=96)
    found = show(data, task="upscale", count=2)
    for each in found.samples:
        small, whole = np.split(each.pixels, 2, axis=1)
        assert each.known == f"{whole.shape[1] // 2}x{whole.shape[0] // 2} to {whole.shape[1]}x{whole.shape[0]}"
        assert (small[::2, ::2] == small[1::2, 1::2]).all() and not (whole[::2, ::2] == whole[1::2, 1::2]).all()
        assert np.abs(small.mean((0, 1)) - whole.mean((0, 1))).max() < 3
    assert "in their own pixels" in str(found)


def test_what_cannot_be_shown_is_said(tmp_path, photo_folder):
    data = photo_folder(tmp_path / "data", per_class=6)
    for words in ({"count": 0}, {"epoch": 0}, {"epoch": True}, {"count": 1.5}):
        with pytest.raises(RecipeError, match="expected a whole number from 1"):
            show(data, **words)
    with pytest.raises(DataError, match="no test pictures"):
        show(data, part="test", changes={"model": "lenet5", "split": [0.8, 0.2, 0.0]})
    with pytest.raises(DataError, match="these are data for classify"):
        show(data, task="detect")
