"""Super-resolution, from a folder of pictures to files: figures, tiles, what a file keeps, and what is refused."""

import csv
import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from striate import modelfile, predictor
from striate.base.errors import DecodeError, ModelError
from striate.cli.app import main
from striate.data.augmentation import Augmentation
from striate.data.loading import Loader
from striate.data.records import Batch, Classes, Record
from striate.data.targets import LARGER
from striate.evaluation import evaluate
from striate.models.table import architecture
from striate.pictures.decode import decode
from striate.pictures.geometry import Geometry
from striate.pictures.tiles import Tiling
from striate.predictor import Predictor
from striate.tasks.upscale import Upscale
from striate.tasks.upscale_figures import measured, psnr, ssim
from tests.tasks.upscale_scenes import waves


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Twenty pictures of odd sizes, without any classes."""
    path = tmp_path_factory.mktemp("photos")
    for number in range(20):
        Image.fromarray(waves(37 + number % 3, 43 + number % 5, number)).save(path / f"{number:02}.png")
    return path


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("run") / "run"
    words = ["train", folder, "--task", "upscale", "--out", out, "--size", "24", "--epochs", "2", "--factor", "3"]
    assert main([*map(str, words), "--quiet"]) == 0
    return out


def answered(capsys, *words) -> dict:
    capsys.readouterr()
    assert main([*map(str, words), "--json", "--quiet"]) == 0
    return json.loads(capsys.readouterr().out)


def test_it_is_printed_without_classes_and_draws_nothing(vdsr: Predictor) -> None:
    assert repr(vdsr).startswith("Predictor(vdsr, ") and "class" not in repr(vdsr) and vdsr.classes == ()
    picture = waves(20, 22, 0)
    assert vdsr.draw(picture, vdsr(picture)) is None


def test_a_network_below_bicubic_interpolation_says_so() -> None:
    figures = {"psnr": 25.8, "ssim": 0.9, "bicubic_psnr": 33.1, "bicubic_ssim": 0.95}
    said = Upscale().summary(figures)
    assert said.startswith(
        "PSNR 25.80 dB, bicubic 33.10; SSIM 0.9000, bicubic 0.9500; bicubic interpolation does better"
    )
    for other in (33.1, 34.0, None):
        assert "better" not in Upscale().summary({**figures, "psnr": other})


# The whole road


def test_a_model_file_says_factor_and_no_classes(run: Path) -> None:
    network, description = modelfile.load(run / "model.safetensors")
    assert (description.task, description.task_arguments) == ("upscale", {"factor": 3, "loss": "l1"})
    assert (description.classes, description.arguments["classes"], network.factor) == (Classes(()), 0, 3)
    assert 'fit = "none"' in (run / "recipe.toml").read_text()


def test_figures_are_those_of_the_pictures_that_are_written(run: Path, folder: Path, tmp_path: Path, capsys) -> None:
    figures = answered(capsys, "evaluate", run, folder)
    assert figures["split"] == "test" and figures["images"] == 2 and figures["wrong"] == []
    found, plain = [], []
    for row in evaluate(run, folder).rows:
        large = decode(folder / row["image"], "rgb").pixels
        large = large[: len(large) // 3 * 3, : large.shape[1] // 3 * 3]
        size = (large.shape[1] // 3, large.shape[0] // 3)
        small = Image.fromarray(large).resize(size, Image.Resampling.BICUBIC)
        small.save(tmp_path / row["image"])
        said = answered(capsys, "predict", run, tmp_path / row["image"], "--out", tmp_path / "out")["predictions"][0]
        assert (said["width"], said["height"]) == (large.shape[1], large.shape[0])
        again = small.resize(large.shape[1::-1], Image.Resampling.BICUBIC)
        network = decode(tmp_path / "out" / said["enlarged"], "rgb").pixels
        for pixels, figures_of in ((network, found), (np.asarray(again), plain)):
            off = luma_of(pixels)[3:-3, 3:-3] - luma_of(large)[3:-3, 3:-3]
            figures_of.append(10 * math.log10(255**2 / np.square(off).mean()))
        assert row["psnr"] == pytest.approx(found[-1], abs=0.02)
    assert figures["psnr"] == pytest.approx(np.mean(found), abs=0.02)
    assert figures["bicubic_psnr"] == pytest.approx(np.mean(plain), abs=0.02)


def test_all_pictures_are_written_the_worst_first(run: Path, folder: Path, tmp_path: Path, capsys) -> None:
    answered(capsys, "evaluate", run, folder, "--split", "all", "--wrong", tmp_path / "wrong.csv")
    assert main(["predict", str(run), str(folder / "00.png")]) == 0
    assert capsys.readouterr().err == "nothing was written; --out FOLDER takes the enlarged pictures\n"
    with (tmp_path / "wrong.csv").open(encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    found = [float(row["psnr"]) for row in rows]
    assert len(found) == len(list(folder.iterdir())) and found == sorted(found)
    assert rows[0].keys() == {"image", "psnr", "ssim", "bicubic_psnr", "bicubic_ssim", "loss"}


def luma_of(pixels: np.ndarray) -> np.ndarray:
    """As MATLAB's rgb2ycbcr, rounded."""
    return np.floor(16 + pixels.astype(np.float64) @ [65.481, 128.553, 24.966] / 255 + 0.5)


def test_class_folders_are_pictures_too_and_folds_pool(tmp_path: Path, capsys) -> None:
    for number in range(6):
        place = tmp_path / "data" / "ab"[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(waves(30, 31, number)).save(place)
    words = ("train", tmp_path / "data", "--task", "upscale", "--folds", 3, "--epochs", 1, "--size", 24)
    result = answered(capsys, *words, "--out", tmp_path / "run")
    assert result["pooled"]["images"] == 6 and result["pooled"]["ssim"] is not None


# What the network gets


def test_training_sees_windows_of_full_resolution_and_evaluation_whole_pictures(folder: Path) -> None:
    files = sorted(folder.iterdir())
    records = [Record(file, LARGER, bytes([n]) * 32, file.name) for n, file in enumerate(files)]
    row = architecture("espcn").preprocess

    windows = Augmentation(crop=(0.5, 1.0), aspect=(1.0, 1.0), flip=False)
    small = dataclasses.replace(row, size=(16, 24))
    batch = next(Loader(records, small, batch_size=5, augmentation=windows, seed=1).epoch(0))
    assert batch.images.shape == (5, 3, 16, 24)
    for image, record in zip(batch.images, batch.records, strict=True):
        whole = torch.from_numpy(decode(record.handle, "rgb").pixels.copy()).permute(2, 0, 1)
        places = whole.unfold(1, 16, 1).unfold(2, 24, 1)  # [3, down, across, 16, 24]
        assert (places == image[:, None, None]).all(-1).all(-1).all(0).any()
    wholes = list(Loader(records, small, batch_size=5).epoch(0))
    assert [tuple(each.images.shape[2:]) for each in wholes] == [decode(file, "rgb").pixels.shape[:2] for file in files]
    task = Upscale(factor=3)
    assert task.inputs(wholes[0].images).shape[2:] == (37 // 3, 43 // 3)
    assert task.encode(wholes[0], torch.device("cpu")).shape == (1, 1, 36, 42)


# Tiles


@pytest.mark.slow
def test_tiles_are_put_together_as_the_whole_is_answered(vdsr: Predictor) -> None:
    """To the bit but for where rounding to bytes meets a tie: rows of any overlap, and of none that is asked for."""
    picture = waves(50, 73, 3)
    whole = vdsr(picture)
    assert whole.shape == (100, 146, 3) and whole.dtype == np.uint8
    for words in ({"tile": 40}, {"tile": 40, "overlap": 0.8}, {"tile": 60}):
        off = np.abs(vdsr(picture, **words).astype(int) - whole)
        assert off.max() <= 1 and (off > 0).mean() < 1e-3, words
    assert np.abs(whole.astype(int) - np.asarray(Image.fromarray(picture).resize((146, 100), 3))).max() > 3


@pytest.mark.slow
def test_large_pictures_are_tiled_unasked_and_never_looked_at_as_a_whole(vdsr: Predictor, monkeypatch) -> None:
    whole = vdsr(waves(50, 70, 4))
    monkeypatch.setattr(predictor, "SIDE", 32)
    sizes = []
    real = Predictor.outputs
    monkeypatch.setattr(Predictor, "outputs", lambda self, x: sizes.append(tuple(x.shape[2:])) or real(self, x))
    off = np.abs(vdsr([waves(50, 70, 4), waves(20, 30, 5)])[0].astype(int) - whole)
    assert off.max() <= 1 and (off > 0).mean() < 1e-3
    assert {*sizes} == {(32, 32), (20, 30)}


def test_an_enlarged_picture_has_no_most_probable_parts(vdsr: Predictor) -> None:
    with pytest.raises(ModelError, match="upscale gives each picture one answer; leave top out"):
        vdsr(waves(20, 30, 1), top=1)


def test_tiles_that_would_see_too_little_are_refused(vdsr: Predictor) -> None:
    with pytest.raises(ModelError, match="expected a side of 25"):
        vdsr(waves(50, 70, 4), tile=24)
    assert Tiling(25, 0.0, 12).shared == 24


# Figures


def test_figures_at_their_ends() -> None:
    plain = np.full((1, 20, 30), 100, np.uint8)
    other = plain.copy()
    other[0, 3, 4] += 1
    assert psnr(plain, plain) == psnr(plain, other) == pytest.approx(10 * math.log10(255**2 * 600))
    assert ssim(plain, plain) == pytest.approx(1) and 0.9 < ssim(plain, other) < 1
    assert math.isnan(psnr(plain[:, :0], plain[:, :0])) and math.isnan(ssim(plain[:, :10], plain[:, :10]))
    assert measured(np.zeros((20, 30, 3), np.uint8), 2).shape == (1, 16, 26)
    assert measured(np.full((20, 30, 3), 255, np.uint8), 2).max() == 235
    assert measured(np.full((20, 30, 1), 255, np.uint8), 2).max() == 235
    assert measured(np.full((20, 30, 5), 255, np.uint8), 2).shape == (5, 16, 26)


def test_meters_pool() -> None:
    task = Upscale()
    first, second, both = task.meter(), task.meter(), task.meter()
    for number, meter in ((0, first), (1, second)):
        image = torch.from_numpy(waves(32 + number, 40, number)).permute(2, 0, 1)[None]
        batch = Batch(image, (LARGER,), (Geometry(32, 40),), (Record(Path("a"), LARGER, b"", "a"),))
        outputs = torch.rand(1, 3, 32, 40, generator=torch.Generator().manual_seed(number))
        meter.add(outputs, batch)
        both.add(outputs, batch)
    first.merge(second.state())
    assert first.figures() == both.figures() and first.rows() == both.rows()
    assert len(both.rows()) == 2 and both.figures()["images"] == 2


# What is refused


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--fit", "crop"), 'leave it at "none"'),
        (("--mosaic", "0.5"), "leave mosaic at 0"),
        (("--factor", "5"), "factor"),
        (("--model", "resnet18"), "resnet18 is made for classify, and the task is upscale"),
        (("--label-smoothing", "0.1"), "upscale"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_written(words, said, folder: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "run"
    assert main(["train", str(folder), "--task", "upscale", "--out", str(out), "--quiet", *words]) == 2
    assert said in capsys.readouterr().err
    assert not (out / "recipe.toml").exists()


def test_a_network_of_one_size_cannot_take_pictures_as_they_are(tmp_path: Path, capsys) -> None:
    for number in range(30):
        place = tmp_path / "data" / "ab"[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(waves(30, 31, number)).save(place)
    words = ["train", str(tmp_path / "data"), "--model", "alexnet", "--fit", "none", "--out", str(tmp_path / "run")]
    assert main([*words, "--quiet"]) == 2
    assert 'fit is "none"' in capsys.readouterr().err


def with_a_thin_one(folder: Path) -> Path:
    """Splits, of which the test has a picture of one row."""
    for split, count in (("train", 4), ("val", 2), ("test", 2)):
        for number in range(count):
            (folder / split).mkdir(parents=True, exist_ok=True)
            Image.fromarray(waves(30, 31, 10 * count + number)).save(folder / split / f"{number}.png")
    Image.fromarray(waves(1, 60, 5)).save(folder / "test" / "thin.png")
    return folder


def test_pictures_smaller_than_the_factor_are_named_before_a_run_and_can_be_left_out(tmp_path: Path, capsys) -> None:
    data, run = with_a_thin_one(tmp_path / "data"), tmp_path / "run"
    words = ["train", data, "--task", "upscale", "--size", "24", "--epochs", "1", "--out", run]
    assert main([*map(str, words)]) == 2
    said = capsys.readouterr().err
    assert "1 of 9 pictures" in said and "leave them out with --skip-unreadable" in said
    assert "  test/thin.png: it has 60 x 1 pixels, where 2 x 2 or more are wanted" in said
    assert not [*run.glob("*.safetensors")] and not (run / "recipe.toml").exists()
    result = answered(capsys, *words, "--skip-unreadable", "--force")
    assert result["test"]["images"] == 2
    assert main(["evaluate", str(run), str(data)]) == 2
    assert "test/thin.png: it has 60 x 1 pixels" in capsys.readouterr().err
    assert answered(capsys, "evaluate", run, data, "--skip-unreadable")["images"] == 2


def test_windows_smaller_than_the_factor_are_the_recipes_fault(folder: Path, tmp_path: Path, capsys) -> None:
    words = ["train", folder, "--task", "upscale", "--size", "1", "--epochs", "1", "--out", tmp_path / "run"]
    assert main([*map(str, words), "--quiet"]) == 2
    assert "size is [1, 1], and windows of less than 2 x 2 pixels cannot be shrunk by 2" in capsys.readouterr().err
    assert not [*(tmp_path / "run").glob("*.*")]


class Scarce:
    """A network's answer that needs more memory than there is for what is higher than 30 pixels, or for several."""

    def __init__(self, predictor: Predictor, error: Exception) -> None:
        self.answer, self.error = predictor._answer, error

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) > 1 or images.shape[2] > 30:
            raise self.error
        return self.answer(images)


LACKING = [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried")]


@pytest.mark.parametrize("error", LACKING, ids=["numpy", "torch"])
def test_an_answer_that_does_not_fit_into_memory_is_told_and_the_others_come(vdsr, tmp_path, monkeypatch, error):
    sizes = {"a": 20, "b": 40, "c": 20, "d": 20}
    paths = [tmp_path / f"{name}.png" for name in sizes]
    for path, height in zip(paths, sizes.values(), strict=True):
        Image.fromarray(waves(height, 20, height)).save(path)
    wanted = vdsr(paths[0])
    monkeypatch.setattr(vdsr, "_answer", Scarce(vdsr, error))
    told = []
    found = dict(vdsr.stream(paths, on_unreadable=told.append))
    assert [path.stem for path in found] == ["a", "c", "d"] and np.array_equal(found[paths[0]], wanted)
    assert [str(each) for each in told] == [f"{paths[1]}: its answer does not fit into memory"]
    with pytest.raises(DecodeError, match="its answer does not fit into memory"):
        vdsr(paths)


def test_a_file_that_does_not_fit_into_memory_is_told(run, tmp_path, monkeypatch, capsys) -> None:
    for name, height in (("a", 20), ("b", 40), ("c", 20)):
        Image.fromarray(waves(height, 20, height)).save(tmp_path / f"{name}.png")
    save = Image.Image.save

    def saving(image, *args, **options):
        if image.height > 100:
            raise MemoryError
        save(image, *args, **options)

    monkeypatch.setattr(Image.Image, "save", saving)
    said = answered(capsys, "predict", run, tmp_path, "--out", tmp_path.parent / f"{tmp_path.name}-out")
    assert [Path(row["image"]).stem for row in said["predictions"]] == ["a", "c"]
    (missing,) = said["unreadable"]
    assert Path(missing["image"]).stem == "b" and missing["reason"] == "its answer does not fit into memory"
    assert main(["predict", str(run), str(tmp_path / "b.png"), "--out", str(tmp_path / "o" / "p")]) == 2


def test_other_faults_of_a_network_stay_faults(vdsr, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(vdsr, "_answer", Scarce(vdsr, RuntimeError("shapes differ")))
    with pytest.raises(RuntimeError, match="shapes differ"):
        vdsr(waves(40, 20, 0))
