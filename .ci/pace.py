"""Prints how many times the processor time of an ordinary machine a fixed job takes here; load is no matter.

The job stands for the tests: what an interpreter does, and fresh pages of memory, at which slow machines are slowest.
"""

import resource

ORDINARY = 1.0  # seconds of the job on an AMD EPYC (Zen 4) of 2.6 GHz
TRIES = 3


def job() -> float:
    """Processor seconds of the job."""
    begun = used()
    total = 0
    for i in range(12_000_000):
        total += i & 7
    for _ in range(8):
        page = bytearray(128 << 20)
        del page
    return used() - begun


def used() -> float:
    """Processor seconds of this process so far."""
    mine = resource.getrusage(resource.RUSAGE_SELF)
    return mine.ru_utime + mine.ru_stime


if __name__ == "__main__":
    print(f"{min(job() for _ in range(TRIES)) / ORDINARY:.2f}")
