"""What a table of layers says of a network."""

import pytest

from striate.base.errors import ModelError
from striate.models.layer_table import layer_table

LENET5 = """\
block   layer    what                            output    parameters  multiply-adds
                 input                           1x32x32
stem    c1       convolution 5x5, valid          6x28x28          156        117,600
stem    s2       mean pool 2x2, stride 2, valid  6x14x14            0              0
stage1  c3       convolution 5x5, valid          16x10x10       2,416        240,000
stage1  s4       mean pool 2x2, stride 2, valid  16x5x5             0              0
stage2  c5       convolution 5x5, valid          120x1x1       48,120         48,000
stage2  flatten  flatten                         120                0              0
stage2  f6       dense                           84            10,164         10,080
head    output   dense                           10               850            840
sum                                                            61,706        416,520
"""


def test_text() -> None:
    assert layer_table("lenet5").text() == LENET5


def test_units_are_one_row_each() -> None:
    rows = {row.path: row for row in layer_table("resnet34").rows}
    assert [sum(path.startswith(f"layer{n}.") for path in rows) for n in range(1, 5)] == [3, 4, 6, 3]
    assert rows["layer2.0"].shape == (128, 28, 28)
    # 3x3 64 to 128, 3x3 128 to 128, 1x1 64 to 128, each at 28x28; and three norms
    assert rows["layer2.0"].multiply_adds == (9 * 64 * 128 + 9 * 128 * 128 + 64 * 128) * 28 * 28
    assert rows["layer2.0"].parameters == 9 * 64 * 128 + 9 * 128 * 128 + 64 * 128 + 3 * 2 * 128


def test_auxiliary_heads_are_listed_and_not_counted() -> None:
    found = layer_table("googlenet")
    heads = [row for row in found.rows if row.block == "auxiliary"]
    assert [row.path for row in heads] == ["aux1", "aux2"]
    assert found.parameters + sum(row.parameters for row in heads) == 13_378_280
    assert found.multiply_adds + sum(row.multiply_adds for row in heads) == 1_591_044_096
    assert [row.shape for row in heads] == [(1000,), (1000,)]


def test_a_wrong_name() -> None:
    with pytest.raises(ModelError, match="Did you mean 'lenet5'"):
        layer_table("lenet")
