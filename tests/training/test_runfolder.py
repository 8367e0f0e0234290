"""The run folder: refused before work is done, begun whole, cut back to its checkpoint."""

import errno
import fcntl
import json
import math
import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from striate.base.compiling import locking
from striate.base.errors import OutputError, TrainingError
from striate.data.records import Classes
from striate.tasks.classify import Classify
from striate.training import runfolder
from striate.training.result import best_figures
from striate.training.runfolder import RunFolder, held_next, next_free


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


# One run at a time

HOLDER = """
import sys
from pathlib import Path
from striate.training.runfolder import RunFolder

with RunFolder(Path(sys.argv[1])).held():
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def holder(path):
    """Another process that holds the folder until the block ends, or until it is killed."""
    words = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.stdin.close()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_held_folder_is_refused_however_it_is_spelt(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "a").mkdir()
    with holder(tmp_path / "a" / "run") as process:
        before = names(tmp_path / "a" / "run")
        for spelling in ("a/run", "./a/../a/run", "link/run", tmp_path / "a" / "run"):
            words = rf"run: another run is going on there \(process {process.pid} on .*\); wait for its end.* --out"
            with pytest.raises(OutputError, match=words), RunFolder(Path(spelling)).held():
                pytest.fail("held by two")
        assert names(tmp_path / "a" / "run") == before
        with RunFolder(Path("a/other")).held():
            pass
    assert process.returncode == 0
    with RunFolder(Path("a/run")).held():
        pass
    assert names(tmp_path) == ["a", "link"] and names(tmp_path / "a") == []


def test_a_killed_holder_holds_no_more_and_its_folder_is_as_good_as_new(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with holder(folder.path) as process:
        process.kill()
        process.wait()
    assert folder.unborn
    folder.refuse_if_occupied(force=False)
    with folder.held():
        folder.begin("x = 1\n")
    assert names(folder.path) == ["metrics.jsonl", "recipe.toml"]


def test_what_was_made_for_nothing_is_removed(tmp_path):
    folder = RunFolder(tmp_path / "a" / "b" / "run")
    with pytest.raises(KeyboardInterrupt), folder.held():
        assert folder.unborn
        folder.refuse_if_occupied(force=False)
        raise KeyboardInterrupt
    assert names(tmp_path) == []
    with pytest.raises(KeyboardInterrupt), folder.held():
        folder.begin("")
        raise KeyboardInterrupt
    assert folder.recipe.exists() and not folder.lock.exists()
    (tmp_path / "mine").mkdir()
    with RunFolder(tmp_path / "mine").held():
        pass
    assert (tmp_path / "mine").is_dir()


def test_a_folder_that_is_removed_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    def late(path, *words, mode):
        monkeypatch.undo()
        path.parent.rmdir()
        return locking.turn(path, *words, mode=mode)

    monkeypatch.setattr(runfolder, "turn", late)
    with RunFolder(tmp_path / "run").held(new=True):
        assert names(tmp_path / "run") == [".lock"]


def test_nothing_can_be_made_in_a_folder_that_is_gone(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(OutputError, match="cannot write run: its folder does not exist"), RunFolder(Path("run")).held():
        pass


def test_a_lock_that_cannot_be_made(tmp_path):
    (tmp_path / ".lock").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*/\.lock: a folder of that name"), RunFolder(tmp_path).held():
        pass


def test_whoever_may_go_on_with_a_run_may_lock_it(tmp_path):
    """A group shares a folder; the lock that a killed run has left is not its user's alone."""
    with RunFolder(tmp_path).held():
        (tmp_path / "other").touch()
        assert (tmp_path / ".lock").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_where_the_file_system_has_no_locks_runs_go_on_without(tmp_path, monkeypatch):
    def none(*words):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    with RunFolder(tmp_path / "run").held(), RunFolder(tmp_path / "run").held():
        RunFolder(tmp_path / "run").begin("")
    assert names(tmp_path / "run") == ["metrics.jsonl", "recipe.toml"]


def test_a_system_without_such_locks_claims_by_making_the_folder(tmp_path, monkeypatch):
    code = "import sys; sys.modules['fcntl'] = None; import striate.training.runfolder"
    subprocess.run([sys.executable, "-c", code], check=True)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.chdir(tmp_path)
    with held_next(Path("toy")) as one, held_next(Path("toy")) as two:
        assert (str(one.path), str(two.path)) == ("runs/toy-1", "runs/toy-2")
        assert names(one.path) == []
    assert names(tmp_path) == []


@pytest.mark.parametrize("theirs", ["folder", "file", "link to nothing", "lock"])
def test_whoever_is_slower_takes_the_next_name(tmp_path, monkeypatch, theirs):
    """Between the question which is free and the claim, somebody else takes it."""
    monkeypatch.chdir(tmp_path)
    first = RunFolder(Path("runs/toy-1"))
    free = runfolder.next_free
    with ExitStack() as other:

        def overtaken(data):
            found = free(data)
            if found == first.path:
                found.parent.mkdir()
                take[theirs]()
            return found

        take = {
            "folder": first.path.mkdir,
            "file": first.path.touch,
            "link to nothing": lambda: first.path.symlink_to("nowhere"),
            "lock": lambda: other.enter_context(first.held()),
        }
        monkeypatch.setattr(runfolder, "next_free", overtaken)
        with held_next(Path("toy")) as folder:
            assert folder.path == Path("runs/toy-2")
            folder.begin("")
    assert names(folder.path) == ["metrics.jsonl", "recipe.toml"]


def test_no_name_is_taken_where_nothing_can_be_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("runs").symlink_to("nowhere")
    with pytest.raises(OutputError, match="because runs is no folder"), held_next(Path("toy")):
        pass


# Figures that are no numbers


def test_metrics_are_json_whatever_the_figures(tmp_path):
    folder = RunFolder(tmp_path)
    folder.begin("")
    nan, inf = math.nan, math.inf
    folder.log({"kind": "step", "loss": nan, "parts": {"box": (inf, 1.5), "mask": [-inf]}, "name": "NaN", "step": 3})
    (line,) = folder.metrics.read_text().splitlines()
    read = json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    parts = {"box": [None, 1.5], "mask": [None]}
    assert read == {"kind": "step", "loss": None, "parts": parts, "name": "NaN", "step": 3}


@pytest.mark.parametrize(("written", "said"), [("null", "-"), ("NaN", "nan")], ids=["now", "before"])
def test_a_figure_that_was_no_number_is_read_as_none_either(tmp_path, written, said):
    folder = RunFolder(tmp_path)
    figures = f'{{"top1": 0.5, "interval": [0.1, 0.9], "loss": {written}, "per_class": [{{"id": null}}]}}'
    folder.metrics.write_text(f'{{"kind": "epoch", "kept": true, "loss": {written}, "validation": {figures}}}\n')
    best = best_figures(folder)
    assert (best["loss"] is None or math.isnan(best["loss"])) and best["per_class"] == [{"id": None}]
    assert f"loss {said}" in Classify(Classes(())).summary(best)
