"""Networks: parameters, shapes, bilinear beginnings, and a step of training of every head on every backbone."""

import time
from collections.abc import Iterator

from accept import Check
from accept.pytests import all_pass
from striate.data.names import listed
from tests.models.segmentation import NAMES, one_step, stands_on

MODELS = "tests/models"
PAPERS = [f"{MODELS}/test_{name}.py" for name in ("unet", "fcn", "unet_head", "deeplabv3", "atrous")]
SIZE = (64, 64)
LARGER = (96, 96)
"""Of pictures for AlexNet, whose windows pad nothing."""


def checks() -> Iterator[Check]:
    yield all_pass("1.networks", *PAPERS)
    yield all_pass("1.counts", f"{MODELS}/test_networks.py", "-k", "unet")
    yield all_pass("1.heads", f"{MODELS}/test_segmentation.py", "-k", "stands")
    yield all_pass("1.bilinear", "tests/layers/test_layers.py", "tests/ops/test_enlarging.py", "-k", "not bicubic")
    for head in NAMES:
        legal, refused = stands_on(head)
        got = f"{len(legal)}, not {listed(refused)}" if refused else f"all {len(legal)}"
        yield Check(f"1.{head}", ">= 4 backbones", got, len(legal) >= 4)
        for backbone in legal:
            yield _trained(f"{head}/{backbone}")


def _trained(name: str) -> Check:
    started = time.monotonic()
    step = one_step(name, LARGER if name.endswith("/alexnet") else SIZE)
    got = f"loss {step.before:.4f}, then {step.after:.4f}; {time.monotonic() - started:.1f} s"
    got += f"; nothing reaches {', '.join(step.idle)}" if step.idle else ""
    return Check(f"1.{name}", "a step, all learn", got, step.good)
