"""Masks of COCO against pycocotools: each instance by its own tools, composed here by the rule that is stated."""

import json
import subprocess

import numpy as np
import pytest

from striate.data import open_data

ORACLE = """
import json, sys
import numpy as np
from pycocotools.coco import COCO
coco = COCO(sys.argv[1])
numbers = {each: number for number, each in enumerate(sorted(coco.cats), start=1)}
found = {}
for key, image in coco.imgs.items():
    whole = np.zeros((image["height"], image["width"]), np.uint8)
    annotations = coco.imgToAnns[key]
    drawn = [coco.annToMask(each) for each in annotations]
    for crowd in (1, 0):
        order = [n for n, each in enumerate(annotations) if each["iscrowd"] == crowd]
        for n in sorted(order, key=lambda n: -int(drawn[n].sum())):
            whole[drawn[n] > 0] = 255 if crowd else numbers[annotations[n]["category_id"]]
    found[image["file_name"].rpartition("/")[2]] = whole
np.savez_compressed(sys.argv[2], **found)
"""


@pytest.mark.oracle
def test_masks_of_coco_are_pycocotools_to_the_pixel(oracle_python, shared_data, tmp_path):
    file = shared_data / "coco128" / "instances.json"
    subprocess.run([oracle_python, "-c", ORACLE, file, tmp_path / "masks.npz"], check=True, capture_output=True)
    data = open_data(shared_data / "coco128", format="coco", task="segment")
    names = [each["name"] for each in sorted(json.loads(file.read_text())["categories"], key=lambda each: each["id"])]
    assert data.classes.names == ("background", *names)
    with np.load(tmp_path / "masks.npz") as wanted:
        assert len(wanted.files) == len(data.records) == 128
        crowds = 0
        for record in data.records:
            mask = wanted[record.name.rpartition("/")[2]]
            assert np.array_equal(record.target.indices(), mask), record.name
            crowds += bool((mask == 255).any())
        assert crowds == 9
