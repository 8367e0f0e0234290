"""Advice: the largest batch is one that fits, and one more does not; remedies save what they say."""

import pytest
from torch import nn

from striate.base.errors import ModelError
from striate.planning import advise, subject_of
from striate.planning.advice import fewer_layers
from striate.planning.planning import planned

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
    with pytest.raises(ModelError, match=r"two pictures takes [\d,]+ bytes.* the budget is 1,000"):
        advise(subject_of("lenet5"), 1_000, batch=8)


@pytest.mark.parametrize(("name", "smaller"), [("resnet18", []), ("resnet34", ["resnet18"]), ("vgg16", ["vgg13"])])
def test_the_next_smaller_network_is_one_for_the_same_pictures(name: str, smaller: list[str]) -> None:
    """ResNets for CIFAR, of 32x32 pictures, have less work and are no smaller ResNet-18."""
    assert fewer_layers(subject_of(name)) == smaller


@pytest.mark.slow
def test_each_remedy_says_what_it_takes() -> None:
    found = advise(subject_of("resnet34", 64), 400_000_000, batch=8)
    takes = {remedy.what: (remedy.bytes, remedy.work) for remedy in found.remedies}
    assert list(takes) == [
        *("batches of 4", "batches of 4, accumulate = 2", "two devices, 4 pictures each"),
        *("pictures of 32x32", "bfloat16", "resnet18"),
    ]
    before = planned(subject_of("resnet34", 64), 8).training
    assert before is not None and all(size < before.bytes for size, _ in takes.values())
    assert takes["pictures of 32x32"][1] < 0.3 and takes["resnet18"][1] == pytest.approx(1_814 / 3_664, abs=0.01)
