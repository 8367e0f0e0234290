"""Masks as others publish them: Roboflow's exports, CamVid's names, Cityscapes' folders."""

import re

import numpy as np
import pytest

from striate.base.errors import DataError
from striate.data import open_data
from tests.data.sources.annotated import picture
from tests.data.sources.masked import mask, rows

TABLE = "Pixel Value, Class\n0, background\n1, left lung\n2, void\n3, right lung\n"


def roboflow(folder, table=TABLE):
    for seed, part in enumerate(("train", "valid", "test")):
        picture(folder / part / "a_jpg.rf.0a1b.jpg", seed=seed)
        mask(folder / part / "a_jpg.rf.0a1b_mask.png", rows(0, 1, 3, 2 + seed // 2))
        (folder / part / "_classes.csv").write_text(table)
    return folder


@pytest.mark.parametrize("table", [TABLE, TABLE.replace(", ", ",").replace("\n", "\r\n")])
@pytest.mark.parametrize("task", [None, "segment"])
def test_roboflows_masks_are_read_as_they_are_exported(tmp_path, table, task):
    data = open_data(roboflow(tmp_path, table), task=task)
    assert (data.format, data.task) == ("masks", "segment")
    assert data.classes.names == ("background", "left lung", "right lung")
    assert {record.name: record.split for record in data.records} == {
        "test/a_jpg.rf.0a1b.jpg": "test",
        "train/a_jpg.rf.0a1b.jpg": "train",
        "valid/a_jpg.rf.0a1b.jpg": "val",
    }
    found = [record.target.indices() for record in data.records]
    for got, last in zip(found, (2, 255, 255), strict=True):
        assert np.array_equal(got, rows(0, 1, 2, last))


def test_a_part_of_roboflows_alone_has_its_own_table(tmp_path):
    assert open_data(roboflow(tmp_path) / "train").classes.names == ("background", "left lung", "right lung")


ROBOFLOWS_FAULTS = {
    "columns": (TABLE.replace("Pixel Value", "filename"), ":1: has the columns filename,  Class; expected Pixel Value"),
    "nothing": ("", ": has the columns ; expected Pixel Value, Class"),
    "no number": (TABLE.replace("1,", "one,"), ":3: is 'one, left lung'; expected a pixel's value and a class"),
    "negative": (TABLE.replace("1,", "-1,"), ":3: is '-1, left lung'; expected a pixel's value and a class"),
    "no name": (TABLE.replace("left lung", ""), ":3: is '1, '; expected a pixel's value and a class, as '3, sky'"),
    "a colour": (TABLE.replace("1,", "1,2,3,"), ":3: is '1,2,3, left lung'; expected a pixel's value and a class"),
    "a value twice": (TABLE.replace("3,", "1,"), ":5: the index 1 is 'right lung'"),
    "a name twice": (TABLE.replace("right", "left"), ":5: 'left lung' is in test/_classes.csv:3, too"),
    "no such class": (TABLE.replace("3, right lung\n", ""), "test/a_jpg.rf.0a1b_mask.png"),
}


@pytest.mark.parametrize("kind", ROBOFLOWS_FAULTS)
def test_what_is_wrong_with_roboflows_table_is_refused_with_its_line(tmp_path, kind):
    table, said = ROBOFLOWS_FAULTS[kind]
    roboflow(tmp_path, table)
    if said.startswith(":"):
        said = f"test/_classes.csv{said}"
    with pytest.raises(DataError, match=re.escape(said)):
        open_data(tmp_path)


def test_roboflows_tables_must_agree(tmp_path):
    (roboflow(tmp_path) / "valid" / "_classes.csv").write_text(TABLE.replace("void", "heart"))
    with pytest.raises(DataError, match=r"valid/_classes\.csv: names other classes than test/_classes\.csv; expected"):
        open_data(tmp_path)
