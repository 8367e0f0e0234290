"""Caffe's files against nets encoded by hand from the description of Protocol Buffers."""

from pathlib import Path

import numpy as np
import pytest

from striate.base.errors import WeightsError
from striate.weights.readers import caffe_file
from tests.weights.handmade import blob, caffe_layer, caffe_net, integer, old_caffe_layer, single, text, varint

KERNEL = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)
BIAS = np.array([0.5, -1.25], np.float32)


def write(folder: Path, data: bytes) -> Path:
    path = folder / "net.caffemodel"
    path.write_bytes(data)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        caffe_file.read(path)
    return str(caught.value)


def test_layers_and_blobs(tmp_path: Path) -> None:
    net = text(1, "tiny") + caffe_layer("data", "Input") + caffe_layer("conv", "Convolution", blob(KERNEL), blob(BIAS))
    contents = caffe_file.read(write(tmp_path, net))
    assert contents.container == "protobuf"
    assert list(contents.arrays) == ["conv/0", "conv/1"]
    np.testing.assert_array_equal(contents.arrays["conv/0"], KERNEL)
    np.testing.assert_array_equal(contents.arrays["conv/1"], BIAS)
    assert contents.facts == {
        "name": "tiny",
        "layers": [
            {"name": "data", "type": "Input", "blobs": []},
            {"name": "conv", "type": "Convolution", "blobs": [[2, 3, 2, 2], [2]]},
        ],
    }


@pytest.mark.parametrize(
    "encoded",
    [
        blob(KERNEL, packed=False),
        blob(KERNEL, doubles=True),
        blob(KERNEL, old=True),
        # The shape one side at a time, the numbers in two packed parts, and fields that nobody knows between them.
        text(7, b"".join(integer(1, side) for side in KERNEL.shape))
        + integer(77, 2**63)
        + text(5, KERNEL.ravel()[:10].tobytes())
        + single(78, 1.0)
        + varint(79 << 3 | 1)
        + bytes(8)
        + text(5, KERNEL.ravel()[10:].tobytes())
        + text(6, b"gradients"),
    ],
    ids=["unpacked", "doubles", "old", "scattered"],
)
def test_blobs_may_be_written_in_many_ways(tmp_path: Path, encoded: bytes) -> None:
    arrays = caffe_file.read(write(tmp_path, caffe_layer("conv", "Convolution", encoded))).arrays
    np.testing.assert_array_equal(arrays["conv/0"], KERNEL)


def test_old_files_lose_the_ones_before_biases_and_dense_weights(tmp_path: Path) -> None:
    dense = np.arange(6, dtype=np.float32).reshape(2, 3)
    thin = KERNEL[:1, :1]  # [1, 1, 2, 2]: ones that mean something
    net = (
        old_caffe_layer("conv", 4, blob(thin, old=True), blob(BIAS[:1], old=True))
        + old_caffe_layer("ip", 14, blob(dense, old=True), blob(BIAS, old=True))
        + old_caffe_layer("odd", 31)
    )
    contents = caffe_file.read(write(tmp_path, net))
    shapes = {name: array.shape for name, array in contents.arrays.items()}
    assert shapes == {"conv/0": (1, 1, 2, 2), "conv/1": (1,), "ip/0": (2, 3), "ip/1": (2,)}
    assert [layer["type"] for layer in contents.facts["layers"]] == ["Convolution", "InnerProduct", "V1 31"]


def test_epsilon_of_batch_norm(tmp_path: Path) -> None:
    stated = caffe_layer("a", "BatchNorm", blob(BIAS), more=text(139, integer(1, 1) + single(3, 0.001)))
    default = caffe_layer("b", "BatchNorm", blob(BIAS), more=text(139, integer(1, 1)))
    layers = caffe_file.read(write(tmp_path, stated + default)).facts["layers"]
    assert layers[0]["epsilon"] == pytest.approx(0.001)
    assert "epsilon" not in layers[1]


@pytest.mark.parametrize(
    ("net", "said"),
    [
        (varint(100 << 3 | 2) + varint(10**6) + b"short", "a field of 1000000 bytes begins, and 5 are left"),
        (varint(100 << 3 | 2) + varint(2**63) + b"short", "bytes begins, and 5 are left"),
        # A blob that reaches beyond its layer, though the file would go on.
        (text(100, text(1, "a") + varint(7 << 3 | 2) + varint(200)) + bytes(300), "bytes begins, and 0 are left"),
        (b"\xff" * 11, "has no end"),
        (b"\x80", "has no end"),
        (b"\x0b", "is no field"),  # a group
        (b"\x00\x00", "is no field"),  # number 0
        (caffe_layer("a", "X", text(7, text(1, varint(5))) + text(5, bytes(16))), "should have 5 numbers, and has 4"),
        (caffe_layer("a", "X", text(7, text(1, varint(2**60) * 3)) + text(5, bytes(16))), "numbers, and has 4"),
        (caffe_layer("a", "X", text(7, text(1, varint(-2))) + text(5, bytes(8))), "dimensions, [-2]"),
        (caffe_layer("a", "X", text(7, text(1, varint(1) * 10**5)) + text(5, bytes(4))), "100000 dimensions"),
        (caffe_layer("a", "X", text(7, text(1, varint(1))) + text(5, bytes(3))), "should have 1 numbers, and has 0.75"),
        (caffe_layer("a", "X", blob(BIAS)) * 2, "two layers of the name 'a'"),
        (text(2, text(1, text(1, "conv1"))), "before 2014"),
    ],
)
def test_damage_is_refused(tmp_path: Path, net: bytes, said: str) -> None:
    assert said in refusal(write(tmp_path, net))


def test_messages_within_messages_are_not_followed(tmp_path: Path) -> None:
    nested = b""
    for _ in range(3000):
        nested = text(7, nested)
    assert "damaged" in refusal(write(tmp_path, caffe_layer("a", "X", text(7, b"\xff" * 11 + nested))))
    assert caffe_file.read(write(tmp_path, text(100, text(99, nested)))).arrays == {}


def test_cut_short_it_is_refused_or_ends_between_two_layers(tmp_path: Path) -> None:
    whole = caffe_net(np.random.default_rng(0))
    names = [layer["name"] for layer in caffe_file.read(write(tmp_path, whole)).facts["layers"]]
    lengths = [*range(1, 150), *range(150, len(whole), 13), len(whole) - 1]
    refused = 0
    for length in lengths:
        try:
            layers = caffe_file.read(write(tmp_path, whole[:length])).facts["layers"]
        except WeightsError:
            refused += 1
        else:
            assert [layer["name"] for layer in layers] == names[: len(layers)]
    assert refused >= len(lengths) - 1 - len(names)


def test_lenet(shared_data: Path) -> None:
    contents = caffe_file.read(shared_data / "weights" / "lenet_iter_10000.caffemodel")
    shapes = {name: array.shape for name, array in contents.arrays.items()}
    assert shapes == {
        "conv1/0": (20, 1, 5, 5),
        "conv1/1": (20,),
        "conv2/0": (50, 20, 5, 5),
        "conv2/1": (50,),
        "ip1/0": (500, 800),
        "ip1/1": (500,),
        "ip2/0": (10, 500),
        "ip2/1": (10,),
    }
    assert sum(array.size for array in contents.arrays.values()) == 431_080
    assert contents.facts["layers"][1] == {"name": "conv1", "type": "Convolution", "blobs": [[20, 1, 5, 5], [20]]}
