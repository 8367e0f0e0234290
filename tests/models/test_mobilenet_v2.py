"""MobileNetV2 with both paddings: figures, names, units, and real weights on real photographs."""

import csv
from pathlib import Path

import pytest
import torch
from torch import nn

from striate.layers import BatchNormAct2d, Conv2d
from striate.models import MODELS, build
from striate.models.mobilenet_v2 import InvertedUnit, Row, Style
from striate.models.network import parameter_count
from striate.pictures.decode import decode
from tests.models.light import layer_table, on_meta

NAMES = ("mobilenet_v2", "mobilenet_v2_same")


@pytest.mark.parametrize("name", NAMES)
def test_counts(name: str) -> None:
    network = on_meta(name)
    assert parameter_count(network) == 3_504_872
    assert sum(b.numel() for n, b in network.named_buffers() if not n.endswith("tracked")) == 34_112
    assert layer_table(name).multiply_adds == 300_774_272


@pytest.mark.parametrize("name", NAMES)
def test_table(name: str) -> None:
    shapes = {row.path: row.shape for row in layer_table(name).rows}
    units = [shapes[path] for path in shapes if path.startswith("stage")]
    assert shapes["conv_stem"] == (32, 112, 112)
    assert units == [
        (16, 112, 112),
        *[(24, 56, 56)] * 2,
        *[(32, 28, 28)] * 3,
        *[(64, 14, 14)] * 4,
        *[(96, 14, 14)] * 3,
        *[(160, 7, 7)] * 3,
        (320, 7, 7),
    ]
    assert [shapes[path] for path in ("conv_head", "global_pool", "classifier")] == [(1280, 7, 7), (1280,), (1000,)]


def test_names() -> None:
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    units = [f"stage{stage}.{unit}" for stage, count in enumerate((2, 3, 4, 3, 3, 1), 2) for unit in range(count)]
    convolutions = ["conv_stem", "stage1.0.conv_dw", "stage1.0.conv_pw", "conv_head"]
    convolutions += [f"{unit}.{part}" for unit in units for part in ("conv_pw", "conv_dw", "conv_pwl")]
    norms = ["bn1", "stage1.0.bn1", "stage1.0.bn2", "bn2"]
    norms += [f"{unit}.{part}" for unit in units for part in ("bn1", "bn2", "bn3")]
    wanted = {f"{path}.weight" for path in convolutions} | {f"{path}.{part}" for path in norms for part in norm}
    for name in NAMES:
        assert set(on_meta(name).state_dict()) == wanted | {"classifier.weight", "classifier.bias"}


@pytest.mark.parametrize(
    ("name", "padding", "norm"),
    [("mobilenet_v2", "symmetric", (1e-5, 0.1)), ("mobilenet_v2_same", "same", (1e-3, 1e-3))],
)
def test_what_the_two_differ_in(name: str, padding: str, norm: tuple[float, float]) -> None:
    network = on_meta(name)
    windows = [m for m in network.modules() if isinstance(m, Conv2d) and m.kernel_size == (3, 3)]
    assert len(windows) == 18
    assert {m.padding for m in windows} == {padding}
    assert {(m.eps, m.momentum) for m in network.modules() if isinstance(m, nn.BatchNorm2d)} == {norm}
    assert network.get_submodule("dropout").p == 0.2


def test_which_units_have_a_shortcut() -> None:
    network = on_meta("mobilenet_v2")
    found = [path for path, m in network.named_modules() if isinstance(m, InvertedUnit) and m.drop is not None]
    units = {2: 2, 3: 3, 4: 4, 5: 3, 6: 3, 7: 1}
    # All but the first of a stage, where the channels or the stride change.
    assert found == [f"stage{stage}.{unit}" for stage, count in units.items() for unit in range(1, count)]


@pytest.mark.parametrize("channels", [3, 4])
def test_a_unit_computed_otherwise(channels: int) -> None:
    torch.manual_seed(0)
    unit = InvertedUnit(4, Row(1, 3, 1, 6, channels), 1, Style("symmetric", BatchNormAct2d), 0.0).eval()
    x = 5 * torch.randn(1, 4, 5, 6)
    with torch.no_grad():
        scale = (1 + 1e-5) ** -0.5
        y = (nn.functional.conv2d(x, unit.conv_pw.weight) * scale).clamp(0, 6)
        y = (nn.functional.conv2d(y, unit.conv_dw.weight, padding=1, groups=24) * scale).clamp(0, 6)
        y = nn.functional.conv2d(y, unit.conv_pwl.weight) * scale
        assert (y < 0).any()  # the unit ends without an activation
        torch.testing.assert_close(unit(x), y + x if channels == 4 else y)


@pytest.mark.slow
def test_real_weights_on_real_photographs(shared_data: Path) -> None:
    """Published weights, trained with symmetric paddings: SAME answers fewer of the 120 photographs."""
    theirs = torch.load(shared_data / "weights" / "mobilenet_v2-b0353104.pth", weights_only=True)
    theirs = {name: tensor for name, tensor in theirs.items() if not name.endswith("tracked")}
    with (shared_data / "imagenet-samples" / "labels.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    preprocess = MODELS["mobilenet_v2"].preprocess
    pieces = []
    for row in rows:
        picture = decode(shared_data / "imagenet-samples" / row["file"], "rgb")
        geometry = preprocess.geometry(picture.geometry)
        pieces.append(torch.from_numpy(geometry.image(picture.pixels).copy()).permute(2, 0, 1))
    images = preprocess.normalise(torch.stack(pieces)).contiguous(memory_format=torch.channels_last)
    targets = torch.tensor([int(row["class_index"]) for row in rows])
    right = {}
    for name in NAMES:
        network = build(name, classes=1000).eval()
        own = [path for path in network.state_dict() if not path.endswith("tracked")]
        # The same tensors in the same order; only the names differ.
        network.load_state_dict(dict(zip(own, theirs.values(), strict=True)), strict=False)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 1e-5
        with torch.no_grad():
            logits = torch.cat([network(batch) for batch in images.split(24)])
        right[name] = int((logits.argmax(1) == targets).sum())
    assert right["mobilenet_v2"] in range(99, 104)
    assert right["mobilenet_v2_same"] < right["mobilenet_v2"] - 4
