"""The table of networks: what a name gives, without torch until it is built."""

import pytest
import torch

from striate.base.errors import ModelError
from striate.models import MODELS, build
from striate.tasks.detect_form import FORMS


def test_every_row_is_complete() -> None:
    for name, row in MODELS.items():
        assert row.build.endswith(f":{name}")
        assert row.summary
        assert row.parameters > 0
        assert row.form is None or row.form in FORMS


def test_the_table_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        MODELS["mine"] = MODELS["lenet5"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        *(("resnet19", "resnet18"), ("LeNet5", "lenet5"), ("fashion-cnn", "fashion_cnn"), ("ResNet81", "resnet18")),
        *(("mobilenet", "mobilenet_v1"), ("efficientnet", "efficientnet_lite0"), ("vgg", "vgg11")),
    ],
)
def test_a_wrong_name_gets_a_hint(name: str, meant: str) -> None:
    with pytest.raises(ModelError, match=rf"no model is called '{name}'\. Did you mean '{meant}'\? striate models"):
        build(name)


def test_of_a_head_and_a_network_of_one_name_the_head_comes_first() -> None:
    for name in ("Unet", "u-net"):
        with pytest.raises(ModelError, match=r"Did you mean 'unet/efficientnet_lite0', the head on .*, or 'unet', as"):
            build(name)


@pytest.mark.parametrize("name", ["densenet", "densenet121", "shufflenet", "regnet", "convnext_tiny"])
def test_a_network_that_is_not_here_is_not_taken_for_another(name: str) -> None:
    with pytest.raises(ModelError) as error:
        build(name)
    assert str(error.value) == f"no model is called {name!r}. striate models lists the {len(MODELS)} there are"


def test_channels_are_those_of_the_preprocessing() -> None:
    with torch.device("meta"):
        assert [build(name).in_channels for name in ("lenet5", "resnet18")] == [1, 3]
        assert build("lenet5", in_channels=4).in_channels == 4


def test_a_seed_fixes_the_weights_and_leaves_the_random_state() -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    one, same, other = (build("lenet5", classes=10, seed=seed) for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.c1.weight, same.c1.weight)
    assert not torch.equal(one.c1.weight, other.c1.weight)


def test_without_a_seed_the_global_state_decides() -> None:
    torch.manual_seed(4)
    one = build("lenet5", classes=10)
    torch.manual_seed(4)
    assert torch.equal(one.f6.weight, build("lenet5", classes=10).f6.weight)


def test_preprocessing_from_scratch() -> None:
    lenet, fashion = MODELS["lenet5"].preprocess, MODELS["fashion_cnn"].preprocess
    assert (lenet.channels, lenet.size, lenet.border, lenet.resize) == ("grey", (32, 32), 2, "stretch")
    assert (lenet.unit, lenet.mean, lenet.scale) == (255.0, (0.1307,), (0.3081,))
    assert (fashion.channels, fashion.size, fashion.border, fashion.resize) == ("grey", (28, 28), 0, "stretch")
    assert (fashion.mean, fashion.scale) == ((0.2860,), (0.3530,))
    for name in ("resnet18", "resnet34", "efficientnet_lite0"):
        assert MODELS[name].preprocess.size == (224, 224)
        assert MODELS[name].preprocess.crop_fraction == 0.875
    lite = MODELS["efficientnet_lite0"].preprocess
    assert (lite.unit, lite.interpolation) == (1.0, "bicubic")
    assert {*lite.mean, *lite.scale} == {127.0, 128.0}
