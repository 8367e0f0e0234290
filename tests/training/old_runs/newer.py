"""Striate of a later day: a field more in every table of the recipe, another default in one, and other default stages.

``python -m tests.training.old_runs.newer WORDS [then WORDS]`` is ``striate WORDS`` of that day, once or more.
"""

import re
import sys
from pathlib import Path
from types import ModuleType

import striate

TABLES = ("Stage", "ClassifySettings", "DataSettings", "Recipe")
FIELD = '    later_{}: Annotated[int, Later(as_before=0), Field(ge=0, description="what came later")] = 1\n'


def source() -> str:
    """The text of ``striate/recipe.py`` as it may become, with that of the tables that it takes from elsewhere."""
    package = Path(striate.__file__).parent
    text = (package / "recipe.py").read_text(encoding="utf-8")
    for file, imported, instead in IMPORTED:
        settings = (package / file).read_text(encoding="utf-8")
        own = re.search(r"^@dataclass.*(?=\n)", settings, re.MULTILINE | re.DOTALL)
        assert own and imported in text
        text = text.replace(imported, instead).replace("\nBODY = ", f"\n{own[0]}\n\n\nBODY = ", 1)
    for name in TABLES:
        first = re.compile(r"^    \w+: Annotated", re.MULTILINE).search(text, text.index(f"class {name}:"))
        assert first, name
        text = text[: first.start()] + FIELD.format(name.lower()) + text[first.start() :]
    for old, new in (("Stage(epochs=10, rate=0.05)", "Stage(epochs=7, rate=0.02)"), (NO_SIZE, NO_SIZE[:-4] + "(9, 9)")):
        assert old in text, old
        text = text.replace(old, new)
    return text


IMPORTED = (
    ("data/settings.py", "from striate.data.settings import DataSettings\n", ""),
    (
        "task_settings.py",
        "from striate.task_settings import SETTINGS\n",
        "from striate.base.ranges import Share\n",
    ),
)
"""Files of tables, how the recipe names what they offer, and what they need beside what it names itself."""
NO_SIZE = 'Field(description="height and width in pixels of what the network gets")\n    ] = None'


def module(name: str) -> ModuleType:
    """That text as a module, which is in ``sys.modules`` from then on."""
    made = sys.modules[name] = ModuleType(name)
    exec(compile(source(), f"<{name}>", "exec"), made.__dict__)  # noqa: S102
    return made


def without_later(text: str) -> str:
    """A recipe's TOML without the fields that came later, their comments, and tables that have no others."""
    from striate.base.fields import came_later  # not before `module` may have put another recipe in its place
    from striate.recipe import SECTIONS, Recipe, Stage
    from striate.task_settings import SETTINGS

    owners = (Recipe, Stage, *SECTIONS.values(), *SETTINGS.values())
    later_names = {name for owner in owners for name in came_later(owner)}
    kept: list[str] = []
    for line in text.splitlines(keepends=True):
        if line.partition(" =")[0] not in later_names:
            kept.append(line)
        elif kept[-1].startswith("#"):
            kept.pop()
    return re.sub(r"\n\[\w+\]\n(?=\n|\Z)", "", "".join(kept))


if __name__ == "__main__":
    sys.modules["striate.task_settings"] = module("striate.recipe")
    from striate.cli import main

    commands = " ".join(sys.argv[1:]).split(" then ")
    sys.exit(max(main(command.split()) for command in commands))
