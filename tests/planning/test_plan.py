"""Plans: the chapter's worked examples, tables whose sums are the whole's, steps whose parts are the peak."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from accept.plan.networks import exercise, one_convolution
from striate import modelfile
from striate import recipe as recipes
from striate.base.errors import ModelError, RecipeError
from striate.data.records import Classes
from striate.models import build
from striate.models.table import MODELS, architecture
from striate.planning import Plan, plan
from striate.recipe import Recipe


def test_the_chapters_convolution() -> None:
    found = plan(one_convolution(), size=(100, 150), batch=1)
    layer = found.table()[0]
    assert (found.parameters, found.multiply_adds, layer.output_bytes) == (15_200, 225_000_000, 12_000_000)
    assert found.to_dict()["flops"] == 450_000_000


def test_the_exercises_network_by_the_rules() -> None:
    one, many = (plan(exercise(), size=(200, 300), batch=batch) for batch in (1, 50))
    assert (one.two_layers, many.all_layers) == (12_613_600, 565_613_600)


def test_the_exercises_network_in_truth() -> None:
    """A step keeps the pictures and two maps, as hooks on a real one found; answers take the pictures and two."""
    channels = (3, 100, 200, 400)
    windows = nn.Sequential(*(nn.Conv2d(one, other, 3, 2, 1) for one, other in pairwise(channels)))
    found = plan(windows, size=(200, 300), batch=1)
    assert found.inference.bytes == 3_613_600 + 720_000 + 6_000_000 + 3_000_000
    assert 9_720_000 <= 720_000 + found.whole.kept_bytes < 9_720_000 + 100


def check_sums(found: Plan, depths: range = range(3)) -> None:
    whole = found.whole
    for depth in depths:
        rows = found.table(depth)
        for name in ("trainable", "frozen", "statistics", "multiply_adds", "kept_bytes"):
            assert sum(getattr(row, name) for row in rows) == getattr(whole, name), (depth, name)


class Shared(nn.Module):
    """A layer that two names have, weights of its own, and one that never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 1)
        self.again = self.first
        self.own = nn.Parameter(torch.empty(4, 3, 1, 1))
        self.idle = nn.Linear(2, 2)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(self.norm(self.again(self.first(x))), self.own)


def test_tables_sum_up_to_the_whole() -> None:
    for found in (plan(Shared(), size=6, batch=2), plan("lenet5")):
        check_sums(found)
    shared = plan(Shared(), size=6, batch=2)
    assert {row.path: row.trainable for row in shared.table()} == {"first": 12, "idle": 6, "norm": 6, "": 12}
    assert (shared.whole.statistics, shared.multiply_adds) == (6, 2 * 36 * (9 + 9 + 12))


def test_unfolding_shows_the_layers() -> None:
    found = plan("resnet18", size=64, batch=2, mode="inference")
    blocks = [row.block for row in found.table()]
    assert blocks == [*build("resnet18", classes=2).blocks]
    units, inside = found.table(2), found.table(3)
    assert "layer1.0" in [row.path for row in units] and "layer1.0.conv1" in [row.path for row in inside]


def test_a_peak_is_the_sum_of_its_parts() -> None:
    for optimizer, states in (("sgd", 1), ("adamw", 2)):
        found = plan("resnet18", size=64, batch=4, optimizer=optimizer)
        memory = found.training
        assert memory is not None and memory.bytes == sum(memory.kinds.values())
        said = memory.to_dict()
        parts = ("weights", "gradients", "optimizer_state", "saved_for_backward", "averaged_weights", "temporaries")
        assert sum(said[part] for part in parts) == memory.bytes
        assert said["optimizer_state"] >= states * 4 * found.parameters
        assert said["weights"] == 4 * (found.parameters + 9_600) + 20 * 8
        assert found.inference.bytes < memory.bytes


def test_what_a_plan_says_of_fields() -> None:
    found = plan("resnet50", mode="inference")
    last = found.last_field
    assert last is not None and (last.block, last.sees, last.stride) == ("stage4", "427", "32")
    assert found.training is None and found.to_dict()["training"] is None
    assert found.table()[-1].sees.startswith("whole image (mean in avgpool")


def test_a_task_is_planned_with_its_own_loss() -> None:
    names = {architecture(name).task: name for name in ("lenet5", "espcn")}
    for task, name in names.items():
        found = plan(name, batch=2)
        assert found.loss == f"that of the task {task}"
        json.dumps(found.to_dict())
    assert plan("lenet5", loss=lambda outputs: outputs[0].sum()).loss == "<lambda>"


@pytest.mark.slow
def test_auxiliary_heads_are_besides() -> None:
    found = plan("googlenet", batch=2, size=64)
    check_sums(found)
    assert found.table()[-1].trainable == 13_378_280 - 6_998_552


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "tood/efficientnet_lite0",
        "yolov3/resnet18",
        "yolo_grid/resnet18",
        "box/resnet18",
        "unet/resnet18",
        "fcn8s/vgg16",
    ],
)
def test_heads_are_planned_with_their_tasks_loss(name: str) -> None:
    check_sums(plan(name, batch=2), range(2))


def test_a_plan_in_a_line() -> None:
    assert repr(plan("lenet5", batch=1, mode="inference")) == (
        "Plan(lenet5, 1x1x32x32: 61,706 parameters, 416,520 multiply-adds, inference 0.5 MB)"
    )


def test_a_model_file_and_a_recipe_are_planned_as_they_are(tmp_path: Path) -> None:
    network = build("lenet5", classes=3)
    said = modelfile.Description(
        "lenet5", {"classes": 3, "in_channels": 1}, "classify", Classes(("a", "b", "c")), MODELS["lenet5"].preprocess
    )
    modelfile.save(tmp_path / "model.safetensors", network.state_dict(), said)
    parameters = sum(each.numel() for each in network.parameters())
    assert plan(tmp_path / "model.safetensors").parameters == parameters
    stages = [{"epochs": 1, "rate": 0.1, "freeze": ["stem", "stage1"]}]
    changes = {"model": "lenet5", "batch_size": 4, "optimizer": "adamw", "ema_decay": 0.9, "stages": stages}
    (tmp_path / "recipe.toml").write_text(recipes.as_toml(recipes.changed(Recipe(), changes)), encoding="utf-8")
    found = plan(tmp_path)
    assert (found.input, found.optimizer, found.parameters) == ((4, 1, 32, 32), "adamw", parameters)
    assert found.whole.frozen == 156 + 2_416
    assert found.training is not None
    assert found.training.kinds["averaged weights"] == 4 * parameters


def test_a_recipe_is_planned_with_the_blocks_that_are_computed_again(tmp_path: Path) -> None:
    lines = 'model = "resnet18"\nsize = [128, 128]\nbatch_size = 16\n'
    (tmp_path / "whole.toml").write_text(lines, encoding="utf-8")
    (tmp_path / "again.toml").write_text(f'{lines}checkpoint_blocks = ["stem", "stage1"]\n', encoding="utf-8")
    whole, again = (plan(tmp_path / f"{name}.toml").training for name in ("whole", "again"))
    assert whole is not None
    assert again is not None
    assert again.bytes < whole.bytes
    assert again.kinds["saved for backward"] < whole.kinds["saved for backward"]


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ('freeze = ["stage9"]', "recipe.toml: there is no block 'stage9'. Did you mean 'stage1'?"),
        ("[unknown]\nx = 1", "recipe.toml: "),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_by_its_name(tmp_path: Path, said: str, wanted: str) -> None:
    lines = f'model = "resnet18"\nsize = [64, 64]\n[[stages]]\nepochs = 1\nrate = 0.1\n{said}\n'
    (tmp_path / "recipe.toml").write_text(lines, encoding="utf-8")
    with pytest.raises(RecipeError) as refused:
        plan(tmp_path / "recipe.toml")
    assert wanted in str(refused.value)


def test_blocks_that_cannot_be_computed_again_are_refused_by_the_recipes_name(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text('model = "resnet18"\ncheckpoint_blocks = ["stage9"]\n', encoding="utf-8")
    with pytest.raises(RecipeError, match=r"recipe\.toml: there is no block 'stage9'"):
        plan(tmp_path / "recipe.toml")


def test_what_is_asked_wrongly_is_said() -> None:
    module = nn.Conv2d(3, 4, 3)
    for words, wanted in (
        ({"batch": 0}, "batch is 0"),
        ({"mode": "train"}, "Did you mean 'training'"),
        ({"optimizer": "adam"}, "Did you mean 'adamw'"),
        ({"size": (1, 2, 3, 4)}, "expected one side"),
        ({"size": (5, 8, 8)}, "expected input"),
    ):
        with pytest.raises(ModelError, match=wanted):
            plan(module, **{"size": 8, **words})  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="32x32"):
        plan("lenet5", size=8)
