"""What a run says of the time that it will take: by a clock of the test, and by a small run's own steps."""

import dataclasses
import itertools

import pytest
import torch

from striate.cli.progress import TrainingProgress
from striate.data import Augmentation, Loader
from striate.recipe import Stage
from striate.training import forecast
from striate.training.events import EpochDone, Forecast
from striate.training.forecast import DRIFT, PROBE, WARM_UP, Foresight, foretold, seconds_of
from tests.training.conftest import PREPROCESS, pictures


class Clock:
    """Time that passes when the test says so."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(forecast.time, "monotonic", lambda: self.now)

    def steps(self, foresight, seconds):
        """What is said after each of these steps."""
        said = []
        for each in seconds:
            self.now += each
            said.append(foresight.step_done())
        return said


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_an_epoch_is_what_its_steps_make_it(clock):
    foresight = Foresight(lambda epoch: [1.0] * 100, lambda: 7.0)
    foresight.begin(0, 0, "all", left=2)
    said = clock.steps(foresight, [9.0, 3.0, 0.5, 0.5, 0.5])  # the two that warm up are not typical
    assert said[:2] == [None, None] and said[3:] == [None, None]
    assert said[2] == foretold([0.5], [1.0], 100, 7.0, 3)
    assert (said[2].seconds, said[2].validation, said[2].epochs) == (57.0, 7.0, 3)
    clock.steps(foresight, [0.5] * 95)
    clock.now += 7
    assert foresight.epoch_done() == (9 + 3 + 49 + 7, 2 * 68.0)
    foresight.begin(1, 0, "all", left=1)
    assert not any(clock.steps(foresight, [0.5] * 100))  # it was said
    assert foresight.epoch_done() == (50.0, 50.0)  # the first epoch counts no more


def test_steps_count_by_their_pixels(clock):
    work = [1.0, 4.0, 1.0, 4.0, 2.0] * 10
    foresight = Foresight(lambda epoch: work, lambda: 0.0)
    foresight.begin(0, 0, "all", left=0)
    (said,) = filter(None, clock.steps(foresight, [1.5 * share for share in work[:5]]))
    assert said.seconds == pytest.approx(1.5 * sum(work))
    assert said.most - said.seconds == pytest.approx(DRIFT * said.seconds)  # no step differs by more than its pixels


def test_what_is_no_step_is_not_counted_as_one(clock):
    foresight = Foresight(lambda epoch: [1.0] * 60, lambda: 0.0)
    foresight.begin(0, 0, "all", left=0)
    clock.steps(foresight, [1.0] * 5)
    clock.now += 100  # a checkpoint
    foresight.pause_done()
    (said,) = clock.steps(foresight, [1.0])
    assert said.seconds == 60


def test_it_is_said_anew_where_other_blocks_learn_and_not_of_what_is_over_by_then(clock):
    foresight = Foresight(lambda epoch: [1.0] * 20, lambda: 0.0)
    foresight.begin(0, 0, ("stem",), left=0)
    assert sum(each is not None for each in clock.steps(foresight, [1.0] * 20)) == 1
    foresight.begin(1, 0, (), left=0)
    assert sum(each is not None for each in clock.steps(foresight, [2.0] * 20)) == 1
    foresight.begin(2, 0, ("head",), left=0)
    assert not any(clock.steps(foresight, [PROBE / 30] * 20))  # shorter than the probe
    foresight.begin(3, 0, ("else",), left=0)
    assert not any(clock.steps(foresight, [PROBE / 20] * 20))  # it ends with the probe


def test_an_epoch_that_is_gone_on_with_is_foretold_as_a_whole(clock):
    work = [1.0] * 30 + [3.0] * 10
    foresight = Foresight(lambda epoch: work, lambda: 0.0)
    foresight.begin(4, 27, "all", left=5)
    said = clock.steps(foresight, [4.0, 4.0, 4.0, 12.0])
    assert said[2].seconds == 4.0 * 60 and said[3] is None
    assert foresight.epoch_done() == (24.0, None)


def test_the_interval_is_that_of_the_mean_step():
    alike, spread = foretold([1.0] * 16, [1.0] * 16, 100, 0.0, 1), foretold([0.5, 1.5] * 8, [1.0] * 16, 100, 0.0, 1)
    assert alike.seconds == spread.seconds == 100
    assert alike.most == pytest.approx(105) and alike.least == pytest.approx(95)
    deviation = (16 * 0.25 / 15) ** 0.5
    assert spread.most == pytest.approx(105 + 100 * 2 * deviation / 4)


@pytest.mark.parametrize("count", [8, 9, 10, 11])
@pytest.mark.parametrize(
    ("augment", "sizes"),
    [
        (Augmentation(), None),
        (Augmentation(crop=(1.0, 1.0), scale=(0.5, 1.5), crop_size=(6, 5)), None),
        (Augmentation(), lambda epoch, batch: ((8, 8), (12, 10), (6, 6))[(epoch + batch) % 3]),
    ],
)
def test_pixels_are_known_before_batches_are_read(count, augment, sizes):
    loader = Loader(pictures(count), PREPROCESS, batch_size=4, augmentation=augment, shuffle=True, size_of=sizes)
    for epoch in range(2):
        assert loader.pixels(epoch) == [batch.images[:, 0].numel() for batch in loader.epoch(epoch)]


def test_pictures_of_sizes_of_their_own_count_alike():
    preprocess = dataclasses.replace(PREPROCESS, resize="none")
    assert Loader(pictures(5), preprocess, batch_size=4).pixels(0) == [1] * 5


def test_validation_is_told_by_two_batches(clock):
    class Batches:
        def __len__(self):
            return 9

        def epoch(self, epoch, start_batch=0):
            for number in itertools.count():
                clock.now += 0.25
                yield number

    def compute(batch):
        clock.now += 3.0 if batch == 0 else 1.0

    assert seconds_of(Batches(), compute) == 3.25 + 8 * 1.25
    assert clock.now == 1000 + 4.5  # no third was read


def test_a_run_says_it_and_learns_the_same(tmp_path, workshop, two_stages, monkeypatch):
    recipe = dataclasses.replace(
        two_stages,
        stages=(Stage(epochs=2, rate=0.01, freeze=("stem",)), Stage(epochs=1, rate=0.01), Stage(epochs=1, rate=0.01)),
    )
    silent, events = workshop(recipe).start(tmp_path / "silent")
    assert not any(isinstance(event, Forecast) for event in events)  # epochs of milliseconds
    monkeypatch.setattr(forecast, "PROBE", 0.0)
    monkeypatch.setattr(forecast, "WARM_UP", 1)
    learner, events = workshop(recipe).start(tmp_path / "told")
    assert [event.epochs for event in events if isinstance(event, Forecast)] == [2, 2]
    done = [event for event in events if isinstance(event, EpochDone)]
    assert [event.left == 0 for event in done] == [False, True, False, True]
    assert all(event.whole >= event.seconds for event in done)
    for name, tensor in silent.network.state_dict().items():
        assert torch.equal(tensor, learner.network.state_dict()[name])


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (
            Forecast(94.6, 90.0, 99.2, 8.2, 30),
            "95 s (90 s to 99 s), 8 s of it for validation; 30 epochs like it",
        ),
        (Forecast(130.0, 118.4, 150.0, 0.4, 1), "2 min (118 s to 2 min)"),
        (Forecast(9000.0, 8000.0, 10_000.0, 60.0, 40), "2.5 h (2.2 h to 2.8 h), 60 s of it for validation; 40"),
    ],
)
def test_it_is_said_in_a_line(capsys, said, line):
    with TrainingProgress(True) as progress:
        progress(said)
        progress(EpochDone(0, 4, 1.0, 0.1, {}, "top-1 0.5", True, 100, 10.0, 12.0, 61 * 60.0))
        progress(EpochDone(3, 4, 1.0, 0.1, {}, "top-1 0.5", True, 100, 10.0, 12.0, 0.0))
    first, second, third = capsys.readouterr().err.strip().splitlines()
    assert f"an epoch will take {line}" in first
    assert second.endswith("; 61 min left") and third.endswith("images/s")
    assert WARM_UP == 2
