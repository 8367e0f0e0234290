"""Masks from files: COCO's as pycocotools draws them, Pascal VOC's and Labelme's as they were drawn by hand."""

import json
from collections.abc import Iterator

from accept import Check, noted
from accept.commands import DATA
from accept.pytests import all_pass

SOURCES = "tests/data/sources"


def checks() -> Iterator[Check]:
    drawn = json.loads((DATA / "coco128" / "instances.json").read_text())["annotations"]
    crowds = sum(each["iscrowd"] for each in drawn)
    yield noted("8.instances", f"{len(drawn) - crowds} objects and {crowds} crowds of coco128")
    yield all_pass("8.coco", "tests/oracle/test_coco_masks.py")
    yield all_pass("8.rule", f"{SOURCES}/test_shapes.py", "-k", "not labelme and not cvat")
    yield all_pass("8.voc", f"{SOURCES}/test_pascal_masks.py")
    yield all_pass("8.labelme", f"{SOURCES}/test_shapes.py", "-k", "labelme or group")
