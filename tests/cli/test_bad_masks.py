"""Whatever is wrong with masks: one paragraph with the file, exit code 2, and nothing half-written."""

import pytest

from tests.data.sources.bad_masks import REFUSED

OFTEN = ("no mask", "size", "grey levels", "colours without a table", "index twice")


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind in OFTEN else pytest.mark.slow) for kind in REFUSED]
)
def test_it_is_refused_and_nothing_is_written(striate, tmp_path, kind):
    write, said = REFUSED[kind]
    (tmp_path / "data").mkdir()
    write(tmp_path / "data")
    before = sorted(tmp_path.rglob("*"))
    striate("train", "data", "--format", "masks", "--out", "out").refuses(said)
    assert sorted(tmp_path.rglob("*")) == before
