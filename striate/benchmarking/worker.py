"""One contender's process: it waits for a line on stdin, does what the line says, and answers with a line of JSON.

==========  ==================================================================  ==========================
asked       done                                                                answered
==========  ==================================================================  ==========================
build       everything that comes before the first step                         ``images``, ``about``
steps N     one step, then N more                                               ``seconds`` for those N
memory      nothing                                                             ``resident``, ``peak``: bytes
allocated   two steps                                                           ``before``, ``peak``: bytes
==========  ==================================================================  ==========================

``memory`` is what the system has given the process, ``allocated`` what the second step's tensors take. What fails is
answered with ``error``, and the process ends; it also ends when stdin does. Needs nothing but the
standard library, so peers in environments without Striate's dependencies can use it.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Workload:
    """What is timed: ``step`` does it once, for so many pictures; ``about`` is what a report says of it, as JSON.

    ``allocated`` answers the question of that name, where somebody can.
    """

    step: Callable[[], object]
    images: int
    about: Mapping[str, Any] = field(default_factory=dict)
    allocated: Callable[[], Mapping[str, int]] | None = None


def serve(build: Callable[[], Workload], now: Callable[[], float] = time.perf_counter) -> None:
    """Answer on what is stdout now; from here on, whatever libraries print goes to stderr.

    ``now`` is the clock by which steps are timed, in seconds.
    """
    answers = os.dup(1)
    os.dup2(2, 1)
    workload: Workload | None = None
    with os.fdopen(answers, "w", encoding="utf-8") as out, os.fdopen(os.dup(0), encoding="utf-8") as questions:
        for line in iter(questions.readline, ""):
            try:
                if line.strip() == "build":
                    workload = build()
                    answer: dict[str, Any] = {"images": workload.images, "about": dict(workload.about)}
                else:
                    answer = _answered(line, workload, now)
            except Exception as error:  # noqa: BLE001 - whatever a peer raises is its row in the table
                answer = {"error": _reason(error)}
            out.write(json.dumps(answer) + "\n")
            out.flush()
            if "error" in answer:
                return


def _answered(line: str, workload: Workload | None, now: Callable[[], float]) -> dict[str, Any]:
    if line.strip() == "memory":
        resident, peak = memory()
        return {"resident": resident, "peak": peak}
    if line.strip() == "allocated" and workload is not None and workload.allocated is not None:
        return dict(workload.allocated())
    word, _, count = line.strip().partition(" ")
    if word != "steps" or workload is None:
        raise ValueError(f"asked {line.strip()!r}, which is none of build, steps N and allocated (after it) and memory")
    # While others had their turns the system took memory back that was not used: that is theirs, not the step's.
    workload.step()
    started = now()
    for _ in range(int(count)):
        workload.step()
    return {"seconds": now() - started}


def memory() -> tuple[int, int]:
    """Bytes of this process that are in memory now, and the most that ever were; 0 for what the system doesn't tell."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return 0, 0
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    resident, peak = (int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))  # it says kB and means KiB
    return resident, peak


def _reason(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed"
    first = (str(error).strip().splitlines() or [""])[0][:200]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
