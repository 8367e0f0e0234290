"""The contracts are wide enough: two toy tasks, each a few files and rows of tables, go every road of the product."""

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import striate
from striate import modelfile
from striate.cli.app import main
from striate.data.sources import SOURCES
from striate.models.heads import HEADS
from striate.task_settings import SETTINGS
from striate.tasks import TASKS
from toys.driver import add_rows

DRIVER = Path(__file__).parent / "driver.py"
KINDS = ("boxes", "masks")
MODELS = {"boxes": "toy_boxes/resnet20", "masks": "toy_masks/resnet20"}
METRICS = {"boxes": "mean_iou", "masks": "pixel_accuracy"}
COUNT = 30


@pytest.fixture(autouse=True, scope="module")
def rows():
    """The toys' rows, which nobody finds afterwards."""
    tables = (SOURCES, HEADS, TASKS, SETTINGS)
    before = [dict(table) for table in tables]
    add_rows()
    yield
    for table, rows in zip(tables, before, strict=True):
        table.clear()
        table.update(rows)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Rectangles, red or blue, on grey noise: one in most pictures, in every seventh none."""
    folders = {kind: tmp_path_factory.mktemp(kind) for kind in KINDS}
    for part in ("pictures", "masks"):
        (folders["masks"] / part).mkdir()
    (folders["masks"] / "classes.txt").write_text("ground red blue")
    lines = []
    rng = np.random.default_rng(0)
    for number in range(COUNT):
        pixels = rng.integers(90, 110, (40, 48, 3)).astype(np.uint8)
        mask = np.zeros((40, 48), np.uint8)
        name = f"{number:02}.png"
        if number % 7 == 6:
            lines.append(name)
        else:
            (left, top), (width, height), colour = rng.integers(2, 14, 2), rng.integers(12, 24, 2), number % 2
            pixels[top : top + height, left : left + width] = [[250, 20, 20], [20, 20, 250]][colour]
            mask[top : top + height, left : left + width] = colour + 1
            lines.append(f"{name},{left},{top},{left + width},{top + height},{['red', 'blue'][colour]}")
        Image.fromarray(pixels).save(folders["boxes"] / name)
        Image.fromarray(pixels).save(folders["masks"] / "pictures" / name)
        Image.fromarray(mask).save(folders["masks"] / "masks" / name)
    (folders["boxes"] / "boxes.csv").write_text("\n".join(lines))
    return folders


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A whole run of each task, never interrupted."""
    runs = {}
    for kind in KINDS:
        runs[kind] = tmp_path_factory.mktemp("runs") / kind
        assert main(["train", str(data[kind]), "--out", str(runs[kind]), "--quiet", "--workers", "1"]) == 0
    return runs


def answered(capsys, *words):
    """What one command says as JSON."""
    capsys.readouterr()
    assert main([*map(str, words), "--json", "--quiet"]) == 0
    return json.loads(capsys.readouterr().out)


def size_of(picture):
    with Image.open(picture) as image:
        return image.size


def copied(run, to):
    to.mkdir()
    for path in run.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


@pytest.mark.parametrize("kind", KINDS)
def test_the_data_say_what_the_task_is_and_the_run_keeps_it(trained, kind):
    recipe = (trained[kind] / "recipe.toml").read_text()
    assert f'task = "toy_{kind}"' in recipe and f"[toy_{kind}]" in recipe and "[classify]" not in recipe
    assert f'metric = "{METRICS[kind]}"' in recipe and f'model = "{MODELS[kind]}"' in recipe
    lines = [json.loads(line) for line in (trained[kind] / "metrics.jsonl").read_text().splitlines()]
    epochs = [line for line in lines if line["kind"] == "epoch"]
    assert len(epochs) == 3 and METRICS[kind] in epochs[-1]["validation"]
    assert "per_class" not in epochs[-1]["validation"]  # what the task does not want in the log
    steps = [line for line in lines if line["kind"] == "step"]
    if kind == "boxes":
        assert steps[0]["loss_parts"].keys() == {"objectness", "box", "class"}
        assert sum(steps[0]["loss_parts"].values()) == pytest.approx(steps[0]["loss"], rel=1e-5)
    else:
        assert "loss_parts" not in steps[0]
    assert epochs[-1]["loss"] < epochs[0]["loss"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_file_keeps_what_task_and_network_need(trained, kind):
    network, description = modelfile.load(trained[kind] / "model.safetensors")
    assert description.task == f"toy_{kind}" and list(network.blocks)[-1] == "head"
    assert description.task_arguments == ({"threshold": 0.5} if kind == "boxes" else {})
    assert description.arguments["classes"] == (2 if kind == "boxes" else 3)
    assert description.arguments.get("boxes") == (1 if kind == "boxes" else None)


@pytest.mark.parametrize("kind", KINDS)
def test_evaluate_measures_the_test_split_and_predict_answers_in_the_photographs_pixels(
    data, trained, kind, tmp_path, capsys
):
    figures = answered(capsys, "evaluate", trained[kind], data[kind])
    assert figures["task"] == f"toy_{kind}" and figures["split"] == "test" and 0 < figures["images"] < COUNT
    assert 0 <= figures[METRICS[kind]] <= 1
    picture = data[kind] / ("00.png" if kind == "boxes" else "pictures/00.png")
    found = answered(capsys, "predict", trained[kind], picture, picture, "--out", tmp_path / "out")["predictions"]
    assert [each["image"] for each in found] == [str(picture)] * 2
    if kind == "boxes":
        assert all(each.keys() == {"name", "probability", "xyxy"} for each in found[0]["boxes"])
    else:
        assert sum(found[0]["areas"].values()) == pytest.approx(1)
        assert size_of(tmp_path / "out" / found[1]["mask"]) == (48, 40)
    assert [each["drawn"] for each in found] == ["00.drawn.png", "00-2.drawn.png"]
    assert size_of(tmp_path / "out" / "00.drawn.png") == (48, 40)
    assert main(["predict", str(trained[kind]), str(picture)]) == 0
    assert str(picture) in capsys.readouterr().out


@pytest.fixture(scope="module")
def killed(data, tmp_path_factory):
    """The words of a run of each task that was killed; they start together, since most of what they do is to start."""
    words = {}
    environment = {**os.environ, "TOYS_DIE_AFTER": "4"}  # an epoch has three or four lines of steps and one of its own
    with ExitStack() as ends:
        processes = []
        for kind in KINDS:
            run = tmp_path_factory.mktemp("killed") / kind
            words[kind] = ["train", str(data[kind]), "--out", str(run), "--quiet", "--workers", "0"]
            command = [sys.executable, DRIVER, *words[kind], "--save-every", "0.001"]
            processes.append(ends.enter_context(subprocess.Popen(command, env=environment)))
        assert [process.wait() for process in processes] == [-signal.SIGKILL] * len(KINDS)
    return words


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_killed_and_resumed_ends_as_if_it_never_was(trained, killed, kind):
    assert main([*killed[kind], "--resume"]) == 0
    run = Path(killed[kind][killed[kind].index("--out") + 1])
    resumed, whole = (load_file(each / "model.safetensors") for each in (run, trained[kind]))
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


@pytest.mark.parametrize("kind", KINDS)
def test_extend_goes_on_with_a_finished_run(data, trained, kind, tmp_path, capsys):
    run = copied(trained[kind], tmp_path / "run")
    result = answered(capsys, "train", data[kind], "--out", run, "--extend", 1)
    assert result["epochs"] == 4 and result["best"].keys() >= {METRICS[kind]}


@pytest.mark.parametrize("kind", KINDS)
def test_folds_pool_what_was_held_out(data, kind, tmp_path, capsys):
    words = ("train", data[kind], "--out", tmp_path / "run", "--folds", 3, "--epochs", 1)
    result = answered(capsys, *words)
    assert len(result["folds"]) == 3 and result["pooled"]["images"] == COUNT
    assert 0 <= result["pooled"][METRICS[kind]] <= 1 and result["pooled"]["spread"].keys() == {"mean", "deviation"}


def test_flags_of_the_tasks_stand_in_help_and_belong_to_the_runs_own(data, tmp_path, capsys):
    with pytest.raises(SystemExit, match="0"):
        sys.exit(main(["train", "--help"]))
    text = capsys.readouterr().out
    assert text.count("--loss ") == 1 and "--threshold" in text and "--label-smoothing" in text
    run = tmp_path / "run"
    words = ["train", str(data["boxes"]), "--out", str(run), "--epochs", "1", "--quiet"]
    assert main([*words, "--loss", "l2", "--threshold", "0.4"]) == 0
    assert 'loss = "l2"' in (run / "recipe.toml").read_text()
    assert modelfile.describe(run / "model.safetensors").task_arguments == {"threshold": 0.4}
    assert main([*words, "--force", "--label-smoothing", "0.1"]) == 2
    assert "toy_boxes" in capsys.readouterr().err


def test_whatever_answers_parts_is_tiled(data, trained, capsys):
    """The cutting is one for all tasks, and what merging means each task's own."""
    predictor = striate.load(trained["masks"])
    pixels = np.asarray(Image.open(data["masks"] / "pictures" / "00.png"))
    merged = predictor(pixels, tile=32, overlap=0.5)
    parts = [(0, 0), (0, 16), (8, 0), (8, 16)]  # of 40 x 48 pixels
    for top, left in reversed(parts):
        expected = predictor(pixels[top : top + 32, left : left + 32])
        shown = np.zeros((40, 48), bool)
        shown[top : top + 32, left : left + 32] = True
        for above, before in parts[: parts.index((top, left))]:
            shown[above : above + 32, before : before + 32] = False
        assert shown.any()
        np.testing.assert_array_equal(merged[shown], expected[shown[top : top + 32, left : left + 32]])
    picture = data["boxes"] / "00.png"
    assert main(["predict", str(trained["boxes"]), str(picture), "--tile", "32"]) == 2
    assert "toy_boxes answers a picture as a whole" in capsys.readouterr().err


@pytest.mark.parametrize("kind", KINDS)
def test_from_python(data, trained, kind):
    predictor = striate.load(trained[kind])
    pictures = sorted((data[kind] / ("." if kind == "boxes" else "pictures")).glob("*.png"))[:3]
    answers = predictor(pictures)
    assert len(answers) == 3
    if kind == "masks":
        assert answers[0].shape == (40, 48) and answers[0].dtype == np.uint8


def test_tables_name_the_same_tasks():
    assert TASKS.keys() == SETTINGS.keys()
    assert {head.task for head in HEADS.values()} <= TASKS.keys()


def test_no_file_of_the_product_knows_the_toys():
    package = Path(striate.__file__).parent
    assert not [path for path in package.rglob("*.py") if "toy_" in path.read_text(encoding="utf-8")]
    assert os.path.commonpath([package, DRIVER]) != str(package)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mirrored_picture_answers_as_the_picture_itself_once_that_is_undone(trained, kind):
    """Of a network that does not care: outputs that are mirrored by hand."""
    from striate.tasks import task_named

    _, description = modelfile.load(trained[kind] / "model.safetensors")
    task = task_named(description.task, description.classes, description.task_arguments)
    if kind == "masks":
        outputs = torch.randn(2, 3, 8, 12)
        assert torch.equal(task.undo(outputs.flip(3), (8, 12)), outputs)
    else:
        outputs = torch.randn(2, 6, 7)  # 2 x 3 places
        swapped = outputs.view(2, 2, 3, 7).flip(2).reshape(2, 6, 7)
        mirrored = torch.cat(
            [swapped[..., :1], 1 - swapped[..., 3:4], swapped[..., 2:3], 1 - swapped[..., 1:2], swapped[..., 4:]], dim=2
        )
        assert torch.allclose(task.undo(mirrored, (8, 12)), outputs)


def test_a_model_of_another_task_and_data_of_another_kind_are_refused_before_anything_is_written(
    data, tmp_path, capsys
):
    for words, said in (
        (["train", data["masks"], "--model", "toy_boxes/resnet20"], "made for toy_boxes, and the task is toy_masks"),
        (["train", data["boxes"], "--model", "resnet20"], "made for classify, and the task is toy_boxes"),
        (["train", data["boxes"], "--task", "toy_masks"], "data for toy_boxes, not for toy_masks"),
        (["train", data["boxes"], "--task", "classify"], "data for toy_boxes, not for classify"),
    ):
        assert main([*map(str, words), "--out", str(tmp_path / "run"), "--quiet"]) == 2
        assert said in capsys.readouterr().err
        assert not (tmp_path / "run").exists()


def test_pictures_of_one_name_have_files_of_their_own_and_photographs_stay(data, trained, tmp_path, capsys):
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.png", "a-2.png", "a.mask.png", "sub/a.png"):
        (folder / name).write_bytes((data["masks"] / "pictures" / "00.png").read_bytes())
    found = answered(capsys, "predict", trained["masks"], folder, "--out", tmp_path / "out")["predictions"]
    names = [each[key] for each in found for key in ("mask", "drawn")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(names) and len(set(names)) == 8
    assert main(["predict", str(trained["masks"]), str(folder / "sub" / "a.png"), "--out", str(folder / "sub")]) == 2
    assert [path.name for path in (folder / "sub").iterdir()] == ["a.png"]
    # What is written among photographs would be looked for while the others are answered.
    assert main(["predict", str(trained["masks"]), str(folder), "--out", str(folder / "z")]) == 2
    assert "lies where the photographs are" in capsys.readouterr().err and not (folder / "z").exists()


def test_a_figure_that_does_not_exist_steers_nothing(data, trained, tmp_path, monkeypatch, capsys):
    from toys.box_task import BoxMeter

    real = BoxMeter.figures
    monkeypatch.setattr(BoxMeter, "figures", lambda self: {**real(self), "mean_iou": None})
    result = answered(capsys, "train", data["boxes"], "--out", tmp_path / "run", "--epochs", 2)
    assert result["best"]["mean_iou"] is None and result["test"]["mean_iou"] is None
