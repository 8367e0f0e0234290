"""Ctrl-C and SIGTERM as a question that the loop asks, so that a run saves itself before it goes."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """Which signal asked the run to stop, if any did."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def asked(self) -> bool:
        """Whether the run has been asked to stop."""
        return self.signal is not None


@contextmanager
def interruptions() -> Iterator[Interruption]:
    """Within, the first SIGINT or SIGTERM is noted and a second one acts at once, as without this.

    Only the main thread may handle signals; in another thread nothing is changed.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # What our parent wants ignored (`striate train ... &` in a script) stays ignored; None is not Python's to change.
    before = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}

    def note(number: int, frame: FrameType | None) -> None:
        interruption.signal = number
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
