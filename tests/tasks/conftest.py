"""What tests of tasks share."""

import json

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def squares(tmp_path):
    """Twelve pictures with a bright square or two in the dark, in COCO's format."""
    drawn = np.random.default_rng(0)
    folder = tmp_path / "squares"
    (folder / "images").mkdir(parents=True)
    told = {"images": [], "annotations": [], "categories": [{"id": 7, "name": "square"}]}
    for number in range(12):
        pixels = drawn.integers(0, 60, (60, 90, 3)).astype(np.uint8)
        left, top, side = (int(each) for each in drawn.integers([5, 5, 20], [50, 25, 30]))
        pixels[top : top + side, left : left + side] = 230
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        told["images"].append({"id": number, "file_name": f"{number}.png", "width": 90, "height": 60})
        told["annotations"].append(
            {"id": number + 1, "image_id": number, "category_id": 7, "bbox": [left, top, side, side]}
            | {"area": side * side, "iscrowd": 0}
        )
    (folder / "annotations.json").write_text(json.dumps(told))
    return folder


@pytest.fixture(scope="module")
def vdsr():
    """A predictor that enlarges by 2, not as bicubic interpolation does; the model file of it is ``vdsr_file``."""
    import torch

    from striate import modelfile
    from striate.data.records import Classes
    from striate.models import build
    from striate.models.table import architecture
    from striate.predictor import Predictor

    row = architecture("vdsr")
    network = build("vdsr", seed=0)
    drawn = torch.Generator().manual_seed(0)
    torch.nn.init.normal_(network.get_parameter("output.weight"), std=0.02, generator=drawn)  # it lacks something
    arguments = {"classes": 0, "in_channels": 3, "factor": 2}
    return Predictor(network.eval(), modelfile.Description("vdsr", arguments, "upscale", Classes(()), row.preprocess))


@pytest.fixture(scope="module")
def vdsr_file(vdsr, tmp_path_factory):
    from striate import modelfile

    path = tmp_path_factory.mktemp("model") / "vdsr.safetensors"
    modelfile.save(path, vdsr.network.state_dict(), vdsr.description)
    return path
