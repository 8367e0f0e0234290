"""The command line: words in, words out; one file a verb.

The console and the progress bars live here and nowhere else.
Offers: main (the command ``striate``).
"""

from striate.cli.app import main

__all__ = ["main"]
