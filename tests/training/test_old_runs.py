"""Runs and model files of an older Striate (`tests/training/old_runs`) go on, load and answer as they did."""

import json
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

import striate
from striate import recipe as recipes
from striate.training import checkpoint
from striate.training.events import RunStarted
from tests.training.old_runs import newer, pictures

HERE = Path(__file__).parent / "old_runs"
ROUNDING = 1e-4
"""Another processor, or another order of sums, in float32 over a few steps."""


@pytest.fixture(scope="module")
def expected():
    return json.loads((HERE / "expected.json").read_text())


@pytest.fixture(scope="module")
def bars(tmp_path_factory):
    """The pictures, made again."""
    return pictures.write(tmp_path_factory.mktemp("data") / "bars.npz")


@pytest.fixture
def unpacked(tmp_path):
    """Unpacks a run, to be gone on with."""

    def unpack(name):
        with tarfile.open(HERE / f"{name}.tar.xz") as archive:
            archive.extractall(tmp_path, filter="data")
        return tmp_path / name

    return unpack


def assert_answers(run, bars, expected):
    """The model file says of the first six pictures what it is expected to say, and its head weighs as expected."""
    predictor = striate.load(run / "model.safetensors")
    with np.load(bars) as arrays:
        images = [np.ascontiguousarray(image) for image in arrays["x"][:6]]
    answers = [predictor(image).probabilities for image in images]
    np.testing.assert_allclose(answers, expected["probabilities"], rtol=0, atol=ROUNDING)
    head = load_file(run / "model.safetensors")["output.weight"]
    np.testing.assert_allclose(head, expected["head"], rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("name", ["cut", "finished"])
def test_an_old_model_file_answers_as_it_did(unpacked, bars, expected, name):
    assert_answers(unpacked(name), bars, expected[name])


@pytest.mark.parametrize("name", ["cut", "finished"])
def test_an_old_recipe_has_the_hashes_that_its_files_hold(unpacked, name):
    run = unpacked(name)
    recipe = recipes.load(run / "recipe.toml")
    header = checkpoint.read_header(run / "last.safetensors")
    _, description = striate.modelfile.load(run / "model.safetensors")
    assert (checkpoint.fixed_part(recipe), recipe.hash) == (header.recipe, description.provenance["recipe"])
    assert newer.without_later(recipes.as_toml(recipe)) == (run / "recipe.toml").read_text()


@pytest.mark.parametrize("told", [None, "arrays"])
def test_an_old_run_that_was_killed_comes_to_the_end_that_it_would_have_had(unpacked, bars, expected, told):
    run, events = unpacked("cut"), []
    controls = {"resume": True, "workers": 0, "format": told}
    result = striate.train(bars, out=run, **controls, on_event=events.append)
    (started,) = (event for event in events if isinstance(event, RunStarted))
    assert (started.epoch, started.step) == (3, 1)
    after = expected["cut"]["after"]
    assert_answers(run, bars, after)
    assert (result.epochs, result.test["confusion"]) == (after["epochs"], after["test"]["confusion"])
    assert result.test["loss"] == pytest.approx(after["test"]["loss"], abs=ROUNDING)


def test_an_old_run_that_had_ended_is_extended_as_it_would_have_been(unpacked, bars, expected):
    run = unpacked("finished")
    result = striate.train(bars, out=run, extend=2, workers=0)
    after = expected["finished"]["after"]
    assert_answers(run, bars, after)
    assert (result.epochs, result.test["confusion"]) == (after["epochs"], after["test"]["confusion"])


@pytest.mark.slow
def test_a_field_more_in_every_table_strands_no_old_run(unpacked, bars, expected):
    cut, finished = unpacked("cut"), unpacked("finished")
    words = ["train", bars, "--out", cut, "--resume", "then", "train", bars, "--out", finished, "--extend", "2"]
    done = subprocess.run([sys.executable, "-m", "tests.training.old_runs.newer", *words], stderr=-1, text=True)
    assert done.returncode == 0, done.stderr
    assert_answers(cut, bars, expected["cut"]["after"])
    assert_answers(finished, bars, expected["finished"]["after"])
    saved = tomllib.loads((finished / "recipe.toml").read_text())  # written anew: it says what it did not say
    assert (saved["later_recipe"], saved["classify"]["later_classifysettings"]) == (0, 0)
    assert [stage["later_stage"] for stage in saved["stages"]] == [0, 0]
