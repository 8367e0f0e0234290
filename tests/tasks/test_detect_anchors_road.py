"""Detectors with anchors go the road: they train, are measured, go on where they were killed, and answer."""

import pytest

import striate
from striate import modelfile
from striate.models import architecture
from striate.training.events import EpochDone, Notice, StepDone
from striate.training.run import train

RUN = ("yolov3/efficientnet_lite0",)
MORE = ("yolo_grid/efficientnet_lite0", "yolov3_tiny", "yolov3")  # the last two with millions of numbers
WHOLE = [pytest.param(name, marks=pytest.mark.slow) for name in MORE]


class KilledError(Exception):
    pass


@pytest.mark.parametrize("model", [*RUN, *WHOLE])
def test_the_road(model, tmp_path, squares):
    changes = {"size": [64, 64], "batch_size": 4, "detect": {"score_threshold": 0.001}}
    told = []
    whole = train(squares, model=model, changes=changes, epochs=2, out=tmp_path / "whole", on_event=told.append)
    assert set(whole.best) >= {"ap", "ap50", "loss"} and whole.best["loss"] < 1000
    (anchors,) = [each.text for each in told if isinstance(each, Notice) and each.text.startswith("anchors: ")]
    assert next(at for at, each in enumerate(told) if isinstance(each, StepDone)) > told.index(Notice(anchors))
    assert "recall" not in anchors and "objects" in anchors

    def kill(event):
        if isinstance(event, StepDone) and event.epoch == 1:
            raise KilledError

    with pytest.raises(KilledError):
        train(squares, model=model, changes=changes, epochs=2, out=tmp_path / "parts", on_event=kill)
    again = train(squares, out=tmp_path / "parts", resume=True)
    assert again.best == whole.best and again.test == whole.test
    kept = [tmp_path / part / "model.safetensors" for part in ("whole", "parts")]
    assert kept[0].read_bytes() == kept[1].read_bytes()

    form = modelfile.describe(kept[0]).task_arguments["form"]
    assert form["name"] == architecture(model).form
    measured = striate.evaluate(tmp_path / "whole", squares).figures
    assert measured["ap50"] == whole.test["ap50"] and measured["loss"] == pytest.approx(whole.test["loss"], rel=1e-4)
    (found,) = striate.load(tmp_path / "whole")([squares / "images" / "0.png"])
    assert all(0 <= each.xyxy[0] <= each.xyxy[2] <= 90 and each.name == "square" for each in found)
    assert sum(isinstance(event, EpochDone) for event in told) == 2
