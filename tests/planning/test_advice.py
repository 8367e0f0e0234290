"""Advice: the largest batch is one that fits, and one more does not; remedies save what they say."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from striate.base.errors import ModelError
from striate.planning import advise, subject_of
from striate.planning.asked import Asked
from striate.planning.blocks import blocks_for
from striate.planning.choosing import batch_for, most_to_choose, rounded
from striate.planning.demand import Counts
from striate.planning.growth import Growth
from striate.planning.planning import planned
from striate.planning.remedies import fewer_layers, remedies
from striate.planning.room import Room, room_here, room_of

NETWORK = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1))


def bytes_of(batch: int) -> int:
    memory = planned(subject_of(NETWORK, 16), batch).training
    assert memory is not None
    return memory.bytes


@pytest.mark.parametrize("budget", [150_000, 30_000_001])
def test_the_largest_batch_fits_and_one_more_does_not(budget: int) -> None:
    found = advise(subject_of(NETWORK, 16), budget, batch=8)
    assert found.bytes == bytes_of(found.batch) <= budget < bytes_of(found.batch + 1)


def test_a_budget_below_the_weights_is_refused() -> None:
    with pytest.raises(ModelError, match=r"one picture takes [\d,]+ bytes.* there are 1,000"):
        advise(subject_of("lenet5"), 1_000, batch=8)


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 50)), min_size=1, max_size=6),
    st.integers(0, 3000),
)
def test_growth_is_the_highest_of_its_lines(moments: list[tuple[int, int]], room: int) -> None:
    growth = Growth.of([(float(fixed), float(each)) for fixed, each in moments])
    for pictures in (1, 2, 7, 100):
        assert growth.bytes_of(pictures) == max(fixed + each * pictures for fixed, each in moments)
    largest = growth.largest(room)
    assert largest == 0 or growth.bytes_of(largest) <= room
    assert largest == 1 << 16 or growth.bytes_of(largest + 1) > room


def test_growth_off_two_traces_is_that_of_a_third() -> None:
    asked = Asked(subject_of("lenet5"), 8)
    growing = asked.growing(8)
    for batch in (4, 8, 20):
        assert growing.bytes_of(batch) == Asked(asked.subject, batch).bytes
    one = asked.demand()
    assert one.bytes_of(8) == growing.bytes_of(8) and one.bytes_of(20) >= growing.bytes_of(20)


def test_a_run_is_saved_and_measured_too() -> None:
    """A run of few small pictures takes most when it is saved: weights, averages and momentum, each twice."""
    asked = Asked(subject_of("lenet5"), 2, Counts(6, 4))
    weights = 4 * sum(each.numel() for each in asked.subject.module.parameters())
    assert asked.demand().saving == 2 * (weights + weights)
    low = Asked(subject_of("resnet18", 64), 2, Counts(6, 400))
    low = Asked(low.subject.__class__(**{**vars(low.subject), "precision": "bfloat16"}), 64, Counts(6, 4000))
    demand = low.demand()
    assert demand.answering is not None
    assert demand.needs(64).steps == demand.answering.bytes_of(64) > demand.step.bytes_of(6)


def test_batches_are_no_larger_than_there_are_pictures_and_a_remainder_joins_one() -> None:
    demand = Asked(subject_of("lenet5"), 8, Counts(9, 4)).demand()
    assert demand.bytes_of(100) == demand.bytes_of(9) == demand.bytes_of(8)  # 9 pictures are one batch of 9
    assert demand.bytes_of(4) < demand.bytes_of(8)
    assert demand.largest(1 << 40) == 9


def test_the_room_is_what_is_there_less_the_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    from striate.base.hardware import FreeMemory
    from striate.planning import room as rooms

    monkeypatch.setattr(rooms, "free_memory", lambda: FreeMemory(1_000_000_000, "the machine"))
    here, more = room_here(None), room_here(None, 60_000_000)
    assert here.bytes == pytest.approx(900_000_000 / 1.06, abs=1) and more.there == 1_060_000_000
    assert room_of(1_400_000_000).bytes == here.bytes
    assert room_of(1000).bytes == 0
    assert here.keeps(here.kept) and not here.keeps(here.kept + 1)
    assert here.left_for_pictures(here.bytes, here.bytes) == 0
    assert 0 < here.left_for_pictures(1000, 1000) < here.there


@pytest.mark.parametrize(("times", "least"), [(1.2, 8), (3.0, 16), (100.0, 64)])
def test_the_chosen_batch_fits_and_is_a_round_number(times: float, least: int) -> None:
    """Whether freed memory is kept, batches of 16 are the default and 64 the most."""
    asked = Asked(subject_of("lenet5"), 16, Counts(1000, 100))
    there = int(asked.bytes * times)
    room = Room(there, there, "a test")
    batch = batch_for(asked, room, most_to_choose(16, 1000))
    assert batch == rounded(batch) and batch >= least and batch <= 64
    assert Asked(asked.subject, batch, asked.counts).bytes <= there


def test_no_batch_is_chosen_where_none_fits() -> None:
    assert batch_for(Asked(subject_of("lenet5"), 16), Room(1000, 1000, "a test"), 64) == 0


@pytest.mark.slow
def test_blocks_are_the_cheapest_with_which_the_batch_fits() -> None:
    """Of the sets of the stem and the first three stages, each by a trace of its own."""
    asked = Asked(subject_of("resnet18", 160), 32)
    whole = asked.bytes
    assert blocks_for(asked, whole) == ()
    names = list(asked.subject.blocks)
    traced = {
        chosen: asked.computed_again(chosen).bytes
        for flags in product((False, True), repeat=4)
        if (chosen := tuple(name for name, flag in zip(names, flags, strict=False) if flag))
    }
    room = (whole + min(traced.values())) // 2
    found = blocks_for(asked, room)
    assert found and asked.computed_again(found).bytes <= room
    fitting = [chosen for chosen, takes in traced.items() if takes <= room]
    assert fitting and len(found) <= min(map(len, fitting)) + 1
    assert blocks_for(asked, 1000) is None


@pytest.mark.parametrize(("name", "smaller"), [("resnet18", []), ("resnet34", ["resnet18"]), ("vgg16", ["vgg13"])])
def test_the_next_smaller_network_is_one_for_the_same_pictures(name: str, smaller: list[str]) -> None:
    """ResNets for CIFAR, of 32x32 pictures, have less work and are no smaller ResNet-18."""
    assert fewer_layers(subject_of(name)) == smaller


@pytest.mark.slow
def test_each_remedy_says_what_it_takes() -> None:
    subject = subject_of("resnet34", 128)
    learning = [each.requires_grad for each in subject.module.parameters()]
    found = advise(subject, 4_000_000_000, batch=64)
    takes = {remedy.what: (remedy.bytes, remedy.work) for remedy in found.remedies}
    assert list(takes) == [
        *("batches of 32", "batches of 32, accumulate = 2", "two devices, 32 pictures each", "pictures of 64x64"),
        *("bfloat16", "resnet18", "all blocks but the head computed again", "all but the head frozen"),
    ]
    assert all(size < found.asked for size, _ in takes.values())
    assert takes["pictures of 64x64"][1] < 0.3 and takes["resnet18"][1] == pytest.approx(1_814 / 3_664, abs=0.01)
    assert 1.3 < takes["all blocks but the head computed again"][1] < 1.34
    assert takes["all but the head frozen"][1] == pytest.approx(1 / 3, abs=0.01)
    assert [each.requires_grad for each in subject.module.parameters()] == learning
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(("seen", "flag"), [((96, 96), " --crop-size 48 48"), ((160, 160), ""), (None, "")])
def test_smaller_pictures_have_smaller_crops_and_scales_follow(seen, flag) -> None:
    """Of training at several scales the largest pictures are planned, and no flag of their own is needed."""
    subject = replace(subject_of("resnet18", 128), learns_from=seen)
    (remedy,) = (each for each in remedies(Asked(subject, 8), 4) if each.what.startswith("pictures"))
    assert remedy.flag == f"--size 64x64{flag}"
