"""Memory of ResNet-50's training: what a fresh process has in memory, before its first step and at most."""

from dataclasses import dataclass

from accept import Check
from bench.section import Section, Settings, Table, wanted
from bench.training import SIZE
from striate.benchmarking.forms import STRIATE, TUNED, contender
from striate.benchmarking.process import Contender, Worker, WorkerError

MODEL, BATCH, STEPS = "resnet50", 16, 3
MOST = 0.65

HOW = (
    f"A fresh process builds {MODEL}, a batch of {BATCH} pictures of 224x224 and its optimizer, and trains {STEPS} "
    "steps. Its resident set (memory that it really has, libraries included) is read before the first step, and the "
    "most that it ever was after the last. Megabytes of 1,000,000 bytes."
)


@dataclass(frozen=True, slots=True)
class Use:
    """Bytes in memory before the first step and at most; seconds of the fastest step."""

    contender: Contender
    before: int = 0
    peak: int = 0
    seconds: float = float("nan")
    failure: str | None = None

    @property
    def steps(self) -> int:
        """What training added."""
        return self.peak - self.before


def run(settings: Settings) -> Section:
    names = (STRIATE, "torch", *TUNED)
    uses = [measured(contender("training", name, MODEL, BATCH, SIZE)) for name in names]
    own = uses[0]
    tuned = min(
        (use for use in uses if use.contender.name in TUNED and not use.failure),
        key=lambda use: use.seconds,
        default=None,
    )
    rows = [_row(use, own, use is tuned) for use in uses]
    columns = ("", "before, MB", "peak, MB", "steps add, MB", "Striate's peak", "Striate's steps")
    checks: list[Check] = []
    figures = {use.contender.name: {"before": use.before, "peak": use.peak, "failure": use.failure} for use in uses}
    if tuned and not own.failure:
        checks = [wanted(f"memory.{MODEL}.tuned", own.peak / tuned.peak, most=MOST)]
    return Section(
        "Memory", HOW, (Table(f"{MODEL}, batches of {BATCH}", columns, tuple(rows)),), tuple(checks), figures
    )


def measured(who: Contender) -> Use:
    try:
        with Worker(who) as worker:
            worker.ask("build")
            before = worker.ask("memory")["resident"]
            seconds = min(worker.ask("steps 1")["seconds"] for _ in range(STEPS))
            use = Use(who, before, worker.ask("memory")["peak"], seconds)
    except WorkerError as error:
        use = Use(who, failure=str(error))
    print(f"  {who.label:<70} {use.failure or f'{use.peak / 1e6:,.0f} MB'}", flush=True)
    return use


def _row(use: Use, own: Use, tuned: bool) -> tuple[str, ...]:
    label = use.contender.label + (" (tuned)" if tuned else "")
    if use.failure:
        return label, use.failure, "", "", "", ""
    sizes = tuple(f"{size / 1e6:,.0f}" for size in (use.before, use.peak, use.steps))
    if use is own or own.failure:
        return label, *sizes, "", ""
    return label, *sizes, f"{own.peak / use.peak:.2f} times", f"{own.steps / max(1, use.steps):.2f} times"
