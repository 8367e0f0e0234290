"""One contract, all heads that say a class for each pixel: any size of pictures, and all of them learn."""

import random

import pytest

from striate.models import HEADS, dense_layers
from tests.models.light import on_meta
from tests.models.segmentation import BACKBONES, NAMES, SAME, four_of, of_other_sizes, one_step, stands_on

PAIRS = [pair for head in NAMES for pair in four_of(head)]
DRAWN = random.Random(33)
SIZES = [(33, 33), (97, 97), (33, 97), (64, 64), *[(DRAWN.randint(33, 97), DRAWN.randint(33, 97)) for _ in range(196)]]


@pytest.mark.parametrize("head", SAME)
def test_an_answer_is_as_large_as_its_picture(head: str) -> None:
    assert not of_other_sizes(four_of(head)[0], SIZES[:20])


@pytest.mark.slow
@pytest.mark.parametrize("name", PAIRS)
def test_an_answer_is_as_large_as_its_picture_on_four_backbones(name: str) -> None:
    assert not of_other_sizes(name, SIZES)


@pytest.mark.slow
@pytest.mark.parametrize("name", PAIRS)
def test_a_step_of_training_reaches_every_parameter_and_makes_the_loss_smaller(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dense_layers, "HIDDEN", 64)
    step = one_step(name, (65, 72))
    assert not step.idle
    assert step.after < step.before


@pytest.mark.slow
@pytest.mark.parametrize("head", NAMES)
def test_it_stands_on_every_backbone_that_has_what_it_reads(head: str) -> None:
    row = HEADS[head]
    strides = {name: [info.stride for info in on_meta(name).feature_info] for name in BACKBONES}
    wanted = [
        name
        for name in BACKBONES
        if (name.startswith("vgg") if row.backbone_arguments else row.output_stride in (None, *strides[name]))
    ]
    legal, refused = stands_on(head)
    assert legal == wanted
    assert sorted([*legal, *refused]) == sorted(BACKBONES)
