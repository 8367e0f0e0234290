"""The command line: words in, words out; one file a verb.

The console and the progress bars live here and nowhere else; `verbs` and `watched` are for programs instead of people.
Offers main, which runs one command line.
"""

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (``sys.argv`` without its first word if None); returns the exit code."""
    import sys

    from striate.base import spinning

    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] != ["bench"]:  # whose contenders run as their users have them
        spinning.bound()
    from striate.cli import app  # programs that pass by need no command line

    return app.main(words)


__all__ = ["main"]
