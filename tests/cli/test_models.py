"""``striate models``: the list of networks, and one of them layer by layer."""

import re
import subprocess
import sys

import pytest

from striate.models.heads import HEADS
from striate.models.table import MODELS
from striate.weights.pretrained import PRETRAINED


def test_the_list_in_words(striate, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    answer = striate("models")
    assert answer.code == 0 and answer.err == ""
    lines = answer.out.splitlines()
    begin = lines.index(f"heads, each on a backbone such as {next(iter(HEADS))}/efficientnet_lite0:")
    assert max(map(len, lines)) <= 100 and begin == 1 + len(MODELS) + 3
    rows = {line.split()[0]: re.split(r" {2,}", line.strip()) for line in lines[1 : 1 + len(MODELS)]}
    assert list(rows) == list(MODELS)
    # Multiply-adds in thousands of millions as the papers and figures have them
    assert rows["resnet50"][1:] == ["25,557,032", "4.09", "224x224 rgb", "hub", "Apache-2.0"]
    assert rows["efficientnet_lite0"][1:] == ["4,652,008", "0.385", "224x224 rgb", "included", "Apache-2.0"]
    assert rows["lenet5"][1:] == ["61,706", "0.000417", "32x32 grey"]
    assert rows["xception"][1:4] == ["22,855,952", "8.36", "299x299 rgb"]
    assert rows["vgg19"][2] == "19.6" and rows["vgg19"][4] == "by hand"
    assert rows["yolov3"][1:] == ["61,949,149", "32.9", "416x416 rgb"]
    said = re.findall(r"^  (\w+): ((?:.|\n    )+)", "\n".join(lines[begin + 1 :]), re.MULTILINE)
    assert {name: task for task, names in said for name in re.split(r",\s+", names)} == {
        name: head.task for name, head in HEADS.items()
    }
    fcn = "fcn32s, fcn32s_same, fcn16s, fcn16s_same, fcn8s, fcn8s_same stand on few backbones, such as vgg16"
    assert " ".join(lines).endswith(fcn)


def test_the_list_in_json(striate):
    rows, heads = striate("models", "--json").json.values()
    assert [each["name"] for each in heads] == list(HEADS) and {each["task"] for each in heads} >= {"detect"}
    by_name = {row["name"]: row for row in rows}
    assert list(by_name) == list(MODELS)
    assert by_name["resnet18"]["pretrained"] and not by_name["resnet101"]["pretrained"]
    assert by_name["resnet18"]["multiply_adds"] == 1_814_073_344
    assert {row["available"] for row in rows} == {None, "included", "package", "hub", "download", "by hand"}
    assert (by_name["zfnet"]["available"], by_name["zfnet"]["licence"]) == (None, None)


def test_the_list_loads_no_torch():
    program = "import sys; from striate.cli import main; main(['models']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], stdout=subprocess.DEVNULL).returncode == 0


def test_one_network_in_words(striate):
    answer = striate("models", "lenet_caffe")
    assert answer.code == 0 and answer.err == ""
    assert answer.out.startswith(f"lenet_caffe: {MODELS['lenet_caffe'].summary}\n")
    sums = next(line for line in answer.out.splitlines() if line.startswith("sum"))
    assert sums.split()[1:] == ["431,080", "2,293,000"]
    row = PRETRAINED["lenet_caffe"]
    assert f"verified, sha256 {row.sha256}" in answer.out and "BSD-2-Clause; digits" in answer.out
    assert f"download {row.file} (1.6 MB) from https://github.com/ethereon/caffe-tensorflow/" in answer.out


@pytest.mark.parametrize(("name", "apart"), [("googlenet", True), ("lenet5", False)])
def test_the_sum_says_what_it_leaves_out(striate, name, apart):
    sums = next(line for line in striate("models", name).out.splitlines() if line.startswith("sum"))
    assert ("without auxiliary heads" in sums) == apart


def test_inner_branches_can_be_unfolded(striate):
    steps = striate("models", "googlenet", "--json").json["ladder"]
    layers = striate("models", "googlenet", "--unfold", "--json").json["ladder"]
    for count in ("parameters", "multiply_adds"):
        assert sum(row[count] for row in layers) == sum(row[count] for row in steps)
    # Szegedy et al. 2015, table 1, inception (3a): 64 of 1x1; 96 and 128 of 3x3; 16 and 32 of 5x5; a pool and 32.
    inside = [row for row in layers if row["path"].startswith("inception3a.") and row["parameters"]]
    assert [row["shape"][0] for row in inside] == [64, 96, 128, 16, 32, 32]
    assert [row["what"].split(",")[0].split()[1] for row in inside] == ["1x1", "1x1", "3x3", "1x1", "5x5", "1x1"]
    assert sum(row["parameters"] for row in inside) == next(
        row["parameters"] for row in steps if row["path"] == "inception3a"
    )
    out = striate("models", "googlenet", "--unfold").out
    assert re.search(r"stage3 +inception3a\.\S+ +convolution 1x1 +64x28x28", out)
    striate("models", "--unfold").refuses("--unfold", "striate models NAME")


def test_weights_and_figures_of_a_backbone_are_said_to_be_its(striate):
    lines = striate("models", "tood/efficientnet_lite0").out.splitlines()
    (weights,) = (line for line in lines if "top-1" in line)
    assert weights.startswith("weights of the backbone alone, efficientnet_lite0: ")


def test_weights_that_are_not_verified(striate):
    out = striate("models", "resnet101").out
    assert out.count("not verified: to be imported by hand") == 2
    assert "download resnet101-63fe2227.pth (170.5 MB) from https://download.pytorch.org/models/" in out
    assert "published top-1 0.774" in out


def test_one_network_in_json(striate):
    result = striate("models", "resnet18", "--json").json
    assert result["name"] == "resnet18" and result["parameters"] == 11_689_512
    assert sum(row["parameters"] for row in result["ladder"]) == 11_689_512
    assert sum(row["multiply_adds"] for row in result["ladder"]) == result["multiply_adds"]
    assert result["ladder"][0] == {
        "block": "stem",
        "path": "conv1",
        "what": "convolution 7x7, stride 2, symmetric",
        "shape": [64, 112, 112],
        "parameters": 9_408,
        "multiply_adds": 118_013_952,
    }
    first, second = result["weights"]
    assert first["verified"] and first["sha256"] == PRETRAINED["resnet18"].sha256 and first["top1"] == 0.73158
    assert not second["verified"] and second["file"] == "resnet18-f37072fd.pth"


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a_wrong_name(striate, flags, tmp_path):
    striate("models", "resnet5", *flags).refuses(
        "no model is called 'resnet5'", "Did you mean 'resnet", "striate models lists"
    )
    (tmp_path / "runs" / "d1").mkdir(parents=True)
    striate("models", "runs/d1", *flags).refuses("runs/d1 is a folder", "striate evaluate runs/d1 DATA", "recipe.toml")
    (tmp_path / "resnet18").mkdir()
    assert striate("models", "resnet18", *flags).code == 0
