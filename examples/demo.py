"""Striate's two jobs on what scikit-learn ships: train on handwritten digits, and name two photographs.

pip install ".[demo]"
python examples/demo.py
"""

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits, load_sample_image

import striate


def digits_file(folder: Path) -> Path:
    """The 1,797 digits of scikit-learn, 8x8 pixels of 0..16, as bytes in an .npz file."""
    digits = load_digits()
    path = folder / "digits.npz"
    np.savez(path, x=np.rint(digits.images * 255 / 16).astype(np.uint8), y=digits.target)
    return path


def main() -> None:
    run = Path("runs/demo-digits")
    print("Training lenet5 on 1,797 handwritten digits ...")
    with tempfile.TemporaryDirectory() as folder:
        result = striate.train(
            digits_file(Path(folder)),
            model="lenet5",
            changes={"split": [0.7, 0.1, 0.2]},  # Of a tenth, 179 digits, the figure would be uncertain by 2 points.
            out=run,
            force=True,
            progress=True,  # A line an epoch on stderr, which is the default; "rich" shows a bar, False nothing.
        )
    test = result.test
    assert test is not None
    low, high = test["interval"]
    print(
        f"digits: held-out top-1 {test['top1']:.4f} on {test['images']} digits never seen in training "
        f"(95 % interval {low:.3f} to {high:.3f})"
    )
    print("Naming two photographs with efficientnet_lite0 ...")
    predictor = striate.load("efficientnet_lite0")
    for name in ("china.jpg", "flower.jpg"):
        print(f"{name}: {predictor(load_sample_image(name))}")
    print(f"\nwrote {run}/model.safetensors, and beside it recipe.toml and metrics.jsonl")
    print("next, with a folder of your own that holds a folder of pictures for each class:")
    print(f"    {os.path.relpath(Path(sys.executable).with_name('striate'))} train FOLDER")


if __name__ == "__main__":
    main()
