"""darknet's files: what a configuration implies, in which order, and where a file parts from it."""

import struct
from pathlib import Path

import numpy as np
import pytest

from striate.base.errors import WeightsError
from striate.weights.readers import darknet_config, darknet_file
from tests.weights.handmade import DARKNET_CONFIG, DARKNET_FLOATS, darknet_weights

NUMBERS = np.arange(DARKNET_FLOATS, dtype=np.float32)


def write(folder: Path, weights: bytes, config: str = DARKNET_CONFIG) -> tuple[Path, Path]:
    paths = folder / "net.weights", folder / "net.cfg"
    paths[0].write_bytes(weights)
    paths[1].write_text(config)
    return paths


def refusal(paths: tuple[Path, Path]) -> str:
    with pytest.raises(WeightsError) as caught:
        darknet_file.read(*paths)
    return str(caught.value)


def shapes(folder: Path, *sections: str, net: str = "width=16\nheight=16\nchannels=3") -> list[tuple[int, int, int]]:
    path = folder / "net.cfg"
    path.write_text("\n".join([f"[net]\n{net}", *sections]))
    return [layer.shape for layer in darknet_config.parse(path)[1]]


def test_arrays_in_the_order_of_darknet(tmp_path: Path) -> None:
    contents = darknet_file.read(*write(tmp_path, darknet_weights(NUMBERS)))
    arrays = contents.arrays
    # Counted by hand: beta, gamma, mean, variance, kernel; then bias and kernel of the second; then the dense layer.
    starts = {
        "conv0/bias": 0,
        "conv0/gamma": 4,
        "conv0/mean": 8,
        "conv0/variance": 12,
        "conv0/weight": 16,
        "conv1/bias": 124,
        "conv1/weight": 128,
        "dense6/bias": 136,
        "dense6/weight": 138,
    }
    assert {name: int(array.ravel()[0]) for name, array in arrays.items()} == starts
    assert arrays["conv0/weight"].shape == (4, 3, 3, 3)
    assert arrays["conv1/weight"].shape == (4, 2, 1, 1)  # two groups: each filter sees two channels
    assert arrays["dense6/weight"].shape == (2, 128)  # of 8 channels, 4 by 4
    assert arrays["dense6/weight"][1, 0] == 138 + 128
    assert contents.facts["floats"] == DARKNET_FLOATS
    assert contents.facts["seen"] == 77
    assert [layer["section"] for layer in contents.facts["layers"]] == [
        *("convolutional", "convolutional", "shortcut", "maxpool", "upsample", "route", "connected", "softmax")
    ]
    assert [layer["shape"] for layer in contents.facts["layers"]][:6] == [
        *([4, 4, 4], [4, 4, 4], [4, 4, 4], [4, 2, 2], [4, 4, 4], [8, 4, 4])
    ]
    assert contents.facts["layers"][0]["options"]["activation"] == "leaky"


@pytest.mark.parametrize(("version", "header"), [((0, 1, 0), 16), ((0, 2, 0), 20), ((0, 2, 5), 20), ((1, 0, 0), 20)])
def test_the_header_grew_with_the_versions(tmp_path: Path, version: tuple[int, int, int], header: int) -> None:
    weights = darknet_weights(NUMBERS, version=version, seen=12345)
    assert len(weights) == header + 4 * DARKNET_FLOATS
    contents = darknet_file.read(*write(tmp_path, weights))
    assert contents.facts["seen"] == 12345
    assert contents.facts["version"] == list(version)


def test_high_versions_have_dense_weights_the_other_way_round(tmp_path: Path) -> None:
    contents = darknet_file.read(*write(tmp_path, darknet_weights(NUMBERS, version=(1001, 0, 0))))
    dense = contents.arrays["dense6/weight"]
    assert dense.shape == (2, 128)
    assert dense[1, 0] == 139 and dense[0, 1] == 140


def test_dense_layers_with_batch_normalization(tmp_path: Path) -> None:
    config = "[net]\nwidth=2\nheight=2\nchannels=1\n[connected]\noutput=3\nbatch_normalize=1\n"
    arrays = darknet_file.read(*write(tmp_path, darknet_weights(np.arange(24)), config)).arrays
    starts = {name: int(array.ravel()[0]) for name, array in arrays.items()}
    assert list(starts) == ["dense0/bias", "dense0/weight", "dense0/gamma", "dense0/mean", "dense0/variance"]
    assert list(starts.values()) == [0, 3, 15, 18, 21]


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (DARKNET_FLOATS - 1, "implies 394 floats, the file has 393; it ends at byte 1,592, inside dense6/weight of"),
        (20, "the file has 20; it ends at byte 100, inside conv0/weight of [convolutional] of line 7"),
        (DARKNET_FLOATS + 3, "the file has 397; those from byte 1,596 belong to no layer"),
    ],
)
def test_a_float_too_many_or_too_few_is_told_by_its_place(tmp_path: Path, count: int, said: str) -> None:
    assert DARKNET_FLOATS == 394
    assert said in refusal(write(tmp_path, darknet_weights(np.zeros(count))))


def test_cut_short_anywhere_it_is_refused(tmp_path: Path) -> None:
    whole = darknet_weights(NUMBERS)
    for length in [*range(24), *range(24, len(whole), 97), *range(len(whole) - 5, len(whole))]:
        refusal(write(tmp_path, whole[:length]))
    assert "393 and 3 bytes more" in refusal(write(tmp_path, whole[:-1]))


@pytest.mark.parametrize(
    ("section", "shape"),
    [
        ("[convolutional]\nfilters=5\nsize=3\nstride=2", (5, 7, 7)),
        ("[convolutional]\nfilters=5\nsize=3\nstride=2\npad=1", (5, 8, 8)),
        ("[convolutional]\nfilters=5\nsize=3\npadding=2", (5, 18, 18)),
        ("[convolutional]\nfilters=5\nsize=1\nstride_x=2\nstride_y=4", (5, 4, 8)),
        ("[maxpool]\nsize=2\nstride=2", (3, 8, 8)),
        ("[maxpool]\nsize=3\nstride=2", (3, 8, 8)),
        ("[maxpool]\nsize=2\nstride=1", (3, 16, 16)),
        ("[maxpool]\nsize=5\nstride=1", (3, 16, 16)),
        ("[avgpool]", (3, 1, 1)),
        ("[upsample]\nstride=2", (3, 32, 32)),
        ("[reorg]\nstride=2", (12, 8, 8)),
        ("[local]\nfilters=2\nsize=3\nstride=1\npad=1", (2, 16, 16)),
        ("[crop]\ncrop_height=12\ncrop_width=10", (3, 12, 10)),
        ("[dropout]\nprobability=.5", (3, 16, 16)),
    ],
)
def test_maps_go_through_the_layers(tmp_path: Path, section: str, shape: tuple[int, int, int]) -> None:
    assert shapes(tmp_path, section) == [shape]


def test_routes(tmp_path: Path) -> None:
    conv = "[convolutional]\nfilters={}\nsize=1"
    found = shapes(
        tmp_path,
        *(conv.format(4), conv.format(6), "[route]\nlayers = -1, 0", "[route]\nlayers=1\ngroups=2\ngroup_id=1"),
        *("[route] # one comment\nlayers=-4 ; another", "[shortcut]\nfrom=-3"),
    )
    assert [shape[0] for shape in found] == [4, 6, 10, 3, 4, 4]


def test_of_two_options_of_one_name_the_first_counts(tmp_path: Path) -> None:
    assert shapes(tmp_path, "[convolutional]\nfilters=4\nfilters=5") == [(4, 16, 16)]


def test_local_layers_have_a_kernel_a_place(tmp_path: Path) -> None:
    (tmp_path / "net.cfg").write_text("[net]\nwidth=4\nheight=4\nchannels=3\n[local]\nfilters=2\nsize=3\npad=1\n")
    _, (layer,) = darknet_config.parse(tmp_path / "net.cfg")
    assert layer.weights == (("local0/bias", (2, 4, 4)), ("local0/weight", (16, 2, 3, 3, 3)))


NET = "[net]\nwidth=8\nheight=8\nchannels=3\n"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("", "first section should be [net]"),
        ("width=8\n[net]", "line 1 stands before any [section]"),
        ("[convolutional]\nfilters=3", "first section should be [net]"),
        ("[net]\nwidth=8", "width, height and channels"),
        (f"{NET}[lstm]\noutput=3", "[lstm] of line 5: layers of this kind are not read"),
        (f"{NET}[convolutional]\nfilters=many", "filters=many, which is no whole number"),
        (f"{NET}[convolutional]\nfilters={'9' * 5000}", "no whole number"),
        (f"{NET}[convolutional]\nfilters=-3", "filters=-3, which is out of range"),
        (f"{NET}[convolutional]\nstride=0", "stride=0, which is out of range"),
        (f"{NET}[convolutional]\nfilters=4\ngroups=2", "2 groups divide neither 3 channels nor 4 filters"),
        (f"{NET}[convolutional]\nsize=9", "would give [1, 0, 0] from [3, 8, 8]"),
        (f"{NET}[convolutional]\nfilters=2000000000", "would give"),
        (f"{NET}[convolutional]\ndontload=1", "dontload"),
        (f"{NET}[convolutional]\n[convolutional]\nshare_index=0\nflipped=1", "not read: flipped, share_index"),
        (f"{NET}[convolutional]\n[convolutional]\nshare_index=-1", "not read: share_index"),
        (f"{NET}[route]\nlayers=0", "layers=0, and 0 layers stand before it"),
        (f"{NET}[avgpool]\n[route]\nlayers=-2", "layers=-2, and 1 layers stand before it"),
        (f"{NET}[avgpool]\n[upsample]\n[route]\nlayers=0,1", "joins maps of several sizes"),
        (f"{NET}[avgpool]\n[shortcut]\nfrom=-1\nweights_type=per_feature", "weights of its own"),
    ],
)
def test_a_configuration_that_makes_no_network_is_refused(tmp_path: Path, config: str, said: str) -> None:
    said_too = refusal(write(tmp_path, darknet_weights(NUMBERS), config))
    assert said in said_too and "net.cfg" in said_too


def test_huge_layers_are_refused_by_counting(tmp_path: Path) -> None:
    config = "[net]\ninputs=1000000000\n[connected]\noutput=1000000000\n"
    assert "implies 1,000,000,001,000,000,000 floats" in refusal(write(tmp_path, darknet_weights(NUMBERS), config))


@pytest.mark.parametrize("header", [b"\0" * 15, struct.pack("<iiii", 0, 2, 5, 0), struct.pack("<iiii", -1, 2, 5, 0)])
def test_a_header_that_is_none(tmp_path: Path, header: bytes) -> None:
    assert "is no darknet file" in refusal(write(tmp_path, header))


def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    weights, config = write(tmp_path, darknet_weights(NUMBERS))
    config.unlink()
    assert "net.cfg is no file" in refusal((weights, config))


def test_the_nano_detector(shared_data: Path) -> None:
    stem = shared_data / "weights" / "MobileNetV2-YOLOv3-Nano-coco"
    contents = darknet_file.read(stem.with_suffix(".weights"), stem.with_suffix(".cfg"))
    assert contents.facts["floats"] == 891_070
    assert sum(array.size for array in contents.arrays.values()) == 891_070
    convolutions = [name for name in contents.arrays if name.endswith("/weight")]
    assert len(convolutions) == 59
    assert contents.arrays["conv0/weight"].shape == (16, 3, 3, 3)
    assert contents.arrays["conv1/weight"].shape == (16, 1, 3, 3)  # depthwise
    assert contents.arrays[convolutions[-1]].shape == (255, 288, 1, 1)
    # Variances tell whether the arrays are where they are said to be: one float off, and some would be negative.
    assert all((array >= 0).all() for name, array in contents.arrays.items() if name.endswith("/variance"))
    assert contents.facts["layers"][-1]["shape"] == [255, 20, 20]
