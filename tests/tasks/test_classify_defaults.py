"""Default recipes: which blocks learn."""

from pathlib import Path

import pytest

from striate.data.records import Classes, Dataset, Record
from striate.data.targets import ClassIndex
from striate.models import build
from striate.tasks.classify_defaults import default_recipe
from striate.training.resolving import Overrides, resolve
from striate.training.stages import named_blocks

PRETRAINED = "efficientnet_lite0"


def photographs(count: int = 600, channels: int = 3) -> Dataset:
    records = tuple(Record(handle=None, target=ClassIndex(i % 2), content=bytes(32), name=str(i)) for i in range(count))
    return Dataset(Path("x"), "class folders", Classes(("ant", "bee")), records, channels)


@pytest.mark.parametrize("channels", [1, 3])
def test_early_blocks_of_pretrained_networks_stay_as_they_are(channels):
    network = build(PRETRAINED, classes=2)
    head, rest = named_blocks(default_recipe(photographs(channels=channels), PRETRAINED), network).stages
    assert head.freeze == tuple(network.blocks)[:-1]
    assert rest.freeze == tuple(network.blocks)[: len(rest.freeze)]
    strides = {info.name: info.stride for info in network.feature_info}
    assert strides[rest.freeze[-1]] == 4  # whatever works on larger maps than an eighth of the picture's sides


def test_blocks_that_read_other_bands_learn():
    assert not default_recipe(photographs(channels=5), PRETRAINED).stages[-1].freeze


@pytest.mark.parametrize("words", [{}, {"model": PRETRAINED}])
def test_all_blocks_learn_that_nobody_trained_before(words):
    recipe = resolve(photographs(), Overrides({**words, "weights": "none"}))
    assert (recipe.model, recipe.weights) == (PRETRAINED, "none")
    assert not any(stage.freeze for stage in recipe.stages)
    assert resolve(photographs(), Overrides(words)).stages[-1].freeze
