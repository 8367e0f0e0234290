"""What networks are made of does not change unsaid: kept tables, whose sums are those of the table of networks."""

import json
from typing import Any

import pytest

from striate.models.layer_table import layer_table
from striate.models.table import MODELS
from tests.planning.tables import PLACE, table_of

KEPT: dict[str, list[list[Any]]] = json.loads(PLACE.read_text(encoding="utf-8"))
SOME = {"lenet5", "resnet18", "vgg11"}
# Whose partial connections are a dense window with zeros in it.
MULTIPLIED_ZEROS = {"lenet5_1998": (16 * 6 - 60) * 25 * 10 * 10}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in SOME else [pytest.mark.slow]) for n in MODELS])
def test_a_networks_table_is_as_kept(name: str) -> None:
    assert table_of(name) == KEPT[name]


def test_kept_tables_sum_up_to_what_is_published() -> None:
    assert list(KEPT) == list(MODELS)
    for name, rows in KEPT.items():
        trainable, frozen, _, work = (sum(row[column] for row in rows) for column in (2, 3, 4, 5))
        row = MODELS[name]
        assert (frozen, work) == (0, (row.multiply_adds or 0) + MULTIPLIED_ZEROS.get(name, 0)), name
        auxiliary = sum(row[2] for row in rows if row[0] == "") if trainable != row.parameters else 0
        assert trainable - auxiliary == row.parameters, name
        if auxiliary:
            assert auxiliary == sum(each.parameters for each in layer_table(name).rows if each.block == "auxiliary")
