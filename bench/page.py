"""docs/benchmarks.md: a section for each benchmark, with the machine and the day on which it was measured."""

import json
import re
import subprocess
import textwrap
from collections.abc import Mapping
from datetime import UTC, datetime

from bench.environment import PEERS, REPOSITORY
from bench.section import Section
from striate.benchmarking.machine import Machine

PAGE = REPOSITORY / "docs" / "benchmarks.md"
PICTURE = REPOSITORY / "docs" / "benchmarks.png"

HEAD = """# How fast

Made by `make bench`; `striate bench` measures the machine in front of you. All contenders of a table alternated in one
run, each in a process of its own and only one at a time; figures are medians over rounds. Processors differ: compare
ratios, not absolute speeds.

![How many times as fast as each contender Striate trains](benchmarks.png)
"""


def write(sections: Mapping[str, Section], machine: Machine) -> None:
    """Put these sections into the page, in place of those of the same titles; the others stay as they are."""
    there = _sections(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else {}
    there |= {section.title: _text(section, machine) for section in sections.values()}
    order = [section.title for section in sections.values()]
    titles = [*(title for title in TITLES if title in there), *(title for title in order if title not in TITLES)]
    PAGE.write_text("\n".join([HEAD, *(there[title] for title in titles)]), encoding="utf-8")
    if "training" in sections:
        draw(sections["training"], machine)
    print(f"written: {PAGE.relative_to(REPOSITORY)}")


TITLES = (
    "Training",
    "Memory",
    "End to end",
    "Loading",
    "Inference",
    "Start-up",
    "A small network",
    "Windows",
    "Detection",
    "Segmentation",
)
"""The page's order."""


def _sections(text: str) -> dict[str, str]:
    parts = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    return {part.split("\n", 1)[0].strip(): f"## {part.rstrip()}\n" for part in parts}


def _text(section: Section, machine: Machine) -> str:
    now = datetime.now(UTC)
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    measured = f"Measured {now:%Y-%m-%d} on {machine}; {versions}."
    tables = "\n\n".join(table.markdown() for table in section.tables)
    verdicts = [
        f"- {check.id}: wanted {check.wanted}, got {check.got}: {'ok' if check.ok else 'no'}"
        for check in section.checks
    ]
    wanted = "\n\nWhat was wanted:\n\n" + "\n".join(verdicts) if verdicts else ""
    how = textwrap.fill(section.how, 120, break_long_words=False, break_on_hyphens=False)
    return f"## {section.title}\n\n{how}\n\n{measured}\n\n{tables}{wanted}\n"


def draw(training: Section, machine: Machine) -> None:
    """The picture of training's ratios, by the peers' matplotlib."""
    values = {"machine": str(machine), "networks": training.figures["networks"]}
    done = subprocess.run(
        [str(PEERS), "-m", "bench.peers.picture", str(PICTURE)],
        cwd=REPOSITORY,
        input=json.dumps(values),
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        print(f"no picture: {(done.stderr.strip().splitlines() or ['it failed'])[-1]}")
