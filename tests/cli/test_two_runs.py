"""Two runs at once: each has a folder of its own, and whoever comes second to one is refused.

The other runs are processes that stand still, once when their folder is theirs and once in the middle of their
training, until they are told to go on.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import fast

STANDING = """
import sys
from striate.cli import main
from striate.cli.progress import TrainingProgress
from striate.training import run

def stand(where):
    print(where, flush=True)
    sys.stdin.readline()

theirs, shown = run.interruptions, TrainingProgress.__call__

def interruptions():
    stand("before it begins")
    return theirs()

def show(self, event):
    shown(self, event)
    if type(event).__name__ == "StepDone" and event.step == 1:
        stand("while it trains")

run.interruptions, TrainingProgress.__call__ = interruptions, show
sys.exit(main(sys.argv[1:]))
"""


class Run:
    """``striate train`` in another process, which stands still; `goes_on` tells it to."""

    def __init__(self, *words: object) -> None:
        command = [sys.executable, "-c", STANDING, "train", *map(str, words), *fast(), "--quiet", "--json"]
        self.process = subprocess.Popen(command, stdin=-1, stdout=-1, text=True)

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def stands(self, where: str) -> None:
        assert self.process.stdout.readline() == f"{where}\n"

    def goes_on(self) -> None:
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def ends(self) -> dict[str, object]:
        self.goes_on()
        answer = json.loads(self.process.stdout.readline())
        assert self.process.wait() == 0
        return answer


FILES = ["last.safetensors", "metrics.jsonl", "model.safetensors", "recipe.toml"]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
def test_runs_that_begin_together_have_folders_of_their_own(train, photos):
    with Run(photos) as first:
        first.stands("before it begins")
        second = train(photos, "--json")
        before = contents(Path(second.json["run"]))
        first.goes_on()
        first.stands("while it trains")
        assert first.ends()["run"] == "runs/photos-1"
    assert second.code == 0 and second.json["run"] == "runs/photos-2"
    assert contents(Path("runs/photos-2")) == before and sorted(before) == FILES
    assert sorted(path.name for path in Path("runs/photos-1").iterdir()) == FILES
    lines = Path("runs/photos-1/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["step", "epoch"]


def test_a_folder_is_one_runs_alone_until_that_ends(striate, train, photos, tmp_path):
    Path("link").symlink_to("run")
    with Run(photos, "--out", "run") as first:
        first.stands("before it begins")
        train(photos, "--out", "run").refuses("run: another run is going on there")
        first.goes_on()
        first.stands("while it trains")
        before = contents(tmp_path / "run")
        for flag in ([], ["--resume"], ["--force"], ["--extend", "1"]):
            for out in ("run", "./run", "link", tmp_path / "run"):
                flags = ["--out", out, *flag]
                words = ("another run is going on there (process", f"{first.process.pid} on ", "--resume", "--out")
                striate("train", photos, *flags, "--quiet").refuses(*words)
        assert contents(tmp_path / "run") == before
        shutil.copytree("run", "copy")
        assert striate("train", photos, "--out", "copy", "--resume").code == 0  # what was read of it is nobody's
        first.process.kill()
        first.process.wait()
    assert striate("train", photos, "--out", "run", "--resume").code == 0
    for name in ("run", "copy"):
        assert sorted(path.name for path in Path(name).iterdir()) == FILES


@pytest.mark.parametrize("out", [(), ("--out", "deep/run")], ids=["its own", "named"])
def test_a_run_that_fails_before_it_begins_leaves_no_folder(train, photos, out):
    (photos / "disc" / "text.jpg").write_text("no picture")
    train(photos, *out).refuses("disc/text.jpg: not a picture")
    assert sorted(path.name for path in Path().iterdir()) == ["photos"]
    (photos / "disc" / "text.jpg").unlink()
    for picture in sorted((photos / "disc").iterdir())[2:]:
        picture.unlink()
    train(photos, *out).refuses("class 'disc' has 2 different pictures")  # said when the folder is claimed
    assert sorted(path.name for path in Path().iterdir()) == ["photos"]


def test_a_fold_is_held_while_it_trains(train, photos, monkeypatch):
    from striate.cli import main
    from striate.cli.progress import TrainingProgress

    shown = TrainingProgress.__call__
    codes = []

    def show(self, event):
        shown(self, event)
        if type(event).__name__ == "RunStarted" and len(codes) < 4:
            fold = f"run/fold-{event.fold}"
            before = contents(Path(fold))
            words = ["train", str(photos), "--force", *fast(), "--quiet", "--out"]
            codes.extend(main([*words, out]) for out in ("run", fold))
            assert contents(Path(fold)) == before

    monkeypatch.setattr(TrainingProgress, "__call__", show)
    answer = train(photos, "--folds", "2", "--out", "run")
    assert answer.code == 0 and codes == [2, 2, 2, 2], answer.err
    assert answer.err.count("another run is going on there") == 4
    assert sorted(path.name for path in Path("run/fold-2").iterdir()) == FILES
    assert sorted(path.name for path in Path("run").iterdir()) == ["fold-1", "fold-2", "metrics.jsonl", "recipe.toml"]
