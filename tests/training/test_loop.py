"""The loop: what is logged, which epoch is kept, when it stops."""

import dataclasses

import pytest
import torch
from safetensors.torch import load_file

from striate.recipe import Stage
from striate.tasks.classify_meter import ClassifyMeter
from striate.training import loop
from striate.training.events import EpochDone, Notice, StepDone
from striate.training.schedule import rate_at


@pytest.fixture
def scripted(monkeypatch):
    """Validation that finds what it is told to, epoch after epoch."""

    def script(metric, values, images=10_000, losses=(1.0,) * 5):
        coming = zip(values, losses, strict=False)

        class Told(ClassifyMeter):
            def figures(self):
                value, loss = next(coming)
                return {"top1": 0.5, "top5": 0.5, "loss": loss, "ece": 0.1, "images": images, metric: value}

        monkeypatch.setattr(loop, "measure", lambda network, task, *_: Told(task.classes))

    return script


def one_stage(recipe, epochs, **changes):
    return dataclasses.replace(recipe, stages=(Stage(epochs=epochs, rate=0.01),), **changes)


@pytest.mark.parametrize(
    ("metric", "values", "patience", "run", "best"),
    [
        ("top1", [0.1, 0.3, 0.2, 0.2, 0.9], 2, 4, 1),
        ("top1", [0.1, 0.3, 0.2, 0.4, 0.9], 2, 5, 4),
        ("top1", [0.1, 0.3, 0.2, 0.2, 0.1], 0, 5, 1),
        ("top1", [0.3, 0.3, 0.3, 0.3, 0.9], 2, 3, 2),  # the later of equals is kept, but equal is not better
        ("loss", [2.0, 1.0, 1.5, 1.2, 0.1], 2, 4, 1),  # of a loss less is better
        ("loss", [2.0, 1.0, 0.5, 0.4, 0.1], 2, 5, 4),
        ("ece", [0.1, 0.2, 0.3, 0.4, 0.5], 3, 4, 0),
    ],
)
def test_patience_and_the_kept_epoch(tmp_path, workshop, two_stages, scripted, metric, values, patience, run, best):
    scripted(metric, values)
    shop = workshop(one_stage(two_stages, 5, metric=metric, patience=patience))
    learner, events = shop.start(tmp_path)
    done = [event for event in events if isinstance(event, EpochDone)]
    assert len(done) == run
    assert [event.figures[metric] for event in done] == values[:run]
    assert max(event.epoch for event in done if event.kept) == best
    assert learner.progress.kept_epoch == best
    assert learner.progress.epoch == run and learner.finished


@pytest.mark.parametrize(
    ("images", "kept"),
    # The interval of 9 in 10 is 0.8256 to 0.9448 over 100 pictures, 0.8866 to 0.9119 over 2,000 (Wilson).
    [(100, 3), (2000, 2), (10_000, 1)],
)
def test_the_latest_epoch_that_cannot_be_told_from_the_best_is_kept(
    tmp_path, workshop, two_stages, scripted, images, kept
):
    scripted("top1", [0.5, 0.9, 0.89, 0.83, 0.8], images)
    learner, _ = workshop(one_stage(two_stages, 5)).start(tmp_path)
    assert learner.progress.kept_epoch == kept


def test_a_metric_that_cannot_be_measured_is_said_once(tmp_path, workshop, two_stages, scripted):
    scripted("ece", [None] * 3)
    shop, told = workshop(one_stage(two_stages, 3, metric="ece")), []
    learner, run = shop.learner(), shop.run(tmp_path)
    run = dataclasses.replace(run, session=dataclasses.replace(run.session, tell=told.append))
    events = list(loop.fit(learner, run))
    assert [event.kept for event in events if isinstance(event, EpochDone)] == [True] * 3
    (said,) = [event.text for event in told if isinstance(event, Notice)]
    assert "nothing to measure ece by" in said and "top1, top5, loss" in said


def test_an_epoch_that_is_plainly_worse_is_not_kept_where_few_pictures_tell_hardly_anything(
    tmp_path, workshop, two_stages, scripted, metrics_of
):
    scripted("top1", [0.4, 0.8, 0.6, 0.6], images=5, losses=[0.9, 0.35, 0.82, 0.4])
    learner, events = workshop(one_stage(two_stages, 4)).start(tmp_path)
    assert [event.kept for event in events if isinstance(event, EpochDone)] == [True, True, False, False]
    assert [line["kept"] for line in metrics_of(tmp_path) if line["kind"] == "epoch"] == [True, True, False, False]
    assert learner.progress.kept_epoch == 1


def test_stopped_after_any_epoch_the_same_one_is_kept(tmp_path, workshop, two_stages, scripted, stop_at):
    shop = workshop(one_stage(two_stages, 4))
    figures, losses = [0.4, 0.8, 0.6, 0.6], [0.9, 0.35, 0.82, 0.4]
    files = []
    for epoch in (None, 0, 1, 2):
        path = tmp_path / str(epoch)
        scripted("top1", figures, images=5, losses=losses)
        learner, _ = shop.start(path, stop_at(1000 if epoch is None else 4 * epoch + 3))
        if epoch is not None:
            assert learner.progress.epoch == epoch + 1
            learner, _ = shop.resume(path)
        assert learner.progress.kept_epoch == 1
        files.append((path / "model.safetensors").read_bytes())
    assert len(set(files)) == 1


def test_the_model_file_holds_the_kept_epoch(tmp_path, workshop, two_stages, scripted):
    scripted("top1", [0.2, 0.8, 0.4])
    shop = workshop(one_stage(two_stages, 3, ema_decay=0.9))
    learner, run = shop.learner(), shop.run(tmp_path)
    run.folder.begin("")
    kept = [
        {name: tensor.clone() for name, tensor in learner.evaluated.state_dict().items()}
        for event in loop.fit(learner, run)
        if isinstance(event, EpochDone)
    ]
    for name, tensor in load_file(run.folder.model).items():
        assert torch.equal(tensor, kept[1][name])
    assert not torch.equal(kept[1]["dense.weight"], kept[2]["dense.weight"])
    assert learner.evaluated is learner.average.network


def test_a_validation_figure_that_is_no_number_does_not_stay_the_best(tmp_path, workshop, two_stages, scripted):
    scripted("loss", [float("nan"), 2.0, 1.0])
    learner, _ = workshop(one_stage(two_stages, 3, metric="loss")).start(tmp_path)
    assert learner.progress.kept_epoch == 2


def test_the_lines_of_the_metrics(tmp_path, workshop, two_stages, metrics_of):
    learner, events = workshop(two_stages).start(tmp_path)
    lines = metrics_of(tmp_path)
    steps = [line for line in lines if line["kind"] == "step"]
    # Three steps an epoch: every second is logged, and the last.
    assert [(line["epoch"], line["step"]) for line in steps] == [(e, s) for e in range(3) for s in (2, 3)]
    assert [line["images_seen"] for line in steps] == [e * 14 + seen for e in range(3) for seen in (12, 14)]
    first, second = two_stages.stages
    assert steps[0]["rate"] == rate_at(first, 1, 3, 0.0)
    assert steps[2]["rate"] == rate_at(second, 1, 6, 0.0)
    assert steps[5]["rate"] == rate_at(second, 5, 6, 0.0)
    epochs = [line for line in lines if line["kind"] == "epoch"]
    assert [line["epoch"] for line in epochs] == [0, 1, 2]
    for line, (early, late) in zip(epochs, zip(steps[::2], steps[1::2], strict=True), strict=True):
        assert line["loss"] == pytest.approx((12 * early["loss"] + 2 * late["loss"]) / 14)
        assert line["rate"] == late["rate"]
        assert line["validation"]["images"] == 9 and "confusion" not in line["validation"]
    assert learner.progress.images_seen == epochs[-1]["images_seen"] == 42
    done = [event for event in events if isinstance(event, StepDone)]
    assert [(event.epoch, event.step, event.steps, event.images) for event in done[:4]] == [
        *((0, 1, 3, 6), (0, 2, 3, 12), (0, 3, 3, 14), (1, 1, 3, 6))
    ]


def test_workers_change_nothing(tmp_path, workshop, two_stages, metrics_of, same_state):
    learners = [workshop(two_stages, workers).start(tmp_path / str(workers))[0] for workers in (0, 1, 2)]
    for workers in (1, 2):
        same_state(learners[workers], learners[0])
        assert metrics_of(tmp_path / str(workers)) == metrics_of(tmp_path / "0")


def test_measuring_leaves_the_network_as_it_was(tmp_path, workshop, two_stages):
    """Without averaged weights, validation looks at the very network that learns."""
    shop = workshop(two_stages)
    learner, run = shop.learner(), shop.run(tmp_path)
    run.folder.begin("")
    modes = {}
    for event in loop.fit(learner, run):
        if isinstance(event, StepDone):
            modes.setdefault(event.epoch, set()).add(tuple(module.training for module in learner.network.modules()))
    assert all(len(found) == 1 for found in modes.values())
    assert modes[0] != modes[1] == modes[2]
