"""Bad masks: kinds that are refused and kinds that are taken and spoken of; a run killed ten times ends alike."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from accept import Check
from accept.commands import DATA
from accept.killing import survived
from accept.pytests import all_pass
from tests.data.sources.bad_masks import ACCEPTED, REFUSED

SOURCES = "tests/data/sources"
RECIPE = """
task = "segment"
model = "unet/efficientnet_lite0"
weights = "pretrained"
size = [96, 128]
fit = "letterbox"
batch_size = 8
optimizer = "adamw"
ema_decay = 0.9
save_every = 0.3
log_every = 1

[augment]
crop = [1.0, 1.0]
scale = [0.6, 1.6]
crop_size = [64, 64]
crop_balance = 0.3
colour = 0.3
mosaic = 0.3

[segment]
dice_weight = 0.5
class_weights = "balanced"

[[stages]]
epochs = 2
rate = 0.001
freeze = ["body"]

[[stages]]
epochs = 8
rate = 0.001
body_rate = 0.3
"""


def checks() -> Iterator[Check]:
    yield _kinds("7.refused", 20, REFUSED)
    yield all_pass("7.refused.said", "tests/cli/test_bad_masks.py", f"{SOURCES}/test_bad_masks.py", "-k", "refused")
    yield _kinds("7.accepted", 10, ACCEPTED)
    yield all_pass("7.accepted.said", "tests/cli/test_bad_masks.py", f"{SOURCES}/test_bad_masks.py", "-k", "taken")
    yield all_pass("7.fingerprint", SOURCES, "tests/tasks/test_segment_road.py", "-k", "fingerprint or other_masks")
    with tempfile.TemporaryDirectory(prefix="striate-segment-") as name:
        folder = Path(name)
        recipe = folder / "recipe.toml"
        recipe.write_text(RECIPE)
        yield from survived(7, _some(folder / "camvid"), recipe, folder, workers=(0, 2), times=10)


def _kinds(row: str, least: int, kinds: Mapping[str, object]) -> Check:
    return Check(row, f">= {least} kinds", f"{len(kinds)}: {', '.join(kinds)}", len(kinds) >= least)


def _some(folder: Path) -> Path:
    """Of CamVid 64 pictures to learn from and 16 to validate with, as links."""
    for split, count in (("train", 64), ("val", 16)):
        for part in ("images", "masks"):
            (folder / split / part).mkdir(parents=True)
            for file in sorted((DATA / "camvid" / split / part).iterdir())[::5][:count]:
                (folder / split / part / file.name).symlink_to(file)
    (folder / "classes.txt").write_text((DATA / "camvid" / "classes.txt").read_text())
    return folder
