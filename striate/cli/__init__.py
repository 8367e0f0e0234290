"""The command line: words in, words out; one file a verb.

The console and the progress bars live here and nowhere else.
Offers main, which runs one command line.
"""

from striate.cli.app import main

__all__ = ["main"]
