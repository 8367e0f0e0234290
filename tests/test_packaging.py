"""What is packed: whatever the Makefile names, no extra that nobody uses, and a README that an index can show."""

import importlib.util
import re
import sys
import tomllib
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_source_distribution_holds_what_its_makefile_names():
    included = PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nclean:")[0]
    makefile = re.sub(r"(?m)^#.*", "", makefile)
    words = re.findall(r"(?<![\w/.-])[a-z][\w.]*(?:/[\w./]+)?", makefile)
    named = {word.split("/")[0] for word in words if (ROOT / word).exists()}
    named |= {word.split(".")[0] for word in re.findall(r"\) -m (\w[\w.]*)", makefile)} - {
        "pytest",
        "ruff",
        "mypy",
        "venv",
    }
    assert {"accept", "bench", "tests", "examples", "constraints.txt", "pyproject.toml"} <= named
    missing = {name for name in named if f"/{name}" not in included} - {"pyproject.toml"}  # which is always there
    assert missing == set() and "/.ci" in included


def test_every_extra_is_what_some_file_imports():
    sources = [
        path.read_text(encoding="utf-8") for folder in ("striate", "examples") for path in (ROOT / folder).rglob("*.py")
    ]
    modules = {"h5py": "h5py", "pillow-heif": "pillow_heif", "scikit-learn": "sklearn", "matplotlib": "matplotlib"}
    extras = PROJECT["project"]["optional-dependencies"]
    for extra in extras.keys() - {"dev", "all"}:
        for requirement in extras[extra]:
            module = modules[re.match(r"[\w-]+", requirement)[0]]
            assert any(re.search(rf"^\s*(import|from) {module}\b", text, re.MULTILINE) for text in sources), extra
    assert set(re.fullmatch(r"striate\[(.*)\]", *extras["all"])[1].split(",")) == extras.keys() - {"dev", "all"}


@pytest.fixture
def build(monkeypatch):
    """The module that builds, which imports what only an environment that builds has."""
    for name, hook in (("builders.hooks", "BuildHookInterface"), ("metadata", "MetadataHookInterface")):
        module = types.ModuleType("interface")
        setattr(module, hook, object)
        monkeypatch.setitem(sys.modules, f"hatchling.{name}.plugin.interface", module)
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_of_an_index_needs_no_file_beside_it(build):
    text = "# A\n\n![B](docs/b.jpg)\n\nC [d](docs/d.md) and [e](https://e.org) and ![f](https://f.org/f.png)\n"
    assert build.for_index(text) == "# A\n\nC d and [e](https://e.org) and ![f](https://f.org/f.png)\n"
    code = "```python\nlayers[0](x)\n```\n"
    assert build.for_index(code + text).startswith(code)
    hook = build.ReadmeHook()
    hook.root, metadata = ROOT, {}
    hook.update(metadata)
    shown = metadata["readme"]["text"]
    assert metadata["readme"]["content-type"] == "text/markdown" and shown.startswith("# Striate\n")
    links = re.findall(r"\]\(([^)]*)\)", shown)
    assert all(link.startswith(("https:", "#")) for link in links) and "dahlia" not in shown
    assert len(shown) > 0.9 * len((ROOT / "README.md").read_text(encoding="utf-8"))
