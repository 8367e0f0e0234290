"""``striate import`` as a user meets it: words, JSON, refusals; nothing is half-written."""

import re
from pathlib import Path

import pytest

from tests.weights.handmade import darknet_detector

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "json.md"
pytestmark = pytest.mark.usefixtures("one_reader")
WORDS = ("--model", "lenet5", "--classes", "2", "--preprocess", "raw", "--out", "ours.safetensors")


@pytest.fixture
def theirs(tmp_path: Path) -> str:
    """LeNet-5 for two classes as somebody's PyTorch file."""
    import torch

    from striate.models import build

    torch.save(build("lenet5", classes=2, seed=1).state_dict(), tmp_path / "theirs.pth")
    return "theirs.pth"


def documented() -> set[str]:
    (section,) = re.findall(r"^## `striate import .*?(?=^## )", DOCUMENT.read_text(), flags=re.MULTILINE | re.DOTALL)
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| ")]
    return {key for row in rows for key in re.findall(r"`([a-z0-9_]+)`", row)}


def test_import_in_words(striate, theirs):
    answer = striate("import", theirs, *WORDS)
    assert answer.code == 0 and answer.err == ""
    assert answer.out == (
        "wrote ours.safetensors: lenet5, 2 classes, pictures of 32x32 grey, preprocessing raw (given)\n"
        "next: striate predict ours.safetensors PICTURE\n"
    )


def test_import_in_json_and_then_predict(striate, theirs, photos):
    answer = striate("import", theirs, *WORDS, "--json", "--licence", "MIT")
    result = answer.json
    assert answer.code == 0 and set(result) == documented() | {"state"}
    assert (result["model"], result["origin"], result["licence"]) == ("lenet5", "torch", "MIT")
    assert (result["out"], result["source"], result["classes"]) == ("ours.safetensors", "theirs.pth", 2)
    assert result["preprocess"]["unit"] == 1.0 and (result["best"], result["tried"]) == (None, [])
    rows = striate("predict", "ours.safetensors", photos / "disc", "--json").json["predictions"]
    assert len(rows) == 12 and {each["name"] for each in rows[0]["classes"]} == {"0", "1"}


def test_two_sets_of_weights_in_one_file(striate, theirs):
    import torch

    state = torch.load(theirs, weights_only=True)
    averaged = {name: tensor + 1 for name, tensor in state.items()}
    torch.save({"model": state, "model_ema": {f"module.{name}": each for name, each in averaged.items()}}, "two.pth")
    refused = striate("import", "two.pth", *WORDS)
    refused.refuses(
        "two.pth: holds more than one set", "model (10 tensors), model_ema (10 tensors)", "--state model_ema"
    )
    answer = striate("import", "two.pth", *WORDS, "--state", "model_ema")
    assert answer.code == 0 and "preprocessing raw (given), from the entry model_ema\n" in answer.out
    result = striate("import", "two.pth", *WORDS, "--state", "model", "--force", "--json").json
    assert result["state"] == "model"
    striate("import", "two.pth", *WORDS, "--state", "ema", "--force").refuses("no tensors under 'ema'", "model_ema (10")
    Path("x.weights").write_bytes(b"1")
    Path("x.cfg").write_text("[net]\n")
    striate("import", "x.weights", *WORDS, "--state", "ema", "--force").refuses("darknet", "leave --state out")


def test_a_prefix_that_only_some_names_have(striate, theirs):
    import torch

    state = torch.load(theirs, weights_only=True)
    torch.save({f"model.{name}": each for name, each in state.items()} | {"loss.weight": torch.ones(2)}, "some.pth")
    striate("import", "some.pth", *WORDS).refuses("10 of its 11 tensors begin with 'model.'", "--state model takes")
    assert striate("import", "some.pth", *WORDS, "--state", "model").code == 0
    torch.save({f"somebodys.{name}": each for name, each in state.items()}, "all.pth")
    striate("import", "all.pth", *WORDS, "--force").refuses("10 of its 10 tensors begin with 'somebodys.'")
    assert striate("import", "all.pth", *WORDS, "--state", "somebodys", "--force").code == 0


def test_every_field_of_the_preprocessing_has_a_flag(striate, theirs):
    words = "--channels luma --unit 2 --mean 3 --scale 4.5 --size 32x32 --resize crop --crop 0.5 --border 1 --fill 9"
    answer = striate("import", theirs, *WORDS, *words.split(), "--interpolation", "lanczos", "--json")
    wanted = {"channels": "luma", "unit": 2.0, "mean": [3.0], "scale": [4.5], "size": [32, 32], "resize": "crop"}
    wanted |= {"crop_fraction": 0.5, "border": 1, "fill": 9, "interpolation": "lanczos"}
    assert answer.json["preprocess"] == wanted


def test_a_trial_is_a_table(striate, theirs, photos):
    Path("names.txt").write_text("square\ndisc\n")
    words = ("--model", "lenet5", "--classes", "names.txt", "--out", "ours.safetensors", "--try", photos)
    answer = striate("import", theirs, *words)
    assert answer.code == 0
    lines = answer.out.splitlines()
    assert re.fullmatch(r"kind +top-1  top-5 +loss  95 % interval of top-1", lines[0])
    assert {line.split()[0] for line in lines[1:6]} == {"imagenet", "caffe", "tf", "lite", "raw"}
    assert all(re.fullmatch(r"\w+ +0\.\d{3}  1\.000 +\d+\.\d{3}  0\.\d{3} to \d\.\d{3}", line) for line in lines[1:6])
    best = lines[1].split()[0]
    assert answer.err.startswith(f"best: {best}, top-1 ") and "of 24 pictures; " in answer.err
    assert lines[6].endswith(f"preprocessing {best} (measured)")
    result = striate("import", theirs, *words, "--force", "--json", "--quiet")
    assert result.err == "" and result.json["best"] == best and len(result.json["tried"]) == 5
    assert set(result.json["tried"][0]) == {"kind", "images", "top1", "top5", "loss", "interval"}
    evaluated = striate("evaluate", "ours.safetensors", photos, "--split", "all", "--json").json
    assert evaluated["top1"] == result.json["tried"][0]["top1"]


DARKNET = ("detector.weights", "--config", "detector.cfg", "--out", "ours.safetensors")


def test_a_detector_of_darknet_needs_no_model(striate, drawn):
    darknet_detector(Path(), classes=2)
    answer = striate("import", *DARKNET, "--classes", "2")
    assert answer.code == 0 and answer.out == (
        "wrote ours.safetensors: darknet, 2 classes, pictures of 32x64 rgb, preprocessing its own (described)\n"
        "next: striate predict ours.safetensors PICTURE\n"
    )
    assert "are letterboxed, as the first darknet does (--resize stretch for the other)" in answer.err
    Path("names.txt").write_text("disc\nsquare\n")
    words = ("--classes", "names.txt", "--resize", "stretch", "--force", "--json", "--licence", "CC0-1.0")
    answer = striate("import", *DARKNET, *words)
    result = answer.json
    assert answer.err == "" and set(result) == documented() | {"state"}
    assert (result["model"], result["asked"], result["origin"]) == ("darknet", "darknet", "darknet")
    assert (result["scheme"], result["chosen"], result["kind"]) == ("darknet_detector", "described", None)
    assert (result["classes"], result["preprocess"]["resize"]) == (2, "stretch")


def test_and_finds_and_draws_and_is_measured(striate, drawn):
    darknet_detector(Path(), classes=2)
    Path("names.txt").write_text("disc\nsquare\n")
    assert striate("import", *DARKNET, "--classes", "names.txt", "--quiet").err == ""
    picture = min(drawn.rglob("*.png"))
    found = striate("predict", "ours.safetensors", picture, "--json", "--out", "drawn").json["predictions"][0]
    assert found["boxes"] and all(set(each) == {"name", "probability", "xyxy"} for each in found["boxes"])
    assert {each["name"] for each in found["boxes"]} <= {"disc", "square"}
    assert Path("drawn", Path(found["drawn"]).name).exists()
    Path("data").mkdir()
    Path("data", picture.name).write_bytes(picture.read_bytes())
    Path("data", "boxes.csv").write_text(f"image,xmin,ymin,xmax,ymax,class\n{picture.name},2,3,14,15,disc\n")
    figures = striate("evaluate", "ours.safetensors", "data", "--json").json
    assert figures["task"] == "detect" and figures["images"] == 1 and figures["ap50"] is not None


def test_what_a_detector_of_darknet_is_refused_for(striate, photos, leftovers):
    darknet_detector(Path(), classes=2)
    whole, text = Path("detector.weights").read_bytes(), Path("detector.cfg").read_text()

    def refuses(words: str, *said: str) -> None:
        striate("import", *DARKNET, *words.split()).refuses(*said)

    refuses("", "answers with 2 classes", "--classes", "the number alone (2)")
    refuses("--classes coco", "answers with 2 classes, 80 were asked for; give --classes 2")
    refuses("--classes 2 --try photos", "--try measures networks that classify")
    refuses("--classes 2 --size 33x64", "size is 33x64", "multiples of 2")
    refuses("--classes 2 --model vgg16", "does not fit vgg16")
    refuses("--classes 2 --preprocess raw --channels 4", "--channels")
    Path("detector.weights").write_bytes(whole[:-3])
    refuses("--classes 2", "detector.weights: does not fit detector.cfg", "it ends at byte")
    Path("detector.weights").write_bytes(whole + b"1234")
    refuses("--classes 2", "belong to no layer")
    Path("detector.weights").write_bytes(whole)
    for change, said in (
        (("[net]", "[nett]"), ["the first section should be [net]"]),
        (("width=64", f"width={10**9}"), ["[net] of line 1 has width=1000000000, which is out of range"]),
        (("filters=4", f"filters={10**9}"), ["[convolutional] of line 5"]),
        (("[yolo]", "[yolov9]"), ["[yolov9] of line 15: layers of this kind are not read"]),
        (("batch_normalize=1", "batch_normalize=0"), ["implies", "floats"]),
    ):
        Path("detector.cfg").write_text(text.replace(*change))
        refuses("--classes 2", "detector.cfg", *said)
    Path("detector.cfg").write_bytes(b"\xff\xfe" + text.encode("utf-16-le"))
    refuses("--classes 2", "detector.cfg", "line 1 stands before any [section]")
    Path("detector.cfg").unlink()
    refuses("--classes 2", "detector.cfg is no file")
    striate("import", *DARKNET[:1], *DARKNET[3:]).refuses("Put it beside as detector.cfg", "--config FILE.cfg")
    assert not Path("ours.safetensors").exists() and leftovers(Path()) == []


def test_what_is_refused_before_the_file_is_read(striate, theirs, photos):
    before = sorted(path.name for path in Path().iterdir())

    def refuses(words: str, *said: str) -> None:
        striate("import", theirs, *words.split()).refuses(*said)

    refuses("--model lenet5", "--out")
    refuses("--out x.safetensors", "a file of torch does not say which network it is for", "--model")
    refuses("--model lenet --out x.safetensors", "no model is called 'lenet'", "Did you mean")
    refuses("--model lenet5 --out x.pth", "ends in .safetensors")
    refuses("--model lenet5 --out no/x.safetensors", "its folder does not exist")
    refuses("--model lenet5 --out x.safetensors --preprocess tff", "no kind 'tff'", "Did you mean 'tf'?")
    refuses("--model lenet5 --out x.safetensors --classes none.txt", "none.txt cannot be read")
    refuses("--model lenet5 --out x.safetensors --mean a,b", "--mean is 'a,b'", "0.485,0.456,0.406")
    refuses("--model lenet5 --out x.safetensors --size 3by4", "--size is '3by4'", "240x320")
    refuses("--model lenet5 --out x.safetensors --channels red", "--channels")
    assert sorted(path.name for path in Path().iterdir()) == before


def test_what_is_refused_afterwards(striate, theirs, photos, leftovers):
    out = ("--out", "x.safetensors")
    Path("text.pth").write_text("no weights")
    striate("import", "none.pth", "--model", "lenet5", *out, "--classes", "2").refuses("none.pth", "No such file")
    striate("import", "text.pth", "--model", "lenet5", *out, "--classes", "2").refuses("text.pth")
    striate("import", theirs, "--model", "lenet5", *out).refuses("answers with 2 classes", "--classes", "a text file")
    striate("import", theirs, "--model", "lenet5", *out, "--classes", "2").refuses(
        "theirs.pth: how pictures must be prepared", "imagenet: RGB", "raw: the bytes", "--try DATA"
    )
    striate("import", theirs, "--model", "lenet5", *out, "--classes", "2", "--try", photos).refuses("class 'disc'")
    striate("import", theirs, "--model", "lenet_caffe", *out, "--classes", "2", "--preprocess", "raw").refuses(
        "does not fit lenet_caffe", "missing", "unexpected"
    )
    assert not Path("x.safetensors").exists() and leftovers(Path()) == []


def test_a_file_that_is_there_is_kept(striate, theirs):
    Path("ours.safetensors").write_text("precious")
    striate("import", theirs, *WORDS).refuses("ours.safetensors: there is such a file already", "--force")
    assert Path("ours.safetensors").read_text() == "precious"
    assert striate("import", theirs, *WORDS, "--force").code == 0


def test_a_full_disk(striate, theirs, small_disk, fill):
    fill(small_disk)
    answer = striate("import", theirs, *WORDS[:-1], small_disk / "ours.safetensors")
    answer.refuses("cannot write", "the disk is full")
    assert [path.name for path in small_disk.iterdir()] == ["zeros"]


def test_a_name_of_any_bytes(striate, theirs):
    odd = "caf\udce9\n.pth"
    Path(theirs).rename(odd)
    answer = striate("import", odd, *WORDS, "--json")
    assert answer.code == 0
    from striate.modelfile import describe

    assert describe(Path("ours.safetensors")).provenance["source"] == "caf\\xe9\\n.pth"


def test_help_names_every_flag(striate):
    answer = striate("import", "--help")
    assert answer.code == 0
    flags = ("--model", "--classes", "--preprocess", "--try", "--licence", "--fresh-head", "--force", "--out", "-o")
    flags += (
        "--config",
        "--state",
        "--channels",
        "--unit",
        "--mean",
        "--scale",
        "--size",
        "--resize",
        "--crop",
        "--border",
    )
    assert all(flag in answer.out for flag in flags)


def test_a_network_without_classes_is_said_to_be_of_pictures_alone(striate, tmp_path):
    from safetensors.torch import save_file

    from striate.models import build

    save_file(build("espcn", seed=1).state_dict(), tmp_path / "theirs.safetensors")
    answer = striate("import", "theirs.safetensors", "--model", "espcn", "--out", "ours.safetensors")
    assert answer.out.startswith("wrote ours.safetensors: espcn, pictures of any size, rgb (described)\nnext: ")
