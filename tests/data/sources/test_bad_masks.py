"""What is wrong with masks is refused with its file, and what is taken for something is said."""

import re

import pytest

from striate.base.errors import DataError
from striate.data import open_data
from tests.data.sources.bad_masks import ACCEPTED, REFUSED


def test_there_are_enough_kinds():
    assert len(REFUSED) >= 20 and len(ACCEPTED) >= 10


@pytest.mark.parametrize("kind", REFUSED)
def test_a_bad_mask_is_refused_and_named(tmp_path, kind):
    write, said = REFUSED[kind]
    write(tmp_path)
    with pytest.raises(DataError, match=re.escape(said)) as caught:
        open_data(tmp_path, format="masks")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ACCEPTED)
def test_what_masks_are_taken_for_is_said(tmp_path, kind):
    write, settings, said = ACCEPTED[kind]
    write(tmp_path)
    data = open_data(tmp_path, format="masks", settings=settings)
    assert said in data.notices
    for record in data.records:
        indices = record.target.indices()
        areas = {i: int((indices == i).sum()) for i in range(255) if (indices == i).any()}
        assert record.target.areas == areas
        assert max(areas, default=0) < len(data.classes)
