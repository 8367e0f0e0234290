"""Other work on the cores of a run: runs of Striate take turns, and what is in the way is said, once."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch

from striate.base import spinning
from striate.base.hardware import cores
from striate.base.starvation import Account
from striate.base.turns import turns
from striate.training.events import Notice

_WINDOW = 10.0
"""Seconds between two looks: shorter ones would tell of every mail that arrives."""

_MUCH = 0.25
"""The part of its time that others must have taken from a run before it says so."""

_IDLE = 0.1
"""The part of their time that cores may have been idle where a run is short of them."""


class Neighbours:
    """What else computes on the cores of a run on the CPU; a run on another device neither waits nor looks.

    ``tell`` is told at most once that another run takes turns with this one, and at most once of other programs.
    """

    def __init__(self, device: torch.device, tell: Callable[[Notice], None]) -> None:
        self._here, self._tell = device.type == "cpu", tell
        self._turns = turns(torch.get_num_threads()) if self._here else None
        self._account = Account()
        self._waited = self._waited_so_far()
        self._told: set[str] = set()

    def turn(self) -> AbstractContextManager[None]:
        """A block that computes, in a turn of this run where others want the same cores."""
        return self._turns.taken() if self._turns else nullcontext()

    def look(self) -> None:
        """Every ten seconds, see what others have taken, and say so if it is much."""
        if not self._here or self._account.elapsed() < _WINDOW:
            return
        usage, waited, before = self._account.look(), self._waited_so_far(), self._waited
        self._waited = waited
        at_work = max(usage.wall - (waited - before), 1e-9)
        wanted = min(cores(), torch.get_num_threads())
        if at_work < (1 - _MUCH) * usage.wall:
            self._say_once(
                "runs",
                f"another run of Striate wants the same cores, so the two take turns: this one had them for "
                f"{at_work / usage.wall:.0%} of the last {usage.wall:.0f} seconds",
            )
        # Threads of its own that queue for cores that are all busy with it are no sign of others; nor is a queue on
        # cores that are idle at other times, or of a container that may use a part of them.
        elif (
            usage.share < 1 - _MUCH
            and usage.computed < (1 - _MUCH) * at_work * wanted
            and usage.idle < _IDLE * usage.wall * cores()
        ):
            advice = "" if spinning.is_chosen() else f"; started with {spinning.advised()} it would lose less by them"
            self._say_once(
                "programs",
                f"other programs are using these cores: in the last {usage.wall:.0f} seconds this run got "
                f"{usage.share:.0%} of the processor time that it asked for{advice}",
            )

    def _say_once(self, kind: str, sentence: str) -> None:
        if kind not in self._told:
            self._told.add(kind)
            self._tell(Notice(sentence))

    def _waited_so_far(self) -> float:
        """Seconds that this process has waited for turns, in its whole life."""
        return self._turns.waited if self._turns else 0.0
