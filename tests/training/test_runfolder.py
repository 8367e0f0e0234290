"""The run folder: refused before work is done, begun whole, cut back to its checkpoint."""

import pytest

from striate.base.errors import OutputError, TrainingError
from striate.training.runfolder import RunFolder, next_free


def test_a_new_folder_is_begun(tmp_path):
    folder = RunFolder(tmp_path / "a" / "b")
    folder.refuse_if_unwritable()
    folder.refuse_if_occupied(force=False)
    assert not (tmp_path / "a").exists()  # nothing is written by asking
    folder.begin("x = 1\n")
    assert folder.recipe.read_text() == "x = 1\n" and folder.metrics.read_bytes() == b""
    assert not folder.started
    folder.last.write_bytes(b"...")
    assert folder.started


@pytest.mark.parametrize(
    ("name", "words"),
    [("recipe.toml", "--resume goes on with it, --force starts it over"), ("thesis.doc", "holds no run of ours")],
)
def test_an_occupied_folder_is_refused_and_forced(tmp_path, name, words):
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match=words):
        RunFolder(tmp_path).refuse_if_occupied(force=False)
    RunFolder(tmp_path).refuse_if_occupied(force=True)


@pytest.mark.parametrize("inside", [False, True])
def test_a_file_in_the_way_is_refused(tmp_path, inside):
    path = tmp_path / "file"
    path.write_text("mine")
    with pytest.raises(OutputError, match=r"cannot be a run's folder.* give another --out"):
        RunFolder(path / "run" if inside else path).refuse_if_unwritable()
    with pytest.raises(OutputError):
        RunFolder(path / "run" if inside else path).begin("")
    assert path.read_text() == "mine"


def test_beginning_again_removes_what_a_run_left_and_nothing_else(tmp_path):
    folder = RunFolder(tmp_path)
    for path in (folder.recipe, folder.metrics, folder.model, folder.last, tmp_path / ".last.x.partial"):
        path.write_text("old")
    (tmp_path / "notes.txt").write_text("mine")
    folder.begin("new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.jsonl", "notes.txt", "recipe.toml"]
    assert folder.metrics.read_text() == "" and folder.recipe.read_text() == "new"


def test_what_came_after_the_checkpoint_is_forgotten(tmp_path):
    folder = RunFolder(tmp_path)
    folder.begin("")
    folder.log({"a": 1})
    size = folder.metrics_size()
    folder.log({"b": 2})
    (tmp_path / ".model.safetensors.1-ab.partial").write_text("half")
    folder.forget_after(size)
    assert folder.metrics.read_text() == '{"a": 1}\n'
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.jsonl", "recipe.toml"]


@pytest.mark.parametrize("gone", [True, False])
def test_lost_metrics_are_not_filled_with_zeros(tmp_path, gone):
    folder = RunFolder(tmp_path)
    folder.begin("")
    if gone:
        folder.metrics.unlink()
    with pytest.raises(TrainingError, match=r"metrics\.jsonl: has less than the 10 bytes"):
        folder.forget_after(10)


def test_a_run_that_was_killed_before_its_recipe_is_unborn(tmp_path):
    folder = RunFolder(tmp_path / "run")
    assert folder.unborn
    folder.path.mkdir()
    assert folder.unborn
    folder.metrics.write_text("")
    (folder.path / ".recipe.toml.1-ab.partial").write_text("half")
    assert folder.unborn
    folder.model.write_text("somebody's weights")
    assert not folder.unborn


def test_the_next_free_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(next_free(tmp_path / "flowers")) == "runs/flowers-1"
    (tmp_path / "runs" / "flowers-1").mkdir(parents=True)
    (tmp_path / "runs" / "flowers-3").mkdir()
    assert str(next_free(tmp_path / "flowers")) == "runs/flowers-2"
    assert str(next_free(tmp_path / "digits.train.npz")) == "runs/digits-1"
