"""YOLOv3 whole, tiny, and as a head; one grid: how many numbers, in which order, and what they begin with."""

import pytest
import torch

from striate.base.errors import ModelError
from striate.models import architecture, build
from striate.models.headed import Headed
from striate.models.table import is_model
from tests.models.light import on_meta


@pytest.fixture(scope="module")
def tiny() -> Headed:
    return build("yolov3_tiny", classes=4, seed=0).eval()


def test_forty_five_numbers_a_cell_for_twenty_classes() -> None:
    with torch.device("meta"):
        network = build("yolo_grid/efficientnet_lite0")
        assert network(torch.zeros(1, 3, 416, 416)).shape == (1, 13 * 13, 5 * (4 + 1) + 20)
    assert network.classes == 20 and network.head.scales[0].numbers.out_channels == 45


def test_as_many_places_as_published() -> None:
    network = on_meta("yolov3")
    images = torch.zeros(1, 3, 416, 416, device="meta")
    assert network(images).shape == (1, 10_647, 85)
    assert [scale.numbers.out_channels for scale in network.head.scales] == [255] * 3
    assert [tuple(x.shape[1:]) for x in network.features(images)] == [(256, 52, 52), (512, 26, 26), (1024, 13, 13)]
    assert on_meta("yolov3_tiny")(images).shape == (1, 3 * (26 * 26 + 13 * 13), 85)


# Filters, channels before them and window of the convolutions behind Darknet-53, as yolov3.cfg has them.
BEHIND = [
    *[(512, 1024, 1), (1024, 512, 3)] * 3,
    *((255, 1024, 1), (256, 512, 1), (256, 768, 1), (512, 256, 3)),
    *[(256, 512, 1), (512, 256, 3)] * 2,
    *((255, 512, 1), (128, 256, 1), (128, 384, 1), (256, 128, 3)),
    *[(128, 256, 1), (256, 128, 3)] * 2,
    (255, 256, 1),
]


def test_layers_stand_in_the_order_of_darknets_file() -> None:
    network = on_meta("yolov3")
    kernels = [each.weight.shape for each in network.head.modules() if hasattr(each, "kernel_size")]
    assert [tuple(shape[:3]) for shape in kernels] == BEHIND
    slopes = [each.negative_slope for each in network.modules() if isinstance(each, torch.nn.LeakyReLU)]
    assert slopes == [0.1] * 72 and len(kernels) + 52 == 75


def test_places_are_cells_row_by_row_and_anchors_within(tiny: Headed) -> None:
    maps: list[torch.Tensor] = []  # of the coarse scale first
    hooks = [scale.numbers.register_forward_hook(lambda *call: maps.append(call[-1])) for scale in tiny.head.scales]
    with torch.no_grad():
        found = tiny(torch.randn(2, 3, 64, 96))
    for hook in hooks:
        hook.remove()
    place = 0
    for numbers in reversed(maps):
        for row in range(numbers.shape[2]):
            for column in range(numbers.shape[3]):
                for anchor in range(3):
                    wanted = numbers[:, 9 * anchor : 9 * (anchor + 1), row, column]
                    assert torch.equal(found[:, place], wanted)
                    place += 1
    assert place == found.shape[1] == 3 * (4 * 6 + 2 * 3)


@pytest.mark.parametrize(("name", "objectness"), [("yolov3", [4]), ("yolo_grid", [4, 9, 14, 19, 24])])
def test_at_first_hardly_any_place_shows_an_object(name: str, objectness: list[int]) -> None:
    with torch.no_grad():
        said = build(f"{name}/efficientnet_lite0", classes=3, seed=0).eval()(torch.zeros(1, 3, 64, 96))[0]
    others = [at for at in range(said.shape[1]) if at not in objectness]
    assert said[:, objectness].sigmoid().mean() == pytest.approx(0.01, rel=0.2)
    assert said[:, others].abs().max() < 1


def test_block_by_block_at_any_size(tiny: Headed) -> None:
    images = torch.randn(1, 3, 75, 101)
    with torch.no_grad():
        x = images
        for block in tiny.blocks:
            x = tiny.run(x, block, block)
        assert torch.equal(x, tiny(images))
    assert x.shape == (1, 3 * (5 * 7 + 3 * 4), 9)


def test_every_parameter_learns() -> None:
    network = build("yolov3_tiny", classes=4, seed=0)
    network(torch.randn(2, 3, 64, 64)).square().sum().backward()
    for path, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0, path


def test_other_classes_are_another_head() -> None:
    network = build("yolov3_tiny", classes=4, seed=1)
    before = network.backbone.stage5[1].conv.weight
    network.reset_head(2, seed=5)
    assert network.backbone.stage5[1].conv.weight is before
    assert network.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 3 * 5, 7)


def test_a_name_of_a_head_and_of_a_network() -> None:
    assert architecture("yolov3").backbone is None and architecture("yolov3/resnet18").backbone == "resnet18"
    assert is_model("yolov3") and is_model("yolov3/darknet53") and not is_model("tood/yolov3")
    with pytest.raises(ModelError, match="yolov3_tiny is whole; a head stands on a classifier's maps"):
        architecture("tood/yolov3_tiny")
    with pytest.raises(ModelError, match=r"the head reads maps of strides \(8, 16, 32\)"):
        build("yolov3/resnet20")
