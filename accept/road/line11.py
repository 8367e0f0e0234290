"""What the documents say, in order, in a clone and an environment made as the README says, with nothing else in it."""

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from accept import Check
from accept.commands import REPOSITORY
from tests.documents.reading import INSTALLATION, NOT_ON_THE_ROAD, Command, documented, reason
from tests.documents.scene import set_scene

IN_THE_ENVIRONMENT = "if [ -d venv ]; then . venv/bin/activate; fi\n"


def checks() -> Iterator[Check]:
    with tempfile.TemporaryDirectory(prefix="striate-road-") as name:
        folder = Path(name)
        clone = folder / "clone"
        subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(clone)], check=True)
        set_scene(clone)
        for line in (*INSTALLATION[:2], f"pip install torch=={_torch()}", *INSTALLATION[3:]):
            yield _check(line, line, clone)
        yield _check("core alone", f'python -c "{WITHOUT}"', clone)
        for command in documented():
            if command.text not in INSTALLATION and reason(NOT_ON_THE_ROAD, command) is None:
                yield _check(_first_line(command), _shell(command), clone)


WITHOUT = "import importlib.util as util; assert not any(map(util.find_spec, ('sklearn', 'pytest', 'matplotlib')))"
"""That what an extra brings is not there, or else nothing would be shown."""


def _torch() -> str:
    """The pinned version, whose CPU build our machines have; PyTorch's own index cannot be reached from all of them."""
    pinned = re.search(r"^torch==(\S+)", (REPOSITORY / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned
    return pinned[1]


def _first_line(command: Command) -> str:
    return f"{command.document}: {command.text.strip().splitlines()[0] if command.python else command.text}"


def _shell(command: Command) -> str:
    return f"python - <<'END'\n{command.text}END" if command.python else command.run_as


def _check(id: str, line: str, clone: Path) -> Check:
    """Whether a line of a shell works in the clone, as a user with an empty cache has it."""
    ours = ("VIRTUAL_ENV", "PYTHONPATH", "MAKEFLAGS", "STRIATE_NATIVE")
    env = {key: value for key, value in os.environ.items() if key not in ours}
    env["STRIATE_CACHE"] = str(clone.parent / "cache")
    begun = time.monotonic()
    words = ["bash", "-c", IN_THE_ENVIRONMENT + line]
    done = subprocess.run(words, cwd=clone, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    said = f"{time.monotonic() - begun:.0f} s" if done.returncode == 0 else done.stderr.strip()[-300:]
    return Check(f"11. {id}", "works", said.replace("\n", " / "), done.returncode == 0)
