"""The recipe: TOML out and in again, and one clear sentence for every value that is wrong."""

import dataclasses
import hashlib
import types
import typing
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from striate import recipe as recipes
from striate.base.errors import RecipeError
from striate.base.fields import Later, annotated, came_later
from striate.data.augmentation import Augmentation
from striate.recipe import SECTIONS, DataSettings, Recipe, Stage
from striate.task_settings import SETTINGS, ClassifySettings
from striate.tasks import TASKS
from striate.training import checkpoint, resolving
from tests.training.old_runs import newer

stages = st.builds(
    Stage,
    epochs=st.integers(1, 1000),
    rate=st.floats(1e-9, 1e3),
    freeze=st.lists(st.sampled_from(["stem", "stage1", "body"]), max_size=3).map(tuple),
    warmup=st.floats(0, 0.99),
)
whole_recipes = st.builds(
    Recipe,
    model=st.sampled_from(["lenet5", "resnet18"]),
    size=st.none() | st.tuples(st.integers(1, 512), st.integers(1, 512)),
    seed=st.integers(0, 2**53),
    batch_size=st.integers(1, 4096),
    weight_decay=st.floats(0, 1e6),
    metric=st.text(st.characters(blacklist_categories=["Cs"]), max_size=10),
    data=st.builds(DataSettings, format=st.none() | st.sampled_from(["idx", "folders"])),
    augment=st.builds(Augmentation, flip=st.booleans(), rotation=st.floats(0, 180), shift=st.integers(0, 9)),
    settings=st.builds(ClassifySettings, label_smoothing=st.floats(0, 0.99))
    | st.builds(ClassifySettings, loss=st.just("map"), class_weights=st.sampled_from(["none", "balanced"])),
    stages=st.lists(stages, min_size=1, max_size=4).map(tuple),
)


@given(whole_recipes)
def test_toml_gives_the_recipe_back(tmp_path_factory, recipe):
    path = tmp_path_factory.mktemp("recipe") / "recipe.toml"
    path.write_text(recipes.as_toml(recipe), encoding="utf-8")
    assert recipes.load(path) == recipe


def test_toml_says_what_every_field_is():
    text = recipes.as_toml(Recipe())
    for owner in (Recipe, Augmentation, ClassifySettings, Stage):
        for field in dataclasses.fields(owner):  # but for tables, what is unresolved, and what there is not
            if field.name not in ("data", "augment", "settings", "stages", "size", "fit", "crop_size"):
                assert f"# {recipes.description(owner, field.name)}\n{field.name} = " in text


def test_a_file_from_before_a_field_loads_with_its_default(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text('model = "resnet18"\n[classify]\nlabel_smoothing = 0.1\nclass_weights = "none"\n', encoding="utf-8")
    assert recipes.load(path).settings == ClassifySettings(loss="cross_entropy", label_smoothing=0.1)


def test_a_part_of_a_table_changes_only_that_part():
    changed = recipes.changed(Recipe(), {"augment": {"flip": False}, "batch_size": 7})
    assert changed.augment == dataclasses.replace(Recipe().augment, flip=False)
    assert changed == dataclasses.replace(Recipe(), augment=changed.augment, batch_size=7)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"batchsize": 3}, ["'batchsize'", "did you mean 'batch_size'"]),
        ({"augment": {"flipp": True}}, ["[augment]", "did you mean 'flip'"]),
        ({"stages": [{"epochs": 3, "rat": 0.1}]}, ["[[stages]]", "did you mean 'rate'"]),
        ({"dice_weight": 1.0}, ['did you mean segment.dice_weight: {"segment": {"dice_weight": 1.0}}?']),
        ({"label_smoothing": 0.1}, ['classify.label_smoothing: {"classify": {"label_smoothing": 0.1}}?']),
        ({"flip": False}, ['did you mean augment.flip: {"augment": {"flip": False}}?']),
        ({"lr": 0.1}, ["the rate is a field of the recipe's [[stages]]", '{"stages": [{"epochs": 10, "rate": 0.01}]}']),
        ({"rate": 0.1}, ["the rate is a field of the recipe's [[stages]]"]),
        ({"freeze": ["stem"]}, ["what is frozen is a field of the recipe's [[stages]]"]),
        ({"batch_size": "32"}, ["batch_size", '"32"', "integer"]),
        ({"batch_size": 0}, ["batch_size", "0", "greater than or equal to 1"]),
        ({"batch_size": 2.5}, ["batch_size", "2.5"]),
        ({"augment": {"flip": "yes"}}, ["augment.flip", "yes"]),
        ({"augment": {"rotation": 500.0}}, ["rotation", "500"]),
        ({"augment": 3}, ["augment", "3"]),
        ({"momentum": 1.5}, ["momentum", "1.5"]),
        ({"classify": {"loss": "mse"}}, ["classify.loss", "mse", "cross_entropy"]),
        (
            {"classify": {"loss": "map", "label_smoothing": 0.1}},
            ['loss is "map"', "label_smoothing 0.1", "give label_smoothing 0", "cross_entropy"],
        ),
        ({"classify": 3}, ["classify is 3", "a table", "[classify]"]),
        ({"classify": 3, "settings": {"loss": "map"}}, ["classify is 3"]),
        ({"settings": {"los": "map"}}, ['task "classify"', "no field 'los'", "did you mean 'loss'"]),
        ({"task": "clasify"}, ["no task 'clasify'", "did you mean 'classify'", "tasks: classify"]),
        ({"task": ["classify"]}, ["no task ['classify']"]),
        ({"data": {"fromat": "idx"}}, ["[data]", "did you mean 'format'"]),
        ({"data": {"format": 3}}, ["data.format is 3", "string"]),
        ({"optimizer": "adam"}, ["optimizer", "adam", "sgd"]),
        ({"split": [0.5, 0.5]}, ["split"]),
        ({"split": [0.5, 0.1, 0.1]}, ["split", "0.7"]),
        ({"folds": 1}, ["folds", "2 or more"]),
        ({"stages": []}, ["stages"]),
        ({"stages": 3}, ["stages"]),
        ({"stages": [{"epochs": 3, "rate": float("nan")}]}, ["rate"]),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(values, words):
    with pytest.raises(RecipeError) as error:
        recipes.changed(Recipe(), values, source="my.toml")
    assert str(error.value).startswith("my.toml")
    for word in words:
        assert word.lower() in str(error.value).lower()


def test_a_file_that_is_no_toml_is_named(tmp_path):
    path = tmp_path / "recipe.toml"
    with pytest.raises(RecipeError, match=r"recipe\.toml: cannot be read"):
        recipes.load(path)
    path.write_bytes(b"\xff\xfe broken")
    with pytest.raises(RecipeError, match=r"recipe\.toml: is not TOML"):
        recipes.load(path)


@given(whole_recipes, st.integers(1, 500))
def test_epochs_are_shared_among_the_stages(recipe, epochs):
    shared = recipes.with_epochs(recipe, epochs)
    assert shared.epochs == epochs
    assert len(shared.stages) == min(len(recipe.stages), epochs)
    for new, old in zip(shared.stages[:-1], recipe.stages[: epochs - 1], strict=False):
        assert 1 <= new.epochs <= old.epochs
        assert (new.rate, new.freeze, new.warmup) == (old.rate, old.freeze, old.warmup)


@given(whole_recipes, st.integers(1, 3000))
def test_cut_keeps_the_first_epochs(recipe, epochs):
    cut = recipes.cut(recipe, epochs)
    assert cut.epochs == min(epochs, recipe.epochs)
    assert [stage.rate for stage in cut.stages] == [stage.rate for stage in recipe.stages[: len(cut.stages)]]


def test_an_extension_is_a_stage_of_its_own():
    extended = recipes.extended(Recipe(stages=(Stage(epochs=3, rate=0.5),)), 4)
    assert extended.stages == (Stage(epochs=3, rate=0.5), Stage(epochs=4, rate=0.05, warmup=0.0))


def test_an_extension_learns_what_the_last_stage_did():
    last = Stage(epochs=2, rate=0.5, freeze=("stem",), keep_statistics=True, warmup=0.3)
    tail = recipes.extended(Recipe(stages=(Stage(epochs=3, rate=0.1), last)), 4).stages[-1]
    assert tail == dataclasses.replace(last, epochs=4, rate=0.05, warmup=0.0)


def test_the_hash_follows_the_values():
    assert Recipe().hash == Recipe().hash
    assert Recipe().hash != Recipe(seed=1).hash


# What was written before a field came


BEFORE = {
    "default": (
        {},
        *("570b5c53ad553dce664ac6d0ad54b823bcbed540630c372477d6ece3d17481ec",) * 2,
        "f54ec2c467117bed1eac6b66a23dc8883989cbc7d5405555a585e913660b8c77",
    ),
    "flat": (
        {
            "model": "resnet18",
            "weights": "pretrained",
            "size": [224, 200],
            "fit": "crop",
            "seed": 7,
            "split": [0.7, 0.2, 0.1],
            "split_seed": 3,
            "folds": 5,
            "batch_size": 16,
            "accumulate": 2,
            "optimizer": "adamw",
            "momentum": 0.85,
            "weight_decay": 0.05,
            "rate_floor": 0.01,
            "clip_norm": 1.0,
            "ema_decay": 0.99,
            "metric": "loss",
            "patience": 4,
            "precision": "bfloat16",
            "log_every": 5,
            "save_every": 12.5,
        },
        *("cd70e564fe9cb548250bebda9e193fc882a7bcaf3866e49675b60eb7d0cc298d",) * 2,
        "91e21b73d6c2ffde9b35cec6b586188cdaab3ba682825b072de050f81e183cdb",
    ),
    "tables": (
        {
            "augment": {
                "crop": [0.4, 1.0],
                "aspect": [0.8, 1.25],
                "flip": False,
                "shift": 2,
                "rotation": 8.0,
                "colour": 0.2,
            },
            "classify": {"label_smoothing": 0.1, "class_weights": "balanced"},
        },
        *("3f31ab4598909a9035e645106e70cf834195b8096c1c86b4c2791017b388e8fc",) * 2,
        "8fffab9b4af91268b176d67cc1f260a96d1decb6a3a2951a313a31c358c9b08f",
    ),
    "map": (
        {"classify": {"loss": "map"}},
        *("017e4bcbac21b9e9e114cd5d050ff5143b00403df7a638d74e908e17c1e98e13",) * 2,
        "ed4edf73d32b9e1f871b792a528bfeea4c3f11c1392821ee3667321ff486d3da",
    ),
    "stages": (
        {
            "stages": [
                {
                    "epochs": 2,
                    "rate": 0.015,
                    "freeze": ["stem", "stage1"],
                    "keep_statistics": True,
                    "warmup": 0.0,
                },
                {"epochs": 10, "rate": 0.01},
            ]
        },
        "0ee94159200457b560575a2f50579220224a90695052803c85d686c935a364d5",
        "570b5c53ad553dce664ac6d0ad54b823bcbed540630c372477d6ece3d17481ec",
        "b82d4c35938a9bc4dc8deca098193e5cfdfe970012f687e6942f59ca5dee93f8",
    ),
}
"""Recipes of commit 561ca1d: their hash, the part of it that a checkpoint holds, and sha256 of their TOML of then."""


@pytest.fixture(scope="module")
def later():
    """`striate.recipe` of a later day, see `newer`."""
    return newer.module("recipe_of_a_later_day")


@pytest.mark.parametrize(("values", "whole", "fixed", "toml"), BEFORE.values(), ids=BEFORE)
def test_hashes_and_toml_of_before_are_those_of_before(tmp_path, later, values, whole, fixed, toml):
    recipe = recipes.changed(Recipe(metric="top1"), values)
    text = recipes.as_toml(recipe)
    assert (recipe.hash, checkpoint.fixed_part(recipe)) == (whole, fixed)
    assert hashlib.sha256(newer.without_later(text).encode()).hexdigest() == toml
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    assert recipes.load(path) == recipe
    of_later = later.load(path)
    assert (of_later.hash, checkpoint.fixed_part(of_later)) == (whole, fixed)
    # Written again it says what is as before, and is still the same.
    path.write_text(later.as_toml(of_later), encoding="utf-8")
    assert "later_recipe = 0" in path.read_text() and later.load(path) == of_later


def test_a_field_that_came_later_counts_where_it_is_not_as_before(later):
    before = {
        "size": None,
        "later_recipe": 0,
        "data": {"later_datasettings": 0},
        "classify": {"later_classifysettings": 0},
    }
    stage = {"epochs": 1, "rate": 0.1}
    before["stages"] = [{**stage, "later_stage": 0}]
    same = recipes.changed(Recipe(), {"stages": [stage]}).hash
    assert later.changed(later.Recipe(), before).hash == same
    others = [{"later_recipe": 2}, {"data": {"later_datasettings": 2}}, {"classify": {"later_classifysettings": 2}}]
    hashes = {later.changed(later.Recipe(), before | other).hash for other in [*others, {"stages": [stage]}]}
    assert len(hashes) == 4 and same not in hashes


def test_a_whole_recipe_is_the_same_run_on_a_later_day_and_a_part_of_one_takes_that_days_defaults(tmp_path, later):
    path = tmp_path / "recipe.toml"
    path.write_text(recipes.as_toml(Recipe(metric="top1")), encoding="utf-8")
    values = later.read_toml(path)
    assert values["later_recipe"] == values["stages"][0]["later_stage"] == values["data"]["later_datasettings"] == 0
    path.write_text("batch_size = 3\n", encoding="utf-8")
    assert later.read_toml(path) == {"batch_size": 3}
    assert later.changed(later.Recipe(), later.read_toml(path)).later_recipe == 1
    assert later.load(path).later_recipe == 0


def test_what_was_left_out_because_it_was_none_is_none_again(tmp_path, later):
    path = tmp_path / "recipe.toml"
    path.write_text(recipes.as_toml(Recipe(metric="top1")), encoding="utf-8")
    assert later.Recipe().size == (9, 9) and later.load(path).size is None


def test_marks_of_inherited_fields_and_of_tables_count():
    @dataclasses.dataclass
    class Table:
        one: int = 1
        two: Annotated[int, Later(as_before=2)] = 5

    @dataclasses.dataclass
    class Wider(Table):
        three: Annotated[tuple[int, ...] | None, Later(as_before=None)] = (1,)

    assert came_later(Wider) == {"two": 2, "three": None}


# Settings of more than one task


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoxSettings:
    loss: Annotated[Literal["iou", "l1"], Field(description="how boxes are compared")] = "iou"
    anchors: Annotated[int, Field(ge=1, description="boxes a place")] = 3


@pytest.fixture
def boxes(monkeypatch):
    """The recipe of a second task; none of it is known to the product."""
    monkeypatch.setitem(SETTINGS, "boxes", BoxSettings)
    return Recipe(task="boxes", metric="ap", settings=BoxSettings(anchors=5))


def test_a_second_task_has_a_table_of_its_own(tmp_path, boxes):
    text = recipes.as_toml(boxes)
    assert '\n[boxes]\n# how boxes are compared\nloss = "iou"\n# boxes a place\nanchors = 5\n' in text
    assert "[classify]" not in text and "[settings]" not in text
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    assert recipes.load(path) == boxes
    assert boxes.hash != dataclasses.replace(boxes, settings=BoxSettings()).hash


def test_settings_are_those_of_whatever_task_the_recipe_has(boxes):
    assert recipes.changed(boxes, {"settings": {"loss": "l1"}}).settings == BoxSettings(loss="l1", anchors=5)
    assert recipes.changed(boxes, {"task": "classify", "settings": {"loss": "map"}}).settings == ClassifySettings(
        loss="map"
    )
    assert recipes.changed(Recipe(), {"task": "boxes"}).settings == BoxSettings()
    both = recipes.changed(boxes, {"boxes": {"loss": "l1", "anchors": 7}, "settings": {"anchors": 8}})
    assert both.settings == BoxSettings(loss="l1", anchors=8)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"classify": {"loss": "map"}}, ["[classify]", 'task is "boxes"']),
        ({"settings": {"label_smoothing": 0.1}}, ['task "boxes"', "no field 'label_smoothing'", "loss, anchors"]),
        ({"settings": {"anchor": 3}}, ['task "boxes"', "Did you mean 'anchors'?"]),
        ({"settings": {"loss": "map"}}, ['boxes.loss is "map"', "'iou' or 'l1'"]),
        ({"boxes": {"anchors": 0}}, ["boxes.anchors is 0", "greater than or equal to 1"]),
        (
            {"task": "box"},
            ["no task 'box'", "Did you mean 'boxes'?", "classify, localize, detect, segment, upscale, boxes"],
        ),
    ],
)
def test_what_is_another_tasks_is_refused_by_name(boxes, values, words):
    with pytest.raises(RecipeError) as error:
        recipes.changed(boxes, values, source="my.toml")
    assert str(error.value).startswith("my.toml")
    for word in words:
        assert word in str(error.value)


def test_a_recipe_is_not_made_with_another_tasks_settings(boxes):
    with pytest.raises(RecipeError, match="BoxSettings given, but those of the task 'classify' are ClassifySettings"):
        Recipe(settings=BoxSettings())
    with pytest.raises(RecipeError, match="no task 'box'"):
        Recipe(task="box")


def test_every_task_has_settings_and_no_two_tables_share_a_name():
    assert SETTINGS.keys() == TASKS.keys()
    assert not {*SETTINGS, *SECTIONS} & (annotated(Recipe).keys() - SECTIONS.keys())
    owners = [Recipe, *SECTIONS.values()]
    names = [name for owner in owners for name in annotated(owner)]
    assert len(names) == len(set(names))
    assert not set(names) & {name for kind in SETTINGS.values() for name in annotated(kind)}


@pytest.mark.parametrize("owner", [Recipe, Stage, *SECTIONS.values(), *SETTINGS.values()])
def test_what_toml_cannot_say_is_as_before(owner):
    """TOML leaves None out, so that of a field that came later and may be None nothing else can mean "as before"."""
    for name, as_before in came_later(owner).items():
        may_be_none = types.NoneType in typing.get_args(annotated(owner)[name][0])
        assert not may_be_none or as_before is None, name


def test_overrides_go_over_a_recipe_by_the_tables_name_or_as_settings():
    given = Recipe(settings=ClassifySettings(label_smoothing=0.1))
    for name in ("classify", "settings"):
        overrides = resolving.overrides_from(given, {name: {"class_weights": "balanced"}}, None)
        assert recipes.changed(Recipe(), overrides.values).settings == ClassifySettings(
            label_smoothing=0.1, class_weights="balanced"
        )
