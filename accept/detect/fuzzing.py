"""`python -m accept.detect.fuzzing READER COUNT`: read mutated annotation files, and say what it took as JSON.

A process of its own, so that what it takes of memory is its reader's alone. One that hangs ends with a traceback.
"""

import faulthandler
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from tests.data.sources.test_fuzz import check

HANGING = 120  # seconds in which one file must be read


def main() -> None:
    reader, count = sys.argv[1], int(sys.argv[2])
    reads, refused, slowest = 0, 0, 0.0
    with tempfile.TemporaryDirectory(prefix="striate-fuzz-") as folder:
        before = time.monotonic()
        faulthandler.dump_traceback_later(HANGING, exit=True)
        for said in check(Path(folder), reader, count, seed=2):
            faulthandler.dump_traceback_later(HANGING, exit=True)
            now = time.monotonic()
            reads, refused, slowest, before = reads + 1, refused + bool(said), max(slowest, now - before), now
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"files": reads // 2, "refused": refused / reads, "slowest": slowest, "peak": peak}))


if __name__ == "__main__":
    main()
