"""Parameters, multiply-adds, shapes: the published ones, and kept tables of layers, whose sums they are."""

from collections.abc import Iterator

from accept import Check
from accept.pytests import all_pass


def checks() -> Iterator[Check]:
    networks = "tests/models/test_networks.py"
    yield all_pass("1.counts", networks, "-k", "counts or measured")
    yield all_pass("1.tables", networks, "tests/models/test_layer_table.py", "-k", "table or text or row or listed")
    # What single papers have of their own: their shapes, names, tables of connections.
    yield all_pass("1.papers", "tests/models", f"--ignore={networks}")
