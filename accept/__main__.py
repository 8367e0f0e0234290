"""`python -m accept TOPIC [--only 2,5]`: a row as each result comes, exit code 1 if any is not as wanted."""

import argparse
import dataclasses
import importlib
import json
import re
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from accept import Check
from accept.commands import CommandError, surroundings

HERE = Path(__file__).parent


def main() -> int:
    parser = argparse.ArgumentParser(prog="accept", description="Measure what a topic must show.")
    parser.add_argument("topic", choices=topics(), nargs="?")
    parser.add_argument("--only", default="", help="lines to run, for instance 2,5")
    given = parser.parse_args()
    if given.topic is None:
        print("say which: make accept TOPIC=...\n" + "\n".join(f"{name:<10}{topics()[name]}" for name in topics()))
        return 2
    lines = lines_of(given.topic)
    chosen = [int(word) for word in given.only.split(",") if word] or lines
    if unknown := sorted(set(chosen) - set(lines)):
        print(f"{given.topic} has lines {lines}, not {unknown}", file=sys.stderr)
        return 2

    started = datetime.now(UTC)
    results = HERE / "results" / f"{given.topic}-{started:%Y%m%d-%H%M%S}.jsonl"
    results.parent.mkdir(exist_ok=True)
    around = surroundings()
    print("  ".join(f"{name}: {value}" for name, value in around.items()))
    print(f"{'id':<24}  {'wanted':<22}  {'got':<48}  ok", flush=True)
    wrong = 0
    with results.open("w", encoding="utf-8") as file:
        file.write(json.dumps({"started": started.isoformat(), **around}) + "\n")
        for line in chosen:
            clock = time.monotonic()
            for check in checks_of(given.topic, line):
                print(f"{check.id:<24}  {check.wanted:<22}  {check.got:<48}  {'ok' if check.ok else 'NO'}", flush=True)
                seconds = round(time.monotonic() - clock, 1)
                file.write(json.dumps({**dataclasses.asdict(check), "seconds": seconds}) + "\n")
                file.flush()
                wrong += not check.ok
    print(f"{wrong} not as wanted; written to {results}")
    return 1 if wrong else 0


def topics() -> dict[str, str]:
    """The topics, and what each is about."""
    names = sorted({path.parent.name for path in HERE.glob("*/line*.py")})
    return {name: (importlib.import_module(f"accept.{name}").__doc__ or "").strip() for name in names}


def lines_of(topic: str) -> list[int]:
    found = (re.fullmatch(r"line(\d+)", path.stem) for path in (HERE / topic).glob("line*.py"))
    return sorted(int(match[1]) for match in found if match)


def checks_of(topic: str, line: int) -> Iterator[Check]:
    """The checks of one line; a command that fails is one more row, and the next line still runs."""
    try:
        yield from importlib.import_module(f"accept.{topic}.line{line}").checks()
    except CommandError as error:
        yield Check(f"{line}", "a command that works", str(error), False)
    except Exception as error:  # noqa: BLE001 - an answer without the promised keys must not end the other lines
        yield Check(f"{line}", "a measurement", f"{type(error).__name__}: {error}", False)


if __name__ == "__main__":
    sys.exit(main())
