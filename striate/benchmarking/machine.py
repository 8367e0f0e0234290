"""What a figure of speed must be read with: the processor, its instructions, cores, and versions."""

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass

from striate import __version__
from striate.base.hardware import AMX, BFLOAT16, cores, instructions, processor

_WORDS: Mapping[str, str] = {
    AMX: "AMX",
    "avx512_bf16": "AVX512-BF16",
    "avx512f": "AVX512",
    "avx2": "AVX2",
    "bf16": "BF16",
    "asimd": "NEON",
}
"""The instruction sets that decide the speed of convolutions: the kernel's word and the usual one."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine as far as it matters to speed; ``cores`` are those that this process may use."""

    processor: str
    cores: int
    instructions: tuple[str, ...]
    versions: Mapping[str, str]

    @property
    def amx(self) -> bool:
        """Whether the processor has Intel's matrix tiles for bfloat16."""
        return _WORDS[AMX] in self.instructions

    @property
    def bfloat16(self) -> bool:
        """Whether the processor multiplies bfloat16."""
        return any(_WORDS[flag] in self.instructions for flag in BFLOAT16)

    def __str__(self) -> str:
        said = ", ".join(self.instructions) or "no vector instructions that are known"
        tiles = "" if self.amx or "NEON" in self.instructions else ", no AMX"
        count = f"{self.cores} core" + ("s" if self.cores != 1 else "")
        return f"{self.processor}, {count}; {said}{tiles}"


def this_machine() -> Machine:
    """The machine that this process runs on."""
    has = instructions()
    words = tuple(word for flag, word in _WORDS.items() if flag in has)
    versions = {"striate": __version__, "torch": importlib.metadata.version("torch")}
    return Machine(processor().name, cores(), words, versions)
