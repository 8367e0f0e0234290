"""`python -m bench [--rounds 3] [--images 30000]`: all benchmarks; exit code 1 if a wanted ratio is missed."""

import argparse
import sys

from bench import fashion_cnn


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description="Measure Striate against its peers.")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contender is measured")
    parser.add_argument("--images", type=int, default=30_000, help="training pictures of an epoch")
    given = parser.parse_args()
    return 0 if fashion_cnn.run(rounds=given.rounds, images=given.images) else 1


if __name__ == "__main__":
    sys.exit(main())
