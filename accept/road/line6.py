"""Bad input is refused with a message and exit code 2: each case is a test; here they are counted."""

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

from accept import Check
from accept.commands import REPOSITORY

TESTS = "tests/cli/test_bad_input.py"
CASES = 21  # named in the issue as refused


def checks() -> Iterator[Check]:
    with tempfile.TemporaryDirectory() as name:
        report = Path(name) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", TESTS, f"--junitxml={report}"]
        subprocess.run(command, cwd=REPOSITORY, capture_output=True)
        suite = next(ElementTree.parse(report).getroot().iter("testsuite"))
    ran, failed, broken, skipped = (int(suite.attrib[key]) for key in ("tests", "failures", "errors", "skipped"))
    got = f"{ran} cases: {failed + broken} failed, {skipped} skipped"
    yield Check("6.bad-input", f">= {CASES} cases pass", got, ran >= CASES and not (failed or broken or skipped))
