"""The course of memory over a step: against an account by hand, and against storages added up one by one."""

from itertools import groupby
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from striate import recipe as recipes
from striate.planning import plan
from striate.planning.course import PARTS, PHASES, Course, course_of
from striate.recipe import Recipe
from striate.tracing import Trace, trace


class Two(nn.Module):
    """Two dense layers of 56 and 18 numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.second = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x.flatten(1)).relu())


def course(course: Course, phase: str, operation: str) -> list[tuple[int, ...]]:
    """The parts while an operation of a phase runs, each time."""
    return [each.parts for each in course.moments if (each.phase, each.operation) == (phase, operation)]


def test_a_forward_pass_by_hand() -> None:
    """Two pictures of 6 numbers; maps of 2 x 8 and 2 x 2 numbers; nothing is kept but what is needed."""
    found = plan(Two(), size=(1, 2, 3), batch=2, mode="inference").course
    weights, pictures, hidden, answer = 4 * (56 + 18), 4 * 12, 4 * 16, 4 * 4
    first, second = course(found, "forward", "addmm")
    assert first == (weights, 0, 0, 0, 0, pictures + hidden)
    assert course(found, "forward", "relu") == [(weights, 0, 0, 0, 0, pictures + 2 * hidden)]
    assert second == (weights, 0, 0, 0, 0, pictures + hidden + answer)


def test_a_step_of_training_by_hand() -> None:
    """Of the hidden map the rectified form is kept until its gradient is known; momentum is as large as the weights."""
    found = plan(Two(), size=(1, 2, 3), batch=2).course
    weights, pictures, hidden, answer = 4 * (56 + 18), 4 * 12, 4 * 16, 4 * 4
    first, second = course(found, "forward", "addmm")
    assert first == (weights, 0, weights, 0, 0, pictures + hidden)
    assert second == (weights, 0, weights, 0, hidden, pictures + answer)
    (step,) = course(found, "optimizer", "_fused_sgd")
    assert step[:5] == (weights, 0, weights, weights, 4)  # the loss itself is there as long as its caller
    rectified = course(found, "backward", "threshold_backward")[0]
    assert rectified[3:5] == (4 * 18, hidden + 4)  # the second layer's gradients are there, the first one's are not
    assert [phase for phase, _ in groupby(found.moments, key=lambda each: each.phase)] == [*PHASES]


def brute(found: Trace, index: int) -> dict[str, int]:
    """Bytes of all parts while an operation runs: every storage is asked."""
    there = [each for each in found.storages if each.birth <= index and (each.death is None or index < each.death)]
    return {part: sum(each.bytes for each in there if each.kind in kinds) for part, kinds in PARTS.items()}


@pytest.mark.parametrize("most", [7, 10_000])
def test_moments_are_the_largest_of_what_they_stand_for(most: int) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3, stride=2))
    step = trace(net, torch.empty(2, 3, 9, 9), mode="training", optimizer="sgd", counts=False)
    found = course_of(step, {"one": ("0", "1", "2"), "two": ("3",)}, most=most)
    totals = [sum(brute(step, index).values()) for index in range(len(step.operations))]
    for moment, end in zip(found.moments, found.ends, strict=True):
        assert moment.begin < end and moment.bytes == max(totals[moment.begin : end])
        assert moment.parts in [tuple(brute(step, index).values()) for index in range(moment.begin, end)]
    assert found.moments[0].begin == 0 and found.ends[-1] == found.operations == len(totals)
    assert found.peak is not None and found.peak.bytes == max(totals) == step.peak().bytes
    runs = len([*groupby(found.moments, key=lambda each: (each.phase, each.block))])
    assert len(found.moments) <= min(most, found.operations) + runs


def peak_as_planned(course: Course) -> dict[str, int]:
    assert course.peak is not None
    return {name.replace(" ", "_"): size for name, size in zip(PARTS, course.peak.parts, strict=True)}


@pytest.mark.parametrize("mode", ["training", "inference"])
def test_the_peak_of_a_course_is_the_plans(mode: str) -> None:
    for name in ("lenet5", "resnet18"):
        found = plan(name, size=32, batch=3, mode=mode)  # type: ignore[arg-type]
        said, peak = found.peak.to_dict(), found.course.peak
        assert peak is not None and peak.bytes == found.peak.bytes
        assert {part: said[part] for part in peak_as_planned(found.course)} == peak_as_planned(found.course)
        assert (peak.operation, peak.path) == (found.peak.operation, found.peak.path)


def test_averages_are_in_the_course_of_a_recipe(tmp_path: Path) -> None:
    recipe = recipes.changed(Recipe(), {"model": "lenet5", "ema_decay": 0.9, "batch_size": 4})
    (tmp_path / "recipe.toml").write_text(recipes.as_toml(recipe))
    found = plan(tmp_path)
    assert peak_as_planned(found.course)["averaged_weights"] == found.peak.weights == 4 * 61_706
    assert found.course.peak is not None and found.course.peak.bytes == found.peak.bytes


class OneActivation(nn.Module):
    """Two blocks that share an activation, which has its name of the second one, and go on by the whole's own sum."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 3, 1)
        self.b = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.b[1](self.a(x))) + x


def test_what_blocks_share_counts_to_whose_results_it_gets() -> None:
    found = plan(OneActivation(), size=4, batch=2).course
    runs = [key for key, _ in groupby(found.moments, key=lambda each: (each.phase, each.block))]
    assert [block for phase, block in runs if phase == "forward"] == ["a", "b", ""]
    assert [block for phase, block in runs if phase == "backward" and block] == ["b", "a"]


def test_a_step_in_which_nothing_runs_has_no_moments() -> None:
    found = plan(nn.Identity(), size=4, mode="inference").course
    assert (found.operations, found.moments, found.peak, found.ends) == (0, (), None, ())
