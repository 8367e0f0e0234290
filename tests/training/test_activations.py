"""Runs of which blocks are computed again: the same run, stopped or not; frozen blocks are left as they are."""

import dataclasses

import pytest
import torch

from striate.base.errors import RecipeError
from striate.models import MODELS, build
from striate.models import checkpointing as views
from striate.models.network import TrainingView
from striate.recipe import Recipe, Stage
from striate.training.resolving import complete

BLOCKS = ("stage1", "stem")


@pytest.fixture
def again(monkeypatch):
    """The modules of each part that was computed again."""
    parts = []
    real = views.checkpointed
    monkeypatch.setattr(views, "checkpointed", lambda part, x, modules: parts.append(modules) or real(part, x, modules))
    return parts


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_a_run_ends_as_it_does_without(tmp_path, workshop, two_stages, same_state, metrics_of, again, average):
    recipe = dataclasses.replace(two_stages, ema_decay=average)
    whole, _ = workshop(recipe).start(tmp_path / "whole")
    assert not again
    learner, _ = workshop(dataclasses.replace(recipe, checkpoint_blocks=BLOCKS)).start(tmp_path / "again")
    same_state(learner, whole)
    assert metrics_of(tmp_path / "again") == metrics_of(tmp_path / "whole")
    # In the first stage both are frozen; in the second there are two epochs of five batches.
    assert len(again) == 2 * 2 * 5


@pytest.mark.parametrize("turn", [0, 4, 6, 9])
def test_stopped_and_resumed_it_ends_the_same(tmp_path, workshop, two_stages, stop_at, same_state, turn):
    shop = workshop(dataclasses.replace(two_stages, checkpoint_blocks=BLOCKS))
    whole, _ = shop.start(tmp_path / "whole")
    shop.start(tmp_path / "stopped", stop_at(turn))
    learner, _ = shop.resume(tmp_path / "stopped")
    same_state(learner, whole)


def test_without_blocks_nothing_is_between_the_loop_and_the_network():
    network = build("lenet5", classes=3)
    assert type(views.training_view(network, Recipe().checkpoint_blocks)) is TrainingView


@pytest.mark.parametrize(
    ("model", "blocks", "words"),
    [
        ("resnet18", ("stage1", "stage9"), ["no block 'stage9'", "Its blocks: stem, stage1, stage2, stage3, stage4"]),
        ("resnet18", ("all",), ["no block 'all'"]),
        ("resnet18", ("auto", "stem"), ["no block 'auto'"]),
        ("darknet", ("stem",), ["Darknet runs as a whole", "leave it out"]),
    ],
)
def test_blocks_that_cannot_be_computed_again_are_refused(model, blocks, words):
    with torch.device("meta"):
        network = build(model, classes=3)
    with pytest.raises(RecipeError) as error:
        complete(Recipe(model=model, checkpoint_blocks=blocks), network, MODELS[model].preprocess, "float32")
    assert str(error.value).startswith(f"checkpoint_blocks for {model}: ")
    for word in words:
        assert word in str(error.value)


def test_a_recipe_that_does_not_name_them_has_the_hash_of_before():
    recipe = Recipe(stages=(Stage(epochs=1, rate=0.1),))
    assert dataclasses.replace(recipe, checkpoint_blocks=()).hash == recipe.hash
    assert dataclasses.replace(recipe, checkpoint_blocks=("stem",)).hash != recipe.hash
