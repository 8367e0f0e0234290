"""Fully convolutional networks against the authors' files (parameters, shapes) and bilinear interpolation."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from striate.answering import FoldedNetwork
from striate.base.errors import ModelError
from striate.models import HEADS, build, dense_layers
from striate.models.fcn import fcn, fcn_same
from striate.models.headed import Headed
from striate.models.layer_table import layer_table
from striate.models.network import FeatureInfo
from striate.weights import conversion, create
from tests.models.light import on_meta

PUBLISHED = {
    "fcn32s": (136_152_917, 181_365_854_976),
    "fcn16s": (134_815_994, 181_448_086_272),
    "fcn8s": (134_489_759, 181_529_034_048),
}
UPSCORES = {
    "fcn32s": {"upscore32": 544},
    "fcn16s": {"upscore2": 34, "upscore16": 560},
    "fcn8s": {"upscore2": 34, "upscore_pool4": 70, "upscore8": 568},
}
FORMS = ["", "_same"]
SIZES = [(33, 97), (64, 64), (48, 75)]


@pytest.fixture(autouse=True)
def few_hidden_numbers(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "counts" not in request.node.name:
        monkeypatch.setattr(dense_layers, "HIDDEN", 64)


@pytest.mark.parametrize("head", PUBLISHED)
def test_counts_and_shapes_are_those_of_the_authors_files(head: str) -> None:
    table = layer_table(f"{head}/vgg16", unfold=True)
    assert (table.parameters, table.multiply_adds) == PUBLISHED[head]
    shapes = {row.path.removeprefix("backbone.").removeprefix("head."): row.shape for row in table.rows}
    assert shapes["conv1_1"] == (64, 698, 698)
    assert [shapes[f"pool{number}"][1] for number in range(1, 6)] == [349, 175, 88, 44, 22]
    assert shapes["fc6"] == shapes["fc7"] == (4096, 16, 16) and shapes["score_fr"] == (21, 16, 16)
    assert {name: shape[1] for name, shape in shapes.items() if name.startswith("upscore")} == UPSCORES[head]
    assert layer_table(f"{head}/vgg16").rows[-1].shape == (21, 500, 500)
    assert on_meta(f"{head}_same/vgg16").get_parameter("head.score_fr.weight").shape == (21, 4096, 1, 1)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("head", PUBLISHED)
@pytest.mark.parametrize("size", SIZES)
def test_an_answer_is_as_large_as_its_picture(head: str, form: str, size: tuple[int, int]) -> None:
    with torch.device("meta"):
        network = build(f"{head}{form}/vgg11", classes=4)
        assert network(torch.zeros(2, 3, *size)).shape == (2, 4, *size)


@pytest.mark.parametrize("head", PUBLISHED)
@pytest.mark.parametrize("form", FORMS)
def test_what_enlarges_begins_with_the_authors_numbers(head: str, form: str) -> None:
    """Each class to itself, 1 minus the distance from the middle of the window in both directions, to the bit."""
    maps = [FeatureInfo("", 8, stride) for stride in HEADS[f"{head}{form}"].strides or ()]
    made = (fcn_same if form else fcn)(maps, classes=3)
    layers = {name: layer for name, layer in made.named_children() if "upscore" in name}
    assert set(layers) == set(UPSCORES[head])
    for layer in layers.values():
        near = 1 - np.abs(np.arange(2 * layer.stride) - (layer.stride - 0.5)) / layer.stride
        wanted = np.einsum("io,y,x->ioyx", np.eye(3), near, near).astype(np.float32)
        assert np.array_equal(layer.weight.detach().numpy(), wanted) and layer.bias is None


@pytest.mark.parametrize("head", PUBLISHED)
def test_scores_begin_as_bilinear_interpolation(head: str) -> None:
    """Of the coarsest scores alone, since the others begin at zero; borders apart, beyond which the padded see on."""
    network = build(f"{head}_same/vgg11", classes=3).eval()
    maps = network.features(torch.zeros(1, 3, 128, 192))
    size, scores = torch.zeros(1, 0, 128, 192), torch.randn(1, 3, 4, 6)
    network.head.score_fr.forward = lambda _: scores  # type: ignore[method-assign]
    with torch.no_grad():
        found = network.head([size, *maps])
    wanted = scores
    for factor in [2] * (len(maps) - 1) + [128 // (4 << (len(maps) - 1))]:
        wanted = F.interpolate(wanted, scale_factor=factor, mode="bilinear")
    inside = (..., slice(32, -32), slice(32, -32))
    torch.testing.assert_close(found[inside], wanted[inside])


@pytest.mark.parametrize("head", PUBLISHED)
@pytest.mark.parametrize("form", FORMS)
def test_what_belongs_together_lies_together(head: str, form: str) -> None:
    """Of symmetric windows a mirrored picture has the mirrored answer, but not if a crop is off by a pixel.

    With 198 pixels more a side is divided by 32 here, so that the last windows end where the padding does.
    """
    network = build(f"{head}{form}/vgg11", classes=2, seed=3).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "score_pool" in name and name.endswith("weight"):
                parameter.normal_()
            if parameter.dim() == 4:
                parameter.copy_((parameter + parameter.flip(3)) / 2)
        picture = torch.randn(1, 3, 64, 96) if form else torch.randn(1, 3, 58, 90)
        answer, mirrored = network(picture), network(picture.flip(3))
    scale = answer.std()
    torch.testing.assert_close(mirrored.flip(3) / scale, answer / scale, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("form", FORMS)
def test_it_learns_from_the_first_step(form: str) -> None:
    network = build(f"fcn8s{form}/vgg11", classes=3, seed=2).train()
    scores = network(torch.randn(1, 3, 33, 40))
    F.cross_entropy(scores, torch.randint(0, 3, (1, 33, 40))).backward()
    for path, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, path


@pytest.mark.parametrize("form", FORMS)
def test_it_answers_folded_as_it_does_as_written(form: str) -> None:
    network = build(f"fcn8s{form}/vgg11_bn", classes=3, seed=2).eval()
    images = torch.randn(2, 3, 40, 52)
    with torch.no_grad():
        torch.testing.assert_close(FoldedNetwork(network)(images), network(images), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_dense_layers_that_slide_keep_the_classifiers_weights(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And answer as the classifier does, of a picture whose last maps are as large as it takes."""
    classifier = build("vgg11", classes=5, seed=1).eval()
    tensors = classifier.state_dict()
    monkeypatch.setattr(conversion, "pretrained_tensors", lambda name, *, on_notice: tensors)
    network = create(f"fcn32s{form}/vgg11", classes=2, weights="pretrained").eval()
    assert isinstance(network, Headed)
    for path, tensor in network.backbone.state_dict().items():
        assert torch.equal(tensor.flatten(), tensors[path].flatten()), path
    picture = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        (maps,) = network.features(picture)
        wanted = classifier.run(picture, stop="dense")
        if form == "_same":  # the window in the middle sees the whole map
            assert maps.shape == (1, 64, 7, 7)
            torch.testing.assert_close(maps[..., 3, 3], wanted, rtol=1e-3, atol=1e-5)


def test_only_networks_whose_dense_layers_can_slide_will_do() -> None:
    with pytest.raises(ModelError, match=r"a backbone that is built with dense_layers 'padded'\. resnet18 has no arg"):
        build("fcn8s/resnet18")
    with pytest.raises(ModelError, match="the argument dense_layers is 'sliding'"):
        build("vgg11", arguments={"dense_layers": "sliding"})
