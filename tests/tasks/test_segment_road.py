"""Segmentation from a folder of pictures and masks to a model file that answers, on eight small pictures."""

import csv
import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file
from torch import equal

import striate
from striate.base.errors import TrainingError
from striate.cli.app import main
from striate.cli.train import _lines
from striate.models.heads import HEADS, Head
from striate.training.interruption import Interruption
from tests.tasks.segment_scenes import NAMES, draw_scenes

SMALL = {
    "weights": "none",
    "batch_size": 2,
    "augment": {"crop_size": [16, 16], "scale": [0.5, 2.0], "crop_balance": 0.5, "mosaic": 0.3},
    "stages": [{"epochs": 10, "rate": 0.003}],
    "segment": {"dice_weight": 1.0, "class_weights": "balanced"},
    "split": [0.5, 0.25, 0.25],
}


@pytest.fixture(autouse=True, scope="module")
def head():
    HEADS["toy"] = Head("tests.toys.mask_head:mask_head", "a class for each pixel", task="segment", classes=3)
    yield
    del HEADS["toy"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return draw_scenes(tmp_path_factory.mktemp("scenes") / "data", 8)


def trained(data, out, *, changes=None, **more):
    return striate.train(data, model="toy/resnet20", changes=SMALL | (changes or {}), out=out, progress=False, **more)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return trained(data, tmp_path_factory.mktemp("runs") / "run")


def answered(capsys, *words):
    capsys.readouterr()
    assert main([*map(str, words), "--json", "--quiet"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_run_says_its_figures_and_keeps_its_recipe(run):
    assert run.task == "segment" and run.best["images"] == run.test["images"] == 2
    assert {"mean_iou", "pixel_accuracy", "boundary_f1", "loss", "margins"} <= run.best.keys()
    assert "confusion" not in run.best and "per_class" not in run.best
    assert [row["name"] for row in run.test["per_class"]] == list(NAMES)
    recipe = tomllib.loads((run.run / "recipe.toml").read_text())
    assert (recipe["task"], recipe["metric"], recipe["fit"]) == ("segment", "mean_iou", "letterbox")
    assert recipe["size"] == [32, 32] and recipe["augment"]["crop_size"] == [16, 16]  # the pictures' own, and a part
    lines = [json.loads(line) for line in (run.run / "metrics.jsonl").read_text().splitlines()]
    assert lines[0]["loss_parts"].keys() == {"cross_entropy", "dice"}
    epochs = [line["loss"] for line in lines if line["kind"] == "epoch"]
    assert epochs[-1] < epochs[0] / 2


def test_evaluate_and_predict_answer_as_the_run_did(data, run, tmp_path, capsys):
    figures = answered(capsys, "evaluate", run.run, data)
    assert figures["split"] == "test" and figures["wrong"] == []
    for name in ("mean_iou", "pixel_accuracy", "boundary_f1", "loss"):
        assert figures[name] == pytest.approx(run.test[name]), name
    assert figures["confusion"] == run.test["confusion"]
    picture = data / "images" / "0.png"
    (found,) = answered(capsys, "predict", run.run, picture, "--out", tmp_path / "out")["predictions"]
    answer = striate.load(run.run)(picture)
    assert answer.dtype == np.uint8 and answer.shape == (32, 32)
    with Image.open(tmp_path / "out" / found["mask"]) as mask:
        assert mask.mode == "P" and np.array_equal(np.asarray(mask), answer)
    with Image.open(tmp_path / "out" / found["drawn"]) as drawn:
        assert drawn.width == 32 and drawn.height > 32  # names are below
    assert sum(each["share"] for each in found["areas"]) == pytest.approx(1)
    assert {each["name"] for each in found["polygons"]} <= set(NAMES)
    assert main(["evaluate", str(run.run), str(data), "--split", "all"]) == 0
    said = capsys.readouterr().out
    assert "mean IoU" in said and "boundary F1" in said and "ground" in said
    assert main(["predict", str(run.run), str(picture), str(picture)]) == 0
    told = capsys.readouterr()
    assert told.out.startswith(f"{picture}: of the picture: ") and "%" in told.out
    assert told.err == "nothing was written; --out FOLDER takes masks and drawn pictures\n"
    assert main(["predict", str(run.run), str(picture), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_the_last_line_of_a_run_is_what_shows_the_answers(data, run):
    *_, last = _lines(run, data, again=False)
    model = run.run / "model.safetensors"
    assert last == (
        f"wrote {model}; next: striate predict {model} PICTURE --out FOLDER; striate evaluate {model} {data} says the "
        "figures of each class"
    )


def test_all_pictures_are_written_the_worst_first(data, run, tmp_path, capsys):
    file = tmp_path / "wrong.csv"
    answered(capsys, "evaluate", run.run, data, "--split", "all", "--wrong", file)
    with file.open(encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    assert rows[0].keys() == {"image", "pixel_accuracy", "mean_iou", "boundary_f1", "loss"}
    assert sorted(row["image"] for row in rows) == [f"images/{each}.png" for each in range(8)]
    found = [float(row["mean_iou"]) for row in rows]
    assert found == sorted(found) and found[0] < found[-1]


def test_a_program_draws_what_predict_does(data, run, tmp_path, capsys):
    predictor, picture = striate.load(run.run), data / "images" / "0.png"
    assert predictor.classes == NAMES
    (found,) = answered(capsys, "predict", run.run, picture, "--out", tmp_path / "out")["predictions"]
    with Image.open(tmp_path / "out" / found["drawn"]) as wanted:
        drawn = predictor.draw(picture, predictor(picture))
        assert drawn.dtype == np.uint8 and np.array_equal(drawn, np.asarray(wanted))


def test_a_photograph_of_another_size_is_answered_in_its_own_also_by_tiles(run):
    predictor = striate.load(run.run)
    photograph = np.random.default_rng(0).integers(0, 255, (50, 75, 3)).astype(np.uint8)
    assert predictor(photograph).shape == predictor(photograph, tile=32).shape == (50, 75)
    assert set(np.unique(predictor(photograph, tile=32))) <= {0, 1, 2}


def test_a_run_that_stops_goes_on_to_the_same_weights(data, run, tmp_path, monkeypatch):
    asked = iter([False] * 2 + [True] + [False] * 100)
    with monkeypatch.context() as patch:
        patch.setattr(Interruption, "asked", lambda self: next(asked))
        with pytest.raises(KeyboardInterrupt):
            trained(data, tmp_path / "run")
    striate.train(data, resume=True, out=tmp_path / "run", progress=False)
    wanted, got = (load_file(folder / "last.safetensors") for folder in (run.run, tmp_path / "run"))
    assert wanted.keys() == got.keys() and all(equal(wanted[name], got[name]) for name in wanted)


def test_a_run_does_not_go_on_with_other_masks(data, run, tmp_path):
    other = shutil.copytree(data, tmp_path / "other")
    with Image.open(other / "masks" / "0.png") as mask:
        pixels = np.array(mask)
    pixels[31, 31] = (pixels[31, 31] + 1) % 3
    Image.fromarray(pixels).save(other / "masks" / "0.png")
    with pytest.raises(TrainingError, match="made with other pictures than these"):
        striate.train(other, resume=True, out=run.run, progress=False)


def test_masks_that_cannot_be_read_are_left_out_where_that_is_asked_for(data, tmp_path, capsys):
    other = shutil.copytree(data, tmp_path / "other")
    mask = other / "masks" / "3.png"
    mask.write_bytes(mask.read_bytes()[:60])
    words = ["train", str(other), "--model", "toy/resnet20", "--epochs", "1", "--out", str(tmp_path / "run")]
    assert main([*words, "--quiet"]) == 2
    assert "1 mask cannot be read: masks/3.png (" in (said := capsys.readouterr().err) and "--skip-unreadable" in said
    assert main([*words, "--skip-unreadable"]) == 0
    said = capsys.readouterr().err
    assert "1 mask cannot be read, left out with its picture: masks/3.png (" in said
    assert "pixels of the training masks: ground " in said
    figures = striate.evaluate(tmp_path / "run", other, split="all", skip_unreadable=True)
    assert figures.images == 7
    assert (
        main(["predict", str(tmp_path / "run"), str(other / "images" / "0.png"), "--out", str(tmp_path / "a.jpg")]) == 2
    )
    assert "one file does not hold an answer of segment" in capsys.readouterr().err


def test_folds_are_pooled(data, tmp_path):
    result = trained(data, tmp_path / "folds", changes={"folds": 2, "stages": [{"epochs": 1, "rate": 0.01}]})
    assert result.pooled["images"] == 8 and [fold["images"] for fold in result.folds] == [4, 4]
    known = [np.array(fold["confusion"]) for fold in result.folds]
    assert np.array_equal(np.array(result.pooled["confusion"]), sum(known))
    assert sum(map(np.sum, known)) == 8 * (32 * 32 - 9)  # all but the void corners


def test_what_cannot_be_is_refused_before_anything_is_written(data, tmp_path, capsys):
    for words, said in (
        (("--fit", "crop"), 'fit is "crop"'),
        (("--crop-size", "16", "16", "--multi-scale", "0.5", "1"), "multi_scale"),
        (("--cross-entropy-weight", "0", "--dice-weight", "0"), "nothing to learn"),
    ):
        out = tmp_path / "run"
        assert main(["train", str(data), "--model", "toy/resnet20", "--out", str(out), "--quiet", *words]) == 2
        assert said in capsys.readouterr().err
        assert not Path(out).exists()
