"""Keras' files by the structure of each format, made here with h5py, and files that nobody honest would make."""

import json
import struct
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from striate.base.errors import WeightsError
from striate.weights.readers.hdf5 import MOST_OBJECTS, broken_heap
from striate.weights.readers.keras_config import Layer, by_automatic_name, snake_case, variable_names
from striate.weights.readers.keras_file import read

Arrays = dict[str, np.ndarray]


def drawn(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def write_named(group: Any, layers: dict[str, Arrays]) -> None:
    """As Keras 1 and 2 do it: what is what stands in attributes."""
    group.attrs["layer_names"] = [name.encode() for name in layers]
    for name, weights in layers.items():
        inner = group.create_group(name)
        inner.attrs["weight_names"] = np.array([weight.encode() for weight in weights], dtype="S")
        for weight, array in weights.items():
            inner[weight] = array


def write_numbered(group: Any, layers: dict[str, list[np.ndarray]]) -> None:
    """As Keras 3 does it: ``{"layers/conv2d": [kernel, bias]}``."""
    for name, arrays in layers.items():
        inner = group.create_group(f"{name}/vars")
        for number, array in enumerate(arrays):
            inner[str(number)] = array


def archive(path: Path, config: Any, layers: dict[str, list[np.ndarray]]) -> Path:
    weights = BytesIO()
    with h5py.File(weights, "w") as file:
        write_numbered(file, layers)
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("metadata.json", "{}")
        packed.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
        packed.writestr("model.weights.h5", weights.getvalue())
    return path


def layer(kind: str, name: str, **settings: Any) -> dict:
    return {"module": "keras.layers", "class_name": kind, "config": {"name": name, **settings}}


def model(kind: str, name: str, *layers: dict) -> dict:
    return layer(kind, name, layers=list(layers))


# The formats


def test_weights_of_keras_2(tmp_path: Path) -> None:
    kernel, bias, small, gamma = drawn((3, 3, 2, 4), (4,), (1, 1, 4, 2), (4,))
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.attrs["keras_version"] = b"2.2.4"
        write_named(
            file,
            {
                "input_1": {},
                "conv1": {"conv1_1/kernel:0": kernel, "conv1_1/bias:0": bias},  # a name that was taken in its session
                "fire2/squeeze1x1": {"fire2/squeeze1x1/kernel:0": small},
                "norm": {"norm/gamma_3:0": gamma},
                "own": {"own/alpha:0": gamma},
            },
        )
    contents = read(tmp_path / "w.h5")
    assert list(contents.arrays) == ["conv1/kernel", "conv1/bias", "fire2/squeeze1x1/kernel", "norm/gamma", "own/alpha"]
    np.testing.assert_array_equal(contents.arrays["conv1/kernel"], kernel)
    np.testing.assert_array_equal(contents.arrays["fire2/squeeze1x1/kernel"], small)
    assert contents.facts["order"] == ["conv1", "fire2/squeeze1x1", "norm", "own"]
    assert contents.facts["keras_version"] == "2.2.4"
    assert contents.facts["layers"] == {}


def test_weights_of_keras_1(tmp_path: Path) -> None:
    kernel, vector = drawn((3, 3, 2, 4), (4,))
    norm = {f"bn2a_{name}:0": vector for name in ("gamma", "beta", "running_mean", "running_std")}
    convolution = {"block1_conv1_W_1:0": kernel, "block1_conv1_b_1:0": vector}
    with h5py.File(tmp_path / "w.h5", "w") as file:
        write_named(file, {"block1_conv1": convolution, "bn2a": norm})
    assert list(read(tmp_path / "w.h5").arrays) == [
        *("block1_conv1/kernel", "block1_conv1/bias"),
        *("bn2a/gamma", "bn2a/beta", "bn2a/moving_mean", "bn2a/moving_variance"),
    ]


def test_lists_too_long_for_one_attribute(tmp_path: Path) -> None:
    (array,) = drawn((2,))
    names = [f"layer{number}" for number in range(6)]
    with h5py.File(tmp_path / "w.h5", "w") as file:
        write_named(file, {name: {f"{name}/bias:0": array + n} for n, name in enumerate(names)})
        listed = file.attrs["layer_names"]
        del file.attrs["layer_names"]
        for part in range(3):
            file.attrs[f"layer_names{part}"] = listed[2 * part : 2 * part + 2]
    found = read(tmp_path / "w.h5").arrays
    assert list(found) == [f"{name}/bias" for name in names]
    np.testing.assert_array_equal(found["layer5/bias"], array + 5)


CONV = layer("Conv2D", "first", padding="same", data_format="channels_last", kernel_size=[3, 3])
NORM = layer("BatchNormalization", "norm", epsilon=0.002, scale=True, center=True)
HEAD = layer("Dense", "answers")


def test_a_whole_model_with_a_model_inside(tmp_path: Path) -> None:
    """Inside it, the trained arrays are listed first; the description has the layers' order."""
    kernel, vector, dense = drawn((3, 3, 2, 4), (4,), (4, 2))
    images = {"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": [None, 8, 9, 2]}}
    config = model("Functional", "whole", images, model("Functional", "base", CONV, NORM), HEAD)
    inner = {"norm/gamma": vector, "norm/beta": vector, "base/first/kernel": kernel, "norm/moving_mean": vector}
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        weights = file.create_group("model_weights")
        write_named(weights, {"base": inner, "answers": {"whole/answers/kernel": dense}})
        file.create_group("optimizer_weights")["velocity"] = vector
    contents = read(tmp_path / "m.h5")
    assert list(contents.arrays) == [
        *("first/kernel", "norm/gamma", "norm/beta", "norm/moving_mean", "answers/kernel"),
    ]
    facts = contents.facts
    assert facts["layers"]["norm"] == {"class": "BatchNormalization", "epsilon": 0.002}
    assert facts["layers"]["first"] == {"class": "Conv2D", "padding": "same", "data_format": "channels_last"}
    assert facts["order"] == ["first", "norm", "answers"]
    assert facts["ignored"] == ["optimizer_weights"]
    assert facts["nested"] == ["base"]
    assert (facts["model"], facts["input"]) == ("whole", [8, 9, 2])


def test_a_sequential_of_keras_1_is_described_by_a_list(tmp_path: Path) -> None:
    (dense,) = drawn((4, 2))
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": [HEAD]}).encode()
        write_named(file.create_group("model_weights"), {"answers": {"answers_W": dense}})
    contents = read(tmp_path / "m.h5")
    assert list(contents.arrays) == ["answers/kernel"]
    assert contents.facts["layers"]["answers"]["class"] == "Dense"


def test_a_model_inside_without_description(tmp_path: Path) -> None:
    kernel, vector = drawn((3, 3, 2, 4), (4,))
    with h5py.File(tmp_path / "w.h5", "w") as file:
        write_named(file, {"base": {"fire2/squeeze/kernel:0": kernel, "base/conv10/bias:0": vector}})
    contents = read(tmp_path / "w.h5")
    assert list(contents.arrays) == ["fire2/squeeze/kernel", "conv10/bias"]
    assert contents.facts["nested"] == ["base"]


def test_two_models_with_layers_of_one_name(tmp_path: Path) -> None:
    left, right, dense = drawn((3, 3, 2, 4), (3, 3, 2, 4), (4, 2))
    other = layer("Conv2D", "other")
    config = model("Functional", "pair", model("Functional", "a", CONV, other), model("Functional", "b", CONV), HEAD)
    layers = {
        "layers/functional/layers/conv2d": [left],
        "layers/functional/layers/conv2d_1": [left],
        "layers/functional_1/layers/conv2d": [right],
        "layers/dense": [dense],
    }
    contents = read(archive(tmp_path / "m.keras", config, layers))
    assert list(contents.arrays) == ["a/first/kernel", "other/kernel", "b/first/kernel", "answers/kernel"]
    np.testing.assert_array_equal(contents.arrays["b/first/kernel"], right)
    assert set(contents.facts["layers"]) >= {"a/first", "b/first", "other", "answers"}


def test_numbered_weights_know_classes_and_order(tmp_path: Path) -> None:
    """Eleven convolutions: the tenth's number sorts by its value, not as text."""
    kernels = drawn(*[(1, 1, 2, 2)] * 11)
    (vector,) = drawn((2,))
    layers = {f"layers/conv2d{f'_{n}' if n else ''}": [kernel] for n, kernel in enumerate(kernels)}
    layers |= {
        "layers/separable_conv2d": [*drawn((3, 3, 2, 1), (1, 1, 2, 2)), vector],
        "layers/batch_normalization": [vector, vector + 1, vector + 2, vector + 3],
        "layers/batch_normalization_1": [vector, vector + 1, vector + 2],
        "layers/dropout/seed_generator": [np.array([1, 2], dtype=np.uint32)],
        "layers/somebodys_own": [vector],
        "optimizer": [vector],
    }
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        write_numbered(file, layers)
    contents = read(tmp_path / "w.weights.h5")
    found = [name for name in contents.arrays if name.startswith("conv2d")]
    assert found == ["conv2d/kernel", *(f"conv2d_{n}/kernel" for n in range(1, 11))]
    for name, kernel in zip(found, kernels, strict=True):
        np.testing.assert_array_equal(contents.arrays[name], kernel)
    np.testing.assert_array_equal(contents.arrays["batch_normalization/moving_variance"], vector + 3)
    np.testing.assert_array_equal(contents.arrays["batch_normalization_1/moving_mean"], vector + 1)
    assert "batch_normalization_1/gamma" not in contents.arrays
    assert {"separable_conv2d/pointwise_kernel", "separable_conv2d/bias", "somebodys_own/0"} <= set(contents.arrays)
    assert contents.facts["layers"]["conv2d_3"] == {"class": "Conv2D"}
    assert contents.facts["ignored"] == ["optimizer", "layers/dropout/seed_generator/vars/0"]


def test_newer_numbered_weights_know_names(tmp_path: Path) -> None:
    kernels = drawn(*[(1, 1, 2, 2)] * 3)
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        write_numbered(file, dict(zip(("layers/conv2d", "layers/conv2d_1", "layers/model/x"), kernels, strict=True)))
        file["layers/conv2d/vars"].attrs["name"] = "stem"
        file["layers/conv2d_1/vars"].attrs["name"] = "body"
    assert list(read(tmp_path / "w.weights.h5").arrays)[:2] == ["stem/kernel", "body/kernel"]


def test_an_archive_gives_layers_their_names(tmp_path: Path) -> None:
    """Operations stand among the layers of the description, and not in the file."""
    first, second, dense, vector = drawn((1, 1, 2, 2), (1, 1, 2, 2), (2, 3), (2,))
    operation = {"module": "keras.src.ops.numpy", "class_name": "Conv2D", "config": {"name": "an_operation"}}
    unscaled = layer("BatchNormalization", "norm", epsilon=0.1, scale=False)
    second_layer = layer("Conv2D", "second")
    config = model("Functional", "net", CONV, operation, unscaled, second_layer, layer("Dropout", "dice"), HEAD)
    layers = {
        "layers/dense": [dense],
        "layers/conv2d_1": [second],
        "layers/conv2d": [first],
        "layers/batch_normalization": [vector, vector + 1, vector + 2],
    }
    contents = read(archive(tmp_path / "m.keras", config, layers))
    assert list(contents.arrays) == [
        *("first/kernel", "norm/beta", "norm/moving_mean", "norm/moving_variance", "second/kernel", "answers/kernel"),
    ]
    np.testing.assert_array_equal(contents.arrays["first/kernel"], first)
    np.testing.assert_array_equal(contents.arrays["second/kernel"], second)
    np.testing.assert_array_equal(contents.arrays["norm/moving_mean"], vector + 1)
    assert contents.facts["layers"]["norm"] == {"class": "BatchNormalization", "epsilon": 0.1}
    assert contents.container == "Keras 3 archive"


def test_early_archives_leave_numbers_out(tmp_path: Path) -> None:
    first, second = drawn((1, 1, 2, 2), (1, 1, 2, 2))
    config = model("Functional", "net", CONV, layer("Conv2D", "second"))
    place = "_layer_checkpoint_dependencies"
    found = read(archive(tmp_path / "m.keras", config, {f"{place}/conv2d": [first], f"{place}/conv2d_2": [second]}))
    assert list(found.arrays) == ["first/kernel", "second/kernel"]
    np.testing.assert_array_equal(found.arrays["second/kernel"], second)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        *[("Conv2D", "conv2d"), ("DepthwiseConv2D", "depthwise_conv2d"), ("SeparableConv2D", "separable_conv2d")],
        *[("BatchNormalization", "batch_normalization"), ("ReLU", "re_lu"), ("InputLayer", "input_layer")],
    ],
)
def test_snake_case(name: str, written: str) -> None:
    assert snake_case(name) == written


def test_names_that_cannot_be_matched_stay() -> None:
    layers = [Layer("a", "Conv2D", {}), Layer("b", "Conv2D", {})]
    assert by_automatic_name(["conv2d", "conv2d_1"], layers) == {"conv2d": layers[0], "conv2d_1": layers[1]}
    assert by_automatic_name(["conv2d_4", "dense"], layers) == {}


@pytest.mark.parametrize(
    ("settings", "count", "names"),
    [
        ({}, 4, ("gamma", "beta", "moving_mean", "moving_variance")),
        ({"scale": False}, 3, ("beta", "moving_mean", "moving_variance")),
        ({"center": False}, 3, ("gamma", "moving_mean", "moving_variance")),
        ({"scale": False, "center": False}, 2, ("moving_mean", "moving_variance")),
        ({}, 3, ("beta", "moving_mean", "moving_variance")),
        ({}, 2, ("moving_mean", "moving_variance")),
        ({}, 5, ("0", "1", "2", "3", "4")),
    ],
)
def test_which_variables_a_norm_has(settings: dict, count: int, names: tuple[str, ...]) -> None:
    assert variable_names("BatchNormalization", settings, count) == names


# Kinds of numbers


def test_numbers_become_float32_and_int64(tmp_path: Path) -> None:
    values = np.array([1.5, -2.0, 0.15625], dtype=np.float32)
    brain = (values.view(np.uint32) >> 16).astype(np.uint16)
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        write_numbered(file, {"layers/dense": [values.astype(np.float16), values.astype(">f8")]})
        write_numbered(file, {"layers/own": [np.array([1, 2], dtype=np.uint8)]})
        file["layers/dense/vars/2"] = brain.view("V2")
        file["layers/dense/vars/2"].attrs["dtype"] = "bfloat16"
    found = read(tmp_path / "w.weights.h5").arrays
    for number in range(3):
        assert found[f"dense/{number}"].dtype == np.dtype("float32")
        np.testing.assert_array_equal(found[f"dense/{number}"], values)
    assert found["own/0"].dtype == np.dtype("int64")
    assert list(found["own/0"]) == [1, 2]


def test_packed_weights_are_read(tmp_path: Path) -> None:
    (kernel,) = drawn((3, 3, 8, 8))
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        group = file.create_group("layers/conv2d/vars")
        group.create_dataset("0", data=kernel, compression="gzip", shuffle=True, fletcher32=True)
    np.testing.assert_array_equal(read(tmp_path / "w.weights.h5").arrays["conv2d/kernel"], kernel)


# Files that nobody honest makes


def bomb(group: Any) -> None:
    group.create_dataset("0", shape=(1 << 14, 1 << 14), dtype="f4", chunks=(1024, 1024), compression="gzip")
    group["0"][0, 0] = 1


def hollow(group: Any) -> None:
    group.create_dataset("0", shape=(1 << 17, 1 << 17), dtype="f4")  # 64 GiB, never written


def links(make: Callable[[], Any]) -> Callable[[Any], None]:
    def write(group: Any) -> None:
        group["0"] = make()

    return write


def virtual(group: Any) -> None:
    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource("other.h5", "secret", shape=(4,))
    group.create_virtual_dataset("0", layout)


def external(group: Any) -> None:
    group.create_dataset("0", shape=(4,), dtype="f4", external=[("/etc/passwd", 0, 16)])


def many(group: Any) -> None:
    """A group that holds itself twice: as deep and wide as anybody walks."""
    group["a"] = group
    group["b"] = group


def twice(group: Any) -> None:
    """One array under many names could fill any memory."""
    group["0"] = np.ones(4, dtype=np.float32)
    group["1"] = group["0"]


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (bomb, "declares 1073741824 bytes and stores"),
        (hollow, "declares 68719476736 bytes, more than the file has"),
        (links(lambda: h5py.ExternalLink("/etc/passwd", "/")), "link to another place or file"),
        (links(lambda: h5py.SoftLink("/optimizer")), "link to another place or file"),
        (virtual, "in another file or dataset"),
        (external, "in another file or dataset"),
        (many, "more than"),
        (twice, "vars/1 is an array that has another name too"),
        (links(lambda: np.array([b"text", b"more"])), "not numbers"),
        (links(lambda: np.array([1 + 2j])), "not numbers"),
        (links(lambda: np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f4")])), "not numbers"),
        (links(lambda: h5py.Empty("f4")), "has no shape"),
    ],
)
def test_what_weights_never_need_is_refused(write: Callable[[Any], None], reason: str, tmp_path: Path) -> None:
    path = tmp_path / "w.weights.h5"
    with h5py.File(path, "w") as file:
        write(file.create_group("layers/conv2d/vars"))
    with pytest.raises(WeightsError, match=reason) as caught:
        read(path)
    assert MOST_OBJECTS == 50_000 and len(str(caught.value)) < 400


def test_named_weights_are_checked_too(tmp_path: Path) -> None:
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        write_named(file, {"a": {"a/kernel:0": np.ones((2, 2))}})
        file["a"].attrs["weight_names"] = [b"a/kernel:0", b"a/bias:0"]
    with pytest.raises(WeightsError, match="a/a/bias:0 is listed in weight_names, but is not there"):
        read(path)
    with h5py.File(path, "a") as file:
        file["a"].attrs["weight_names"] = [b"a/kernel:0", b"a/kernel:0"]
    with pytest.raises(WeightsError, match="twice"):
        read(path)
    with h5py.File(path, "a") as file:
        file["a"].attrs["weight_names"] = [b"a/kernel:0"]
        file.attrs["layer_names"] = [b"a", b"b"]
        file["b"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(WeightsError, match="b is a link"):
        read(path)


def test_hdf5_of_others_is_named_as_such(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["measurements"] = np.ones(3)
    with pytest.raises(WeightsError, match="none of Keras: it has measurements"):
        read(tmp_path / "w.h5")
    with h5py.File(tmp_path / "w.h5", "w") as file:
        write_named(file, {"input_1": {}})
    with pytest.raises(WeightsError, match="holds no weights"):
        read(tmp_path / "w.h5")


def test_truncated_files(tmp_path: Path) -> None:
    config = model("Functional", "net", CONV)
    whole = archive(tmp_path / "m.keras", config, {"layers/conv2d": drawn((3, 3, 2, 4))}).read_bytes()
    with h5py.File(tmp_path / "w.h5", "w") as file:
        write_named(file, {"a": {"a/kernel:0": np.ones((8, 8), dtype=np.float32)}})
    for data, name in ((whole, "cut.keras"), ((tmp_path / "w.h5").read_bytes(), "cut.h5")):
        for length in [0, 1, 3, 7, 8, 40, *range(100, len(data), 211)]:
            (tmp_path / name).write_bytes(data[:length])
            with pytest.raises(WeightsError):
                read(tmp_path / name)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("{", "damaged"),
        ("[1, 2]", "does not describe layers"),
        ('{"class_name": "Functional"}', "does not describe layers"),
        ("[" * 100_000, "damaged|without end"),
        ('{"class_name": "M", "config": {"layers": [' * 40 + "]}}" * 40, "does not describe layers"),
    ],
)
def test_archives_with_other_descriptions(config: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=reason):
        read(archive(tmp_path / "m.keras", config, {"layers/conv2d": drawn((3, 3, 2, 4))}))


def test_archives_that_lack_or_hide_something(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("config.json", "{}")
    with pytest.raises(WeightsError, match=r"without model\.weights\.h5"):
        read(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("config.json", json.dumps(model("Functional", "net", CONV)))
        packed.writestr("model.weights.h5", bytes(50_000_000))
    with pytest.raises(WeightsError, match=r"unpacks from \d+ to 50000000 bytes"):
        read(path)


@pytest.mark.parametrize(
    ("size", "objects", "broken"),
    [
        (4096, [(1, 10), (0, 4096 - 16 - 32)], False),
        (4096, [(0, 4080)], False),
        (4096, [(1, 4064)], False),
        (4096, [(1, 10), (0, 0)], True),  # HDF5 would look at this place for ever
        (4096, [(1, 5000)], True),
        (4096, [(1, (1 << 64) - 16)], True),
        (64, [(1, 5000)], False),  # no heap is so small: numbers that look like one
    ],
)
@pytest.mark.parametrize("unused", [b"\0\0\0", b"\x10\0\0"])
def test_heaps_that_do_not_hold_together(
    size: int, objects: list[tuple[int, int]], broken: bool, unused: bytes
) -> None:
    heap = bytearray(b"GCOL\x01" + unused + size.to_bytes(8, "little"))
    for index, length in objects:
        heap += struct.pack("<HHIQ", index, 1, 0, length)
        heap += bytes((length + 7) // 8 * 8) if index and length < 4096 else b""
    assert broken_heap(b"before" + bytes(heap).ljust(4096, b"\0") + b"after") == broken


def test_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "names.h5"
    with h5py.File(path, "w") as file:
        file.create_group("layers/dense/vars")
        file.create_group(b"\xff\xfe")
    with pytest.raises(WeightsError, match="a name that is no text"):
        read(path)
