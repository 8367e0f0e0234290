"""`python -m bench [--quick] [--only training,inference]`: exit code 1 if a wanted ratio is missed.

Every section writes `bench/results/<section>-<time>.json`. Unless --quick or --network is given, its part of
docs/benchmarks.md is written too.
"""

import argparse
import dataclasses
import importlib
import json
import math
import sys
import time
from datetime import UTC, datetime
from typing import Any

from bench import page
from bench.environment import PEERS, RESULTS
from bench.section import Section, Settings
from striate.benchmarking.machine import Machine, this_machine

SECTIONS = (
    "training",
    "memory",
    "end_to_end",
    "loading",
    "inference",
    "startup",
    "fashion_cnn",
    "windows",
    "detection",
    "segmentation",
)


def main() -> int:
    given = _arguments()
    settings = Settings(quick=given.quick, networks=tuple(given.network or ()))
    machine = this_machine()
    print(machine)
    if not PEERS.exists():
        print(f"{PEERS} is not there, so peers fail; `make bench` makes it", file=sys.stderr)
    done: dict[str, Section] = {}
    for name in given.only or SECTIONS:
        print(f"\n== {name}", flush=True)
        started = time.monotonic()
        try:
            section = importlib.import_module(f"bench.{name}").run(settings)
        except (RuntimeError, OSError) as error:
            print(f"could not be measured: {error}")
            continue
        done[name] = section
        _show(section)
        print(f"({time.monotonic() - started:.0f} s)", flush=True)
        _keep(name, section, machine, settings)
    if done and not settings.quick and not settings.networks:
        page.write(done, machine)
    return (
        0
        if len(done) == len(given.only or SECTIONS) and all(check.ok for each in done.values() for check in each.checks)
        else 1
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="Measure Striate against its peers.")
    parser.add_argument("--only", type=_names, help=f"sections, with commas between: {','.join(SECTIONS)}")
    parser.add_argument("--network", action="append", help="only this network, where a section has several")
    parser.add_argument("--quick", action="store_true", help="one round, to see that everything runs; writes no page")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(SECTIONS):
        raise argparse.ArgumentTypeError(f"no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    return names


def _show(section: Section) -> None:
    for table in section.tables:
        print(f"\n{table.plain()}")
    print()
    for check in section.checks:
        print(f"{check.id:<50} wanted {check.wanted:<8} got {check.got:<10} {'ok' if check.ok else 'NO'}")


def _keep(name: str, section: Section, machine: Machine, settings: Settings) -> None:
    RESULTS.mkdir(exist_ok=True)
    values = {
        "machine": dataclasses.asdict(machine),
        "quick": settings.quick,
        "checks": [dataclasses.asdict(check) for check in section.checks],
        "figures": section.figures,
    }
    path = RESULTS / f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    path.write_text(json.dumps(_plain(values), indent=1) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    """The value as JSON can hold it: no NaN."""
    match value:
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case float():
            return value if math.isfinite(value) else None
    return value


if __name__ == "__main__":
    sys.exit(main())
