"""The examples: what they claim holds, and they run as their first lines say."""

import importlib.util
import runpy
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"striate_example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run an example as ``python examples/NAME.py WORDS`` does, but in this process, where torch is loaded already."""

    def program(name: str, *words: str) -> str:
        path = str(EXAMPLES / f"{name}.py")
        monkeypatch.setattr("sys.argv", [path, *words])
        runpy.run_path(path, run_name="__main__")
        return capsys.readouterr().out

    return program


def test_filters_are_brightest_along_their_own_line() -> None:
    filters = example("filters")
    pictures = np.zeros((2, 21, 21, 3), np.uint8)
    pictures[0, :, 10] = 255
    pictures[1, 10, :] = 255
    vertical, horizontal = filters.maps(pictures)
    assert vertical[0, 10, 10] == 21 and vertical[1, 10, 10] == 3  # 7 pixels of 3 colours, against one
    assert horizontal[1, 10, 10] == 21 and horizontal[0, 10, 10] == 3


def test_filters_writes_the_figure_of_the_docs(run: Callable[..., str], tmp_path: Path) -> None:
    run("filters", str(tmp_path / "filters.png"))
    made = Image.open(tmp_path / "filters.png")
    shown = Image.open(EXAMPLES.parent / "docs" / "pictures" / "filters.png")
    assert made.size == shown.size
    difference = np.asarray(made.convert("L"), float) - np.asarray(shown.convert("L"), float)
    assert np.abs(difference).mean() < 8
    assert (EXAMPLES.parent / "docs" / "pictures" / "filters.png").stat().st_size <= 200_000
    assert "pictures/filters.png" in (EXAMPLES.parent / "docs" / "windows.md").read_text()


def test_padding_draws_the_line_of_thirteen(run: Callable[..., str]) -> None:
    said = run("padding")
    assert [line.split("= ")[1] for line in said.splitlines() if "= " in line] == ["184", "389", "143", "348", "204"]
    valid, same = said.split("SAME")
    assert valid.count("^") == 2 and "never read" in valid and "never read" not in same
    assert "1 added before, 2 after" in same
    rows = [line for line in same.splitlines() if "=" in line]
    assert rows[0].startswith("   2   3") and rows[1].startswith(" " * 20 + "   2   3")


def test_padding_draws_other_lines() -> None:
    drawn = list(example("padding").drawing(5, 3, 2, "same"))
    assert len(drawn) == 5 and drawn[1].split() == ["0", "1", "2", "3", "4", "5", "0"]


def test_invariance_shows_what_it_says(run: Callable[..., str]) -> None:
    invariance = example("invariance")
    x = invariance.picture()
    once, twice = invariance.moved(x, 1), invariance.moved(x, 2)
    assert not torch.equal(once, x)
    assert torch.equal(invariance.pool(once), invariance.pool(x))
    assert invariance.shared(once, x) < 0.9
    assert not torch.equal(invariance.pool(twice), invariance.pool(x))
    assert torch.equal(invariance.pool(twice), invariance.moved(invariance.pool(x), 1))
    for pixels, picture in ((1, once), (2, twice)):
        assert torch.equal(invariance.edges(picture), invariance.moved(invariance.edges(x), pixels))
    said = run("invariance")
    assert "100% of the pool stay" in said and "has moved by exactly one" in said and "are not" not in said
