"""What STRIATE_NATIVE means, and which levels a processor has."""

import pytest

from striate.base.compiling import levels
from striate.base.compiling.levels import LEVELS, NoKernelsError, possible, wished


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("auto", [level.name for level in LEVELS]),
        ("", [level.name for level in LEVELS]),
        ("avx2", ["avx2"]),
        (" avx2 , avx512,", ["avx512", "avx2"]),  # the best first, however they are given
    ],
)
def test_a_wish(text, names, monkeypatch):
    monkeypatch.setenv("STRIATE_NATIVE", text)
    assert [level.name for level in wished()] == names
    monkeypatch.delenv("STRIATE_NATIVE")
    assert wished() == LEVELS


@pytest.mark.parametrize("text", ["fast", "avx2,fast", "auto,avx2", "off,avx2", "AVX2"])
def test_a_wish_that_means_nothing_is_told_what_would(text, monkeypatch):
    monkeypatch.setenv("STRIATE_NATIVE", text)
    with pytest.raises(NoKernelsError, match=f"{text}.*auto, off, or a list of avx512bf16, avx512, avx2, neon"):
        wished()


ZEN4 = {"avx2", "fma", "bmi2", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_bf16"}


@pytest.mark.parametrize(
    ("machine", "has", "names"),
    [
        ("x86_64", ZEN4, ["avx512bf16", "avx512", "avx2"]),
        ("x86_64", ZEN4 - {"avx512_bf16"}, ["avx512", "avx2"]),
        ("x86_64", {"avx2", "fma", "bmi2"}, ["avx2"]),
        ("aarch64", {"asimd"}, ["neon"]),
    ],
)
def test_what_a_processor_can_run(machine, has, names, monkeypatch):
    monkeypatch.setattr(levels.platform, "machine", lambda: machine)
    monkeypatch.setattr(levels, "instructions", lambda: frozenset(has))
    assert [level.name for level in possible()] == names
    assert [level.name for level in possible(LEVELS[2:])] == [name for name in names if name in ("avx2", "neon")]


@pytest.mark.parametrize(("machine", "has"), [("x86_64", {"avx"}), ("riscv64", ZEN4), ("arm64", set())])
def test_a_processor_that_can_run_none(machine, has, monkeypatch):
    monkeypatch.setattr(levels.platform, "machine", lambda: machine)
    monkeypatch.setattr(levels, "instructions", lambda: frozenset(has))
    with pytest.raises(NoKernelsError, match=machine):
        possible()
