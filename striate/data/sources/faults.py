"""Kinds of faults, and the report that names all of one data set at once, each kind with its places."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from striate.base.errors import DataError
from striate.data.names import counted, listed, printable


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault: what it is of one and of many, how to mend it, and what is said where the settings mend it."""

    one: str
    many: str
    mend: str
    mended: str = ""


@dataclass(slots=True)
class Report:
    """What was found, each fault with its places, and what of it was mended."""

    faults: dict[Fault, list[str]] = field(default_factory=dict)
    mended: dict[Fault, list[str]] = field(default_factory=dict)
    hints: dict[Fault, str] = field(default_factory=dict)

    def add(self, fault: Fault, where: str, *, mended: bool = False) -> None:
        """Note one fault and where it is."""
        (self.mended if mended else self.faults).setdefault(fault, []).append(where)

    def refuse(self, root: Path) -> None:
        """Raise DataError if something was not mended; names each kind with its first places."""
        if self.faults:
            kinds = [
                "; ".join(filter(None, (_said(fault, places), fault.mend, self.hints.get(fault))))
                for fault, places in self.faults.items()
            ]
            raise DataError(f"{printable(root)}: {'. '.join(kinds)}")

    def notices(self) -> list[str]:
        """A sentence for each kind that was mended."""
        return [_said(fault, places, fault.mended) for fault, places in self.mended.items()]


def _said(fault: Fault, places: Sequence[str], mended: str = "") -> str:
    what = counted(len(places), fault.one, fault.many)
    return f"{what}{f', {mended}' if mended else ''}: {listed(places)}"
