"""Memory of ResNet-50's training: what a fresh process has in memory, and what the tensors of a step take."""

from dataclasses import dataclass

from accept import Check
from bench.section import Section, Settings, Table, as_json, tell, wanted, warn
from bench.training import SIZE
from striate.benchmarking.driver import Comparison, alternate
from striate.benchmarking.forms import CHECKPOINTED, STRIATE, TUNED, contender
from striate.benchmarking.process import Contender, Worker, WorkerError

MODEL, BATCH, STEPS, ROUNDS = "resnet50", 16, 3, 5
MOST = 0.65
MOST_CHECKPOINTED, LEAST_SPEED = 0.5, 0.95

HOW = (
    f"A fresh process builds {MODEL}, a batch of {BATCH} pictures of 224x224 and its optimizer, and trains {STEPS} "
    "steps. Its resident set (memory that it really has, libraries included) is read before the first step, and the "
    "most that it ever was after the last. What tensors take is the most that torch's allocator had given out in a "
    "later step, weights and the optimizer's momentum included, by its own account (`torch.profiler`); what libraries "
    "ask for is not in it. Computed again are all blocks but the head, by the recipe's `checkpoint_blocks`; how fast "
    "that is, beside tuned torch, was measured in turns. Megabytes of 1,000,000 bytes."
)


@dataclass(frozen=True, slots=True)
class Use:
    """Bytes in memory before the first step and at most, and those of tensors between steps and at most."""

    contender: Contender
    before: int = 0
    peak: int = 0
    tensors_before: int = 0
    tensors: int = 0
    failure: str | None = None

    @property
    def steps(self) -> int:
        """What training added."""
        return self.peak - self.before


def run(settings: Settings) -> Section:
    uses = [measured(_process(name)) for name in (STRIATE, CHECKPOINTED, "torch", *TUNED)]
    speeds = alternate(
        [_process(name) for name in (CHECKPOINTED, *TUNED)], rounds=settings.rounds(ROUNDS), on_turn=tell
    )
    warn(speeds)
    own = uses[0]
    fastest = speeds.fastest(TUNED)
    tuned = next((use for use in uses if fastest and use.contender.name == fastest.contender.name), None)
    figures = {
        use.contender.name: {
            "before": use.before,
            "peak": use.peak,
            "tensors_before": use.tensors_before,
            "tensors": use.tensors,
            "failure": use.failure,
        }
        for use in uses
    }
    return Section(
        "Memory",
        HOW,
        (
            Table(
                f"{MODEL}, batches of {BATCH}",
                ("", "before, MB", "peak, MB", "steps add, MB", "Striate's peak", "Striate's steps"),
                tuple(_row(use, own, use is tuned) for use in uses),
            ),
            Table(
                f"{MODEL}, batches of {BATCH}: tensors",
                ("", "between steps, MB", "peak, MB", "of tuned torch's", "images/s", "of tuned torch's"),
                tuple(_tensors_row(use, tuned, speeds) for use in uses),
            ),
        ),
        tuple(_checks(uses, tuned, speeds)),
        figures | {"speeds": as_json(speeds)},
    )


def _process(name: str) -> Contender:
    return contender("training", name, MODEL, BATCH, SIZE)


def measured(who: Contender) -> Use:
    try:
        with Worker(who) as worker:
            worker.ask("build")
            before = worker.ask("memory")["resident"]
            worker.ask(f"steps {STEPS - 1}")
            peak = worker.ask("memory")["peak"]
            tensors = worker.ask("allocated")  # last, since it takes memory itself
            use = Use(who, before, peak, tensors["before"], tensors["peak"])
    except WorkerError as error:
        use = Use(who, failure=str(error))
    print(f"  {who.label:<70} {use.failure or f'{use.peak / 1e6:,.0f} MB'}", flush=True)
    return use


def _checks(uses: list[Use], tuned: Use | None, speeds: Comparison) -> list[Check]:
    own, again = uses[:2]
    peak, tensors = (tuned.peak, tuned.tensors) if tuned and not tuned.failure else (0, 0)
    return [
        wanted(f"memory.{MODEL}.tuned", _ratio(own.peak, peak), most=MOST),
        wanted(f"memory.{MODEL}.checkpointed.tensors", _ratio(again.tensors, tensors), most=MOST_CHECKPOINTED),
        wanted(f"memory.{MODEL}.checkpointed.speed", _speed(CHECKPOINTED, speeds), least=LEAST_SPEED),
    ]


def _ratio(bytes: int, others: int) -> float:
    """NaN where one of the two is not known, which is 0."""
    return bytes / others if bytes and others else float("nan")


def _speed(name: str, speeds: Comparison) -> float:
    """How many times as fast as tuned torch."""
    fastest = speeds.fastest(TUNED)
    return fastest.median / speeds[name].median if fastest else float("nan")


def _label(use: Use, tuned: bool) -> str:
    return use.contender.label + (" (tuned)" if tuned else "")


def _row(use: Use, own: Use, tuned: bool) -> tuple[str, ...]:
    if use.failure:
        return _label(use, tuned), use.failure, "", "", "", ""
    sizes = tuple(f"{size / 1e6:,.0f}" for size in (use.before, use.peak, use.steps))
    if use is own or own.failure:
        return _label(use, tuned), *sizes, "", ""
    return (
        _label(use, tuned),
        *sizes,
        f"{own.peak / use.peak:.2f} times",
        f"{own.steps / max(1, use.steps):.2f} times",
    )


def _tensors_row(use: Use, tuned: Use | None, speeds: Comparison) -> tuple[str, ...]:
    name = use.contender.name
    if use.failure:
        return _label(use, use is tuned), use.failure, "", "", "", ""
    part = f"{use.tensors / tuned.tensors:.2f}" if tuned and not tuned.failure else ""
    raced = next((timing for timing in speeds if timing.contender.name == name and timing.seconds), None)
    fast = (f"{raced.images_per_second:.1f}", f"{_speed(name, speeds):.2f}") if raced else ("", "")
    return _label(use, use is tuned), f"{use.tensors_before / 1e6:,.0f}", f"{use.tensors / 1e6:,.0f}", part, *fast
