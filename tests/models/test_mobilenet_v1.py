"""MobileNetV1 at four widths: figures, names, and what its windows see."""

import pytest
import torch
from torch import nn

from striate.layers import Conv2d
from striate.models.mobilenet_v1 import DepthwiseSeparableUnit
from striate.models.network import parameter_count
from tests.models.light import layer_table, on_meta


@pytest.mark.parametrize(
    ("name", "parameters", "statistics", "adds"),
    [
        ("mobilenet_v1", 4_231_976, 21_888, 568_740_352),
        ("mobilenet_v1_075", 2_585_560, 16_416, 325_400_448),
        ("mobilenet_v1_050", 1_331_592, 10_944, 149_497_088),
        ("mobilenet_v1_025", 470_072, 5_472, 41_030_272),
    ],
)
def test_counts(name: str, parameters: int, statistics: int, adds: int) -> None:
    network = on_meta(name)
    assert parameter_count(network) == parameters
    assert sum(b.numel() for n, b in network.named_buffers() if not n.endswith("tracked")) == statistics
    assert layer_table(name).multiply_adds == adds


def test_table() -> None:
    shapes = {row.path: row.shape for row in layer_table("mobilenet_v1").rows}
    assert shapes["conv_stem"] == (32, 112, 112)
    units = [shapes[path] for path in shapes if path.startswith("stage")]
    assert units == [
        (64, 112, 112),
        *[(128, 56, 56)] * 2,
        *[(256, 28, 28)] * 2,
        *[(512, 14, 14)] * 6,
        *[(1024, 7, 7)] * 2,
    ]
    assert [shapes[path] for path in ("global_pool", "classifier")] == [(1024,), (1000,)]


def test_names() -> None:
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    units = [f"stage{stage}.{unit}" for stage, count in enumerate((1, 2, 2, 6, 2), 1) for unit in range(count)]
    wanted = {"conv_stem.weight", "classifier.weight", "classifier.bias"} | {f"bn1.{part}" for part in norm}
    wanted |= {f"{unit}.{convolution}.weight" for unit in units for convolution in ("conv_dw", "conv_pw")}
    wanted |= {f"{unit}.{bn}.{part}" for unit in units for bn in ("bn1", "bn2") for part in norm}
    assert set(on_meta("mobilenet_v1").state_dict()) == wanted


def test_norms_paddings_and_dropout() -> None:
    network = on_meta("mobilenet_v1_050")
    norms = {(m.eps, m.momentum) for m in network.modules() if isinstance(m, nn.BatchNorm2d)}
    assert norms == {(1e-3, 0.01)}
    windows = [m for m in network.modules() if isinstance(m, Conv2d) and m.kernel_size == (3, 3)]
    assert len(windows) == 14
    assert {m.padding for m in windows} == {"same"}
    assert network.get_submodule("dropout").p == 1e-3


def test_a_unit_computed_otherwise() -> None:
    torch.manual_seed(0)
    unit = DepthwiseSeparableUnit(2, 4, 2, "same").eval()
    x = 9 * torch.randn(1, 2, 6, 6)
    with torch.no_grad():
        unit.conv_pw.weight *= 9
        scale = (1 + 1e-3) ** -0.5
        y = nn.functional.pad(x, (0, 1, 0, 1))  # SAME of an even size at stride 2
        y = (nn.functional.conv2d(y, unit.conv_dw.weight, stride=2, groups=2) * scale).clamp(0, 6)
        y = (nn.functional.conv2d(y, unit.conv_pw.weight) * scale).clamp(0, 6)
        assert (y == 6).any() and (y == 0).any()  # both ends of the activation are reached
        torch.testing.assert_close(unit(x), y)
