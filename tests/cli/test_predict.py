"""``striate predict`` of pictures that can and cannot be read."""

import copy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from striate import modelfile
from striate.data.records import Classes
from striate.models import build
from striate.pictures.preprocess import Preprocess
from striate.predictor import load

TEXT = "not a picture: it is a text file named .jpg"


@pytest.fixture
def spoilt(photos):
    """24 pictures, and two among them that are none."""
    (photos / "disc" / "0005a.jpg").write_text("no picture")
    (photos / "square" / "empty.png").write_bytes(b"")
    return photos


def test_a_folder_goes_on_past_what_cannot_be_read(striate, run, spoilt):
    answer = striate("predict", run, spoilt)
    assert answer.code == 0 and answer.out.count("\n") == 24
    assert answer.err == (
        "left out 2 of 26 pictures that cannot be read (--strict stops at the first):\n"
        f"  {spoilt}/disc/0005a.jpg: {TEXT}\n  {spoilt}/square/empty.png: it is empty (0 bytes)\n"
    )


def test_json_lists_what_cannot_be_read(striate, run, spoilt):
    answer = striate("predict", run, spoilt, "--json", "--quiet")
    assert (answer.code, answer.err) == (0, "") and set(answer.json) == {"predictions", "unreadable"}
    assert len(answer.json["predictions"]) == 24
    assert answer.json["unreadable"] == [
        {"image": f"{spoilt}/disc/0005a.jpg", "reason": TEXT},
        {"image": f"{spoilt}/square/empty.png", "reason": "it is empty (0 bytes)"},
    ]
    assert striate("predict", run, spoilt / "disc" / "0000.jpg", "--json").json["unreadable"] == []


def test_strict_stops_at_the_first(striate, run, spoilt):
    answer = striate("predict", run, spoilt, "--strict")
    assert answer.code == 2 and answer.out.count("\n") == 6
    assert answer.err == f"striate: {spoilt}/disc/0005a.jpg: {TEXT}\n"
    striate("predict", run, spoilt, "--strict", "--json").refuses(f"disc/0005a.jpg: {TEXT}")


def test_one_picture_that_cannot_be_read_is_an_error(striate, run, spoilt):
    for words in ([], ["--strict"], ["--quiet"], ["--json"]):
        answer = striate("predict", run, spoilt / "disc" / "0005a.jpg", *words)
        answer.refuses()
        assert answer.err == f"striate: {spoilt}/disc/0005a.jpg: {TEXT}\n"


def test_of_several_named_pictures_one_must_be_answered(striate, run, spoilt):
    good, bad = spoilt / "disc" / "0000.jpg", spoilt / "disc" / "0005a.jpg"
    for pictures in ((bad, "nowhere.jpg", good), (good, bad, "nowhere.jpg")):
        answer = striate("predict", run, *pictures)
        assert answer.code == 0 and answer.out.startswith(f"{good}: ") and answer.out.count("\n") == 1
        assert "left out 2 of 3 pictures" in answer.err and "nowhere.jpg: there is no such file" in answer.err
    for words in ([], ["--json"], ["--quiet"]):
        striate("predict", run, bad, "nowhere.jpg", *words).refuses(
            "none of 2 pictures can be read", TEXT, "no such file"
        )


def test_a_folder_where_none_can_be_read(striate, run, spoilt):
    for picture in (spoilt / "disc").iterdir():
        picture.write_text("no picture")
    answer = striate("predict", run, spoilt / "disc", "--json")
    answer.refuses("none of 13 pictures can be read", f"disc/0000.jpg: {TEXT}")


def test_skip_unreadable_is_gone(striate, run, photos):
    striate("predict", run, photos, "--skip-unreadable").refuses("Unknown option", "--skip-unreadable")
    striate("predict", run, photos, "--strikt").refuses("Did you mean --strict?")


def test_no_name_is_not_the_current_folder(striate, run, photos):
    for pictures in (("",), (photos, ""), ("", photos)):
        answer = striate("predict", run, *pictures)
        answer.refuses("path is empty", "the current one is '.'")
    assert striate("predict", run, ".").code == 0


def test_a_picture_without_end_marker_is_answered_and_told(striate, run, photos):
    pictures = sorted((photos / "disc").glob("*.jpg"))
    expected = striate("predict", run, photos / "disc", "--json").json["predictions"]
    for path in pictures:
        path.write_bytes(path.read_bytes()[:-2])
    answer = striate("predict", run, photos / "disc", "--json")
    assert answer.json == {"predictions": expected, "unreadable": []}
    assert answer.err.count("\n") == 1 and f"({len(pictures)}): {pictures[0]}, " in answer.err
    assert striate("predict", run, photos / "disc", "--quiet").err == ""
    pictures[0].write_bytes(pictures[0].read_bytes()[:-1])
    assert "left out 1 of 12 pictures" in striate("predict", run, photos / "disc").err


def test_12_bit_pictures_are_told(striate, run):
    for number in range(3):
        Image.fromarray(np.full((24, 24), 4000 + number, np.uint16)).save(f"{number}.png")
    answer = striate("predict", run, ".")
    assert answer.code == 0 and answer.err.startswith("the 16-bit pictures (3) use less than a sixteenth of the range")


def test_a_photograph_of_a_telephone(striate, run, photos):
    Path("IMG_1.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    striate("predict", run, "IMG_1.heic").refuses("IMG_1.heic: it is a HEIC photograph", "pip install 'striate[heif]'")


def test_a_film_and_tiles_are_refused_in_a_sentence(striate, run, photos):
    Path("clip.mp4").write_bytes(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom")
    striate("predict", run, "clip.mp4").refuses("clip.mp4: it is a film", "ffmpeg -i FILM frames/%06d.png")
    striate("predict", run, photos, "--tile", "64").refuses("tile is 64, but classify answers a picture as a whole")
    striate("predict", run, photos, "--overlap", "0.5").refuses("overlap is 0.5", "no tile is given")


def test_answers_that_are_text_alone_say_that_nothing_was_written(striate, run, photos, tmp_path):
    answer = striate("predict", run, photos / "disc" / "0000.jpg", "--out", tmp_path / "out")
    assert answer.code == 0 and answer.out.count("\n") == 1
    assert "nothing was written into" in answer.err and "classify are text alone" in answer.err
    assert list((tmp_path / "out").iterdir()) == []


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """The model file of a detector that nobody trained: it takes next to nothing for an object."""
    path = tmp_path_factory.mktemp("detector") / "detector.safetensors"
    network, arguments = build("tood/resnet18", classes=1, seed=1), {"classes": 1, "in_channels": 3}
    told = modelfile.Description("tood/resnet18", arguments, "detect", Classes(("disc",)), Preprocess(size=(64, 64)))
    modelfile.save(path, network.state_dict(), told)
    return path


def test_the_score_from_which_on_objects_are_named(striate, detector, run, photos):
    picture = photos / "disc" / "0000.jpg"
    assert striate("predict", detector, picture).out.endswith(": nothing found that scores 0.3 or more\n")
    named = striate("predict", detector, picture, "--score-threshold", "0.001", "--json").json["predictions"]
    scores = [each["probability"] for each in named[0]["boxes"]]
    assert len(scores) > 1 and max(scores) > 0.005
    fewer = striate("predict", detector, picture, "--score-threshold", "0.005", "--json").json["predictions"]
    assert [each["probability"] for each in fewer[0]["boxes"]] == [score for score in scores if score >= 0.005]
    predictor = load(detector, score_threshold=0.005)
    assert [len(each(picture)) for each in (predictor, copy.copy(predictor))] == [len(fewer[0]["boxes"])] * 2
    told = "score_threshold is 1.5; expected a number between 0 and 1, such as 0.25"
    striate("predict", detector, picture, "--score-threshold", "1.5").refuses(told)
    told = "score_threshold is 0.5, but classify leaves nothing out of its answers by a score; leave it out"
    striate("predict", run, picture, "--score-threshold", "0.5").refuses(told)


def test_a_photograph_within_a_budget(striate, tmp_path):
    network = build("unet", classes=2, seed=0, arguments={"width": 4})
    preprocess = Preprocess(channels="grey", mean=(0.5,), scale=(0.2,), size=(64, 64), resize="letterbox")
    arguments = {"classes": 2, "in_channels": 1, "width": 4}
    description = modelfile.Description("unet", arguments, "segment", Classes(("ground", "thing")), preprocess)
    modelfile.save(tmp_path / "model.safetensors", network.state_dict(), description)
    pixels = np.random.default_rng(0).integers(0, 256, (230, 300), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "large.png")
    asked = ("predict", tmp_path / "model.safetensors", tmp_path / "large.png")
    answer = striate(*asked, "--budget", "1GB", "--tile", "224", "--json")
    (row,) = answer.json["predictions"]
    assert row["tiles"] == {
        "count": 8,
        "height": 224,
        "width": 224,
        "again": pytest.approx(8 * 224 * 224 / (240 * 304) - 1),
        "wholes": [],
    }
    assert "answered in 8 tiles of 224x224 pixels; around what each answers, 450% of the pixels" in answer.err
    whole = striate(*asked, "--budget", "auto", "--json").json["predictions"][0]
    assert whole["tiles"] == {"count": 1, "height": 240, "width": 304, "again": 0, "wholes": []}
    assert whole["areas"] == row["areas"]
    striate(*asked, "--budget", "10kB").refuses(
        "large.png: the budget is 10,000 bytes, and the weights of unet alone are"
    )
    striate(*asked, "--budget", "much").refuses("--budget is 'much'")
    striate(*asked, "--budget", "1GB", "--tile", "100").refuses("tile is 100, but unet looks 92 and 96 pixels around")
    striate(*asked, "--budget", "1GB", "--overlap", "0.1").refuses("overlap is 0.1, but with a budget")


def test_a_budget_for_a_task_that_answers_as_a_whole_is_refused(striate, run, photos):
    striate("predict", run, photos, "--budget", "1GB").refuses("budget is 1,000,000,000 bytes, but classify answers")
