"""Losses of segmentation against torch's own and against their definitions, pixel by pixel."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from striate.base.errors import RecipeError
from striate.task_settings import SegmentSettings
from striate.tasks.segment_loss import SegmentLoss

WEIGHTS = (1.0, 0.25, 3.0, 2.0)


def drawn(seed=0):
    """Logits of two pictures in four classes, and masks of which the last class is nowhere and a part is unknown."""
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 4, 5, 7, generator=random) * 3
    masks = torch.randint(0, 3, (2, 5, 7), generator=random).to(torch.uint8)
    masks[0, :2] = 255
    return logits, masks


def total(loss, logits, masks):
    return float(sum(loss.parts(logits, masks).values()))


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_cross_entropy_is_torchs(weights, memory):
    logits, masks = drawn()
    given = None if weights is None else torch.tensor(weights)
    wanted = F.cross_entropy(logits, masks.long(), weight=given, ignore_index=255)
    got = total(SegmentLoss(class_weights=weights), logits.to(memory_format=memory), masks)
    assert got == pytest.approx(float(wanted), rel=1e-6)


def by_definition(logits, masks, weights=(1.0,) * 4, gamma=2.0):
    """Focal loss and 1 - Dice in plain numbers."""
    p = torch.softmax(logits.double(), 1).numpy()
    true = masks.numpy()
    focal = weight = 0.0
    both, answered, there = np.zeros(4), np.zeros(4), np.zeros(4)
    for n, row, column in zip(*np.nonzero(true != 255), strict=True):
        index, chances = true[n, row, column], p[n, :, row, column]
        focal -= weights[index] * (1 - chances[index]) ** gamma * math.log(chances[index])
        weight += weights[index]
        both[index] += chances[index]
        answered += chances
        there[index] += 1
    dice = [2 * b / (a + t) for b, a, t in zip(both, answered, there, strict=True) if t]
    return focal / weight, 1 - sum(dice) / len(dice)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_and_dice_are_their_definitions(gamma):
    logits, masks = drawn(1)
    focal, dice = by_definition(logits, masks, WEIGHTS, gamma)
    settings = {"cross_entropy": 0.0, "focal_gamma": gamma, "class_weights": WEIGHTS}
    assert total(SegmentLoss(focal=1.0, **settings), logits, masks) == pytest.approx(focal, rel=1e-5)
    assert total(SegmentLoss(dice=1.0, **settings), logits, masks) == pytest.approx(dice, rel=1e-5)


def test_the_sum_has_the_recipes_weights_and_names_its_parts():
    logits, masks = drawn(2)
    focal, dice = by_definition(logits, masks)
    entropy = float(F.cross_entropy(logits, masks.long(), ignore_index=255))
    parts = SegmentLoss(cross_entropy=0.5, dice=2.0, focal=3.0).parts(logits, masks)
    wanted = {"cross_entropy": 0.5 * entropy, "dice": 2 * dice, "focal": 3 * focal}
    assert {name: float(part) for name, part in parts.items()} == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("loss", [SegmentLoss(class_weights=WEIGHTS), SegmentLoss(1, 1), SegmentLoss(0.5, 2, 1, 1.5)])
def test_gradients_are_those_of_the_definition(loss):
    logits, masks = drawn(5)
    sum(loss.parts(logits.requires_grad_(), masks).values()).backward()
    exact = logits.detach().double().requires_grad_()
    known = masks != 255
    logs = exact.log_softmax(1)
    own = logs.gather(1, (masks.long() * known)[:, None])[:, 0][known]
    true = masks[known].long()
    weights = torch.ones(4).double() if loss.class_weights is None else torch.tensor(loss.class_weights).double()
    weighed = weights[true] / weights[true].sum()
    onehot = F.one_hot(true, 4).double()
    answered, there = logs.exp().permute(0, 2, 3, 1)[known].sum(0), onehot.sum(0)
    dice = 1 - 2 * (onehot * own.exp()[:, None]).sum(0) / (answered + there)
    focal = -(own * (1 - own.exp()) ** loss.focal_gamma * weighed).sum()
    wanted = -loss.cross_entropy * (own * weighed).sum() + loss.dice * dice[there > 0].mean() + loss.focal * focal
    wanted.backward()
    assert torch.allclose(logits.grad.double(), exact.grad, rtol=1e-4, atol=1e-8)


def test_without_gamma_the_focal_loss_is_cross_entropy():
    logits, masks = drawn(3)
    entropy = total(SegmentLoss(), logits, masks)
    assert total(SegmentLoss(cross_entropy=0, focal=1, focal_gamma=0), logits, masks) == pytest.approx(entropy)


@pytest.mark.parametrize("loss", [SegmentLoss(), SegmentLoss(0, 1), SegmentLoss(0, 0, 1), SegmentLoss(1, 1, 1)])
def test_unknown_pixels_have_no_gradient_and_a_batch_without_any_known_is_no_loss(loss):
    logits, masks = drawn(4)
    sum(loss.parts(logits.requires_grad_(), masks).values()).backward()
    gradient = logits.grad.abs().sum(1)
    assert (gradient[masks == 255] == 0).all() and (gradient[masks != 255] > 0).all()
    logits.grad = None
    value = sum(loss.parts(logits, torch.full_like(masks, 255)).values())
    value.backward()
    assert float(value.detach()) == 0 and (logits.grad == 0).all()


@pytest.mark.parametrize("loss", [SegmentLoss(), SegmentLoss(0, 1), SegmentLoss(0, 0, 1, 0.5)])
def test_extreme_logits_have_finite_losses_and_gradients(loss):
    logits = torch.zeros(1, 4, 5, 7)
    logits[:, 0], logits[:, 1] = 1e4, -1e4
    for index in (0, 1):
        given = logits.bfloat16().requires_grad_()
        value = sum(loss.parts(given, torch.full((1, 5, 7), index, dtype=torch.uint8)).values())
        value.backward()
        assert math.isfinite(value.item()) and torch.isfinite(given.grad).all() and value.dtype == torch.float32


def test_without_any_loss_there_is_nothing_to_learn():
    with pytest.raises(RecipeError, match="nothing to learn"):
        SegmentSettings(cross_entropy_weight=0.0)
    assert SegmentSettings(cross_entropy_weight=0.0, dice_weight=1.0).dice_weight == 1
