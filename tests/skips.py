"""Which tests CI lets be skipped, and why; there, one skipped for another reason fails."""

import os
from collections.abc import Iterator

import pytest

MAY_BE_SKIPPED = {
    "NO REAL DATA": "the data sets lie beside the repository, not in it",
    "NO KERNELS: there are none for this processor": "the kernels are for x86 with AVX2",
    "NO KERNELS: there are no kernels for this processor": "the kernels are for x86 with AVX2",
    "there are no kernels": "the kernels are for x86 with AVX2",
    "this processor": "kernels need instructions that older processors lack",
    "NO TMPFS": "containers may lack the right to mount",
    "NO SMALL DISK": "containers may lack the right to mount",
    "SKIPPED LOUDLY: this machine lets nobody mount": "containers may lack the right to mount",
    "mounts a tmpfs, as root": "needs root's rights",
    "gives files away, as root": "needs root's rights",
    "drops root's privileges": "needs root's rights",
    "NO setpriv": "how root gives up its rights, which not every system has",
    "NO SETPRIV": "how root gives up its rights, which containers may forbid",
    "this file system takes UTF-8 names only": "macOS",
    "only glibc is asked": "musl and macOS have other allocators",
    "looks into /proc": "Linux alone",
    "no limits of address space": "Linux alone",
    "no fork here": "Windows",
    "signals": "Windows",
    "names are Unicode there": "Windows",
    "permissions are others there": "Windows",
    "this Pillow decodes": "golden sums are those of one libjpeg",
}
"""How the reasons begin, and why they are no fault of whoever changed something. Long grids, which slow machines leave
out, are deselected and named at the end. Neither the other frameworks nor a compiler are on the list: CI has both."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    report = yield
    return judged(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Iterator[None]:
    report = yield
    return judged(report)


def judged(report):
    """The report, failed if CI may not skip for that reason."""
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not reason.startswith(tuple(MAY_BE_SKIPPED)):
            report.outcome = "failed"
            report.longrepr = f"skipped for a reason that is not in tests/skips.py: {reason}"
    return report
