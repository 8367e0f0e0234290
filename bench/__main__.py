"""`python -m bench [--only windows] [--rounds 3]`: all benchmarks or one; exit code 1 if a wanted ratio is missed."""

import argparse
import sys

from bench import fashion_cnn, windows

BENCHMARKS = ("fashion_cnn", "windows")


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description="Measure Striate against its peers.")
    parser.add_argument("--only", choices=BENCHMARKS, help="one benchmark")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender is measured")
    parser.add_argument("--images", type=int, default=30_000, help="training pictures of an epoch")
    given = parser.parse_args()
    chosen = [given.only] if given.only else list(BENCHMARKS)
    good = True
    if "fashion_cnn" in chosen:
        good &= fashion_cnn.run(rounds=given.rounds, images=given.images)
    if "windows" in chosen:
        good &= windows.run(rounds=given.rounds)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
