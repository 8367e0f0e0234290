"""A run that was stopped and gone on with ends exactly where one that never stopped does."""

import dataclasses
import itertools

import pytest
import torch

from striate.base.errors import TrainingError
from striate.training import checkpoint
from striate.training.events import EpochDone, Saved, StepDone
from striate.training.loop import fit, save

ASKED = 9 + 3  # how often a run of three epochs of three steps asks whether to stop


# Four of the eight meet every two of these settings. Each is stopped at every other place: both optimizers, and both
# with averages and without, at all of them together. All eight, stopped everywhere, are left to `make test-all`.
EVERYWHERE = range(ASKED - 1)  # after the last it has ended
PAIRS = {("sgd", 0.0, 0): 0, ("sgd", 0.9, 2): 1, ("adamw", 0.0, 2): 1, ("adamw", 0.9, 0): 0}
WAYS = [
    *[pytest.param(*way, EVERYWHERE[first::2], id="-".join(map(str, way))) for way, first in PAIRS.items()],
    *[
        pytest.param(*way, EVERYWHERE, id="-".join(map(str, (*way, "everywhere"))), marks=pytest.mark.slow)
        for way in itertools.product(("sgd", "adamw"), (0.0, 0.9), (0, 2))
    ],
]


@pytest.mark.parametrize(("optimizer", "ema", "workers", "turns"), WAYS)
def test_stopped_anywhere_and_resumed_it_ends_the_same(
    tmp_path, workshop, two_stages, stop_at, metrics_of, same_state, optimizer, ema, workers, turns
):
    shop = workshop(dataclasses.replace(two_stages, optimizer=optimizer, ema_decay=ema), workers)
    never = stop_at(1000)
    whole, _ = shop.start(tmp_path / "whole", never)
    assert never.asked == ASKED
    for turn in turns:
        path = tmp_path / f"stopped-{turn}"
        _, events = shop.start(path, stop_at(turn))
        assert isinstance(events[-1], Saved)
        assert sum(isinstance(event, EpochDone) for event in events) == (turn + 1) // 4
        learner, events = shop.resume(path)
        assert not any(isinstance(event, Saved) for event in events)
        same_state(learner, whole)
        assert metrics_of(path) == metrics_of(tmp_path / "whole")
        assert (path / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()


def test_stopped_after_every_step_it_ends_the_same(tmp_path, workshop, two_stages, stop_at, metrics_of, same_state):
    shop = workshop(dataclasses.replace(two_stages, ema_decay=0.9, patience=2, metric="loss"))
    whole, _ = shop.start(tmp_path / "whole")
    learner, events = shop.start(tmp_path / "parts", stop_at(0))
    lives = 1
    while not learner.finished:
        learner, events = shop.resume(tmp_path / "parts", stop_at(0))
        assert sum(isinstance(event, StepDone) for event in events) <= 1
        lives += 1
    assert lives >= 9
    same_state(learner, whole)
    assert metrics_of(tmp_path / "parts") == metrics_of(tmp_path / "whole")


@pytest.mark.parametrize("killed", range(1, 12))
def test_killed_anywhere_it_goes_on_from_an_older_checkpoint(
    tmp_path, workshop, two_stages, metrics_of, same_state, killed
):
    """What was logged and kept after the checkpoint is forgotten, a line cut in its middle too."""
    shop = workshop(dataclasses.replace(two_stages, ema_decay=0.9, log_every=1))
    whole, _ = shop.start(tmp_path / "whole")
    learner, run = shop.learner(), shop.run(tmp_path / "killed")
    run.folder.begin("")
    save(learner, run)
    events = fit(learner, run)
    for _ in range(killed):
        next(events)
    del events
    with run.folder.metrics.open("a") as file:
        file.write('{"kind": "st')
    learner, _ = shop.resume(tmp_path / "killed")
    same_state(learner, whole)
    assert metrics_of(tmp_path / "killed") == metrics_of(tmp_path / "whole")


def test_checkpoints_within_an_epoch_change_nothing(tmp_path, workshop, two_stages, metrics_of, same_state):
    often = workshop(dataclasses.replace(two_stages, ema_decay=0.9, save_every=1e-9))
    seldom = workshop(dataclasses.replace(often.recipe, save_every=1e9))
    one, _ = often.start(tmp_path / "often")
    other, _ = seldom.start(tmp_path / "seldom")
    same_state(one, other)
    assert metrics_of(tmp_path / "often") == metrics_of(tmp_path / "seldom")


def test_the_checkpoint_is_written_every_so_often(tmp_path, workshop, two_stages):
    shop = workshop(dataclasses.replace(two_stages, save_every=1e-9))
    learner, run = shop.learner(), shop.run(tmp_path)
    run.folder.begin("")
    events = fit(learner, run)
    next(events)
    next(events)  # the first step's checkpoint is written when the second is asked for
    assert checkpoint.read_header(run.folder.last).progress.step == 1


def test_a_run_at_its_end_stays_as_it_is(tmp_path, workshop, two_stages, same_state):
    shop = workshop(two_stages)
    whole, _ = shop.start(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    learner, events = shop.resume(tmp_path)
    assert events == []
    assert learner.progress == whole.progress
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_memory_formats_come_back(tmp_path, workshop, two_stages, stop_at):
    shop = workshop(two_stages)
    shop.start(tmp_path, stop_at(6))  # in the middle of the second stage, where all learns
    learner, _ = shop.resume(tmp_path, stop_at(0))
    weight = learner.network.conv2.weight
    momentum = learner.optimizer.state[weight]["momentum_buffer"]
    for tensor in (weight, momentum):
        assert tensor.is_contiguous(memory_format=torch.channels_last) and not tensor.is_contiguous()


@pytest.mark.parametrize("damage", ["cut", "empty", "foreign", "text", "missing tensor", "newer"])
def test_a_damaged_checkpoint_is_refused(tmp_path, workshop, two_stages, stop_at, damage):
    import json

    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    shop = workshop(two_stages)
    shop.start(tmp_path, stop_at(5))
    path = tmp_path / "last.safetensors"
    whole = path.read_bytes()
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    if damage == "cut":
        path.write_bytes(whole[:-100])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "foreign":
        save_file(tensors, path)
    elif damage == "text":
        path.write_text("not a checkpoint")
    elif damage == "missing tensor":
        del tensors["network.conv1.weight"]
        save_file(tensors, path, metadata=metadata)
    else:
        header = json.loads(metadata["striate_checkpoint"]) | {"format": 99}
        save_file(tensors, path, metadata={"striate_checkpoint": json.dumps(header)})
    with pytest.raises(TrainingError, match="newer Striate" if damage == "newer" else "damaged"):
        shop.resume(tmp_path)


def test_a_checkpoint_of_another_network_is_refused(tmp_path, workshop, two_stages, stop_at):
    workshop(two_stages).start(tmp_path, stop_at(5))
    with pytest.raises(TrainingError, match="does not fit"):
        workshop(two_stages, plain=True).resume(tmp_path)
