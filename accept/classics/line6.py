"""Hostile files: refused with a message, nothing executed; and 20,000 mutants a reader."""

from collections.abc import Iterator

from accept import Check
from accept.pytests import all_pass
from tests.weights.fuzz import KINDS, PEAK, fuzz

MUTANTS = 20_000


def checks() -> Iterator[Check]:
    reading = ("tests/weights/test_reading.py", "tests/weights/test_isolation.py", "tests/weights/readers")
    yield all_pass("6.refusals", *reading)
    yield all_pass("6.wrong-architecture", "tests/cli/test_import.py", "tests/test_importing.py")
    for kind in KINDS:
        report = fuzz(kind, MUTANTS, seed=14)
        good = not (report.faults or report.hung or report.unnamed) and report.peak_memory <= PEAK
        yield Check(f"6.fuzz.{kind}", "no traceback, hang, GB", str(report).partition(": ")[2], good)
