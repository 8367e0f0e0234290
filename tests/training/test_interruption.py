"""Signals become a question, and the second one acts at once."""

import os
import signal
import threading

import pytest

from striate.training.interruption import interruptions


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_and_the_second_acts(number):
    seen = []
    before = signal.signal(number, lambda *_: seen.append(number))
    try:
        with interruptions() as interruption:
            assert not interruption.asked() and interruption.signal is None
            os.kill(os.getpid(), number)
            assert interruption.asked() and interruption.signal == number and not seen
            os.kill(os.getpid(), number)
            assert seen == [number]
        os.kill(os.getpid(), number)
        assert seen == [number, number]
    finally:
        signal.signal(number, before)


def test_what_was_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptions() as interruption:
            os.kill(os.getpid(), signal.SIGINT)
            assert not interruption.asked()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_changes_no_handlers():
    handlers = []

    def work():
        with interruptions() as interruption:
            handlers.append((signal.getsignal(signal.SIGTERM), interruption.asked()))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [(before, False)]
