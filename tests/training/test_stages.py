"""Stages: where a step stands, what is frozen, and that what is frozen stays as it is."""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from striate.base.errors import RecipeError
from striate.recipe import Recipe, Stage
from striate.training.stages import named_blocks, stage_at


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_every_epoch_has_its_stage(lengths):
    stages = [Stage(epochs=length, rate=0.1) for length in lengths]
    expected = [(index, within) for index, length in enumerate(lengths) for within in range(length)]
    assert [stage_at(stages, epoch) for epoch in range(sum(lengths))] == expected
    with pytest.raises(IndexError):
        stage_at(stages, sum(lengths))


def freezing(*names):
    return Recipe(model="tiny", stages=(Stage(epochs=1, rate=0.1, freeze=names),))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), ()),
        (("body",), ("stem", "stage1")),
        (("stage1", "stem"), ("stem", "stage1")),  # in the network's order
        (("stem", "stem"), ("stem",)),
        (("body", "stem"), ("stem", "stage1")),
        (("head",), ("head",)),
    ],
)
def test_frozen_blocks_are_named(workshop, names, expected):
    named = named_blocks(freezing(*names), workshop(Recipe()).network())
    assert named.stages[0].freeze == expected
    assert named_blocks(named, workshop(Recipe()).network()) == named


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("stage11",), "'stage11', which tiny does not have. Did you mean 'stage1'"),
        (("body", "head"), "every block"),
    ],
)
def test_what_cannot_be_frozen_is_refused(workshop, names, words):
    with pytest.raises(RecipeError, match=words):
        named_blocks(freezing(*names), workshop(Recipe()).network())


@pytest.mark.parametrize("frozen", [("stem",), ("stage1",), ("stem", "stage1"), ("head",)])
@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_frozen_blocks_keep_their_bits_through_real_steps(tmp_path, workshop, two_stages, frozen, kind):
    """Weights, running statistics, the average of both; and everything else moves."""
    stage = Stage(epochs=1, rate=0.05, freeze=frozen)
    recipe = dataclasses.replace(two_stages, optimizer=kind, weight_decay=0.1, ema_decay=0.9, stages=(stage,))
    shop = workshop(recipe)
    before = shop.network().state_dict()
    learner, _ = shop.start(tmp_path)
    blocks = {path: name for name, paths in learner.network.blocks.items() for path in paths}
    for state in (learner.network.state_dict(), learner.average.network.state_dict()):
        for name, tensor in state.items():
            held = blocks[name.split(".")[0]] in frozen
            assert torch.equal(tensor, before[name]) == held, name


def test_a_stage_may_keep_the_statistics_and_learn_all_else(tmp_path, workshop, two_stages):
    stage = Stage(epochs=1, rate=0.05, keep_statistics=True)
    shop = workshop(dataclasses.replace(two_stages, ema_decay=0.9, stages=(stage,)))
    before = shop.network().state_dict()
    learner, _ = shop.start(tmp_path)
    assert learner.network.drop.training
    for state in (learner.network.state_dict(), learner.average.network.state_dict()):
        for name, tensor in state.items():
            held = "running" in name or "tracked" in name
            assert torch.equal(tensor, before[name]) == held, name


def test_dropout_rests_in_a_frozen_block(workshop, two_stages):
    learner = workshop(two_stages).learner()
    assert not learner.network.drop.training and not learner.network.norm1.training
    learner.enter_stage(1)
    assert learner.network.drop.training and learner.network.norm1.training
    assert all(parameter.requires_grad for parameter in learner.network.parameters())


def test_a_stage_begins_with_a_fresh_optimizer(tmp_path, workshop, two_stages, stop_at):
    """Also when the run was stopped between the two stages."""
    shop = workshop(two_stages)
    learner, _ = shop.start(tmp_path, stop_at(3))
    assert learner.progress.epoch == 1 and learner.optimizer.state
    learner, _ = shop.resume(tmp_path, stop_at(0))
    assert len(learner.optimizer.state) == len(list(learner.network.parameters()))
