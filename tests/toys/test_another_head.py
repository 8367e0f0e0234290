"""A head that nobody has seen before goes the road of detection with a file (`another_head`) and a row."""

import numpy as np
import pytest
from PIL import Image

import striate
from striate.models.heads import HEADS, STRIDES, Head


@pytest.fixture
def squares(tmp_path):
    """Pictures with one bright square each, as YOLO writes them."""
    folder = tmp_path / "squares"
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    (folder / "classes.txt").write_text("square\n")
    drawn = np.random.default_rng(0)
    for at in range(20):
        pixels = drawn.integers(0, 90, (64, 64, 3), dtype=np.uint8)
        left, top = drawn.integers(0, 32, 2)
        pixels[top : top + 32, left : left + 32] = 240
        Image.fromarray(pixels).save(folder / "images" / f"{at}.png")
        (folder / "labels" / f"{at}.txt").write_text(f"0 {(left + 16) / 64} {(top + 16) / 64} 0.5 0.5\n")
    return folder


def test_a_head_is_a_file_and_a_row(squares, tmp_path, monkeypatch):
    row = Head(
        "toys.another_head:one_layer", "one layer", task="detect", classes=1, strides=STRIDES, form="task_aligned"
    )
    monkeypatch.setitem(HEADS, "one_layer", row)
    result = striate.train(
        squares,
        model="one_layer/resnet18",
        epochs=1,
        changes={"weights": "none", "size": [64, 64]},
        out=tmp_path / "run",
        progress=False,
    )
    assert set(result.best) >= {"ap", "ap50", "loss"}
    answers = striate.load(tmp_path / "run")([squares / "images" / "0.png"])
    assert isinstance(answers[0], tuple)
