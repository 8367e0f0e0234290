"""Every command of the README, the documents and the examples runs, or is on a list with a reason."""

import ast
import pkgutil
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import striate
from accept import __main__ as acceptance
from striate.cli import main
from striate.recipe import Recipe, Stage, changed
from striate.task_settings import SETTINGS
from striate.tasks import classify_defaults, detect_defaults, segment_defaults, upscale_defaults
from tests.documents import reading
from tests.documents.reading import REPOSITORY, Command, commands, documented, outputs, reason
from tests.documents.scene import with_examples


def run_striate(words: list[str]) -> None:
    assert main(words) == 0


def run_python(words: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", words)
        runpy.run_path(words[0], run_name="__main__")


def run_block(text: str) -> None:
    """Run a block of Python; where a comment stands behind an expression, it is the value as Python shows it."""
    names: dict[str, object] = {}
    lines = text.splitlines()
    for statement in ast.parse(text).body:
        source = ast.get_source_segment(text, statement)
        if not isinstance(statement, ast.Expr):
            exec(source, names)  # noqa: S102 - our own documents
            continue
        value = eval(source, names)  # noqa: S307
        said = lines[statement.end_lineno - 1][statement.end_col_offset :].partition("#")[2].strip()
        assert value is None or not said or repr(value) == said


RUN: dict[str, Callable[[list[str]], None]] = {"striate": run_striate, "python": run_python}


def run(command: Command) -> None:
    if command.python:
        run_block(command.text)
    else:
        program, *words = shlex.split(command.run_as)
        RUN[program](words)


@pytest.mark.slow
def test_every_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """One after the other, as a reader would; runs are shorter than by default, which changes no word of a command."""
    monkeypatch.chdir(with_examples(tmp_path))
    monkeypatch.setattr(classify_defaults, "TRANSFER_IMAGES", 0)
    monkeypatch.setattr(upscale_defaults, "OTHERS", 0)
    monkeypatch.setattr(segment_defaults, "PIXELS", 0)
    monkeypatch.setattr(detect_defaults, "IMAGES", 0)
    said: dict[str, str] = {}
    for command in documented():
        if reason(reading.NOT_IN_THE_TESTS, command) is None:
            try:
                run(command)
            except (Exception, SystemExit) as error:
                error.add_note(f"{command.document}: {command.text}\n{capfd.readouterr().err}")
                raise
            said[command.run_as] = "\n".join(line.rstrip() for line in capfd.readouterr().out.splitlines())
    for path in reading.documents():
        for block in outputs(path.read_text(encoding="utf-8")):
            listed = any(block.startswith(beginning) for beginning in reading.SHOWN)
            assert listed or any(block.rstrip() in text for text in said.values()), f"{path.name}: who prints {block}"


@pytest.mark.parametrize("command", [each.text for each in documented() if each.text.startswith("make ")])
def test_make_knows_what_is_documented(command: str) -> None:
    done = subprocess.run([*shlex.split(command), "--dry-run"], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if topic := re.search(r"TOPIC=(\w+)", command):
        assert topic[1] in acceptance.topics()
        lines = re.search(r"ONLY=([\d,]+)", command)
        assert lines is None or set(map(int, lines[1].split(","))) <= set(acceptance.lines_of(topic[1]))


def test_acceptance_names_its_topics(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["accept"])
    assert acceptance.main() == 2
    listed = capsys.readouterr().out.splitlines()[1:]
    topics = [
        "classics",
        "detect",
        "kernels",
        "memory",
        "plan",
        "road",
        "room",
        "segment",
        "speed",
        "upscale",
        "windows",
    ]
    assert [line.split()[0] for line in listed] == topics
    assert all(len(line.split()) > 4 for line in listed)


@pytest.mark.parametrize("path", reading.documents(), ids=lambda path: path.name)
def test_names_of_python_exist(path: Path) -> None:
    for name in re.findall(r"`(striate(?:\.\w+)+)", path.read_text(encoding="utf-8")):
        pkgutil.resolve_name(name)


@pytest.mark.parametrize("table", ["NOT_ON_THE_ROAD", "NOT_IN_THE_TESTS"])
def test_nothing_is_left_out_that_nobody_documents(table: str) -> None:
    for pattern in getattr(reading, table):
        assert any(reason({pattern: "-"}, command) for command in documented()), pattern


def test_every_placeholder_is_somebodys() -> None:
    texts = [
        path.read_text(encoding="utf-8") for path in [*reading.documents(), *(REPOSITORY / "examples").glob("*.py")]
    ]
    for text in reading.RUN_AS:
        assert any(text in " ".join(each.split()) for each in texts), text
    for beginning in reading.SHOWN:
        assert any(f"```\n{beginning}" in each for each in texts), beginning


def test_the_first_example_does_not_need_a_test_split(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {"top1": 0.5, "interval": [0.4, 0.6]}
    monkeypatch.setattr(striate, "train", lambda data: SimpleNamespace(run=Path("run"), test=None, best=figures))
    monkeypatch.setattr(striate, "load", lambda model: lambda picture, top=5: [SimpleNamespace(name="tulips")])
    first = next(each for each in documented() if each.document == "README.md" and each.python)
    assert "result.test" in first.text
    run(first)


def test_changes_that_are_shown_are_ones() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    shown = [ast.literal_eval(each) for each in re.findall(r"`changes=(\{[^`]+\})`", text)]
    assert any(name in SETTINGS for each in shown for name in each)
    for each in shown:
        task = next((name for name in each if name in SETTINGS), "classify")
        usual = Recipe(task=task, model="resnet18", settings=SETTINGS[task](), stages=(Stage(epochs=1, rate=0.1),))
        assert changed(usual, each) != usual


def test_the_installation_is_the_readmes() -> None:
    block = "\n".join(reading.INSTALLATION)
    assert f"```\n{block}\n```" in (REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_commands_are_found_wherever_they_stand() -> None:
    text = "`striate a\nb` and `STRIATE_X=1 pip install .`, not `striate.load`\n```\nmake c   # why\n\nstriate d\n```\n"
    found = ["striate a b", "STRIATE_X=1 pip install .", "make c", "striate d"]
    assert [each.text for each in commands("x", text)] == found
    assert list(commands("x", "```python\nprint(1)\n```\n")) == [Command("x", "print(1)\n", python=True)]
    assert list(commands("x", "```\nfloor 8\n```\n")) == [] and outputs("```\nfloor 8\n```\n") == ["floor 8\n"]
    with pytest.raises(ValueError, match="with commands and others"):
        list(commands("x", "```\nmake c\nand then\n```\n"))


@pytest.mark.parametrize("text", ["striate trian flowers", "python examples/nothing.py", "cargo build"])
def test_a_command_that_does_not_work_fails(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((AssertionError, OSError, KeyError)):
        run(Command("x", text))


def test_a_value_that_is_another_fails() -> None:
    run_block("1 + 1  # 2\nx = 3  # four\nprint()  # nothing\n")
    with pytest.raises(AssertionError):
        run_block("1 + 1  # 3\n")


def test_the_readme_names_the_formats_in_which_masks_come() -> None:
    (row,) = re.findall(r"^\| `striate train DATA` \|.*", (REPOSITORY / "README.md").read_text(), re.MULTILINE)
    masks = row.partition("masks (")[2]
    names = ("Roboflow", "Pascal VOC", "CVAT", "Labelme", "CamVid", "Cityscapes", "COCO", "YOLO")
    assert [name for name in names if name not in masks] == []
