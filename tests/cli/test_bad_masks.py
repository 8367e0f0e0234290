"""Whatever is wrong with masks: one paragraph with the file, exit code 2, and nothing half-written.

What is taken for something is told.
"""

import dataclasses

import pytest

from striate.data.settings import USUAL
from tests.data.sources.bad_masks import ACCEPTED, REFUSED

OFTEN = {
    *("no mask", "size", "grey levels", "colours without a table", "index twice"),
    *("0 and 255", "no names", "all void"),
}


def each(kinds):
    return [pytest.param(kind, marks=() if kind in OFTEN else pytest.mark.slow) for kind in kinds]


@pytest.mark.parametrize("kind", each(REFUSED))
def test_it_is_refused_and_nothing_is_written(striate, tmp_path, kind):
    write, said = REFUSED[kind]
    (tmp_path / "data").mkdir()
    write(tmp_path / "data")
    before = sorted(tmp_path.rglob("*"))
    striate("train", "data", "--format", "masks", "--out", "out").refuses(said)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", each(ACCEPTED))
def test_what_it_is_taken_for_is_told(striate, tmp_path, kind):
    """Before the run ends, for which a picture or two are too few."""
    write, settings, said = ACCEPTED[kind]
    (tmp_path / "data").mkdir()
    write(tmp_path / "data")
    given = {name: value for name, value in dataclasses.asdict(settings).items() if value != getattr(USUAL, name)}
    words = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", value)]
    answer = striate("train", "data", "--format", "masks", "--out", "out", *words)
    assert said in answer.err
    assert answer.code == 2 and "too few for a split" in answer.err
