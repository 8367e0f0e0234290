"""``striate plan``: tables and figures in words and in JSON; what cannot be planned says what and where."""

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
