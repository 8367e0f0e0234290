"""The commands of the documents: found in their text, and the table of what they are run as."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
COMMAND = re.compile(r"(?:[A-Z_]+=\S+ )*(?:striate|make|pip|python3?|\.) \S")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

RUN = "runs/flowers-1"
MODEL = f"{RUN}/model.safetensors"
IMPORT = "striate import mobilenet_v2-b0353104.pth --model mobilenet_v2 --classes imagenet --preprocess imagenet"
RUN_AS = {
    "striate train": "striate train --help",  # the verb is meant
    "striate train DATA": "striate train flowers",
    "striate train DATA --json": "striate train flowers --json",
    "striate train DATA --recipe FILE": f"striate train flowers --recipe {RUN}/recipe.toml",
    "striate convert DATA --to FORMAT --out FOLDER": "striate convert objects/boxes.csv --to coco --out converted",
    "striate convert DATA --to FORMAT --out FOLDER --json": "striate convert objects/boxes.csv --to voc --out v --json",
    "striate convert DATA --to coco --out FOLDER": "striate convert objects/boxes.csv --to coco --out as-coco",
    "striate evaluate MODEL DATA": f"striate evaluate {MODEL} flowers",
    "striate evaluate MODEL DATA --json": f"striate evaluate {MODEL} flowers --json",
    "striate predict MODEL IMAGE...": f"striate predict {MODEL} unknown.jpg dog.jpg",
    "striate predict MODEL IMAGE... --top K --json": f"striate predict {MODEL} unknown.jpg dog.jpg --top 2 --json",
    "striate predict MODEL IMAGE... --tile 640": "striate predict aerial.safetensors aerial.jpg --tile 640",
    "striate predict MODEL IMAGE... --budget 2GB": "striate predict aerial.safetensors aerial.jpg --budget 2GB",
    "striate import FILE --model NAME --out FILE": f"{IMPORT} --out mobilenet.safetensors",
    "striate import FILE --model NAME --out FILE --json": f"{IMPORT} --out second.safetensors --json",
    "striate train data.yaml": "striate train birds",
    "striate predict": "striate predict --help",  # the verb is meant
    "striate show": "striate show --help",  # the verb is meant
    "striate show DATA": "striate show flowers",
    "striate show DATA --json": "striate show flowers --json",
    "striate models NAME": "striate models squeezenet1_1",
    "striate models [NAME]": "striate models squeezenet1_1",
    "striate models [NAME] --json": "striate models squeezenet1_1 --json",
    "striate plan": "striate plan --help",  # the verb is meant
    "striate plan NETWORK": "striate plan lenet5",
    "striate plan NETWORK --json": "striate plan lenet5 --json",
    "striate plan MODEL --json": f"striate plan {MODEL} --json",
    "striate plan package.module:factory": "striate plan torch.nn:Identity --size 8 --mode inference",
    "striate bench [MODEL...] --json": "striate bench mobilenet_v2 --json",
    "python examples/answer_picture.py [FILE.jpg]": "python examples/answer_picture.py answer.jpg",
    "python examples/filters.py [FILE.png]": "python examples/filters.py filters.png",
    "python examples/sliding.py MODEL DATA [FILE.jpg]": f"python examples/sliding.py {RUN} flowers sliding.jpg",
    "python examples/padding.py [SIZE WINDOW STRIDE]": "python examples/padding.py 9 3 2",
}
"""Commands with words that stand for something, and what they are run as; all others are run as they are written."""

INSTALLATION = (
    "python3 -m venv venv",
    ". venv/bin/activate",
    "pip install torch --index-url https://download.pytorch.org/whl/cpu",
    "pip install .",
)
"""What the README has everybody run before all others."""

NOT_ON_THE_ROAD = {
    r"make (demo|test|test-all)": "`make accept TOPIC=road ONLY=1` runs it in a clone",
    r"make check": ".ci/run runs it",
    r"make sanitize": "`make accept TOPIC=speed ONLY=7` runs it",
    r"make bench": "half an hour of measurements on an idle machine, which write docs/benchmarks.md",
    r"make accept.*": "acceptance itself: that there is such a topic and line is a test",
    r"pip install torch --index-url \S+": "PyTorch's index: the same build is installed from elsewhere",
}
"""Patterns of commands that are not run in the environment that the README makes, and why."""

NOT_IN_THE_TESTS = {
    r"(\S+=\S+ )?pip install .*|python3 -m venv venv|\. venv/bin/activate": "changes the environment: on the road",
    r"striate bench.*": "two minutes of measurements: on the road; tests/cli/test_bench.py runs shorter ones",
    r"python examples/demo.py": "half a minute: on the road, and `make demo` runs it",
    r"python -m accept.*": "minutes of measurements in the peers' environment",
    r"make .*": "would run the tests in a test: that there is such a target is tested",
}
"""Patterns of commands that the tests do not run, and why."""

SHOWN = {
    "kind      top-1": "of real weights and photographs: `make accept TOPIC=classics ONLY=4` imports them",
    "floor 8": "the architecture test compares it with the imports",
    "path --SOURCES-->": "a drawing",
}
"""How blocks begin that hold no commands and that no command of their document prints, and what they are."""


@dataclass(frozen=True)
class Command:
    """One command line or, with ``python``, one block of Python, as a document has it."""

    document: str
    text: str
    python: bool = False

    @property
    def run_as(self) -> str:
        return RUN_AS.get(self.text, self.text)


def documents() -> list[Path]:
    return [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


def documented() -> list[Command]:
    """Every command of the documents and the examples, in their order, each once."""
    found = [each for path in documents() for each in commands(path.name, path.read_text(encoding="utf-8"))]
    for path in sorted((REPOSITORY / "examples").glob("*.py")):
        lines = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines()
        found += [Command(path.name, line.strip()) for line in lines if COMMAND.match(line.strip())]
    once: dict[str, Command] = {}
    for each in found:
        once.setdefault(each.run_as, each)
    return list(once.values())


def commands(document: str, text: str) -> Iterator[Command]:
    """The commands of a document: its blocks of Python, the lines of other blocks, what stands in backticks.

    Raises:
        ValueError: a block holds commands and something else.
    """
    end = 0
    for block in [*FENCE.finditer(text), None]:
        prose = text[end : block.start() if block else None]
        for quoted in re.findall(r"`([^`]+)`", prose):
            words = " ".join(quoted.split())
            if COMMAND.match(words):
                yield Command(document, words)
        if block is None:
            return
        end = block.end()
        if block[1] == "python":
            yield Command(document, block[2], python=True)
        elif not is_output(block[2]):
            yield from (Command(document, line) for line in lines_of(block[2]))


def outputs(text: str) -> list[str]:
    """The blocks of a document that show something instead of saying what to run."""
    return [block[2] for block in FENCE.finditer(text) if block[1] != "python" and is_output(block[2])]


def is_output(block: str) -> bool:
    are = [bool(COMMAND.match(line)) for line in lines_of(block)]
    if any(are) and not all(are):
        raise ValueError(f"a block with commands and others: {block}")
    return not any(are)


def lines_of(block: str) -> list[str]:
    """Its lines without comments."""
    lines = (re.sub(r"(^|\s+)#.*", "", line) for line in block.splitlines())
    return [line for line in lines if line.strip()]


def reason(table: dict[str, str], command: Command) -> str | None:
    """Why a table leaves the command out, or None if it does not."""
    if command.python:
        return None
    return next((why for pattern, why in table.items() if re.fullmatch(pattern, command.text)), None)
