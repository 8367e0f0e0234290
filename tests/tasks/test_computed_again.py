"""Every task trains with blocks that are computed again, and ends with the very weights that it ends with without."""

import pytest
from safetensors.torch import load_file
from torch import equal

import striate
from tests.tasks.segment_scenes import draw_scenes

SHORT = {"batch_size": 4, "precision": "float32", "weights": "none"}


def run(data, out, changes, **words):
    striate.train(data, changes=SHORT | changes, epochs=1, out=out, workers=0, **words)
    return load_file(out / "model.safetensors")


def same(data, tmp_path, blocks, *, changes, **words):
    whole = run(data, tmp_path / "whole", changes, **words)
    again = run(data, tmp_path / "again", changes | {"checkpoint_blocks": blocks}, **words)
    assert whole.keys() == again.keys()
    assert [name for name in whole if not equal(whole[name], again[name])] == []


def test_one_class_a_picture(tmp_path, photo_folder):
    data = photo_folder(tmp_path / "photos", per_class=8, size=32)
    same(data, tmp_path, ["stem", "stage1", "stage3"], changes={"size": [32, 32]}, model="resnet20")


def test_one_box(tmp_path, squares):
    changes = {"data": {"largest": True}, "size": [32, 32]}
    same(squares, tmp_path, ["stage2", "head"], changes=changes, task="localize", model="box/resnet20")


@pytest.mark.slow
@pytest.mark.parametrize("model", ["tood/efficientnet_lite0", "yolov3/efficientnet_lite0"])
def test_boxes(tmp_path, squares, model):
    same(squares, tmp_path, ["stage1", "stage4", "head"], changes={"size": [64, 64]}, model=model)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["unet/efficientnet_lite0", "deeplabv3/resnet18"])
def test_masks(tmp_path, model):
    data = draw_scenes(tmp_path / "scenes", 8)
    same(data, tmp_path, ["stem", "stage2", "head"], changes={"augment": {"crop_size": [32, 32]}}, model=model)


@pytest.mark.parametrize("model", ["espcn", pytest.param("vdsr", marks=pytest.mark.slow)])
def test_larger_pictures(tmp_path, photo_folder, model):
    data = photo_folder(tmp_path / "photos", per_class=6, size=48)
    blocks = {"espcn": ["stem", "head"], "vdsr": ["stem", "body"]}[model]
    same(data, tmp_path, blocks, changes={"size": [24, 24]}, task="upscale", model=model)
