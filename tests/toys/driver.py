"""``striate`` with a row for each toy in the product's tables: run as a program in place of the command."""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from striate.cli.app import main
from striate.data.sources import SOURCES, Source
from striate.models.heads import HEADS, Head
from striate.task_settings import SETTINGS
from striate.tasks import TASKS
from striate.training.runfolder import RunFolder


def add_rows() -> None:
    from toys.box_task import BoxSettings
    from toys.mask_task import MaskSettings

    SOURCES["toy-boxes"] = Source({None: ("toys.box_source", "boxes")}, "toy boxes")
    SOURCES["toy-masks"] = Source({None: ("toys.mask_source", "masks")}, "toy masks", instead_of=("folders", "masks"))
    HEADS["toy_boxes"] = Head("toys.box_head:box_head", "toy boxes", task="toy_boxes", classes=2)
    HEADS["toy_masks"] = Head("toys.mask_head:mask_head", "toy masks", task="toy_masks", classes=2)
    TASKS["toy_boxes"] = "toys.box_task:FindBoxes"
    TASKS["toy_masks"] = "toys.mask_task:CutOut"
    SETTINGS["toy_boxes"] = BoxSettings
    SETTINGS["toy_masks"] = MaskSettings


def die_after(lines: int) -> None:
    """Let the process be killed as soon as a run has logged so much."""
    real, left = RunFolder.log, [lines]

    def log(folder: RunFolder, line: Mapping[str, Any]) -> None:
        real(folder, line)
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    RunFolder.log = log  # type: ignore[method-assign]


if __name__ == "__main__":
    add_rows()
    if lines := os.environ.get("TOYS_DIE_AFTER"):
        die_after(int(lines))
    sys.exit(main())
