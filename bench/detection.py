"""Detection at 320x320: Striate's default detector, torchvision's SSDLite on MobileNetV2, and ultralytics' yolo11n."""

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from accept import Check
from bench import environment, scenes
from bench.section import Section, Settings, Table, as_json, percent, speed, tell, times, wanted, warn
from striate.benchmarking.driver import Comparison, Timing, alternate
from striate.benchmarking.process import Contender

OWN = "striate"
PEERS = {"ssdlite": "SSDLite on MobileNetV2, torchvision", "yolo11n": "yolo11n, ultralytics"}
FORMS = {"plain": "float32", "float32": "float32, channels-last", "bfloat16": "bfloat16, channels-last"}
BATCHES = (8, 16)
CANDIDATES = 100
LEAST, MOST, MOST_SUPPRESSION = 2.0, 1.0, 1.5

HOW = (
    f"One class, pictures of {scenes.SIDE}x{scenes.SIDE}. Training: steps on one batch of noise in memory with "
    f"{scenes.OBJECTS} objects on each picture, with each library's own loss and optimizer (ultralytics' takes a step "
    "once in 64 pictures). Striate's is the step of a default run, whose first blocks are frozen; its second line "
    "trains all of them, as the others do. Answers: from a picture in memory to boxes in its pixels, with thresholds "
    f"that leave {CANDIDATES} boxes to suppress: Striate by its `Predictor`, the others as their own exports, "
    "suppression included, under ONNX Runtime, all with one thread a core. Networks differ in size, so the time of a "
    f"multiply-add is compared. Suppression: {scenes.BOXES:,} boxes of {scenes.CLASSES} classes at IoU {scenes.IOU:g} "
    "in one call, beside torchvision's compiled `batched_nms`: spread over the picture, or in crowds around "
    f"{scenes.CROWDS} objects."
)


def run(settings: Settings) -> Section:
    trained = {batch: training(batch, settings) for batch in BATCHES}
    answered, failure = answers(settings)
    suppressed = {kind: suppression(kind, settings) for kind in scenes.KINDS}
    tables = [_training_table(batch, comparison) for batch, comparison in trained.items()]
    tables += [_answers_table(answered), *(_suppression_table(kind, found) for kind, found in suppressed.items())]
    checks = [check for batch, comparison in trained.items() for check in training_checks(batch, comparison)]
    checks += [answer_check(answered), *(suppression_check(kind, found) for kind, found in suppressed.items())]
    comparisons = {
        **{f"training.{batch}": comparison for batch, comparison in trained.items()},
        "answer": answered,
        **{f"suppression.{kind}": found for kind, found in suppressed.items()},
    }
    figures = {name: as_json(comparison) for name, comparison in comparisons.items()}
    how = f"{HOW} {versions(list(comparisons.values()))}" + (f" The export failed: {failure}." if failure else "")
    return Section("Detection", how, tuple(tables), tuple(checks), figures)


def training(batch: int, settings: Settings) -> Comparison:
    print(f"training, batches of {batch}", flush=True)
    contenders = [
        _own(OWN, "Striate", "training", "default", batch),
        _own("whole", "Striate, nothing frozen", "training", "whole", batch),
        *(
            _peer(f"{name}_{form}", f"{label}, {how}", "training", name, form, batch)
            for name, label in PEERS.items()
            for form, how in FORMS.items()
        ),
    ]
    return _alternated(contenders, settings.rounds(7))


def answers(settings: Settings) -> tuple[Comparison, str | None]:
    """The comparison, and why the peers have no files, if they have none."""
    print("answers", flush=True)
    with tempfile.TemporaryDirectory(prefix="striate-bench-") as name:
        failure = _export(Path(name))
        contenders = [
            _own(OWN, "Striate, Predictor", "answer", CANDIDATES),
            *(_peer(who, f"{label}, ONNX Runtime", "answer", Path(name) / who) for who, label in PEERS.items()),
        ]
        return _alternated(contenders, settings.rounds(9)), failure


def suppression(kind: str, settings: Settings) -> Comparison:
    """Candidates of one of `scenes.KINDS`, suppressed by Striate and by torchvision."""
    print(f"suppression, {kind}", flush=True)
    contenders = [
        _own(OWN, "Striate", "suppression", kind),
        _peer("torchvision", "torchvision", "suppression", kind),
    ]
    return _alternated(contenders, settings.rounds(9))


def _own(name: str, label: str, *words: object) -> Contender:
    return environment.here(name, label, "striate_detection", *words)


def _peer(name: str, label: str, *words: object) -> Contender:
    return environment.peer(name, label, "detection", *words, python=environment.DETECTORS)


def _alternated(contenders: Sequence[Contender], rounds: int) -> Comparison:
    comparison = alternate(contenders, rounds=rounds, on_turn=tell)
    warn(comparison)
    return comparison


def _export(folder: Path) -> str | None:
    failures = []
    for name in PEERS:
        words = (str(environment.DETECTORS), "-m", "bench.peers.detector_export", name, str(folder), str(CANDIDATES))
        try:
            environment.run(list(words))
        except (RuntimeError, OSError) as error:
            failures.append(str(error))
    return "; ".join(failures) or None


def training_checks(batch: int, comparison: Comparison) -> list[Check]:
    """Against the fastest form of each peer."""
    own, found = comparison[OWN].median, []
    for name in PEERS:
        fastest = comparison.fastest([f"{name}_{form}" for form in FORMS])
        ratio = fastest.median / own if fastest else math.nan
        found.append(wanted(f"detection.training.{batch}.{name}", ratio, least=LEAST))
    return found


def answer_check(comparison: Comparison) -> Check:
    """Against the peer that multiplies fastest."""
    theirs = min((cost for name in PEERS if math.isfinite(cost := per_product(comparison[name]))), default=math.nan)
    return wanted("detection.answer", per_product(comparison[OWN]) / theirs, most=MOST)


def suppression_check(kind: str, comparison: Comparison) -> Check:
    ratio = comparison[OWN].median / comparison["torchvision"].median
    return wanted(f"detection.suppression.{kind}", ratio, most=MOST_SUPPRESSION)


def per_product(timing: Timing) -> float:
    """Seconds of an answer for each multiply-add of the network; NaN for a contender that failed."""
    return timing.median / timing.about.get("multiply_adds", math.nan)


def _training_table(batch: int, comparison: Comparison) -> Table:
    own = comparison[OWN].median
    rows = []
    for timing in comparison:
        ours = timing.contender.name in (OWN, "whole")
        label = timing.contender.label + (f", {timing.about['precision']}" if ours and timing.seconds else "")
        rows.append((label, *speed(timing), "" if timing is comparison[OWN] else times(timing.median / own)))
    return Table(f"training, batches of {batch}", ("", "images/s", "spread", "Striate is times as fast"), tuple(rows))


def _answers_table(comparison: Comparison) -> Table:
    own = comparison[OWN]
    rows = []
    for timing in comparison:
        if not timing.seconds:
            rows.append((timing.contender.label, str(timing.failure), "", "", "", ""))
            continue
        cost = per_product(timing)
        ratio = "" if timing is own else f"{times(per_product(own) / cost)} times"
        figures = (f"{1e3 * timing.median:.2f}", percent(timing.spread), f"{timing.about['multiply_adds'] / 1e6:,.0f}")
        rows.append((timing.contender.label, *figures, f"{1e12 * cost:.1f}", ratio))
    columns = ("", "ms", "spread", "million multiply-adds", "ps for each", "Striate takes for each")
    return Table("an answer", columns, tuple(rows))


def _suppression_table(kind: str, comparison: Comparison) -> Table:
    own = comparison[OWN]
    rows = []
    for timing in comparison:
        if timing.seconds:
            ratio = "" if timing is own else f"{times(own.median / timing.median)} times"
            figures = (f"{timing.about['kept']:,}", f"{1e3 * timing.median:.2f}", percent(timing.spread), ratio)
        else:
            figures = ("", str(timing.failure), "", "")
        rows.append((timing.contender.label, *figures))
    return Table(f"suppression, {kind}", ("", "kept", "ms", "spread", "Striate takes"), tuple(rows))


def versions(comparisons: Sequence[Comparison]) -> str:
    """Which libraries the peers were, in a sentence; nothing where none could be measured."""
    found: Mapping[str, str] = {
        name: version
        for comparison in comparisons
        for timing in comparison
        for name, version in timing.about.get("versions", {}).items()
    }
    return f"The others: {', '.join(f'{name} {version}' for name, version in found.items())}." if found else ""
