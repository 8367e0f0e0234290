"""The examples: what they claim holds, and they run as their first lines say."""

import importlib.util
import runpy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from striate import modelfile
from striate.data import Classes
from striate.predictor import Predictor
from tests.conftest import PhotoFolder

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


NAMES = ("daisy", "roses", "tulips")


def by_nearest_means(data: Path) -> Predictor:
    """It answers with the class whose mean features, of drawn pictures, are nearest."""
    network, description = modelfile.open_model("efficientnet_lite0")
    means = []
    for name in NAMES:
        shown = [np.asarray(Image.open(path).resize((224, 224))) for path in sorted((data / name).glob("*.jpg"))]
        images = description.preprocess.normalise(torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2))
        with torch.no_grad():
            means.append(network.run(images, stop="pool").mean(0))
    network.reset_head(len(NAMES))
    with torch.no_grad():
        network.classifier.weight.copy_(torch.stack(means))
        network.classifier.bias.copy_(-network.classifier.weight.square().sum(1) / 2)
    return Predictor(network, replace(description, classes=Classes(NAMES)), device="cpu")


def test_sliding_finds_the_tulip_wherever_it_is(photo_folder: PhotoFolder, tmp_path: Path) -> None:
    sliding, data = example("sliding"), photo_folder(tmp_path / "flowers", NAMES, 10, 96)
    predictor, files, sliding.TILE = by_nearest_means(data), sliding.pictures(str(data)), 256
    assert [path.parent.name for path in files].index("tulips") == 6
    for place in (6, 9):
        files[6], files[place] = files[place], files[6]
        probable = sliding.seen(predictor, sliding.composed(files))
        assert probable.shape == (18, 26)
        row, column = divmod(probable.argmax(), 26)
        assert divmod(place, 4) == ((32 * row + 112) // 256, (32 * column + 112) // 256)


def test_the_docs_show_what_sliding_draws() -> None:
    shown = EXAMPLES.parent / "docs" / "pictures" / "sliding.jpg"
    assert shown.stat().st_size <= 200_000
    with Image.open(shown) as picture:
        assert picture.size == example("sliding").SHOWN
    assert "pictures/sliding.jpg" in (EXAMPLES.parent / "docs" / "windows.md").read_text()
