"""The page of figures: a section that was measured again replaces its own text and no other."""

import pytest

from accept import Check
from bench import page
from bench.section import Section, Table
from striate.benchmarking.machine import Machine

MACHINE = Machine("A Processor", 2, ("AVX2",), {"torch": "2"})


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "PAGE", tmp_path / "benchmarks.md")
    monkeypatch.setattr(page, "REPOSITORY", tmp_path)
    return tmp_path / "benchmarks.md"


def section(title, figure):
    table = Table("a table", ("", "images/s"), (("Striate", figure),))
    return Section(title, "How it was done.", (table,), (Check("a.b", ">= 2", "3", ok=True),))


def test_sections_are_replaced_one_by_one(place):
    page.write({"windows": section("Windows", "1.0"), "memory": section("Memory", "2.0")}, MACHINE)
    page.write({"memory": section("Memory", "3.0")}, MACHINE)
    text = place.read_text()
    assert [line for line in text.splitlines() if line.startswith("## ")] == ["## Memory", "## Windows"]
    assert "| Striate | 3.0 |" in text and "| Striate | 1.0 |" in text and "2.0" not in text
    assert text.count("A Processor, 2 cores; AVX2, no AMX; torch 2.") == 2
    assert text.count("- a.b: wanted >= 2, got 3: ok") == 2
    again = text
    page.write({"memory": section("Memory", "3.0")}, MACHINE)
    assert place.read_text() == again


def test_a_table_for_the_terminal_is_aligned():
    table = Table("network", ("", "ms", "ratio"), (("a", "1.5", ""), ("a long one", "12.5", "2.00")))
    assert table.plain().splitlines() == [
        "network         ms  ratio",
        "  a            1.5",
        "  a long one  12.5   2.00",
    ]
