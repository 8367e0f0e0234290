"""Running statistics in the first steps of a run from scratch."""

import dataclasses

import pytest
import torch
from torch import nn

from striate.data import Loader
from striate.training.statistics import RunningStatistics


def momenta(network: nn.Module) -> list[float | None]:
    return [module.momentum for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


@pytest.mark.parametrize(
    ("published", "update", "wanted"),
    [(0.001, 0, 0.9), (0.001, 90, 0.09), (0.001, 8_990, 0.001), (0.001, 20_000, 0.001), (0.1, 81, 0.1)],
)
def test_the_rule(published: float, update: int, wanted: float) -> None:
    network = nn.Sequential(nn.BatchNorm2d(2, momentum=published), nn.BatchNorm2d(2, momentum=None))
    RunningStatistics(network).begin(update)
    assert momenta(network) == [pytest.approx(wanted), None]


def test_statistics_are_true_after_a_few_steps() -> None:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(3, momentum=0.001)
    statistics = RunningStatistics(norm)
    for update in range(30):
        statistics.begin(update)
        norm(5 + 2 * torch.randn(16, 3, 8, 8))
    assert torch.allclose(norm.running_mean, torch.full((3,), 5.0), atol=0.1)
    assert torch.allclose(norm.running_var, torch.full((3,), 4.0), atol=0.3)


@pytest.mark.parametrize(("weights", "wanted"), [("none", 9 / 11), ("pretrained", 0.1)])
def test_only_weights_from_scratch_need_it(workshop, two_stages, picture_records, weights, wanted) -> None:
    recipe = dataclasses.replace(two_stages, weights=weights, batch_size=4, accumulate=1)
    learner = workshop(recipe).learner()
    for batch in Loader(picture_records(8), learner.preprocess, batch_size=4).epoch(0):
        learner.step([batch], 0.01)
    assert momenta(learner.network) == [pytest.approx(wanted)] * 2
