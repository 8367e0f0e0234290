"""Freed memory stays with the process while it is asked to, and goes back at the end."""

import subprocess
import sys

import pytest

from striate.base import heap

PROGRAM = """
import resource, torch
from striate.base.heap import freed_memory_kept

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(40 << 18)  # 40 MB, more than glibc ever keeps by itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])

faults()
usual = faults()
with freed_memory_kept():
    faults()
    kept, full = faults(), resident()
print(usual, kept, full - resident())
"""


@pytest.mark.skipif(heap._glibc() is None, reason="only glibc is asked")
def test_pages_are_not_asked_for_again():
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    usual, kept, given_back = map(int, done.stdout.split())
    assert kept < usual / 20
    assert given_back > 5_000  # of 10,240 pages


def test_nothing_happens_with_other_c_libraries(monkeypatch):
    monkeypatch.setattr(heap, "_glibc", lambda: None)
    with heap.freed_memory_kept():
        heap.keep_freed_memory()
