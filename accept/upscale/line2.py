"""VDSR's real weights on scikit-learn's photographs and on flowers, and what is written of them."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile

from accept import Check, at_least
from accept.commands import DATA, striate

FLOWERS = 16
LEAST = {"flower": 3.5, "china": 0.5, "flowers": 2.0}


def checks() -> Iterator[Check]:
    with tempfile.TemporaryDirectory(prefix="striate-vdsr-") as name:
        folder = Path(name)
        model = folder / "vdsr.safetensors"
        weights = DATA / "weights" / "vdsr-epoch50-state-dict.pth"
        imported = striate("import", weights, "--model", "vdsr", "--out", model)
        got = f"{imported['chosen']}, {imported['licence']}"
        yield Check("2.import", "known, MIT", got, got == "known, MIT")
        for row, bound in LEAST.items():
            found = striate("evaluate", model, _pictures(row, folder / row), "--split", "all")
            above = found["psnr"] - found["bicubic_psnr"]
            yield at_least(f"2.{row}", above, bound, f"{found['psnr']:.2f} dB, {found['images']} pictures")
        said = striate("predict", model, folder / "flower" / "flower.jpg", "--out", folder / "out")["predictions"][0]
        size = (said["width"], said["height"])
        yield Check("2.written", "1280 x 854", f"{size[0]} x {size[1]}", size == (1280, 854))


def _pictures(name: str, folder: Path) -> Path:
    """A folder of the photographs: one of scikit-learn's, or flowers, some of each kind."""
    folder.mkdir()
    if name == "flowers":
        kinds = sorted(path for path in (DATA / "flowers").iterdir() if path.is_dir())
        files = sorted((sorted(kind.glob("*.jpg"))[n], kind.name, n) for kind in kinds for n in range(4))[:FLOWERS]
        for file, kind, number in files:
            copyfile(file, folder / f"{kind}-{number}.jpg")
        return folder
    from sklearn import datasets

    file = Path(datasets.__file__).parent / "images" / f"{name}.jpg"
    copyfile(file, folder / file.name)
    return folder
