"""Networks with weights: what is loaded, what is fresh, and what does not fit."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from striate.base.errors import ModelError, WeightsError
from striate.models import HEADS, build
from striate.weights import PRETRAINED, as_named, conversion, create, imagenet_classes, load_state
from striate.weights import pretrained as table
from striate.weights.pretrained import (
    by_name,
    comes_along,
    has_pretrained,
    none_of,
    pretrained_name,
    pretrained_part,
    sets_for,
)
from tests.models.toys import PLACES


@pytest.fixture(scope="module")
def pretrained():
    return create("efficientnet_lite0", weights="pretrained").eval()


def same_tensors(one, other) -> set[str]:
    theirs = other.state_dict()
    return {n for n, t in one.state_dict().items() if t.shape == theirs[n].shape and torch.equal(t, theirs[n])}


def test_fresh_weights_by_default() -> None:
    one, other = create("lenet5", classes=10, seed=1), build("lenet5", classes=10, seed=1)
    assert same_tensors(one, other) == set(one.state_dict())


def test_pretrained_weights_are_there(pretrained) -> None:
    assert pretrained.classes == 1000
    fresh = build("efficientnet_lite0", seed=0)
    assert not any(n.endswith("weight") for n in same_tensors(pretrained, fresh))


@pytest.mark.parametrize("classes", [5, ["a", "b", "c"], [f"class {n}" for n in range(1000)]])
def test_other_classes_get_a_fresh_head_and_keep_the_rest(pretrained, classes) -> None:
    network = create("efficientnet_lite0", classes=classes, weights="pretrained", seed=7)
    number = classes if isinstance(classes, int) else len(classes)
    assert network.classes == number
    head = {"classifier.weight", "classifier.bias"}
    assert same_tensors(network, pretrained) == set(network.state_dict()) - head
    fresh = build("efficientnet_lite0", classes=number, seed=7)
    assert torch.equal(network.classifier.weight, fresh.classifier.weight)


def test_a_head_on_a_backbone_gets_the_backbones(pretrained, monkeypatch) -> None:
    monkeypatch.setitem(HEADS, "toy", PLACES)
    said: list[str] = []
    network = create("toy/efficientnet_lite0", weights="pretrained", seed=5, on_notice=said.append)
    theirs, ours = pretrained.state_dict(), network.state_dict()
    body = [name for name in ours if name.startswith("backbone.")]
    assert len(body) > 100
    assert all(torch.equal(ours[name], theirs[name.removeprefix("backbone.")]) for name in body)
    fresh = build("toy/efficientnet_lite0", seed=5).state_dict()
    assert all(torch.equal(ours[name], fresh[name]) for name in ours if name not in body)
    grey = create("toy/efficientnet_lite0", weights="pretrained", in_channels=1)
    assert grey.backbone.conv_stem.weight.shape == (32, 1, 3, 3)
    assert (pretrained_name("toy/resnet18"), has_pretrained("toy/resnet18")) == ("resnet18", True)
    assert pretrained_part("toy/efficientnet_lite0") is PRETRAINED["efficientnet_lite0"]
    assert sets_for("toy/resnet18") == sets_for("resnet18")
    assert comes_along("toy/efficientnet_lite0") and not comes_along("toy/resnet18")
    assert "toy/resnet18" not in by_name() and not has_pretrained("toy/lenet5")
    assert none_of("toy/lenet5").startswith("there are no pretrained weights of lenet5; there are of")
    with pytest.raises(WeightsError, match="weights of vgg13 are not verified here"):
        create("toy/vgg13", weights="pretrained")


def test_weights_of_the_whole_come_before_the_backbones(monkeypatch) -> None:
    monkeypatch.setitem(HEADS, "toy", PLACES)
    name, row = "toy/efficientnet_lite0", replace(PRETRAINED["efficientnet_lite0"], classes="digits")
    monkeypatch.setattr(table, "PRETRAINED", {**PRETRAINED, name: row})
    published = build(name, classes=10, seed=1).state_dict()
    asked = []
    monkeypatch.setattr(conversion, "pretrained_tensors", lambda name, *, on_notice: asked.append(name) or published)
    assert same_tensors(create(name, classes=10, weights="pretrained"), build(name, classes=10, seed=1)) == {*published}
    other = create(name, classes=3, weights="pretrained", seed=2).state_dict()
    assert all(torch.equal(other[path], published[path]) for path in other if path.startswith("backbone."))
    assert other["head.scores.weight"].shape[0] == 3
    assert asked == [name, name]


def test_usual_classes_and_further_arguments() -> None:
    assert create("lenet5").classes == 10
    network = create("efficientnet_lite0", classes=2, arguments={"stochastic_depth": 0.5})
    assert network.stage6[1].drop.rate > 0
    with pytest.raises(ModelError, match="Did you mean 'stochastic_depth'"):
        create("efficientnet_lite0", arguments={"stochastic_deph": 0.5})


def test_the_same_classes_by_name_or_id_keep_the_head(pretrained) -> None:
    for names in imagenet_classes():
        network = create("efficientnet_lite0", classes=names, weights="pretrained")
        assert torch.equal(network.classifier.weight, pretrained.classifier.weight)


def test_grey_answers_as_rgb_of_equal_channels(pretrained) -> None:
    grey = create("efficientnet_lite0", weights="pretrained", in_channels=1).eval()
    five = create("efficientnet_lite0", weights="pretrained", in_channels=5).eval()
    x = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        wanted = pretrained(x.repeat(1, 3, 1, 1))
        torch.testing.assert_close(grey(x), wanted, rtol=0, atol=1e-3)
        torch.testing.assert_close(five(x.repeat(1, 5, 1, 1)), wanted, rtol=0, atol=1e-3)


def test_a_file_of_weights(tmp_path: Path) -> None:
    path = tmp_path / "lenet.safetensors"
    trained = build("lenet5", classes=10, seed=3)
    save_file(trained.state_dict(), path)
    assert same_tensors(create("lenet5", classes=10, weights=path), trained) == set(trained.state_dict())
    other = create("lenet5", classes=4, weights=str(path))
    assert same_tensors(other, trained) == set(trained.state_dict()) - {"output.weight", "output.bias"}


def test_a_file_of_another_network_lists_what_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "lenet.safetensors"
    save_file(build("lenet5", classes=10).state_dict(), path)
    with pytest.raises(
        WeightsError,
        match=r"lenet.safetensors: does not fit fashion_cnn .*: \d+ missing \(conv1.weight, .*unexpected \(c1",
    ):
        create("fashion_cnn", classes=10, weights=path)


def test_a_file_by_other_peoples_names(tmp_path: Path) -> None:
    path = tmp_path / "mv2.safetensors"
    trained = build("mobilenet_v2", classes=5, seed=3)
    save_file(as_named(trained, "torchvision"), path)
    assert same_tensors(create("mobilenet_v2", classes=5, weights=path), trained) == set(trained.state_dict())
    other = create("mobilenet_v2", classes=4, weights=path, seed=1)
    head = {"classifier.weight", "classifier.bias"}
    assert same_tensors(other, trained) == set(trained.state_dict()) - head
    assert torch.equal(other.classifier.weight, build("mobilenet_v2", classes=4, seed=1).classifier.weight)
    assert create("mobilenet_v2", classes=4, weights=path, in_channels=1).conv_stem.weight.shape == (32, 1, 3, 3)
    save_file({f"model.{name}": each for name, each in trained.state_dict().items()}, path)
    assert same_tensors(create("mobilenet_v2", classes=5, weights=path), trained) == set(trained.state_dict())
    with pytest.raises(WeightsError, match=r"mv2\.safetensors: does not fit resnet18 of .*missing .*unexpected"):
        create("resnet18", weights=path)


def test_other_kinds_of_files_are_pointed_to_import(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"by: striate import '/x y/mv2\.pth' --model mobilenet_v2 --out '/x y/mv2\.saf"
    ):
        create("mobilenet_v2", weights="/x y/mv2.pth")


def test_no_classes_are_no_headless_network() -> None:
    with pytest.raises(ModelError, match=r"classes is 0: resnet18 always ends .*stop=BLOCK.*network\.features"):
        create("resnet18", classes=0)
    network = create("resnet18", classes=3)
    assert network.run(torch.zeros(1, 3, 64, 64), stop="pool").shape == (1, 512)


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (None, "none.safetensors", "cannot be read"),
        (b"", "empty.safetensors", "truncated"),
        (b"not tensors at all", "text.safetensors", "is not a safetensors file"),
        (b"\x80\x02", "old.pth", "read from .safetensors"),
    ],
)
def test_files_that_are_no_weights(tmp_path: Path, content: bytes | None, name: str, said: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match=said):
        create("lenet5", classes=10, weights=path)


def test_a_folder_is_no_weights(tmp_path: Path) -> None:
    folder = tmp_path / "a.safetensors"
    folder.mkdir()
    with pytest.raises(WeightsError):
        create("lenet5", classes=10, weights=folder)


def test_no_pretrained_weights() -> None:
    with pytest.raises(WeightsError, match="no pretrained weights of lenet5; there are of efficientnet_lite0"):
        create("lenet5", weights="pretrained")
    with pytest.raises(WeightsError, match=r"resnet101 are not verified here.*download resnet101-63fe2227\.pth"):
        create("resnet101", weights="pretrained")


def test_wrong_names_and_classes() -> None:
    with pytest.raises(ModelError, match="Did you mean 'resnet18'"):
        create("resnet8", weights="pretrained")
    with pytest.raises(ModelError, match="a single word"):
        create("lenet5", classes="digits")
    with pytest.raises(ModelError, match="classes is 0"):
        create("lenet5", classes=[])
    with pytest.raises(ModelError, match=r"classes is 2\.5; give the number"):
        create("lenet5", classes=2.5)


# load_state


def broken(**changes):
    state = build("lenet5", classes=10, seed=9).state_dict()
    for name, value in changes.items():
        name = name.replace("__", ".")
        if value is None:
            del state[name]
        else:
            state[name] = value
    return state


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"c1__bias": None}, r"1 missing \(c1.bias\)"),
        ({"extra__weight": torch.zeros(3)}, r"1 unexpected \(extra.weight\)"),
        ({"f6__weight": torch.zeros(84, 100)}, r"1 misshapen \(f6.weight is \[84, 100\], expected \[84, 120\]\)"),
        (
            {"c1__bias": None, "extra__weight": torch.zeros(3), "f6__bias": torch.zeros(1)},
            r"1 missing \(c1.bias\); 1 unexpected \(extra.weight\); 1 misshapen \(f6.bias",
        ),
    ],
)
def test_every_tensor_is_accounted_for_and_nothing_is_half_loaded(changes, said) -> None:
    network = build("lenet5", classes=10, seed=1)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(WeightsError, match=said):
        load_state(network, broken(**changes), source="a file")
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_skipping_the_head_leaves_it_alone() -> None:
    network = build("lenet5", classes=4, seed=1)
    head = network.output.weight.clone()
    load_state(network, broken(), source="a file", skip_head=True)
    assert torch.equal(network.output.weight, head)
    assert torch.equal(network.c1.weight, broken()["c1.weight"])
    load_state(network, broken(output__weight=None, output__bias=None), source="a file", skip_head=True)
    with pytest.raises(WeightsError, match=r"2 misshapen \(output.weight"):
        load_state(network, broken(), source="a file")


def test_batch_norm_counters_may_be_missing() -> None:
    state = {n: t for n, t in build("resnet18", classes=3, seed=1).state_dict().items() if not n.endswith("tracked")}
    network = build("resnet18", classes=3, seed=2)
    load_state(network, state, source="an old file")
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items() if name in state)
    assert {int(tensor) for name, tensor in network.state_dict().items() if name not in state} == {0}


def test_long_lists_are_cut() -> None:
    with pytest.raises(WeightsError, match=r"122 missing \(conv1.weight.* and 96 more\)|102 missing .* and 96 more"):
        load_state(build("resnet18", classes=3), {}, source="nothing")


def test_memory_format_is_kept() -> None:
    network = build("resnet18", classes=3).to(memory_format=torch.channels_last)
    load_state(network, build("resnet18", classes=3).state_dict(), source="a file")
    assert network.layer1[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)
