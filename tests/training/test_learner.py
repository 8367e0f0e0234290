"""One step: against a slow loop, in halves, and with numbers that are none."""

import dataclasses

import pytest
import torch

from striate.base.errors import TrainingError
from striate.data import Loader
from striate.tasks.classify_meter import class_indices
from striate.training.learner import Progress, has_ended


@pytest.fixture
def plain(workshop, two_stages):
    """A workshop whose network has neither batch norm nor dropout, and one stage in which all learns."""
    recipe = dataclasses.replace(two_stages, clip_norm=0.0, stages=two_stages.stages[1:])
    return workshop(recipe, plain=True)


def batches(shop, records, size):
    return list(Loader(records, shop.learner().preprocess, batch_size=size).epoch(0))


@pytest.mark.parametrize("sizes", [(4, 4), (6, 2), (4, 3, 1), (1,) * 8])
def test_parts_of_a_batch_sum_to_the_whole(plain, picture_records, sizes):
    records = picture_records(8)
    whole, parts = plain.learner(), plain.learner()
    whole.step(batches(plain, records, 8), 0.1)
    cut, start = [], 0
    for size in sizes:
        cut += batches(plain, records[start : start + size], size)
        start += size
    parts.step(cut, 0.1)
    moved = plain.network().state_dict()
    for name, tensor in whole.network.state_dict().items():
        torch.testing.assert_close(parts.network.state_dict()[name], tensor, rtol=1e-5, atol=1e-7)
        assert not torch.equal(tensor, moved[name])
    assert parts.progress.loss_in_epoch == pytest.approx(whole.progress.loss_in_epoch, rel=1e-6)
    assert parts.progress.images_seen == parts.progress.images_in_epoch == 8


def test_a_step_equals_plain_torch(plain, picture_records):
    learner, (batch,) = plain.learner(), batches(plain, picture_records(8), 8)
    network = plain.network()
    images = (batch.images.float() / 255 - 0.5) / 0.5
    loss = torch.nn.functional.cross_entropy(network(images), class_indices(batch))
    loss.backward()
    learner.step([batch], 0.1)
    for (name, after), before in zip(learner.network.named_parameters(), network.parameters(), strict=True):
        decay = learner.recipe.weight_decay if before.ndim > 1 else 0.0
        gradient = before.grad + decay * before.detach()
        # Nesterov's first step: velocity is the gradient itself.
        expected = before.detach() - 0.1 * (1 + learner.recipe.momentum) * gradient
        torch.testing.assert_close(after.detach(), expected, rtol=1e-4, atol=1e-6, msg=name)
    assert learner.progress.loss_in_epoch / 8 == pytest.approx(loss.item(), rel=1e-5)


def test_clipping_is_part_of_the_step(plain, picture_records):
    tight = dataclasses.replace(plain, recipe=dataclasses.replace(plain.recipe, clip_norm=1e-3, weight_decay=0.0))
    learner, before = tight.learner(), tight.network().state_dict()
    learner.step(batches(tight, picture_records(8), 8), 1.0)
    moved = sum(float((learner.network.state_dict()[name] - before[name]).square().sum()) for name in before) ** 0.5
    assert moved == pytest.approx(1e-3 * (1 + tight.recipe.momentum), rel=1e-3)


def test_bfloat16_computes_in_it_and_keeps_weights_and_loss_in_float32(workshop, two_stages, picture_records):
    shop = workshop(two_stages)
    learner = shop.learner()
    learner.dtype = torch.bfloat16
    seen = []
    learner.network.dense.register_forward_hook(lambda *parts: seen.append(parts[2].dtype))
    learner.step(batches(shop, picture_records(8), 8), 0.01)
    assert seen == [torch.bfloat16]
    assert {tensor.dtype for tensor in learner.network.parameters()} == {torch.float32}
    learner.network(torch.zeros(2, 1, 8, 8))
    assert seen == [torch.bfloat16, torch.float32]  # only the step itself runs so


def test_a_loss_that_is_no_number_names_the_pictures(plain, picture_records):
    records = picture_records(8)
    learner = plain.learner()
    learner.progress.epoch, learner.progress.step = 4, 2
    good, bad = batches(plain, records[:5], 5) + batches(plain, records[5:], 3)
    learner.step([good], 0.1)
    with torch.no_grad():
        learner.network.dense.bias.fill_(float("nan"))
    with pytest.raises(TrainingError) as error:
        learner.step([bad], 0.1)
    for words in ("the loss became nan", "epoch 5, step 3", "picture 5, picture 6, picture 7.", "lower rate"):
        assert words in str(error.value)
    assert "picture 4" not in str(error.value)


def test_broken_weights_are_never_saved(tmp_path, plain):
    from striate.training.loop import save

    learner, run = plain.learner(), plain.run(tmp_path)
    run.folder.begin("")
    save(learner, run)
    good = run.folder.last.read_bytes()
    with torch.no_grad():
        learner.network.conv2.weight[0, 0, 0, 0] = float("inf")
    with pytest.raises(TrainingError, match=r"conv2\.weight became infinite or NaN"):
        save(learner, run)
    assert run.folder.last.read_bytes() == good


@pytest.mark.parametrize(
    ("epoch", "without", "patience", "ended"),
    [(2, 0, 0, False), (3, 0, 0, True), (2, 99, 0, False), (1, 2, 2, True), (1, 1, 2, False), (1, 3, 2, True)],
)
def test_when_a_run_has_ended(two_stages, epoch, without, patience, ended):
    progress = Progress(epoch=epoch, epochs_without_better=without)
    assert has_ended(progress, dataclasses.replace(two_stages, patience=patience)) == ended
