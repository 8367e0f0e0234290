"""CI fails on a skipped test, unless its reason is on the list."""

import re
from collections.abc import Callable

import pytest

from tests.documents.reading import REPOSITORY
from tests.skips import MAY_BE_SKIPPED

pytest_plugins = ("pytester",)

TESTS = """
import pytest

@pytest.mark.skip(reason="NO REAL DATA: none")
def test_listed(): pass

@pytest.mark.skip(reason="did not feel like it")
def test_marked(): pass

def test_called():
    pytest.skip("too hard")

@pytest.mark.xfail(reason="known", strict=True)
def test_expected():
    assert False
"""


Outcomes = Callable[[str, str], tuple[str, str]]


@pytest.fixture
def outcomes(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Outcomes:
    """What pytest, with or without CI, says of a file of tests, and its closing line."""

    def outcomes(text: str, ci: str) -> tuple[str, str]:
        monkeypatch.setenv("CI", ci)
        pytester.makepyfile(text)
        said = pytester.runpytest_inprocess(
            "-p", "tests.skips", "-p", "no:cacheprovider", "-p", "no:warnings", "-ra"
        ).outlines
        return "\n".join(said), re.sub(r" in [\d.]+s.*", "", said[-1]).strip("= ")

    return outcomes


def test_ci_fails_on_reasons_that_are_not_listed(outcomes: Outcomes) -> None:
    said, closing = outcomes(TESTS, "1")
    assert closing == "1 failed, 1 skipped, 1 xfailed, 1 error"  # the one that is marked fails before it begins
    assert "not in tests/skips.py: did not feel like it" in said and "not in tests/skips.py: too hard" in said


def test_elsewhere_they_are_skipped(outcomes: Outcomes) -> None:
    assert outcomes(TESTS, "")[1] == "3 skipped, 1 xfailed"


@pytest.mark.parametrize(("ci", "closing"), [("1", "1 error"), ("", "1 skipped")])
def test_whole_files_count_as_well(outcomes: Outcomes, ci: str, closing: str) -> None:
    text = "import pytest\nnone = pytest.importorskip('a_package_that_nobody_has')\n"
    assert outcomes(text, ci)[1] == closing


def test_listed_reasons_are_given_somewhere() -> None:
    files = [path for room in ("tests", "striate") for path in (REPOSITORY / room).rglob("*.py")]
    texts = "".join(path.read_text(encoding="utf-8") for path in files if path.name != "skips.py")
    for beginning in MAY_BE_SKIPPED:
        assert f'"{beginning.removeprefix("NO KERNELS: ")}' in texts or f'"{beginning}' in texts, beginning


def test_ci_asks_for_it() -> None:
    assert re.search(r"^export CI=", (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
