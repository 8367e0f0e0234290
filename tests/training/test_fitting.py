"""Runs are planned first: a line, a refusal with advice, and what is left to the run is a number on the disk."""

import dataclasses

import numpy as np
import pytest
import torch

import striate
from striate import recipe as recipes
from striate.base.errors import ModelError, TrainingError
from striate.base.hardware import FreeMemory
from striate.data.cache import PictureCache
from striate.pictures.decode import Decoded
from striate.planning.asked import Asked
from striate.planning.demand import Counts, Needs
from striate.planning.room import RESERVE, Room
from striate.training import checkpoint, fitting
from striate.training.events import Notice, Planned, RunStarted, StepDone
from striate.training.result import Result

SHORT = {"model": "lenet5", "stages": [{"epochs": 1, "rate": 0.02}], "augment": {"rotation": 0.0}}


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """60 grey pictures, of which 48 are learnt from."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "noise.npz"
    np.savez(path, x=rng.integers(0, 255, (60, 28, 28)).astype(np.uint8), y=np.arange(60) % 3)
    return path


@pytest.fixture
def free(monkeypatch):
    """``free(bytes)`` pretends that so many are there for tensors of a run."""

    def pretend(size):
        there = int(size * 1.06) + RESERVE + 1
        monkeypatch.setattr("striate.planning.room.free_memory", lambda: FreeMemory(there, "the test's machine"))

    return pretend


@pytest.fixture
def train(digits, tmp_path):
    """A short run, and what it told."""

    def run(changes=None, out="run", **controls) -> tuple[Result, list]:
        events: list = []
        result = striate.train(
            digits,
            changes={**SHORT, **(changes or {})},
            out=tmp_path / out,
            workers=0,
            progress=False,
            on_event=events.append,
            **controls,
        )
        return result, events

    return run


def planned(events):
    (found,) = [event for event in events if isinstance(event, Planned)]
    return found


def test_a_run_is_planned_before_its_first_step(train, free):
    free(1 << 30)
    _, events = train({"batch_size": 8})
    found = planned(events)
    assert (found.batch, found.limit, found.chosen, found.keeps) == (8, "the test's machine", False, True)
    assert 0 < found.steps <= found.bytes < found.there and found.more == 48
    kinds = [type(event) for event in events]
    assert kinds.index(Planned) < kinds.index(RunStarted) < kinds.index(StepDone)


def test_a_run_that_cannot_fit_is_refused_with_what_would(train, free, tmp_path):
    free(1 << 30)
    _, events = train({"batch_size": 48}, out="fits")
    needed = planned(events)
    free(needed.bytes - 1)
    with pytest.raises(TrainingError) as refused:
        train({"batch_size": 48}, out="refused")
    said, *rows = str(refused.value).splitlines()
    assert said.startswith("lenet5: a run in batches of 48 takes ") and "the test's machine leaves it" in said
    assert "Batches of 40 fit; --force tries it as it is" in said
    assert any("--batch-size 40" in row and " yes " in row for row in rows)
    assert any("--checkpoint-blocks auto" in row for row in rows)
    assert not (tmp_path / "refused").exists()
    _, events = train({"batch_size": 48}, out="refused", force=True)
    assert any("tried nevertheless" in event.text for event in events if isinstance(event, Notice))
    free(needed.bytes + 1)
    assert planned(train({"batch_size": 48}, out="again")[1]).bytes == needed.bytes


def test_where_nothing_fits_that_is_said(train, free):
    free(1000)
    with pytest.raises(TrainingError, match=r"0 MB are for its tensors\. One picture takes \d MB"):
        train({"batch_size": "auto"})


def test_a_chosen_batch_is_a_number_on_the_disk_and_stays(train, free):
    """Of 48 pictures at most the default batch, 32, is chosen; with little memory less."""
    free(1 << 30)
    result, events = train({"batch_size": "auto"})
    assert planned(events).batch == recipes.load(result.run / "recipe.toml").batch_size == 32
    assert planned(events).chosen
    free(planned(events).bytes * 3 // 4)
    little, events = train({"batch_size": "auto"}, out="little")
    batch = recipes.load(little.run / "recipe.toml").batch_size
    assert batch in (8, 16, 24) and planned(events).batch == batch and not planned(events).keeps
    free(1 << 30)
    striate_run, _ = train({"batch_size": "auto"}, out="little", resume=True)
    assert recipes.load(striate_run.run / "recipe.toml").batch_size == batch


def test_a_chosen_batch_is_the_same_in_all_folds(train, free, digits):
    free(1 << 30)
    result, events = train({"batch_size": "auto", "folds": 2})
    texts = [(result.run / name / "recipe.toml").read_text() for name in (".", "fold-1", "fold-2")]
    assert len(set(texts)) == 1 and "batch_size = 32" in texts[0]
    assert planned(events).batch == 32


def test_a_run_that_goes_on_is_not_planned_again(train, free, monkeypatch):
    free(1 << 30)
    result, events = train({"batch_size": 8})
    needs = checkpoint.read_header(result.run / "last.safetensors").needs
    assert needs == Needs(planned(events).bytes, planned(events).steps)
    monkeypatch.setattr(fitting, "fitted", lambda *_: pytest.fail("planned again"))
    _, events = train(out="run", changes={"batch_size": 8}, resume=True)
    assert not [event for event in events if isinstance(event, Planned)]
    free(needs.bytes // 2)
    _, events = train(out="run", changes={"batch_size": 8}, resume=True)
    assert any("may end for want of memory" in event.text for event in events if isinstance(event, Notice))


@pytest.mark.slow
def test_blocks_are_chosen_where_the_batch_does_not_fit(train, free):
    free(1 << 30)
    asked = {"model": "resnet20", "batch_size": 48, "checkpoint_blocks": "auto"}
    result, events = train(asked)
    assert recipes.load(result.run / "recipe.toml").checkpoint_blocks == () and planned(events).blocks == ()
    free(planned(events).bytes * 95 // 100)
    result, events = train(asked, out="again")
    chosen = recipes.load(result.run / "recipe.toml").checkpoint_blocks
    assert chosen and chosen == planned(events).blocks
    again, _ = train(asked, out="again", resume=True)
    assert recipes.load(again.run / "recipe.toml").checkpoint_blocks == chosen


def test_a_network_without_a_plan_trains_and_says_why(train, monkeypatch):
    def refuse(*_, **__):
        raise ModelError("conv: its code asks for numbers in a tensor")

    monkeypatch.setattr(Asked, "demand", refuse)
    monkeypatch.setattr(Asked, "growing", refuse)
    result, events = train({"batch_size": "auto"})
    said = [event.text for event in events if isinstance(event, Notice)]
    assert "not planned, since the network cannot be traced: conv: its code asks for numbers in a tensor" in said
    assert recipes.load(result.run / "recipe.toml").batch_size == 32


def test_planning_draws_no_random_numbers(train, free, monkeypatch):
    """Weights of a run with dropout are those of one that nobody planned."""
    free(1 << 30)
    one, _ = train({"model": "fashion_cnn", "batch_size": 16}, out="one")
    monkeypatch.setattr(fitting, "fitted", lambda trainee, *_, **__: fitting.Fitted(trainee.recipe, None, True))
    other, _ = train({"model": "fashion_cnn", "batch_size": 16}, out="other")
    weights = [striate.load(run.run / "model.safetensors").network.state_dict() for run in (one, other)]
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())


def test_decoded_pictures_yield_to_the_step():
    cache = PictureCache(1000)
    for number in range(4):
        cache._keep((bytes([number]) * 32, "rgb", 1), Decoded(np.zeros((8, 10, 3), dtype=np.uint8), 8, 10))
    assert (len(cache), cache.used) == (4, 960)
    cache.shrink_to(500)
    assert (len(cache), cache.used, cache.budget) == (2, 480, 500)
    cache.shrink_to(800)
    assert cache.budget == 500
    room = Room.of(10_000 + RESERVE, "a test")
    assert room.left_for_pictures(room.bytes + 1, room.bytes) == 0


def test_counts_are_those_of_the_splits():
    assert fitting.counts_of(None, in_folds=True) == Counts()  # type: ignore[arg-type]
    assert dataclasses.astuple(Counts(3, 2)) == (3, 2)


def test_a_lack_of_memory_in_a_run_is_said():
    recipe = recipes.Recipe(model="lenet5", batch_size=8)
    said = "lenet5: there is no memory left for a run in batches of 8"
    with pytest.raises(TrainingError, match=said), fitting.running(recipe):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")
    with pytest.raises(RuntimeError, match="another fault"), fitting.running(recipe):
        raise RuntimeError("another fault")
