"""Where pictures lie on a sheet, and what is written below them."""

import numpy as np
import pytest

from striate.cli.half_blocks import half_blocks
from striate.pictures.contact_sheet import GAP, TEXT, contact_sheet


def flat(height, width, value):
    return np.full((height, width, 3), value, np.uint8)


def test_pictures_stand_in_rows_as_high_as_their_highest():
    sheet = contact_sheet([(flat(50, 100, 10), ""), (flat(20, 20, 20), ""), (flat(300, 100, 30), "")], width=100)
    row, line = 100, TEXT + 2 * GAP
    assert sheet.shape == (GAP + row + line + 150 + line, 3 * GAP + 200, 3)
    first = sheet[GAP : GAP + row, GAP : GAP + 100]
    assert (first[50:] == 10).all() and (first[:50] == 255).all()  # it stands at the bottom
    second = sheet[GAP : GAP + row, 2 * GAP + 100 : 2 * GAP + 200]
    assert (second == 20).all()  # five times as large
    third = sheet[GAP + row + line : GAP + row + line + 150, GAP : GAP + 100]
    assert (third[:, 25:75] == 30).all() and (third[:, :25] == 255).all()
    assert (sheet[GAP + row + line :, 2 * GAP + 100 :] == 255).all()  # there is no fourth


def test_small_pictures_keep_their_pixels():
    checks = np.indices((3, 3)).sum(0) % 2 * 255
    sheet = contact_sheet([(np.repeat(checks[..., None], 3, 2).astype(np.uint8), "")], width=100)
    shown = sheet[GAP : GAP + 99, GAP : GAP + 99, 0]
    assert (shown == checks.repeat(33, 0).repeat(33, 1)).all()


def test_lines_are_cut_where_they_are_too_long():
    short, long = (contact_sheet([(flat(9, 9, 0), text)], width=90) for text in ("name", "name" * 40))
    below = np.s_[GAP + 90 :, : 90 + GAP]
    assert (short[below] < 128).any() and (long[below] < 128).any()
    assert (long[:, 90 + GAP :] == 255).all()


@pytest.mark.parametrize(
    ("count", "columns", "across"), [(1, None, 1), (4, None, 2), (5, None, 3), (5, 9, 5), (5, 1, 1)]
)
def test_columns(count, columns, across):
    sheet = contact_sheet([(flat(4, 4, 0), "")] * count, columns=columns, width=40)
    assert sheet.shape[1] == GAP + across * (40 + GAP)


def test_a_sheet_of_nothing_is_refused():
    for pictures, columns in (([], None), ([(flat(4, 4, 0), "")], 0)):
        with pytest.raises(ValueError, match="at least one of both"):
            contact_sheet(pictures, columns=columns)


def test_half_blocks_are_as_wide_as_there_is_room():
    lines = half_blocks(flat(64, 256, 7), 32)
    assert len(lines) == 4 and all(line.count("\N{UPPER HALF BLOCK}") == 32 for line in lines)
    assert all(line.endswith("\x1b[0m") for line in lines)
    assert len(half_blocks(flat(1, 9, 7), 80)) == 1
