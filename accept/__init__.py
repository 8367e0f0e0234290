"""What the project promises, measured: `python -m accept road [--only 2,5]`.

Each topic is a package, each line of its acceptance a module `line<n>.py` with one function,
`checks() -> Iterator[Check]`, which drives the command line as a user would.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One figure: ``wanted`` and ``got`` are for people, ``ok`` is the verdict."""

    id: str
    wanted: str
    got: str
    ok: bool


def at_least(id: str, got: float, bound: float, note: str = "") -> Check:
    return Check(id, f">= {bound:g}", f"{got:.5g}{note and ' '}{note}", got >= bound)


def at_most(id: str, got: float, bound: float, note: str = "") -> Check:
    return Check(id, f"<= {bound:g}", f"{got:.5g}{note and ' '}{note}", got <= bound)


def noted(id: str, got: str) -> Check:
    """A figure that the issue asks to be told and sets no bound for."""
    return Check(id, "(told)", got, True)
