"""Photographs answered within a budget: in their own pixels, and as the network would answer them whole."""

import numpy as np
import pytest
import torch
from PIL import Image

from striate import modelfile
from striate import recipe as recipes
from striate.base.errors import DecodeError, ModelError
from striate.data.records import Classes
from striate.models import build
from striate.models.table import architecture
from striate.pictures.preprocess import Preprocess
from striate.predictor import Predictor
from striate.tasks import task_named
from tests.lively_norms import enliven

NAMES = ("cat", "dog", "bird")
PLENTY = 1 << 40


def predictor_of(name, on_notice=None, preprocess=None, **arguments):
    """With weights at random, but norms that differ from channel to channel, so that many classes are answered."""
    network = build(name, classes=3, seed=0, arguments=arguments).eval()
    enliven(network)
    row, classes = architecture(name), Classes(NAMES)
    recipe = recipes.changed(recipes.Recipe(), {"task": row.task, "model": name})
    further = dict(task_named(row.task, classes).fitted(recipe, ()).arguments)
    if "score_threshold" in further:
        further["score_threshold"] = 0.01
    description = modelfile.Description(
        name,
        {"classes": 3, "in_channels": network.in_channels, **arguments},
        row.task,
        classes,
        preprocess or row.preprocess,
        task_arguments=further,
    )
    return Predictor(network, description, device="cpu", on_notice=on_notice)


def photograph(height, width, channels=3):
    """Soft noise, of which networks say different things in different places."""
    coarse = np.random.default_rng(height).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    pixels = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    return pixels if channels == 3 else pixels[..., 0]


@pytest.fixture(scope="module")
def unet():
    return predictor_of("unet", width=4)


@pytest.mark.parametrize("size", [(100, 350), (225, 230)])
def test_a_mask_is_that_of_the_whole_whatever_the_tiles(unet, size):
    pixels = photograph(*size, channels=1)
    whole = unet(pixels, budget=PLENTY)
    tiles = []
    ((_, tiled),) = unet.stream([pixels], budget=PLENTY, tile=224, on_tiles=lambda _, each: tiles.append(each))
    assert tiles[0].count > 1
    assert whole.shape == size and len(np.unique(whole)) > 1
    np.testing.assert_array_equal(tiled, whole)


def test_the_whole_is_the_networks_own_answer_to_the_photograph_as_it_is(unet):
    """Of sides that strides leave nothing of there is nothing to be added."""
    pixels = photograph(160, 208, channels=1)
    images = unet.description.preprocess.normalise(torch.from_numpy(pixels.copy())[None, None])
    with torch.no_grad():
        expected = unet.network(images)[0].argmax(0).numpy()
    np.testing.assert_array_equal(unet(pixels, budget=PLENTY), expected)


def test_a_border_stays_around_the_photograph():
    preprocess = Preprocess(channels="grey", mean=(0.5,), scale=(0.2,), size=(64, 64), resize="letterbox", border=7)
    predictor = predictor_of("unet", preprocess=preprocess, width=4)
    pixels = photograph(200, 240, channels=1)
    np.testing.assert_array_equal(predictor(pixels, budget=PLENTY, tile=224), predictor(pixels, budget=PLENTY))


@pytest.mark.slow
def test_objects_are_those_of_the_whole():
    predictor = predictor_of("yolo_grid/resnet18")
    pixels = photograph(737, 640)
    whole, tiled = predictor(pixels, budget=PLENTY), predictor(pixels, budget=PLENTY, tile=600)
    assert len(whole) > 10
    assert [each.name for each in tiled] == [each.name for each in whole]
    for one, other in zip(whole, tiled, strict=True):
        assert one.xyxy == pytest.approx(other.xyxy, abs=1e-2)
        assert one.probability == pytest.approx(other.probability, abs=1e-5)


def test_how_much_is_computed_again_is_said_once(tmp_path):
    said = []
    predictor = predictor_of("unet", said.append, width=4)
    for number in range(2):
        Image.fromarray(photograph(210, 250, channels=1)).save(tmp_path / f"{number}.png")
    answers = dict(predictor(tmp_path, budget=PLENTY, tile=224))
    assert len(answers) == 2
    again = 2 * 224 * 224 / (224 * 256) - 1
    tiles = "answered in 2 tiles of 224x224 pixels"
    assert said == [f"{tiles}; around what each answers, {again:.0%} of the pixels are computed again"]


@pytest.mark.slow
def test_a_network_that_sees_the_whole_says_what_does_and_how_often_tiles_differ():
    said = []
    predictor = predictor_of("unet/se_resnet18", said.append)
    pixels = photograph(400, 1300)
    whole, tiled = predictor(pixels, budget=PLENTY), predictor(pixels, budget=PLENTY, tile=1056)
    assert said[1].startswith("mean in backbone.layer1.0.se and 7 more take all of a picture together")
    otherwise = float(said[1].rpartition("answered ")[2].partition("%")[0]) / 100
    assert 0 < otherwise < 0.5 and 0 < (whole != tiled).mean() < 0.5


def test_what_cannot_be_answered_so_is_refused(unet, tmp_path):
    pixels = photograph(300, 401, channels=1)
    with pytest.raises(ModelError, match=r"overlap is 0\.5, but with a budget"):
        unet(pixels, budget=PLENTY, overlap=0.5)
    for budget in (0, -1, 1.5, True, "2GB"):
        with pytest.raises(ModelError, match=r"budget is .*expected how many bytes"):
            unet(pixels, budget=budget)
    with pytest.raises(ModelError, match="tile is 0; expected the longest side"):
        unet(pixels, budget=PLENTY, tile=0)
    with pytest.raises(ModelError, match="the weights of unet alone are"):
        unet(pixels, budget=1000)
    with pytest.raises(DecodeError):
        unet(tmp_path / "nothing.png", budget=PLENTY)
    with pytest.raises(ModelError, match="classify answers a picture as a whole; leave it out"):
        predictor_of("lenet5")(pixels, budget=PLENTY)


def test_pictures_that_cannot_be_read_are_left_out(unet, tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    Image.fromarray(photograph(50, 60, channels=1)).save(tmp_path / "b.png")
    lost = []
    answers = list(unet.stream(sorted(tmp_path.iterdir()), budget=PLENTY, on_unreadable=lost.append))
    assert [path.name for path, _ in answers] == ["b.png"] and len(lost) == 1
