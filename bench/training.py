"""Training at 224: Striate's step, torch in four ways, Keras on TensorFlow and on JAX."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from accept import Check
from bench.environment import peer
from bench.section import Section, Settings, Table, as_json, percent, speed, tell, times, wanted, warn
from striate.benchmarking.driver import Comparison, alternate
from striate.benchmarking.forms import STRIATE, TORCH, TUNED, contender, convolution
from striate.benchmarking.machine import this_machine
from striate.benchmarking.process import Contender
from striate.benchmarking.suite import Part, peaks_of

SIZE = (224, 224)
ROUNDS = 5
DEPTHWISE = "torch_float32_depthwise"

HOW = (
    "Steps of SGD with momentum on one batch of random pictures of 224x224 in memory, 1,000 classes. Striate runs its "
    "own training step, from bytes, in the precision that its rule chooses; the torch contenders have the same network "
    "of torch's own modules (`striate/benchmarking/networks.py`) and pictures that are normalised already; those that "
    "are channels-last also have the optimizer's fused form. Keras has its own applications, which differ a little: "
    "its ResNet-50 is the cheaper one of 2015. Of peak: the part of one large convolution's speed, in the same "
    "precision, that three forward passes a step amount to. Each turn begins with a step that is not timed, since the "
    "system takes memory from those who wait. Spread: the distance between the quartiles of the rounds, "
    "over the median."
)


@dataclass(frozen=True, slots=True)
class Row:
    """One network; ``keras`` is its name in `keras.applications`, ``least`` the wanted ratios by contender.

    ``jax`` says that JAX takes part: its step of Xception takes a minute.
    """

    model: str
    batch_size: int
    keras: str | None = None
    least: Mapping[str, float] = field(default_factory=dict)
    least_with_amx: Mapping[str, float] = field(default_factory=dict)
    jax: bool = False


ROWS = (
    Row("efficientnet_lite0", 32, None, {"tuned": 2.0, DEPTHWISE: 1.4, "torch": 4.0}),
    Row("mobilenet_v2", 32, "MobileNetV2", {"tuned": 1.7, "keras_tensorflow": 2.5}, jax=True),
    Row("xception", 16, "Xception", {"tuned": 1.5, "keras_tensorflow": 3.0}),
    Row("resnet50", 16, "ResNet50", {"tuned": 1.2, "keras_tensorflow": 3.5}, {"tuned": 1.5}, jax=True),
    Row("vgg16", 8, "VGG16", {"tuned": 1.3}),
)


def run(settings: Settings) -> Section:
    machine = this_machine()
    peaks = peaks_of(alternate([convolution("float32"), convolution("bfloat16")], rounds=settings.rounds(3)))
    parts = []
    for row in ROWS:
        if settings.takes(row.model):
            print(f"{row.model}, batches of {row.batch_size}", flush=True)
            comparison = alternate(contenders(row), rounds=settings.rounds(ROUNDS), on_turn=tell)
            warn(comparison)
            parts.append((row, Part("training", row.model, row.batch_size, SIZE, comparison)))
    giga = ", ".join(f"{name} {value / 1e9:,.0f}" for name, value in peaks.items())
    return Section(
        "Training",
        f"{HOW} The peak here, in GFLOP/s: {giga}.",
        tuple(_table(row, part, peaks) for row, part in parts),
        tuple(check for row, part in parts for check in _checks(row, part, machine.amx)),
        {
            "peaks": peaks,
            "networks": {
                row.model: {
                    "batch_size": row.batch_size,
                    "ratios": ratios(part.comparison),
                    "disturbance": part.comparison.disturbance,
                    "contenders": as_json(part.comparison),
                }
                for row, part in parts
            },
        },
    )


def contenders(row: Row) -> list[Contender]:
    """All who take part in a network: torch's depthwise trick only where there are such windows to gain from."""
    ways = [name for name in TORCH if name != DEPTHWISE or row.model in ("efficientnet_lite0", "mobilenet_v2")]
    ours = [contender("training", name, row.model, row.batch_size, SIZE) for name in (STRIATE, *ways)]
    return ours + [_keras(row, *form) for form in KERAS if row.keras and (form[2] != "jax" or row.jax)]


KERAS = (
    ("keras_tensorflow", "Keras on TensorFlow, float32", "tensorflow", "float32", None),
    ("keras_tensorflow_bfloat16", "Keras on TensorFlow, mixed_bfloat16", "tensorflow", "mixed_bfloat16", 3),
    ("keras_jax", "Keras on JAX, float32", "jax", "float32", 2),
)
"""Name, label, backend, policy, and most rounds: on processors JAX takes ten times as long as the others."""


def _keras(row: Row, name: str, label: str, backend: str, policy: str, most_rounds: int | None) -> Contender:
    environment = {"KERAS_BACKEND": backend}
    words = (row.keras, row.batch_size, policy)
    return peer(name, label, "keras_training", *words, environment=environment, most_rounds=most_rounds)


def ratios(comparison: Comparison) -> dict[str, float]:
    """How many times as fast as each contender Striate is, and as "tuned", the faster of torch's tuned forms."""
    own = comparison[STRIATE]
    found = {timing.contender.name: timing.median / own.median for timing in comparison if timing is not own}
    tuned = comparison.fastest(TUNED)
    return found | ({"tuned": tuned.median / own.median} if tuned else {})


def _checks(row: Row, part: Part, amx: bool) -> list[Check]:
    found = ratios(part.comparison)
    least = {**row.least, **(row.least_with_amx if amx else {})}
    return [
        wanted(f"training.{row.model}.{name}", found.get(name, float("nan")), least=value)
        for name, value in least.items()
    ]


def _table(row: Row, part: Part, peaks: Mapping[str, float]) -> Table:
    rows = []
    for timing in part.comparison:
        own, tuned = timing is part.striate, timing is part.tuned
        label = timing.contender.label + (f", {timing.about['precision']}" if own and timing.seconds else "")
        fraction = percent(part.peak_fraction(timing, peaks))
        ratio = "" if own else times(part.ratio(timing))
        rows.append((label + (" (tuned)" if tuned else ""), *speed(timing), fraction, ratio))
    columns = ("", "images/s", "spread", "of peak", "Striate is times as fast")
    return Table(f"{row.model}, batches of {row.batch_size}", columns, tuple(rows))
