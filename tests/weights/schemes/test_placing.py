"""Which scheme a file is written in, what may be missing, and what is said when it does not fit."""

from pathlib import Path

import numpy as np
import pytest
import torch

from striate.base.errors import ModelError, WeightsError
from striate.models import MODELS, build
from striate.weights.readers import torch_file
from striate.weights.schemes import SCHEMES, place
from striate.weights.schemes.table import Scheme, function_at


def test_our_own_names(arrays_of, foreign_of) -> None:
    arrays = arrays_of("lenet5", classes=10)
    placed = place(foreign_of(arrays), "lenet5", classes=10)
    assert (placed.model, placed.scheme, placed.classes, placed.in_channels) == ("lenet5", "own", 10, 1)
    assert placed.fresh == ()
    assert placed.tensors.keys() == arrays.keys()
    assert all(np.array_equal(placed.tensors[name].numpy(), arrays[name]) for name in arrays)


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_channels_are_the_files(channels: int, arrays_of, foreign_of) -> None:
    placed = place(foreign_of(arrays_of("resnet20", classes=10, in_channels=channels)), "resnet20", classes=10)
    assert placed.in_channels == channels
    network = build("resnet20", classes=10, in_channels=channels)
    network.load_state_dict(placed.tensors)


def test_counters_may_be_missing(arrays_of, foreign_of) -> None:
    arrays = {name: array for name, array in arrays_of("resnet20", classes=10).items() if "num_batches" not in name}
    assert len(place(foreign_of(arrays), "resnet20", classes=10).tensors) == 97


@pytest.fixture(scope="module")
def googlenet(arrays_of) -> dict[str, np.ndarray]:
    return arrays_of("googlenet", classes=3)


def test_auxiliary_heads_may_be_missing(googlenet: dict[str, np.ndarray], foreign_of) -> None:
    """One by one; a fresh one is begun, the same every time."""
    kept = {name: array for name, array in googlenet.items() if not name.startswith("aux2.")}
    placed = place(foreign_of(kept), "googlenet", classes=3)
    assert placed.fresh == tuple(name for name in googlenet if name.startswith("aux2."))
    assert placed.tensors.keys() == googlenet.keys()
    assert all(np.array_equal(placed.tensors[name].numpy(), kept[name]) for name in kept)
    assert 0 < placed.tensors["aux2.fc1.weight"].std().item() < 1
    again = place(foreign_of(kept), "googlenet", classes=3)
    assert torch.equal(placed.tensors["aux2.fc1.weight"], again.tensors["aux2.fc1.weight"])
    without = {name: array for name, array in kept.items() if not name.startswith("aux")}
    assert len(place(foreign_of(without), "googlenet", classes=3).fresh) == 12


def test_half_an_auxiliary_head_is_refused(googlenet: dict[str, np.ndarray], foreign_of) -> None:
    kept = {name: array for name, array in googlenet.items() if name != "aux2.fc1.bias"}
    with pytest.raises(WeightsError, match=r"1 missing \(aux2\.fc1\.bias\)"):
        place(foreign_of(kept), "googlenet", classes=3)


def test_a_list_of_so_many_classes_is_named(arrays_of, foreign_of) -> None:
    with pytest.raises(WeightsError, match=r"; give --classes cifar10, or digits, or 10$"):
        place(foreign_of(arrays_of("resnet20", classes=10)), "resnet20", classes=20)


def test_the_file_answers_with_other_classes(arrays_of, foreign_of) -> None:
    foreign = foreign_of(arrays_of("resnet20", classes=19))
    with pytest.raises(
        WeightsError,
        match=r"^weights\.file: the file answers with 19 classes, 1000 were asked for; give --classes 19$",
    ):
        place(foreign, "resnet20", classes=1000)
    placed = place(foreign, "resnet20", classes=7, fresh_head=True)
    assert placed.fresh == ("linear.weight", "linear.bias")
    assert placed.tensors["linear.weight"].shape == (7, 64)
    assert np.array_equal(placed.tensors["conv1.weight"].numpy(), foreign.arrays["conv1.weight"])


def test_a_missing_head_must_be_asked_for(arrays_of, foreign_of) -> None:
    foreign = foreign_of({name: a for name, a in arrays_of("resnet20", classes=10).items() if "linear" not in name})
    with pytest.raises(
        WeightsError, match=r"but for the layers that answer.*\(linear\.weight, linear\.bias;.*fresh_head"
    ):
        place(foreign, "resnet20", classes=10)
    assert place(foreign, "resnet20", classes=4, fresh_head=True).fresh == ("linear.weight", "linear.bias")


def test_a_head_of_another_shape_is_said_as_such(arrays_of, foreign_of) -> None:
    arrays = arrays_of("resnet20", classes=10) | {"linear.weight": np.zeros((12, 63), np.float32)}
    with pytest.raises(WeightsError, match=r"1 misshapen \(linear\.weight is \[12, 63\], expected \[10, 64\]\)"):
        place(foreign_of(arrays), "resnet20", classes=10)


def test_what_does_not_fit_is_listed_under_the_closest_scheme(foreign_of) -> None:
    arrays = {f"features.{number}.weight": np.zeros((2, 2, 3, 3), np.float32) for number in (0, 3, 6)}
    with pytest.raises(WeightsError) as caught:
        place(foreign_of(arrays | {"odd": np.zeros(3)}), "alexnet", classes=1000)
    assert str(caught.value).startswith(
        "weights.file: does not fit alexnet, which means alexnet_single in such files, of 1000 classes, "
        "read as torchvision's numbered layers, of any version; timm's VGG: 13 missing ("
    )
    assert "1 unexpected (odd)" in str(caught.value)
    assert "3 misshapen (conv1.weight is [2, 2, 3, 3], expected [64, 3, 11, 11]" in str(caught.value)


def test_an_origin_that_knows_no_such_network(foreign_of) -> None:
    with pytest.raises(WeightsError, match=r"weights of lenet5 in caffe files are not known.*alexnet, googlenet"):
        place(foreign_of({}, "caffe"), "lenet5", classes=10)


def test_a_wrong_name_is_said_first(foreign_of) -> None:
    with pytest.raises(ModelError, match=r"Did you mean 'googlenet'\?"):
        place(foreign_of({}), "googlenett", classes=10)


def test_rows() -> None:
    """Every row names a function that is there and networks that are."""
    for name, row in SCHEMES.items():
        assert callable(function_at(row.convert)), name
        assert row.summary
        assert {*row.models, *row.models.values()} <= set(MODELS), name


MINE = {name: row for name, row in SCHEMES.items() if "keras" not in row.origins and row.describe is None}
ODD_NAMES = (
    *("", ".", "/", "..", "weight", "/0", "conv1", "conv1/", "conv1/0/1", "a" * 9999, "\n", "\x00.weight"),
    *(
        "features..weight",
        f"features.{10**30}.weight",
        "features.-1.weight",
        "features.٣.weight",
        "features.0.0.0.0.0.weight",
    ),
    *("blocks.9999.9999.conv_pw.weight", "_blocks.٣._bn1.weight", "_blocks.._bn1.weight", "_blocks.x", "_blocks.0"),
    *("layer1.9999.conv1.weight", "resnet.encoder.stages.9999.layers.0.layer.9999.convolution.weight"),
    *("bn_conv1/0", "bn_conv1/1", "bn_conv1/2", "conv1/0", "conv1/1", "conv6/dw/0", "conv5_6/sep/scale/0", "fc7/0"),
    *("res2z_branch1/0", "bn2a_branch1/2", "conv2_9_3x3/bn/0", "conv2_1_1x1_down/bn/0", "conv0/weight", "conv0/gamma"),
    *("conv0/variance", "dense1/bias", "bn1.weight", "bn1.running_var", "conv_stem.weight", "conv1.weight", "fc.bias"),
)
ODD_SHAPES = ((), (0,), (1,), (3, 0), (1, 1, 1, 1), (64, 0, 7, 7), (2,) * 12, (1 << 20, 0), (32,), (64, 3, 7, 7))


@pytest.mark.parametrize("name", MINE)
def test_no_file_is_too_odd(name: str, foreign_of) -> None:
    """Whatever names and shapes a file has, a scheme gives every array back, and placing says what does not fit."""
    row: Scheme = MINE[name]
    model = min(row.models.values(), key=lambda each: MODELS[each].parameters)
    with torch.device("meta"):
        network = build(model)
    for shape in ODD_SHAPES:
        for array in (np.full(shape, np.nan, np.float32), np.full(shape, -1)):
            foreign = foreign_of(dict.fromkeys(ODD_NAMES, array), row.origins[0])
            tensors = function_at(row.convert)(foreign, network)
            assert tensors
            assert len(tensors) == len(ODD_NAMES) or row.origins != ("torch", "safetensors")
    with pytest.raises(WeightsError, match="unexpected"):
        place(foreign, model, classes=MODELS[model].classes)


def test_arrays_that_cannot_be_written_to(arrays_of, foreign_of) -> None:
    """A reader may hand over the file's own bytes; a Fortran order comes from those that turn kernels round."""
    arrays = arrays_of("lenet5", classes=10)
    for array in arrays.values():
        array.flags.writeable = False
    turned = {name: np.asfortranarray(array) for name, array in arrays.items()}
    for given in (arrays, turned):
        placed = place(foreign_of(given), "lenet5", classes=10)
        assert all(np.array_equal(placed.tensors[name].numpy(), arrays[name]) for name in arrays)


def test_a_real_file_for_another_network(shared_data: Path, foreign_of) -> None:
    contents = torch_file.read(shared_data / "weights" / "mobilenet_v2-b0353104.pth")
    with pytest.raises(WeightsError, match=r"does not fit resnet18 of 1000 classes, read as .*missing.*unexpected"):
        place(foreign_of(contents.arrays), "resnet18", classes=1000)
