"""Freed memory stays with the process while it is asked to, and goes back at the end."""

import subprocess
import sys

import pytest

from striate.base import heap

PROGRAM = """
import ctypes, resource
from striate.base.heap import freed_memory_kept

library = ctypes.CDLL(None)
place, size = ctypes.c_void_p(), ctypes.c_size_t(40 << 20)  # more than glibc ever keeps by itself

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):  # as torch asks for memory, fills it and frees it
        assert library.posix_memalign(ctypes.byref(place), ctypes.c_size_t(64), size) == 0
        library.memset(place, 1, size)
        library.free(place)
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


RETURNING = """
import contextlib, ctypes, sys
from striate.base.heap import freed_memory_returned

library = ctypes.CDLL(None)
library.malloc.restype, library.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1])

def left_behind():
    before, pieces = resident(), []
    for _ in range(40):  # of a megabyte each, between which something small stays
        pieces.append(library.malloc(1 << 20))
        ctypes.memset(pieces[-1], 1, 1 << 20)
        library.malloc(2000)
    full = resident()
    for piece in pieces:
        library.free(piece)
    return full - before, resident() - before

library.free(library.malloc(30 << 20))  # after which glibc maps no smaller piece by itself
with freed_memory_returned() if sys.argv[1] == "returned" else contextlib.nullcontext():
    print(*left_behind())
"""


@pytest.mark.skipif(heap._glibc() is None, reason="only glibc is asked")
def test_freed_pages_go_back_at_once():
    left = {}
    for how in ("usual", "returned"):
        command = [sys.executable, "-c", RETURNING, how]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        used, left[how] = map(int, done.stdout.split())
        assert used > 10_000  # pages of 40 MB
    assert left["returned"] < 500 < 9_000 < left["usual"]


class Recorder:
    """A C library that writes down what it is asked."""

    def __init__(self):
        self.asked = []

    def mallopt(self, what, value):
        self.asked.append((what, value))

    def malloc_trim(self, kept):
        self.asked.append(("trim", kept))


def test_what_is_set_is_put_back_also_after_an_error(monkeypatch):
    library = Recorder()
    monkeypatch.setattr(heap, "_glibc", lambda: library)
    with pytest.raises(KeyError), heap.freed_memory_kept():
        set_at_first = list(library.asked)
        raise KeyError
    trim_threshold, mmap_max = -1, -4  # as in malloc.h
    assert set_at_first == [(trim_threshold, 2**31 - 1), (mmap_max, 0)]
    assert library.asked[2:] == [(trim_threshold, 128 * 1024), (mmap_max, 65536), ("trim", 0)]


def test_another_c_library_is_asked_for_nothing(monkeypatch):
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda name: Recorder())  # which is none of glibc's: it has no version
    assert heap._glibc() is None
    with heap.freed_memory_kept():
        heap.keep_freed_memory()
