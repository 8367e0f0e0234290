import os
import subprocess
import sys

import pytest

from striate.base import spinning

SAYS = """
import os, runpy, sys
sys.argv[1:] = [*{!r}, "--help"]
try:
    runpy.run_module("striate.cli", run_name="__main__", alter_sys=True)
except SystemExit:
    print(os.environ.get("GOMP_SPINCOUNT"))
"""


def said(code: str, **environment: str) -> str:
    bare = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    run = subprocess.run([sys.executable, "-c", code], env=bare | environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()[-1]


@pytest.mark.slow
def test_the_command_line_bounds_spinning_and_measures_others_as_they_come() -> None:
    assert f"GOMP_SPINCOUNT={said(SAYS.format(['train']))}" == spinning.advised()
    assert said(SAYS.format(["bench"])) == "None"


@pytest.mark.parametrize("chosen", [{"GOMP_SPINCOUNT": "17"}, {"OMP_WAIT_POLICY": "active"}])
def test_what_the_user_chose_stays(chosen: dict[str, str]) -> None:
    assert said(SAYS.format([]), **chosen) == chosen.get("GOMP_SPINCOUNT", "None")


def test_who_imports_the_package_keeps_the_environment() -> None:
    assert said("import os, striate; striate.create; print(os.environ.get('GOMP_SPINCOUNT'))") == "None"


def test_where_torch_is_loaded_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    environment: dict[str, str] = {}
    monkeypatch.setitem(sys.modules, "torch", None)
    spinning.bound(environment)
    assert environment == {}
    monkeypatch.delitem(sys.modules, "torch")
    spinning.bound(environment)
    assert f"GOMP_SPINCOUNT={environment['GOMP_SPINCOUNT']}" == spinning.advised()
