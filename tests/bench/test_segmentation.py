"""Segmentation's section: its verdicts on made-up timings, and that its contenders are given the same."""

import numpy as np
import pytest
import torch

from bench import crops, export, segmentation, striate_segmentation
from bench.peers.runtimes import told
from bench.section import Settings
from striate.benchmarking.driver import Comparison, Timing
from striate.benchmarking.machine import Machine
from striate.benchmarking.process import Contender
from striate.training import resolving

MACHINE = Machine("A", 2, ("AVX512-BF16",), {})


def timing(name, seconds):
    return Timing(Contender(name, name, ()), 8, {}, (seconds,) if seconds else (), None if seconds else "gone")


def test_training_is_compared_with_the_plain_form_and_the_faster_tuned_one():
    found = Comparison(
        (
            timing("striate", 1.0),
            *(timing(f"unet_{form}", seconds) for form, seconds in (("plain", 3.5), ("float32", 2.5))),
            timing("unet_bfloat16", 1.5),
        )
    )
    assert segmentation.ratios(found) == {"unet_plain": 3.5, "unet_float32": 2.5, "unet_bfloat16": 1.5}
    assert [(each.id, each.wanted, each.got, each.ok) for each in segmentation.training_checks(found)] == [
        ("segmentation.training.plain", ">= 3", "3.5", True),
        ("segmentation.training.tuned", ">= 2", "1.5", False),
    ]
    alone = Comparison((timing("striate", 1.0), *(timing(f"unet_{form}", 0) for form in segmentation.FORMS)))
    assert not any(check.ok for check in segmentation.training_checks(alone))


def test_the_answer_is_compared_with_the_faster_runtime():
    found = Comparison((timing("striate", 1.2), timing("onnxruntime", 1.0), timing("openvino", 2.0)))
    check = segmentation.answer_check(found)
    assert (check.id, check.wanted, check.got, check.ok) == ("segmentation.answer", "<= 1.3", "1.2", True)
    alone = Comparison((timing("striate", 1.2), timing("onnxruntime", 0), timing("openvino", 0)))
    assert not segmentation.answer_check(alone).ok


def stubbed(contenders, *, rounds, on_turn):
    """Everybody takes a second, but torchvision's, which are not there."""
    there = {"multiply_adds": 1_500_000_000, "precision": "float32", "versions": {"timm": "0"}}
    return Comparison(
        tuple(
            Timing(who, failure="torchvision is not installed")
            if who.name.startswith(("lraspp", "deeplabv3"))
            else Timing(who, 8, there, (1.0,) * rounds)
            for who in contenders
        )
    )


def test_it_says_who_took_part_and_who_could_not(monkeypatch):
    asked = []
    monkeypatch.setattr(segmentation, "alternate", stubbed)
    monkeypatch.setattr(segmentation, "this_machine", lambda: MACHINE)
    monkeypatch.setattr(segmentation.environment, "run", lambda command: asked.append(command) or "")
    section = segmentation.run(Settings(quick=True))
    text = "\n".join(table.markdown() for table in section.tables)
    assert "| Striate, float32 | 1,500 | 8.0 |  |  |" in text
    assert "| U-Net on EfficientNet-Lite0, float32 | 1,500 | 8.0 |  | 1.00 |" in text
    assert "| DeepLabv3 on MobileNetV3-Large, float32 |  | torchvision is not installed |  |  |" in text
    assert "| OpenVINO, bfloat16 | 1000.00 |  | 1.00 times |" in text
    assert section.how.endswith("The others: timm 0.")
    assert [check.ok for check in section.checks] == [False, False, True]
    exporting, converting = asked
    assert exporting[2] == "bench.export" and exporting[4:] == ["unet/efficientnet_lite0", "1", "1024", "11"]
    assert converting[2] == "bench.peers.onnx_export"


def test_without_their_environment_runtimes_fail_and_say_so(monkeypatch, tmp_path):
    monkeypatch.setattr(segmentation, "alternate", stubbed)
    monkeypatch.setattr(segmentation.inference.sys, "executable", str(tmp_path / "python"))
    _, failure = segmentation.answers(Settings(quick=True), MACHINE)
    assert str(tmp_path / "python") in failure


def test_crops_are_the_same_everywhere_and_have_unknown_places():
    pictures, masks = crops.crops(3, 70)
    assert pictures.shape == (3, 70, 70, 3) and masks.shape == (3, 70, 70)
    assert pictures.dtype == masks.dtype == np.uint8
    assert set(np.unique(masks)) <= {*range(crops.CLASSES), crops.UNKNOWN} and crops.UNKNOWN in masks
    assert (masks[:, : crops.SQUARE, : crops.SQUARE] == masks[:, :1, :1]).all()
    assert (crops.crops(3, 70)[0] == pictures).all() and (crops.crops(3, 70)[1] == masks).all()


def test_a_default_run_learns_from_just_these_crops():
    data = striate_segmentation._data()
    recipe = resolving.resolve(data, resolving.Overrides({}))
    striate_segmentation._expect(recipe.model, recipe.batch_size, recipe.augment.crop_size)
    with pytest.raises(RuntimeError, match="default run has"):
        striate_segmentation._expect("unet", 8, (320, 320))
    batch = striate_segmentation._batch(data, resolving.preprocess_for(data, recipe))
    pictures, masks = crops.crops(crops.BATCH)
    assert (batch.images.permute(0, 2, 3, 1).numpy() == pictures).all()
    assert all((target.indices() == mask).all() for target, mask in zip(batch.targets, masks, strict=True))


def test_striate_answers_every_pixel_and_tells_some_logits():
    work = striate_segmentation.outputs("64")
    assert work.images == 1 and work.step().shape == (1, crops.CLASSES, 64, 64)
    assert work.about["answers"] == pytest.approx(work.step()[0, :8, 32, 32].tolist())
    answer = striate_segmentation.predictor("64").step()
    assert answer.shape == (64, 64) and answer.dtype == np.uint8 and answer.max() < crops.CLASSES
    assert told(torch.arange(12.0).reshape(1, 12)) == list(range(8))


@pytest.mark.slow
def test_the_network_is_exported_for_other_sizes(tmp_path):
    export.main(str(tmp_path / "picture"), striate_segmentation.MODEL, 1, 96, crops.CLASSES)
    images = torch.from_numpy(np.load(tmp_path / "picture.npy"))
    assert images.shape == (1, 3, 96, 96)
    answered = torch.export.load(tmp_path / "picture.pt2").module()(images).detach()
    expected = striate_segmentation.outputs("96").about["answers"]
    assert told(answered) == pytest.approx(expected, abs=1e-4 * max(map(abs, expected)))
