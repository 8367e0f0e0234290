"""``striate plan``: tables and figures in words and in JSON; what cannot be planned says what and where."""

import sys

import pytest

NETWORKS = "accept.plan.networks"


def test_the_exercises_network_in_words(striate):
    answer = striate("plan", f"{NETWORKS}:exercise", "--size", "200x300", "--batch", "50")
    assert answer.code == 0 and answer.err == ""
    assert "565,613,600 of all layers (training)" in answer.out
    assert "903,400 that learn, 0 frozen" in answer.out
    rows = [line.split() for line in answer.out.splitlines()[:4]]
    assert rows[1][:5] == ["0", "0", "Conv2d", "100x100x150", "2,800"]


def test_a_network_in_json(striate):
    found = striate("plan", "lenet5", "--json", "--batch", "2", "--depth", "1").json
    assert found["multiply_adds"] == 2 * 416_520 and found["flops"] == 4 * 416_520
    assert found["parameters"] == {"trainable": 61_706, "frozen": 0, "running_statistics": 0}
    assert found["advice"] is None and found["training"]["bytes"] > found["inference"]["bytes"]
    (field, _) = next(row for row in found["layers"] if row["path"] == "c3")["receptive_field"]
    assert (field["size"], field["stride"]) == (14, 2)


def test_advice(striate):
    """Of a budget for a whole process 500 MB are for Python, torch and what a run takes beside its tensors."""
    found = striate("plan", "lenet5", "--json", "--budget", "505MB").json["advice"]
    assert found["budget"] == int(5_000_000 / 1.06) >= found["bytes"] and found["batch"] > 32
    assert {remedy["flag"].split(" ")[0] for remedy in found["remedies"]} >= {"--batch-size", "--checkpoint-blocks", ""}
    said = striate("plan", "lenet5", "--budget", "505MB").out
    assert f"batches of up to {found['batch']} fit" in said and "another device" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("resnet5",), "no model is called 'resnet5'. Did you mean 'resnet50'?"),
        (("lenet5", "--size", "8"), "LeNet5 takes images of 32x32"),
        (("lenet5", "--size", "big"), "--size is 'big'; expected pixels"),
        (("lenet5", "--budget", "much"), "--budget is 'much'; expected an amount of memory"),
        (
            ("lenet5", "--budget", "10KB"),
            "--budget is '10KB', of which nothing is left for tensors: 400 MB are for Python",
        ),
        (("vgg16", "--budget", "900MB", "--batch", "2"), "vgg16: a run in batches of one picture takes "),
        (("lenet5", "--mode", "inference", "--budget", "1GB"), "--budget is about steps of training"),
        ((f"{NETWORKS}:AsksForNumbers",), "AsksForNumbers: its code asks for numbers in a tensor"),
        ((f"{NETWORKS}:raises",), "raises() raised OSError: no such weights"),
        ((f"{NETWORKS}:downloads",), "asks example.com for something, and a plan downloads nothing"),
        ((f"{NETWORKS}:exercises",), "accept.plan.networks has no exercises. Did you mean 'exercise'?"),
        (("no.such.module:net",), "importing no.such.module raised ModuleNotFoundError"),
        (("nothing.safetensors",), "nothing.safetensors: "),
        (("nothing.pth",), "nothing.pth: there is no such file; expected a network's name"),
        ((".",), ".: is a folder without recipe.toml"),
        (("nothing.toml",), "nothing.toml: cannot be read as a recipe"),
    ],
)
def test_what_cannot_be_planned_is_said(striate, words, said):
    answer = striate("plan", *words)
    assert answer.code == 2 and answer.out == ""
    assert said in answer.err and len(answer.err.splitlines()) == 1


def test_pictures(striate, drawn, tmp_path):
    for words in (("a.svg",), ("b.png", "--budget", "2GB"), ("c.PNG", "--field", next(drawn.rglob("*.jpg")))):
        answer = striate("plan", "lenet5", "--batch", "2", "--json", "--picture", *words)
        assert answer.json["picture"] == words[0] and (tmp_path / words[0]).stat().st_size > 1000 and answer.err == ""
    assert "picture      d.svg\n" in striate("plan", "lenet5", "--batch", "2", "--picture", "d.svg").out
    assert (tmp_path / "a.svg").read_text().startswith("<?xml") and (tmp_path / "b.png").read_bytes()[1:4] == b"PNG"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--picture", "plan.pdf"), "plan.pdf: ends in .pdf; a picture is a file that ends in .png or .svg"),
        (("--picture", "nowhere/plan.svg"), "cannot write nowhere/plan.svg: its folder does not exist"),
        (("--picture", "folder.png"), "cannot write folder.png: a folder of that name is in the way"),
        (("--field", "photo.jpg"), "say where to by --picture FILE.png or FILE.svg"),
        (("--field", "photo.jpg", "--picture", "field.png"), "photo.jpg: "),
    ],
)
def test_what_cannot_be_drawn_is_said(striate, tmp_path, words, said):
    (tmp_path / "folder.png").mkdir()
    for more in ((), ("--json",)):
        striate("plan", "lenet5", "--batch", "2", *words, *more).refuses(said)
    assert [each.name for each in tmp_path.iterdir()] == ["folder.png"]


def test_without_matplotlib_pictures_are_refused_and_nothing_else(striate, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = "cannot draw plan.svg: that takes matplotlib, which is not installed: pip install 'striate[report]'"
    striate("plan", "lenet5", "--picture", "plan.svg").refuses(said)
    assert [*tmp_path.iterdir()] == [] and striate("plan", "lenet5", "--batch", "2").code == 0
