"""Segmentation: training beside smp's U-Net and torchvision's networks, and the answer to a large picture."""

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from accept import Check
from bench import crops, environment, inference
from bench.detection import FORMS, versions
from bench.section import Section, Settings, Table, as_json, speed, tell, times, wanted, warn
from bench.striate_segmentation import MODEL
from striate.benchmarking.driver import Comparison, Timing, alternate
from striate.benchmarking.forms import PREDICTOR, STRIATE
from striate.benchmarking.machine import Machine, this_machine
from striate.benchmarking.process import Contender

SMP = "segmentation_models.pytorch"
PEERS: Mapping[str, Mapping[str, str]] = {
    SMP: {"unet": "U-Net on EfficientNet-Lite0"},
    "torchvision": {"lraspp": "LR-ASPP on MobileNetV3-Large", "deeplabv3": "DeepLabv3 on MobileNetV3-Large"},
}
"""Each library's networks; those of one take turns, since all at once would fill 15 GB."""
ANSWERED = 1024
"""Sides of the picture that is answered, in pixels."""
LEAST: Mapping[str, tuple[tuple[str, ...], float]] = {
    "plain": (("plain",), 3.0),
    "tuned": (("float32", "bfloat16"), 2.0),
}
"""How many times as fast as smp's U-Net training must be, of the fastest of these forms."""
MOST = 1.3

HOW = (
    f"Training: steps on one batch of {crops.BATCH} crops of {crops.SIDE}x{crops.SIDE} in memory, noise with masks "
    f"of {crops.CLASSES} classes and unknown places, CamVid's numbers. Striate's is the step of a default run, from "
    "bytes, by weighted cross-entropy and Dice. The others get pictures that are normalised already, and learn by "
    "cross-entropy alone; AdamW serves all, in its fused form those that are channels-last, and nobody freezes "
    "anything. Both U-Nets stand on EfficientNet-Lite0, theirs with symmetric paddings, "
    "which cost torch less than SAME ones; multiply-adds are those of one crop. The answer: milliseconds for one "
    f"picture of {ANSWERED}x{ANSWERED}. Striate's network: what its predictor does from prepared bytes to logits; "
    "the runtimes get the picture normalised already and run the same network, exported by `torch.export` and "
    "`torch.onnx`. The second line of Striate is all that a caller of `Predictor` waits for, an array in memory to "
    "a class for each pixel. All with one thread a core. Logits of the picture's middle are compared with "
    "Striate's: a contender whose answers are others says so."
)


def run(settings: Settings) -> Section:
    machine = this_machine()
    trained = {library: training(library, settings) for library in PEERS}
    answered, failure = answers(settings, machine)
    libraries = versions([*trained.values(), answered])
    tables = [_training_table(library, comparison) for library, comparison in trained.items()]
    tables.append(inference.table(f"the answer to {ANSWERED}x{ANSWERED}, {MODEL}", answered))
    figures = {
        **{
            f"training.{library}": {"ratios": ratios(comparison), "contenders": as_json(comparison)}
            for library, comparison in trained.items()
        },
        "answer": {"ratios": inference.ratios(answered), "contenders": as_json(answered)},
    }
    how = f"{HOW} {libraries}" + (f" The export failed: {failure}." if failure else "")
    return Section(
        "Segmentation", how, tuple(tables), (*training_checks(trained[SMP]), answer_check(answered)), figures
    )


def training(library: str, settings: Settings) -> Comparison:
    print(f"training, batches of {crops.BATCH}, beside {library}", flush=True)
    contenders = [
        _own(STRIATE, "Striate", "training"),
        *(
            environment.peer(f"{name}_{form}", f"{label}, {how}", "segmentation", name, form)
            for name, label in PEERS[library].items()
            for form, how in FORMS.items()
        ),
    ]
    return _alternated(contenders, settings.rounds(7))


def answers(settings: Settings, machine: Machine) -> tuple[Comparison, str | None]:
    """The comparison, and why the runtimes have no files, if they have none."""
    print(f"the answer to {ANSWERED}x{ANSWERED}", flush=True)
    with tempfile.TemporaryDirectory(prefix="striate-bench-") as name:
        stem = Path(name) / "picture"
        failure = inference.export(Path(name), [(stem, MODEL, 1, ANSWERED, crops.CLASSES)])
        contenders = [
            _own(STRIATE, "Striate", "outputs", ANSWERED),
            _own(PREDICTOR, "Striate, Predictor called with an array", "predictor", ANSWERED),
            *inference.runtimes(stem, machine),
        ]
        return _alternated(contenders, settings.rounds(9)), failure


def _own(name: str, label: str, *words: object) -> Contender:
    return environment.here(name, label, "striate_segmentation", *words)


def _alternated(contenders: Sequence[Contender], rounds: int) -> Comparison:
    comparison = alternate(contenders, rounds=rounds, on_turn=tell)
    warn(comparison)
    return comparison


def ratios(comparison: Comparison) -> dict[str, float]:
    """How many times as fast as each contender Striate trains."""
    own = comparison[STRIATE]
    return {timing.contender.name: timing.median / own.median for timing in comparison if timing is not own}


def training_checks(comparison: Comparison) -> list[Check]:
    """Against smp's U-Net, plain and in the faster of its tuned forms."""
    own, found = comparison[STRIATE].median, []
    for kind, (forms, least) in LEAST.items():
        fastest = comparison.fastest([f"unet_{form}" for form in forms])
        ratio = fastest.median / own if fastest else math.nan
        found.append(wanted(f"segmentation.training.{kind}", ratio, least=least))
    return found


def answer_check(comparison: Comparison) -> Check:
    return wanted("segmentation.answer", inference.ratios(comparison).get("runtime", math.nan), most=MOST)


def _training_table(library: str, comparison: Comparison) -> Table:
    own = comparison[STRIATE]
    rows = [_row(timing, own) for timing in comparison]
    columns = ("", "million multiply-adds", "images/s", "spread", "Striate is times as fast")
    return Table(f"training, batches of {crops.BATCH}, beside {library}", columns, tuple(rows))


def _row(timing: Timing, own: Timing) -> tuple[str, ...]:
    own_precision = f", {timing.about['precision']}" if timing is own and timing.seconds else ""
    label = f"{timing.contender.label}{own_precision}"
    products = f"{timing.about['multiply_adds'] / 1e6:,.0f}" if timing.seconds else ""
    return label, products, *speed(timing), "" if timing is own else times(timing.median / own.median)
