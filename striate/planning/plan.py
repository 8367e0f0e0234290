"""A plan: what a network is made of and what its steps take, frozen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from striate.pictures.preprocess import Preprocess
from striate.planning.course import Course
from striate.tracing import AxisField, Field, Peak

HELD = ("parameters", "buffers")
PASSING = ("temporaries", "scratch", "outputs", "inputs")


@dataclass(frozen=True, slots=True)
class Layer:
    """A module with all that is in it, or a block of several.

    ``block`` is the block's name and ``path`` the module's; ``shape`` that of its (last) output, empty where it never
    runs. What modules share is counted in the first. ``statistics`` are running ones; ``multiply_adds`` are of all
    pictures; ``output_bytes`` of its outputs, ``kept_bytes`` of what it keeps for backward. ``field`` is what a place
    of its output sees of a picture.
    """

    block: str
    path: str
    what: str
    shape: tuple[int, ...]
    trainable: int
    frozen: int
    statistics: int
    multiply_adds: int
    output_bytes: int
    kept_bytes: int
    field: Field | None = None

    @property
    def sees(self) -> str:
        """Its field in words: pixels, or why it is the whole image."""
        said = dict.fromkeys("-" if axis.size == 0 else str(axis) for axis in self.field or ())
        return "x".join(said)

    @property
    def stride(self) -> str:
        """How many pixels lie between two places of its output."""
        return "x".join(dict.fromkeys("-" if axis.stride is None else str(axis.stride) for axis in self.field or ()))


@dataclass(frozen=True, slots=True)
class Memory:
    """The moment of a step at which most memory is in use: bytes, by kind; and which operation ran, in which module.

    Its kinds are those of `striate.tracing.KINDS`, and "averaged weights" where a run keeps some.
    """

    bytes: int
    kinds: Mapping[str, int]
    operation: str
    path: str
    phase: str

    @classmethod
    def of(cls, peak: Peak, path: str, averaged: int = 0) -> "Memory":
        """Of a trace's peak, in the module of this path."""
        name, phase = (peak.operation.name, peak.operation.phase) if peak.operation else ("", "forward")
        kinds: dict[str, int] = {kind: size for kind, size in peak.kinds.items() if size}
        if averaged:
            kinds["averaged weights"] = averaged
        return cls(peak.bytes + averaged, kinds, name, path, phase)

    @property
    def weights(self) -> int:
        """Parameters and running statistics."""
        return sum(self.kinds.get(kind, 0) for kind in HELD)

    @property
    def passing(self) -> int:
        """What is neither weights, gradients, optimizer state nor kept for backward: pictures, outputs, temporaries."""
        return sum(self.kinds.get(kind, 0) for kind in PASSING)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "bytes": self.bytes,
            "weights": self.weights,
            "gradients": self.kinds.get("gradients", 0),
            "optimizer_state": self.kinds.get("optimizer state", 0),
            "saved_for_backward": self.kinds.get("saved for backward", 0),
            "averaged_weights": self.kinds.get("averaged weights", 0),
            "temporaries": self.passing,
            "at": {"path": self.path, "operation": self.operation, "phase": self.phase},
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """What a network is made of, and what a step of it takes, for pictures of one size.

    ``input`` is [N, C, H, W]. ``layers`` are all modules, in the order in which they run, and ``blocks`` the names
    under which they are folded. ``training`` is None where only inference was planned.
    ``two_layers`` and ``all_layers`` are bytes by the textbook's rules: the outputs of the two consecutive layers that
    are largest together, and for training the pictures and the outputs of all layers, each with the parameters. Layers
    are what multiplies by weights, and pools; what the rules leave out is everything else.
    ``course`` is memory over the step that was planned: of training, or where only inference was, of that.
    ``preprocess`` is how photographs become such pictures, where that is known.
    """

    name: str
    input: tuple[int, ...]
    precision: str
    optimizer: str | None
    loss: str | None
    layers: tuple[Layer, ...]
    blocks: Mapping[str, tuple[str, ...]]
    inference: Memory
    training: Memory | None
    two_layers: int
    all_layers: int
    course: Course
    preprocess: Preprocess | None = None

    @property
    def peak(self) -> Memory:
        """The moment at which most is in use in the course."""
        return self.training or self.inference

    @property
    def whole(self) -> Layer:
        """The network itself."""
        return self.layers[0]

    @property
    def parameters(self) -> int:
        """Of all layers, those of auxiliary heads and frozen ones too."""
        return self.whole.trainable + self.whole.frozen

    @property
    def multiply_adds(self) -> int:
        """Of a forward pass, of all pictures together."""
        return self.whole.multiply_adds

    @property
    def last_field(self) -> Layer | None:
        """The deepest block whose places see a part of the picture, and not all of it."""
        local = [each for each in self.table() if each.field and all(axis.spans is not None for axis in each.field)]
        return local[-1] if local else None

    def table(self, depth: int = 0) -> tuple[Layer, ...]:
        """The layers folded by block, whose numbers sum up to the whole's; ``depth`` unfolds them so many times."""
        known: dict[str, Layer] = {each.path: each for each in self.layers}
        rows: list[Layer] = []
        for name, paths in self.blocks.items():  # a module that several blocks share is the first one's
            rows += self._of_block(name, [known.pop(path) for path in paths if path in known], depth)
        return (*rows, *_rest(self.whole, rows, ""))

    def _of_block(self, name: str, parts: Sequence[Layer], depth: int) -> list[Layer]:
        if not parts:
            return []
        if depth == 0:
            return [_folded(name, parts)]
        return [row for part in parts for row in self._unfolded(name, part, depth - 1)]

    def _unfolded(self, block: str, layer: Layer, depth: int) -> list[Layer]:
        inside = [each for each in self.layers if each.path.startswith(f"{layer.path}.")]
        within = [each for each in inside if "." not in each.path.removeprefix(f"{layer.path}.")]
        if depth == 0 or not within:
            return [replace(layer, block=block)]
        rows = [row for each in within for row in self._unfolded(block, each, depth - 1)]
        return [*rows, *_rest(layer, rows, block)]

    def to_dict(self, depth: int = 0) -> dict[str, Any]:
        """What `striate plan --json` prints; see ``docs/json.md``."""
        return {
            "name": self.name,
            "input": list(self.input),
            "precision": self.precision,
            "optimizer": self.optimizer,
            "loss": self.loss,
            "parameters": {
                "trainable": self.whole.trainable,
                "frozen": self.whole.frozen,
                "running_statistics": self.whole.statistics,
            },
            "multiply_adds": self.multiply_adds,
            "flops": 2 * self.multiply_adds,
            "weights_bytes": self.inference.weights,
            "inference": self.inference.to_dict(),
            "training": self.training.to_dict() if self.training else None,
            "rules": {"two_layers": self.two_layers, "all_layers": self.all_layers},
            "layers": [_as_json(row) for row in self.table(depth)],
        }

    def __repr__(self) -> str:
        steps = [f"inference {_megabytes(self.inference.bytes)}"]
        if self.training:
            steps.append(f"training {_megabytes(self.training.bytes)}")
        shape = "x".join(map(str, self.input))
        counts = f"{self.parameters:,} parameters, {self.multiply_adds:,} multiply-adds"
        return f"Plan({self.name}, {shape}: {counts}, {', '.join(steps)})"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def _counts(layers: Sequence[Layer]) -> tuple[int, int, int, int, int]:
    """Parameters that learn and that do not, running statistics, multiply-adds, and bytes kept, of all together."""
    rows = [(each.trainable, each.frozen, each.statistics, each.multiply_adds, each.kept_bytes) for each in layers]
    trainable, frozen, statistics, work, kept = map(sum, zip(*rows, strict=True)) if rows else (0,) * 5
    return trainable, frozen, statistics, work, kept


def _folded(block: str, parts: Sequence[Layer]) -> Layer:
    """A block as one row: its last module that gave something says what it gives."""
    last = next((part for part in reversed(parts) if part.shape), parts[-1])
    what = parts[0].what if len(parts) == 1 else f"{len(parts)} modules"
    path = parts[0].path if len(parts) == 1 else ""
    return _layer((block, path, what), last, _counts(parts))


def _layer(words: tuple[str, str, str], gives: Layer | None, counts: tuple[int, int, int, int, int]) -> Layer:
    """A row with these words and counts, that gives what another one gives."""
    shape, size, field = ((), 0, None) if gives is None else (gives.shape, gives.output_bytes, gives.field)
    trainable, frozen, statistics, work, kept = counts
    return Layer(*words, shape, trainable, frozen, statistics, work, size, kept, field)


def _rest(whole: Layer, parts: Sequence[Layer], block: str) -> list[Layer]:
    """What a module has beside its parts, as a row, if there is anything."""
    pairs = zip(_counts([whole]), _counts(parts), strict=True)
    trainable, frozen, statistics, work, kept = (mine - theirs for mine, theirs in pairs)
    if not (trainable or frozen or statistics or work or kept):
        return []
    what = f"{whole.what}, besides" if parts else whole.what
    return [_layer((block, whole.path, what), None, (trainable, frozen, statistics, work, kept))]


def _as_json(layer: Layer) -> dict[str, Any]:
    return {
        "block": layer.block,
        "path": layer.path,
        "what": layer.what,
        "shape": list(layer.shape),
        "trainable": layer.trainable,
        "frozen": layer.frozen,
        "running_statistics": layer.statistics,
        "multiply_adds": layer.multiply_adds,
        "output_bytes": layer.output_bytes,
        "kept_bytes": layer.kept_bytes,
        "receptive_field": None if layer.field is None else [_axis_as_json(axis) for axis in layer.field],
    }


def _axis_as_json(axis: AxisField) -> dict[str, Any]:
    return {
        "size": axis.size,
        "stride": None if axis.stride is None else float(axis.stride),
        "padding": axis.padding,
        "whole": axis.whole,
        "unknown": axis.unknown,
    }


def by_the_rules(outputs: Sequence[int], pictures: int, parameters: int) -> tuple[int, int]:
    """Bytes by the textbook's two rules, of the outputs of layers, of the pictures and of the parameters.

    Example:
        >>> by_the_rules([6_000_000, 3_000_000, 1_520_000], 720_000, 3_613_600)
        (12613600, 14853600)
    """
    pairs = [one + other for one, other in zip((pictures, *outputs), outputs, strict=False)]
    return max(pairs, default=pictures) + parameters, sum((pictures, *outputs)) + parameters
