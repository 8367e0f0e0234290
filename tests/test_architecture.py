"""The floors of the house: what each file may import, how long it may be, what it may never do.

The rules are `violations(package)`; the tests below run them on striate and on small houses with planted faults.
`docs/architecture.md` draws the same floors; a new room gets its floor here and its line there.
"""

import ast
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "striate"

FLOORS = {
    "base": 0,
    "ops": 1,
    "layers": 1,
    "pictures": 1,
    "models": 2,
    "data": 2,
    "task_settings": 2,
    "answering": 3,
    "weights": 3,
    "recipe": 3,
    "tracing": 3,
    "modelfile": 4,
    "tasks": 4,
    "inference": 5,
    "training": 6,
    "evaluation": 6,
    "predictor": 6,
    "showing": 7,
    "importing": 6,
    "planning": 5,
    "explaining": 6,
    "benchmarking": 7,
    "exporting": 7,
    "reporting": 7,
    "serving": 7,
    "cli": 8,
}
ROOF = 9  # striate/__init__.py and __main__.py: they may name anything, nobody may import them
SIDEWAYS = {("layers", "ops")}  # the one pair of rooms on a floor that know each other

# `striate.plan` is a function, so a room of that name would shadow it. (`models` is a verb of the command line alone.)
PUBLIC_VERBS = {
    *("train", "evaluate", "predict", "load", "create", "import", "plan"),
    *("convert", "show", "explain", "report", "export", "bench"),
}
EMPTY_WORDS = {"util", "utils", "helper", "helpers", "common", "manager", "managers", "misc"}
CONSOLE = {"rich", "cyclopts"}
TASK_NAMES = {"classify", "multilabel", "localize", "detect", "segment", "upscale"}
UNPICKLERS = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
LINES_A_FILE = 400
LINES_A_FUNCTION = 60


@dataclass(frozen=True)
class Module:
    """One parsed file of the package: ``room`` is None for the files at its root."""

    path: str
    room: str | None
    floor: int
    text: str
    tree: ast.Module


def modules(package: Path) -> Iterator[Module]:
    for path in sorted(package.rglob("*.py")):
        place = path.relative_to(package)
        room = None if place.name in ("__init__.py", "__main__.py") and len(place.parts) == 1 else place.parts[0]
        if room is not None:
            room = room.removesuffix(".py")
        text = path.read_text(encoding="utf-8")
        floor = ROOF if room is None else FLOORS.get(room, ROOF)
        yield Module(f"striate/{place.as_posix()}", room, floor, text, ast.parse(text))


def violations(package: Path) -> list[str]:
    """Every breach of the rules in the files of ``package``, as ``file[:line]: what``."""
    found = [breach for module in modules(package) for rule in RULES for breach in rule(module)]
    rooms = [place for place in package.iterdir() if place.is_dir() and any(place.rglob("*.py"))]
    found += [f"striate/{room.name}: has no __init__.py" for room in rooms if not (room / "__init__.py").exists()]
    return found


# What a file may import


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every module that a file names: imports anywhere (lazy and type-checking ones too) and tables' "module:name"."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            if source == "striate":
                yield from ((node.lineno, f"striate.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, source
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            named = re.fullmatch(r"(striate(\.\w+)+)(:[\w.]+)?", node.value)
            if named and (named[3] or named[1].split(".")[1] in FLOORS):
                yield node.lineno, named[1]


def floors(module: Module) -> Iterator[str]:
    if module.room is None:
        return
    for line, name in imported(module.tree):
        where = f"{module.path}:{line}: imports {name}"
        if name.startswith("."):
            yield f"{where}: write the absolute name, so that the floors can be read off it"
        if name.split(".")[0] != "striate":
            continue
        if name == "striate.__version__":  # a plain string, there before any room is
            continue
        room = name.split(".")[1] if "." in name else None
        if room not in FLOORS:
            yield f"{where}: the package's root is the roof; import from the room itself"
        elif FLOORS[room] > module.floor:
            yield f"{where}: {module.room} is on floor {module.floor}, {room} above it on {FLOORS[room]}"
        elif FLOORS[room] == module.floor and room != module.room and (module.room, room) not in SIDEWAYS:
            yield f"{where}: {module.room} and {room} are both on floor {module.floor} and must not know each other"


def ground(module: Module) -> Iterator[str]:
    """base/ needs no torch, and numpy only where its random numbers are."""
    if module.room != "base":
        return
    for line, name in imported(module.tree):
        top = name.split(".")[0]
        if top == "torch" or (top == "numpy" and not module.path.endswith("/seeds.py")):
            yield f"{module.path}:{line}: imports {name}: base/ does without (numpy in seeds.py alone)"


def console(module: Module) -> Iterator[str]:
    """The console lives on floor 8 and nowhere else."""
    if module.room == "cli":
        return
    for line, name in imported(module.tree):
        if name.split(".")[0] in CONSOLE:
            yield f"{module.path}:{line}: imports {name}: only cli/ knows that a terminal exists"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("print", "input"):
            yield f"{module.path}:{node.lineno}: {node.func.id}(): only cli/ does; yield an event instead"
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.stdout", "sys.stderr"):
            yield f"{module.path}:{node.lineno}: {ast.unparse(node)}: only cli/ writes there; yield an event instead"


def pickles(module: Module) -> Iterator[str]:
    """Nothing is ever unpickled."""
    for line, name in imported(module.tree):
        if name.split(".")[0] in UNPICKLERS:
            yield f"{module.path}:{line}: imports {name}: nothing is ever unpickled"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.module == "torch" and any(n.name == "load" for n in node.names):
            yield f"{module.path}:{node.lineno}: from torch import load: write torch.load(..., weights_only=True)"
        if not isinstance(node, ast.Call):
            continue
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if ast.unparse(node.func) == "torch.load" and given.get("weights_only") != "True":
            yield f"{module.path}:{node.lineno}: torch.load without weights_only=True"
        if given.get("allow_pickle", "False") != "False":
            yield f"{module.path}:{node.lineno}: allow_pickle={given['allow_pickle']}: nothing is ever unpickled"


# torch's own windows, whose paddings mean other things: only ops/ may call them.
TORCHS_WINDOWS = re.compile(
    r"(conv(_transpose)?[123]d|(max|avg|lp|adaptive_max|adaptive_avg)_pool[123]d|pad|local_response_norm|unfold|fold"
    r"|Conv(Transpose)?[123]d|(Max|Avg|LP|AdaptiveMax|AdaptiveAvg)Pool[123]d|(Zero|Constant|Reflection|Replication)Pad[123]d"
    r"|LocalResponseNorm|Unfold|Fold)"
)
TORCH_NAMES = {"torch", "nn", "F", "torch.nn", "nn.functional", "torch.nn.functional"}


def windows(module: Module) -> Iterator[str]:
    """There is one way to pad: striate.ops and striate.layers."""
    if module.room == "ops":
        return
    for node in ast.walk(module.tree):
        named = isinstance(node, ast.Attribute) and TORCHS_WINDOWS.fullmatch(node.attr)
        if named and ast.unparse(node.value) in TORCH_NAMES:
            yield f"{module.path}:{node.lineno}: {ast.unparse(node)}: a second way to pad; use striate.layers"
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("torch"):
            for alias in node.names:
                if TORCHS_WINDOWS.fullmatch(alias.name):
                    yield f"{module.path}:{node.lineno}: imports {alias.name}: a second way to pad; use striate.layers"


# What a file looks like


def length(module: Module) -> Iterator[str]:
    """400 lines a file, tables of data (long assignments at module level) apart; 60 lines a function."""
    tables = sum(
        node.end_lineno - node.lineno + 1
        for node in module.tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.end_lineno - node.lineno >= 10
    )
    lines = len(module.text.splitlines()) - tables
    if lines > LINES_A_FILE:
        yield f"{module.path}: {lines} lines; more than {LINES_A_FILE} are two files"
    for node in functions(module.tree):
        lines = node.end_lineno - node.lineno + 1
        if lines > LINES_A_FUNCTION:
            yield f"{module.path}:{node.lineno}: {node.name} has {lines} lines; a screen holds {LINES_A_FUNCTION}"


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def names(module: Module) -> Iterator[str]:
    if module.room is not None and module.room not in FLOORS:
        yield f"{module.path}: no floor is known for the room {module.room!r}; FLOORS gives every room one"
    if module.room in PUBLIC_VERBS:
        yield f"{module.path}: a room may not be named like the public verb striate.{module.room}"
    places = [(1, part.removesuffix(".py")) for part in module.path.split("/")]
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    defined = [(node.lineno, node.name) for node in ast.walk(module.tree) if isinstance(node, kinds)]
    for line, name in places + defined:
        words = {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)}
        for word in sorted(words & EMPTY_WORDS):
            yield f"{module.path}:{line}: {name}: {word!r} says nothing; name what it does"


def signatures(module: Module) -> Iterator[str]:
    for node in functions(module.tree):
        if node.args.kwarg is not None and not node.name.startswith("__"):
            yield f"{module.path}:{node.lineno}: {node.name} takes **{node.args.kwarg.arg}; name its arguments"


def doorplate(module: Module) -> Iterator[str]:
    """A room's __init__ says in three lines what it is for and what it offers."""
    if module.path.count("/") == 1 or not module.path.endswith("/__init__.py"):
        return
    docstring = ast.get_docstring(module.tree) or ""
    lines = [line for line in docstring.splitlines() if line.strip()]
    if len(lines) < 3:
        yield f"{module.path}: its docstring has {len(lines)} lines; three say what the room is for and what it offers"


def tasks(module: Module) -> Iterator[str]:
    """Who asks which task it is lacks a method of tasks."""
    if module.room == "tasks":
        return
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Compare | ast.MatchValue):
            continue
        parts = list(ast.walk(node))
        texts = {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}
        asked = {ast.unparse(part).rpartition(".")[2] for part in parts if isinstance(part, ast.Attribute | ast.Name)}
        if texts & TASK_NAMES or (texts and asked & {"task", "task_name"}):
            yield f"{module.path}:{node.lineno}: {ast.unparse(node)}: asks which task it is; a task lacks a method"


RULES: tuple[Callable[[Module], Iterator[str]], ...] = (
    *(floors, ground, console, pickles, windows, tasks),
    *(length, names, signatures, doorplate),
)


def test_striate_keeps_the_rules() -> None:
    found = violations(PACKAGE)
    assert not found, "\n".join(["", *found])


def test_no_room_hides_a_public_name() -> None:
    """`striate.<name>` is resolved on first use; a room of the same name, once imported, would take its place."""
    import striate

    assert {"train", "load", "create"} <= set(striate.__all__)
    assert set(striate.__all__) & set(FLOORS) == set()


def test_examples_stay_short() -> None:
    scripts = sorted((PACKAGE.parent / "examples").glob("*.py"))
    assert scripts
    assert {path.name: lines for path in scripts if (lines := len(path.read_text().splitlines())) >= 80} == {}


# The checker itself: a sound house passes, and each planted fault is found.

DOORPLATE = '"""One.\n\nTwo.\nThree.\n"""\n'


def house(folder: Path, files: dict[str, str]) -> Path:
    package = folder / "striate"
    for name, text in files.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        if path.parent != package and not (path.parent / "__init__.py").exists():
            (path.parent / "__init__.py").write_text(DOORPLATE)
    return package


SOUND = {
    "__init__.py": 'NAMES = {"train": "striate.training.run:train"}\n',
    "base/seeds.py": "import numpy as np\n",
    "layers/window.py": "from striate.ops.shapes import pad\nfrom striate.base import seeds\n",
    "ops/shapes.py": "import torch\ny = torch.nn.functional.pad(x, (0, 1))\n",
    "models/table.py": 'ROWS = {"a": "striate.models.net:a"}\nTEXT = "see striate.train(data) for more"\n',
    "weights/load.py": "import torch\nstate = torch.load(path, weights_only=True)\n",
    "cli/main.py": "import rich\nfrom striate import __version__\nfrom striate.training import run\nprint(1)\n",
    "training/run.py": "TABLE = (\n" + "    1,\n" * 500 + ")\n",
}


def test_a_sound_house_has_no_violations(tmp_path: Path) -> None:
    assert violations(house(tmp_path, SOUND)) == []


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("base/a.py", "from striate.ops import shapes\n", "above it"),
        ("base/a.py", "def f():\n    import striate.models.table\n", "above it"),
        ("data/a.py", "if TYPE_CHECKING:\n    from striate.recipe import Recipe\n", "above it"),
        ("models/table.py", 'ROWS = {"a": "striate.weights.load:a"}\n', "above it"),
        ("data/a.py", "from striate.models import table\n", "must not know each other"),
        ("ops/a.py", "from striate.layers import conv\n", "must not know each other"),
        ("data/a.py", "from striate import models\n", "must not know each other"),
        ("data/a.py", "from striate import load\n", "the roof"),
        ("cli/a.py", "import striate\n", "the roof"),
        ("data/a.py", "from . import records\n", "absolute name"),
        ("base/a.py", "import torch\n", "base/ does without"),
        ("base/a.py", "import numpy\n", "base/ does without"),
        ("training/a.py", "print(1)\n", "print()"),
        ("training/a.py", "import sys\nsys.stderr.write('x')\n", "sys.stderr"),
        ("reporting/a.py", "from rich.console import Console\n", "a terminal exists"),
        ("predictor.py", "import cyclopts\n", "a terminal exists"),
        ("weights/a.py", "import pickle\n", "unpickled"),
        ("weights/a.py", "torch.load(path)\n", "weights_only"),
        ("weights/a.py", "torch.load(path, weights_only=False)\n", "weights_only"),
        ("weights/a.py", "from torch import load\n", "weights_only"),
        ("data/a.py", "np.load(path, allow_pickle=True)\n", "unpickled"),
        ("models/a.py", "from torch import nn\npool = nn.MaxPool2d(2)\n", "a second way to pad"),
        ("layers/a.py", "y = F.pad(x, (0, 1))\n", "a second way to pad"),
        ("models/a.py", "from torch.nn import Conv2d\n", "a second way to pad"),
        ("training/a.py", 'if recipe.task == "toy":\n    pass\n', "a task lacks a method"),
        ("cli/a.py", 'x = name in ("detect", "segment")\n', "a task lacks a method"),
        ("modelfile.py", 'match name:\n    case "classify":\n        pass\n', "a task lacks a method"),
        ("data/a.py", "x = 1\n" * 401, "401 lines"),
        ("data/a.py", "def f():\n" + "    x = 1\n" * 60, "61 lines"),
        ("plan/a.py", "", "public verb"),
        ("attic.py", "", "no floor is known"),
        ("data/image_utils.py", "", "says nothing"),
        ("data/a.py", "class CacheManager:\n    pass\n", "says nothing"),
        ("data/a.py", "def f(**kwargs):\n    pass\n", "name its arguments"),
        ("data/__init__.py", '"""One line."""\n', "its docstring has 1 lines"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, name: str, text: str, said: str) -> None:
    found = violations(house(tmp_path, SOUND | {name: text}))
    assert any(breach.startswith(f"striate/{name}") and said in breach for breach in found), found


def test_a_room_without_a_doorplate_is_found(tmp_path: Path) -> None:
    package = house(tmp_path, SOUND)
    (package / "data").mkdir()
    (package / "data" / "a.py").write_text("")
    assert violations(package) == ["striate/data: has no __init__.py"]
