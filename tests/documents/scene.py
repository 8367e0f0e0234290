"""A folder in which the documents' commands find what they name: drawn pictures, and weights that nobody trained."""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from tests.conftest import draw_photo_folder
from tests.documents.reading import REPOSITORY
from tests.tasks.segment_scenes import draw_scenes
from tests.weights.handmade import darknet_detector


def set_scene(folder: Path) -> Path:
    """Put everything that the commands name into the folder, but the examples and their pictures."""
    draw_photo_folder(folder / "flowers", ("daisy", "roses", "tulips"), 7, 96)
    draw_photo_folder(folder / "photographs", ("n02123045", "n02123159"), 2, 96)
    for name in ("unknown.jpg", "dog.jpg"):
        shutil.copy(folder / "flowers" / "tulips" / "0003.jpg", folder / name)
    draw_photo_folder(folder / "holidays", ("sea",), 10, 48)
    shutil.copy(folder / "unknown.jpg", folder / "small.jpg")
    draw_scenes(folder / "streets", 10)
    with Image.open(folder / "streets" / "images" / "0.png") as picture:
        picture.save(folder / "street.jpg")
    (folder / "objects").mkdir()
    shutil.copy(folder / "unknown.jpg", folder / "objects")
    (folder / "objects" / "boxes.csv").write_text("image,xmin,ymin,xmax,ymax,class\nunknown.jpg,5,6,50,60,tulip\n")
    draw_birds(folder / "birds")
    shutil.copy(folder / "birds" / "images" / "0.png", folder / "bird.jpg")
    draw_photo_folder(folder / "views", ("above",), 1, (700, 900))
    shutil.copy(folder / "views" / "above" / "0000.jpg", folder / "aerial.jpg")
    _write_detector(folder / "aerial.safetensors")
    _write_torch(folder / "mobilenet_v2-b0353104.pth")
    _write_keras(folder / "squeezenet.h5")
    darknet_detector(folder, classes=80)
    return folder


def draw_birds(folder: Path) -> None:
    """Pictures of noise with a bright and a dark rectangle on each, boxed as YOLO has it."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    (folder / "classes.txt").write_text("robin\nraven\n")
    for number in range(12):
        random = np.random.default_rng(number)
        pixels = random.integers(90, 140, (64, 96, 3)).astype(np.uint8)
        lines = []
        for index, value in enumerate((240, 10)):
            top, left = int(random.integers(0, 34)), int(random.integers(0, 24)) + 48 * index
            pixels[top : top + 30, left : left + 24] = value
            lines.append(f"{index} {(left + 12) / 96:.6f} {(top + 15) / 64:.6f} 0.25 {30 / 64:.6f}\n")
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        (folder / "labels" / f"{number}.txt").write_text("".join(lines))


def with_examples(folder: Path) -> Path:
    """The scene, with the examples and the pictures which they draw again."""
    for name in ("examples", "docs/pictures"):
        shutil.copytree(REPOSITORY / name, folder / name)
    return set_scene(folder)


def _write_detector(path: Path) -> None:
    from striate import modelfile
    from striate.data.records import Classes
    from striate.models import build
    from striate.pictures.preprocess import Preprocess

    preprocess = Preprocess(size=(64, 64), resize="letterbox")
    arguments = {"classes": 1, "in_channels": 3}
    description = modelfile.Description("tood/resnet18", arguments, "detect", Classes(("tulip",)), preprocess)
    modelfile.save(path, build("tood/resnet18", classes=1, seed=1).state_dict(), description)


def _write_torch(path: Path) -> None:
    import torch

    from striate.models import build
    from striate.weights import as_named

    torch.save(as_named(build("mobilenet_v2", seed=1), "torchvision"), path)


def _write_keras(path: Path) -> None:
    """SqueezeNet 1.1 as Keras 2 writes weights: a group a layer, kernels as ``[height, width, in, out]``."""
    import h5py

    from striate.models import build

    layers: dict[str, dict[str, np.ndarray]] = {}
    for name, tensor in build("squeezenet1_1", seed=2).state_dict().items():
        layer, _, leaf = name.rpartition(".")
        layer = layer.replace(".squeeze", "/squeeze1x1").replace(".expand", "/expand")
        array = tensor.permute(2, 3, 1, 0) if leaf == "weight" else tensor
        layers.setdefault(layer, {})[f"{layer}/{'kernel' if leaf == 'weight' else 'bias'}:0"] = array.numpy()
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([name.encode() for name in layers])
        for layer, arrays in layers.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = np.array([name.encode() for name in arrays])
            for name, array in arrays.items():
                group[name] = array
