"""EfficientNet-Lite 0 to 4: figures, rows at each scale, norms, paddings, stochastic depth."""

import pytest
from torch import nn

from striate.layers import Conv2d
from striate.models import MODELS
from striate.models.efficientnet_lite import LITE0, EfficientNetLite, Scale, efficientnet_lite0, scaled_rows
from striate.models.network import parameter_count
from tests.models.light import layer_table, on_meta

# As published: units of the stages, channels of the stages, the picture's size, the dropout.
FAMILY = {
    "efficientnet_lite0": ((1, 2, 2, 3, 3, 4, 1), (16, 24, 40, 80, 112, 192, 320), 224, 0.2),
    "efficientnet_lite1": ((1, 3, 3, 4, 4, 5, 1), (16, 24, 40, 80, 112, 192, 320), 240, 0.2),
    "efficientnet_lite2": ((1, 3, 3, 4, 4, 5, 1), (16, 24, 48, 88, 120, 208, 352), 260, 0.3),
    "efficientnet_lite3": ((1, 3, 3, 5, 5, 6, 1), (24, 32, 48, 96, 136, 232, 384), 280, 0.3),
    "efficientnet_lite4": ((1, 4, 4, 6, 6, 8, 1), (24, 32, 56, 112, 160, 272, 448), 300, 0.3),
}


@pytest.mark.parametrize(
    ("name", "parameters", "statistics", "adds"),
    [
        ("efficientnet_lite0", 4_652_008, 42_016, 385_187_552),
        ("efficientnet_lite1", 5_416_680, 53_664, 600_185_232),
        ("efficientnet_lite2", 6_092_072, 58_096, 859_736_272),
        ("efficientnet_lite3", 8_197_096, 76_672, 1_383_321_872),
        ("efficientnet_lite4", 13_006_568, 112_368, 2_553_034_336),
    ],
)
def test_counts(name: str, parameters: int, statistics: int, adds: int) -> None:
    network = on_meta(name)
    assert parameter_count(network) == parameters
    assert sum(b.numel() for n, b in network.named_buffers() if not n.endswith("tracked")) == statistics
    assert layer_table(name).multiply_adds == adds


@pytest.mark.parametrize("name", FAMILY)
def test_the_members(name: str) -> None:
    units, channels, size, dropout = FAMILY[name]
    network = on_meta(name)
    assert isinstance(network, EfficientNetLite)
    stages = [network.get_submodule(f"stage{number}") for number in range(1, 8)]
    assert tuple(len(stage) for stage in stages) == units
    shapes = {row.path: row.shape for row in layer_table(name).rows}
    assert tuple(shapes[f"stage{number}.{count - 1}"][0] for number, count in enumerate(units, 1)) == channels
    assert shapes["conv_stem"][0] == 32 and shapes["conv_head"][0] == 1280
    assert MODELS[name].preprocess.size == (size, size)
    assert network.get_submodule("dropout").p == dropout


def test_table_of_lite0() -> None:
    shapes = {row.path: row.shape for row in layer_table("efficientnet_lite0").rows}
    paths = ("conv_stem", "stage1.0", "stage2.1", "stage3.1", "stage4.2", "stage5.2", "stage6.3", "stage7.0")
    assert [shapes[path] for path in (*paths, "conv_head", "classifier")] == [
        (32, 112, 112),
        (16, 112, 112),
        (24, 56, 56),
        (40, 28, 28),
        (80, 14, 14),
        (112, 14, 14),
        (192, 7, 7),
        (320, 7, 7),
        (1280, 7, 7),
        (1000,),
    ]


def test_norms_and_paddings() -> None:
    network = on_meta("efficientnet_lite1")
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.01)}
    windows = [m for m in network.modules() if isinstance(m, Conv2d) and m.kernel_size != (1, 1)]
    assert {conv.padding for conv in windows} == {"same"}
    assert {conv.kernel_size for conv in windows} == {(3, 3), (5, 5)}


def test_stochastic_depth_rises_with_depth() -> None:
    network = efficientnet_lite0(classes=5, in_channels=3, stochastic_depth=0.2)
    rates = [module.rate for path, module in network.named_modules() if path.endswith(".drop")]
    units = sum(row.units for row in scaled_rows(LITE0))
    assert units == 16
    # The residual units are 2, 4, 6, 7, 9, 10, 12, 13 and 14 of the sixteen, counted from 0.
    assert rates == pytest.approx([0.2 * unit / units for unit in (2, 4, 6, 7, 9, 10, 12, 13, 14)])
    without = efficientnet_lite0(classes=5, in_channels=3)
    assert {m.rate for path, m in without.named_modules() if path.endswith("drop")} == {0}


def test_channels_never_fall_below_nine_tenths() -> None:
    # 24 * 0.45 = 10.8 would round to 8, which is less than 90 % of it.
    assert scaled_rows(Scale(0.45, 1.0, 224, 0.2))[1].channels == 16
