"""The recipe: TOML out and in again, and one clear sentence for every value that is wrong."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate import recipe as recipes
from striate.base.errors import RecipeError
from striate.data.augmentation import Augmentation
from striate.recipe import ClassifySettings, Recipe, Stage

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
    augment=st.builds(Augmentation, flip=st.booleans(), rotation=st.floats(0, 180), shift=st.integers(0, 9)),
    classify=st.builds(ClassifySettings, label_smoothing=st.floats(0, 0.99))
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
        for field in dataclasses.fields(owner):
            if field.name not in ("augment", "classify", "stages", "size", "fit"):  # tables, and what is unresolved
                assert f"# {recipes.description(owner, field.name)}\n{field.name} = " in text


def test_a_file_from_before_a_field_loads_with_its_default(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text('model = "resnet18"\n[classify]\nlabel_smoothing = 0.1\nclass_weights = "none"\n', encoding="utf-8")
    assert recipes.load(path).classify == ClassifySettings(loss="cross_entropy", label_smoothing=0.1)


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
