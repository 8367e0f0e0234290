"""A real detector of darknet: every number of its file is used, it finds what it is known to find, its twin agrees."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from accept import Check, at_least, noted
from accept.commands import DATA, striate
from accept.pytests import all_pass

NUMBERS = 891_070
TESTS = "tests/weights/schemes/test_darknet_detector.py"


def checks() -> Iterator[Check]:
    from safetensors.torch import load_file

    with tempfile.TemporaryDirectory(prefix="striate-darknet-") as name:
        model, source = Path(name) / "nano.safetensors", DATA / "weights" / "MobileNetV2-YOLOv3-Nano-coco"
        weights, config = source.with_suffix(".weights"), source.with_suffix(".cfg")
        answer = striate("import", weights, "--config", config, "--classes", "coco", "--out", model)
        described = (str(answer["model"]), str(answer["chosen"]))
        yield Check("3.import", "darknet, described", ", ".join(described), described == ("darknet", "described"))
        held = sum(
            tensor.numel() for name, tensor in load_file(model).items() if not name.endswith("num_batches_tracked")
        )
        in_file = (weights.stat().st_size - 20) // 4
        exact = held == in_file == NUMBERS
        yield Check("3.floats", f"{NUMBERS:,}", f"{held:,} of {in_file:,}", exact)
        figures = striate("evaluate", model, DATA / "coco128", "--format", "coco")
        yield at_least("3.ap50", figures["ap50"], 0.325, f"on {figures['images']} pictures of COCO")
        yield noted("3.ap", f"{figures['ap']:.4f}, {figures['seconds']:.0f} s")
    yield all_pass("3.twin-in-caffe", TESTS, "-k", "twin")
    yield all_pass("3.slow-loops", TESTS, "-k", "slow_loops")
