"""Detectors by their ``.cfg``: against slow loops by darknet's definitions, and everything that is refused, by line."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from striate.base.errors import WeightsError
from striate.data.records import Classes
from striate.models import build
from striate.models.meta import build_on_meta
from striate.tasks import task_named
from striate.tasks.detect_yolov3 import Yolov3
from striate.weights.foreign import Foreign
from striate.weights.readers import caffe_file, darknet_config, darknet_file
from striate.weights.schemes import Placed, answered_classes, darknet_detector, describing_model, place
from tests.weights.handmade import darknet_weights
from tests.weights.slow_darknet import answers

# Every kind of layer, activation and option that is computed; two scales, of strides 8 and 4, in darknet's own order.
CONFIG = """
[net]
width=24
height=16
channels=3
letter_box=1
learning_rate=0.001   # what is for training alone is passed over

[convolutional]
batch_normalize=1
filters=4
size=3
stride=2
pad=1
activation=leaky
[maxpool]
size=2
stride=2
[convolutional]       # depthwise, with two filters for each channel
batch_normalize=1
filters=8
size=3
groups=4
pad=1
activation=relu6
[convolutional]
filters=8
size=1
activation=mish
[shortcut]
from=-2
activation=relu
[dropout]
probability=.5
[convolutional]
batch_normalize=1
filters=6
size=3
stride=2
pad=1
activation=swish
[maxpool]
size=2
stride=1
[maxpool]
size=5
stride=1
[route]
layers=-1,-2,6
[convolutional]
batch_normalize=1
filters=8
size=1
activation=relu
[convolutional]
filters=21
activation=linear
[yolo]
mask=1,2,3
anchors=3,4, 5,7, 9,6, 12.5,11
classes=2
num=4
scale_x_y=1.1
[route]
layers=10
groups=2
group_id=1
[upsample]
stride=2
[route]
layers=-1,4
[convolutional]
filters=5
size=3
pad=1
activation=logistic
[convolutional]
filters=7
activation=linear
[yolo]
mask=0
anchors=3,4, 5,7, 9,6, 12.5,11
classes=2
num=4
scale_x_y=1.05
"""
# How many numbers each convolution has: beta, gamma, mean, variance where it is normalised, else the bias; the kernel.
NORMALISED, PLAIN = [(4, 4 * 27), (8, 8 * 9), (6, 6 * 72), (8, 8 * 18)], [(8, 64), (21, 168), (5, 540), (7, 35)]


def drawn() -> np.ndarray:
    """The numbers of the file: only variances are all above 0."""
    generator = np.random.default_rng(5)
    in_file_order = [NORMALISED[0], NORMALISED[1], PLAIN[0], NORMALISED[2], NORMALISED[3], *PLAIN[1:]]
    parts = []
    for filters, kernel in in_file_order:
        statistics = [generator.normal(0, 0.5, filters), generator.uniform(0.5, 2, filters)]  # of mean and variance
        norm = [generator.normal(1, 0.3, filters), *statistics] if (filters, kernel) in NORMALISED else []
        parts += [generator.normal(0, 0.5, filters), *norm, generator.normal(0, 0.3, kernel)]
    return np.concatenate(parts).astype(np.float32)


def read(folder: Path, config: str, numbers: np.ndarray | None = None) -> Foreign:
    """The file with that configuration, as the reader's process hands it over; by default as many ones as it wants."""
    weights, text = folder / "net.weights", folder / "net.cfg"
    text.write_text(config)
    wanted = sum(math.prod(shape) for layer in darknet_config.parse(text)[1] for _, shape in layer.weights)
    weights.write_bytes(darknet_weights(np.ones(wanted) if numbers is None else numbers))
    contents = darknet_file.read(weights, text)
    return Foreign(weights, "darknet", contents.container, contents.arrays, "", json.loads(json.dumps(contents.facts)))


def network_of(placed: Placed) -> torch.nn.Module:
    assert placed.described is not None
    network = build(
        "darknet", classes=placed.classes, in_channels=placed.in_channels, arguments=placed.described.arguments
    )
    network.load_state_dict({**network.state_dict(), **placed.tensors})
    return network.eval()


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> Placed:
    return place(read(tmp_path_factory.mktemp("darknet"), CONFIG, drawn()), "darknet", classes=2)


def test_it_answers_as_slow_loops_do(placed: Placed) -> None:
    picture = np.random.default_rng(1).uniform(0, 1, (3, 16, 24))
    wanted = answers(CONFIG, drawn().astype(np.float64), picture)
    with torch.no_grad():
        outputs = network_of(placed)(torch.from_numpy(picture).float()[None])
    assert outputs.shape == (1, 4 * 6 * 1 + 2 * 3 * 3, 7)
    raw = [x.reshape(-1, 7, *x.shape[1:]).transpose(2, 3, 0, 1).reshape(-1, 7) for x, _ in wanted]
    torch.testing.assert_close(outputs[0].double(), torch.from_numpy(np.concatenate(raw[::-1])), rtol=1e-4, atol=1e-5)

    form = task_named("detect", Classes(("a", "b")), placed.described.task_arguments).form
    boxes, scores = form.boxes(outputs, (16, 24))[0], form.scores(outputs)[0]
    found = [each for _, scale in wanted[::-1] for each in scale]
    assert len(boxes) == len(scores) == len(found)
    sides = [[24 * (f.x - f.w / 2), 16 * (f.y - f.h / 2), 24 * (f.x + f.w / 2), 16 * (f.y + f.h / 2)] for f in found]
    torch.testing.assert_close(boxes.double(), torch.tensor(sides).double(), rtol=1e-4, atol=1e-4)
    sure = [[f.objectness * each for each in f.classes] for f in found]
    torch.testing.assert_close(scores.double(), torch.tensor(sure).double(), rtol=1e-4, atol=1e-5)
    assert scores.std() > 0.05 and boxes.std() > 1  # so that they say something


def test_what_it_says_of_itself(placed: Placed) -> None:
    described = placed.described
    assert (placed.model, placed.scheme, placed.classes, placed.in_channels) == ("darknet", "darknet_detector", 2, 3)
    assert json.loads(json.dumps(described.task_arguments)) == {
        "form": {
            "name": "yolov3",
            "anchors": [[[3, 4]], [[5, 7], [9, 6], [12.5, 11]]],
            "strides": [4, 8],
            "scale_xy": [1.05, 1.1],
        },
        "iou_threshold": 0.45,
        "score_threshold": 0.25,
    }
    assert [row["kind"] for row in described.arguments["rows"]][:5] == [
        *("convolution", "max pool", "convolution", "convolution", "shortcut")
    ]
    preprocess = described.preprocess
    assert (preprocess.channels, preprocess.size, preprocess.fill) == ("rgb", (16, 24), 128)
    assert (preprocess.unit, preprocess.mean, preprocess.scale) == (255.0, (0.0,), (1.0,))
    assert network_of(placed).blocks["head"] == ("conv11", "places12", "conv17", "places18")


@pytest.mark.parametrize(
    ("change", "resize", "doubtful"),
    [
        (("", ""), "letterbox", False),
        (("letter_box=1", "letter_box=0"), "stretch", False),
        (("letter_box=1", ""), "stretch", True),  # scale_x_y is the fork's
        (("letter_box=1", "", "scale_x_y=1.1", "", "scale_x_y=1.05", ""), "letterbox", True),
    ],
)
def test_how_pictures_come_to_size(tmp_path: Path, change: tuple[str, ...], resize: str, doubtful: bool) -> None:
    text = CONFIG
    for old, new in zip(change[::2], change[1::2], strict=True):
        text = text.replace(old, new)
    described = place(read(tmp_path, text), "darknet", classes=2).described
    assert described.preprocess.resize == resize
    assert list(described.doubts) == ["resize"] * doubtful
    if doubtful:
        assert f"{resize}ed, as " in described.doubts["resize"] and "--resize" in described.doubts["resize"]


@pytest.mark.parametrize("channels", [1, 5])
def test_channels_are_the_files(tmp_path: Path, channels: int) -> None:
    described = place(read(tmp_path, CONFIG.replace("channels=3", f"channels={channels}")), "darknet", classes=2)
    assert described.in_channels == channels
    assert described.described.preprocess.channels == {1: "grey"}.get(channels, channels)


def test_the_classes_are_its_own(tmp_path: Path) -> None:
    foreign = read(tmp_path, CONFIG)
    assert answered_classes(foreign, "darknet") == 2 and describing_model(foreign) == "darknet"
    with pytest.raises(WeightsError, match=r"the file answers with 2 classes, 5 were asked for; give --classes 2$"):
        place(foreign, "darknet", classes=5)
    placed = place(foreign, "darknet", classes=5, fresh_head=True)
    assert placed.fresh == ("conv11.weight", "conv11.bias", "conv17.weight", "conv17.bias")
    assert placed.tensors["conv11.weight"].shape == (3 * (5 + 5), 8, 1, 1)
    with pytest.raises(WeightsError, match=r"a file of keras does not say which network it is for; .*--model"):
        describing_model(replace(foreign, origin="keras"))


# What is refused: the line of the section that is at fault, or of one that reads it

NET = "[net]\nwidth=32\nheight=32\nchannels=3\n"
CONV = "[convolutional]\nfilters={}\nsize=1\nactivation=linear\n"
YOLO = "[yolo]\nmask=0\nanchors=9,9\nclasses=2\nnum=1\n"
SMALL = NET + CONV.format(7) + YOLO


def refusal(folder: Path, config: str) -> str:
    with pytest.raises(WeightsError) as error:
        place(read(folder, config), "darknet", classes=2)
    said = str(error.value)
    assert f"its configuration {folder / 'net.cfg'}: " in said and "\n" not in said
    return said


def test_the_smallest(tmp_path: Path) -> None:
    assert place(read(tmp_path, SMALL), "darknet", classes=2).model == "darknet"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (NET + CONV.format(7), "has no [yolo] section"),
        (NET + CONV.format(7) + "[avgpool]\n" + SMALL[len(NET) :], "[avgpool] of line 9: layers of this kind"),
        (SMALL.replace("filters=7", "filters=8"), "[convolutional] of line 5 has filters=8; the [yolo] of line 9"),
        (SMALL.replace("filters=7", "filters=8"), "wants 7, 5 and 2 classes for each of 1 anchors"),
        (SMALL.replace("mask=0", "mask=1"), "[yolo] of line 9 takes the anchors [1] of 1"),
        (SMALL.replace("mask=0", "mask=-1"), "[yolo] of line 9 takes the anchors [-1] of 1"),
        (SMALL.replace("9,9", "9,0"), "a width and a height of up to 65536 pixels"),
        (SMALL.replace("9,9", "9,ten"), "[yolo] of line 9 has anchors=9,ten, which are no numbers"),
        (SMALL.replace("9,9", "nan,9"), "[yolo] of line 9 has anchors=nan,9, which are no numbers"),
        (SMALL.replace("9,9", "1e9,9"), "[yolo] of line 9 takes the anchors [0] of 1"),
        (SMALL + "scale_x_y=0\n", "[yolo] of line 9 has scale_x_y=0; it is above 0"),
        (SMALL + "scale_x_y=17\n", "up to 16"),
        (SMALL + "new_coords=1\n", "[yolo] of line 9 has new_coords=1, which is not computed here"),
        (SMALL.replace("=linear", "=lineal"), "activation=lineal is not computed here. Did you mean 'linear'?"),
        (SMALL.replace("activation=linear", "dilation=2"), "[convolutional] of line 5 has dilation=2"),
        (SMALL.replace("size=1", "size=3"), "[convolutional] of line 5: a window of 3 with stride 1 and 0 places of"),
        (SMALL.replace("size=1", "stride_x=2"), "strides of 2 across and 1 down are not computed here"),
        (NET + CONV.format(7) + YOLO + CONV.format(9), "[convolutional] of line 14: reads layer 1, detections"),
        (NET + YOLO, "[yolo] of line 5: the first layer is a convolution"),
        (NET + CONV.format(7) + "[dropout]\n" + YOLO, "[yolo] of line 10: reads layer 1, dropout; what is read by"),
        (SMALL + "[route]\nlayers=0\n", "[route] of line 14: reads layer 0, convolution; what is read by"),
        (
            NET + CONV.format(4) + CONV.format(5) + "[shortcut]\nfrom=-2\n" + CONV.format(7) + YOLO,
            "[shortcut] of line 13: adds maps that differ, of [5, 4] channels",
        ),
        (
            NET + CONV.format(4) + "[maxpool]\nstride=2\n[shortcut]\nfrom=0\n" + CONV.format(7) + YOLO,
            "of [4, 4] channels and the strides [2, 1]",
        ),
        (
            NET + CONV.format(4) + "[route]\nlayers=0\ngroups=3\n" + CONV.format(7) + YOLO,
            "[route] of line 9: takes part 0 of 3, counted from 0, of maps of [4] channels",
        ),
        (NET + CONV.format(4) + "[upsample]\n" + CONV.format(7) + YOLO, "[upsample] of line 9: would make a map"),
        (SMALL + "[route]\nlayers=1\n", "[route] of line 14: reads layer 1, detections"),
        (SMALL.replace("width=32", "width=70000").replace("height=32", "height=2"), "width=70000, which is out of"),
        (SMALL + "[route]\nlayers=9\n", "[route] of line 14 has layers=9"),
        (SMALL.replace("width=32", "width=33").replace("size=1", "size=2\nstride=2"), "width=33 and height=32; its"),
    ],
)
def test_what_makes_no_detector_is_refused_by_its_line(tmp_path: Path, config: str, said: str) -> None:
    assert said in refusal(tmp_path, config)


def test_scales_of_different_classes(tmp_path: Path) -> None:
    other = CONV.format(8) + YOLO.replace("classes=2", "classes=3")
    said = refusal(tmp_path, NET + CONV.format(4) + CONV.format(7) + YOLO + "[route]\nlayers=0\n" + other)
    assert "different numbers of classes: [yolo] of line 13 2, [yolo] of line 24 3" in said


# Real ones


def yolov3_text(classes: int) -> str:
    """``yolov3.cfg`` as the paper has it, for so many classes at 64 pixels."""

    def conv(filters: int, size: int, stride: int = 1) -> str:
        first = f"[convolutional]\nbatch_normalize=1\nfilters={filters}\nsize={size}\nstride={stride}\n"
        return f"{first}pad=1\nactivation=leaky\n"

    parts = ["[net]\nwidth=64\nheight=64\nchannels=3\n", conv(32, 3)]
    for channels, units in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)):
        parts.append(conv(channels, 3, 2))
        parts += [conv(channels // 2, 1), conv(channels, 3), "[shortcut]\nfrom=-3\nactivation=linear\n"] * units
    for channels, mask, beside in ((512, "6,7,8", 61), (256, "3,4,5", 36), (128, "0,1,2", None)):
        parts += [conv(channels, 1), conv(2 * channels, 3)] * 3
        parts.append(f"[convolutional]\nsize=1\nfilters={3 * (5 + classes)}\nactivation=linear\n")
        anchors = "10,13,16,30,33,23,30,61,62,45,59,119,116,90,156,198,373,326"
        parts.append(f"[yolo]\nmask={mask}\nanchors={anchors}\nclasses={classes}\nnum=9\n")
        if beside is not None:
            up = ["[route]\nlayers=-4\n", conv(channels // 2, 1), "[upsample]\nstride=2\n"]
            parts += [*up, f"[route]\nlayers=-1,{beside}\n"]
    return "".join(parts)


def test_yolov3_by_its_text_is_our_own(tmp_path: Path) -> None:
    """Its numbers are those of our YOLOv3, in the same order, and as many as the published file's length says."""
    text = tmp_path / "yolov3.cfg"
    text.write_text(yolov3_text(80))
    net, layers = darknet_config.parse(text)
    shapes = {name: shape for layer in layers for name, shape in layer.weights}
    assert 20 + 4 * sum(map(math.prod, shapes.values())) == 248_007_048
    arrays = {name: np.broadcast_to(np.float32(1), shape) for name, shape in shapes.items()}
    facts = {
        "config": "",
        "net": darknet_file.said(net),
        "layers": [darknet_file.said(each.section) for each in layers],
    }
    described = darknet_detector.described(Foreign(text, "darknet", "", arrays, "", facts))
    ours = build_on_meta("yolov3", classes=80)
    theirs = build_on_meta("darknet", classes=80, arguments=described.arguments)
    assert [tensor.shape for tensor in theirs.state_dict().values()] == [
        tensor.shape for tensor in ours.state_dict().values()
    ]
    form = task_named("detect", Classes(tuple(map(str, range(80)))), described.task_arguments).form
    assert form == Yolov3()


@pytest.fixture(scope="module")
def voc(shared_data: Path) -> Foreign:
    stem = shared_data / "weights" / "MobileNetV2-YOLOv3-Nano-voc"
    contents = darknet_file.read(stem.with_suffix(".weights"), stem.with_suffix(".cfg"))
    return Foreign(stem, "darknet", contents.container, contents.arrays, "", contents.facts)


def test_a_real_detector_and_its_twin_in_caffe_answer_alike(voc: Foreign, shared_data: Path) -> None:
    """Caffe counts layers from 1: ``layer1-conv``, ``layer1-bn`` with mean, variance and factor, ``layer1-scale``."""
    placed = place(voc, "darknet", classes=20)
    assert sum(tensor.numel() for tensor in placed.tensors.values()) == 769_750
    network, twin = network_of(placed), network_of(placed)
    blobs = caffe_file.read(shared_data / "weights" / "MobileNetV2-YOLOv3-Nano-voc.caffemodel").arrays
    taken = set()
    for name, tensor in twin.state_dict().items():
        layer, _, leaf = name.partition(".")
        if leaf == "num_batches_tracked":
            continue
        kind, number = re.fullmatch(r"(conv|bn)(\d+)", layer).groups()
        theirs = {
            ("conv", "weight"): "conv/0",
            ("conv", "bias"): "conv/1",
            ("bn", "weight"): "scale/0",
            ("bn", "bias"): "scale/1",
            ("bn", "running_mean"): "bn/0",
            ("bn", "running_var"): "bn/1",
        }[kind, leaf]
        blob = blobs[f"layer{int(number) + 1}-{theirs}"]
        factor = blobs[f"layer{int(number) + 1}-bn/2"].item() if theirs.startswith("bn/") else 1.0
        tensor.copy_(torch.from_numpy(blob.reshape(tensor.shape) / factor))
        taken.add(f"layer{int(number) + 1}-{theirs}")
    assert {name for name in blobs if not name.endswith("-bn/2")} == taken
    images = torch.rand(1, 3, 320, 320)
    with torch.no_grad():
        torch.testing.assert_close(network(images), twin(images), rtol=1e-5, atol=1e-5)
