"""What all tests share: where real data lie, a cache folder of their own, pictures drawn on the spot."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from striate.base.hardware import cores
from tests.skips import pytest_make_collect_report, pytest_runtest_makereport  # noqa: F401 - pytest finds them here

REPOSITORY = Path(__file__).resolve().parent.parent
HANGING = 600.0
"""Seconds after which something is taken to hang. Nothing else in the tests depends on how long anything takes."""

# Before torch is imported, and for the programs that tests start: no more threads than cores that this process may use,
# and no more than two, so that figures do not depend on how wide the machine is. They sleep while they wait for each
# other: where something else runs too, threads that wait busily take ten times the processor time of the work itself.
os.environ.setdefault("OMP_NUM_THREADS", str(min(2, cores())))
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# A busy machine is no failure: neither an example nor drawing it has a deadline. Whoever works here gets new examples
# every time; CI the same ones, so that a change is judged by what it changes.
settings.register_profile(
    "striate",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("striate")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; a test that asks for it is skipped, and listed as such, where there is none."""
    named = os.environ.get("STRIATE_TEST_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        if named:
            pytest.fail(f"STRIATE_TEST_DATA names {folder}, which is not a folder")
        pytest.skip("NO REAL DATA: set STRIATE_TEST_DATA, or put them into ../shared/data")
    return folder.resolve()


@pytest.fixture(scope="session")
def oracle_python() -> Path:
    """The interpreter of .venv-oracle, where the other frameworks live, or the one of STRIATE_ORACLE_PYTHON."""
    named = os.environ.get("STRIATE_ORACLE_PYTHON")
    python = Path(named) if named else REPOSITORY / ".venv-oracle" / "bin" / "python"
    if not python.exists():
        pytest.skip("NO ORACLES: run `make setup-oracle`, or `make test-all`, which does")
    return python


@pytest.fixture(scope="session", autouse=True)
def hear_interrupts() -> None:
    """A shell that starts the tests in the background has them ignore Ctrl-C, and so would the programs they start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Nothing is written to the user's cache; one folder a session, so that weights are converted once."""
    folder = tmp_path_factory.mktemp("striate-cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRIATE_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session", autouse=True)
def patience() -> Iterator[None]:
    """A reader of weights is stopped when it hangs, which no busy machine may look like.

    The compilers of tests are scripts that take no time, so they are looked at more often than true ones.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("striate.base.compiling.compilers._POLL", 0.002)
        patch.setattr("striate.weights.isolation.SECONDS", HANGING)
        yield


@pytest.fixture(scope="session")
def reader() -> Iterator[object]:
    """The child process of ``one_reader``."""
    from striate.weights.isolation import ReadingProcess

    with ReadingProcess() as process:
        yield process


@pytest.fixture
def one_reader(reader: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """All files of weights are read by one child process. By itself, `read` starts one for each."""
    monkeypatch.setattr("striate.weights.reading.ReadingProcess", lambda: contextlib.nullcontext(reader))


@pytest.fixture(autouse=True)
def settled_torch() -> Iterator[None]:
    """Each test starts from the same random state and leaves torch's thread count as it was.

    Does nothing while torch is not imported: many tests never need it, and importing it takes a second.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    threads = torch.get_num_threads()
    torch.manual_seed(0)
    yield
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


PhotoFolder = Callable[..., Path]


@pytest.fixture(scope="session")
def photo_folder() -> PhotoFolder:
    """A maker of class folders full of drawn pictures: ``photo_folder(root, classes, per_class, size)``.

    Class k shows shape k % 4 in the k-th hue, on a background of noise, at a place and size of its own, so a small
    network can learn the classes and no two pictures are alike. Every third picture is a PNG, the others are JPEGs.
    The same arguments give the same bytes.
    """
    return draw_photo_folder


def draw_photo_folder(
    root: Path, classes: Sequence[str] = ("disc", "square"), per_class: int = 8, size: int | tuple[int, int] = 64
) -> Path:
    """Fill ``root/<class>/`` with ``per_class`` pictures of ``size`` (a side, or height and width)."""
    import numpy as np

    height, width = (size, size) if isinstance(size, int) else size
    for index, name in enumerate(classes):
        folder = root / name
        folder.mkdir(parents=True)
        for number in range(per_class):
            rng = np.random.default_rng([index, number])
            picture = _drawing(rng, index, len(classes), height, width)
            if number % 3 == 2:
                picture.save(folder / f"{number:04d}.png")
            else:
                picture.save(folder / f"{number:04d}.jpg", quality=90)
    return root


def _drawing(rng, index: int, classes: int, height: int, width: int):
    """One PIL picture of class ``index``."""
    import colorsys

    import numpy as np
    from PIL import Image, ImageDraw

    noise = rng.integers(90, 166, (height, width, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    colour = tuple(round(255 * part) for part in colorsys.hsv_to_rgb(index / max(classes, 1), 0.9, 0.9))
    reach = min(height, width) * rng.uniform(0.2, 0.35)
    x = rng.uniform(reach, width - reach)
    y = rng.uniform(reach, height - reach)
    pen = ImageDraw.Draw(picture)
    box = (x - reach, y - reach, x + reach, y + reach)
    match index % 4:
        case 0:
            pen.ellipse(box, fill=colour)
        case 1:
            pen.rectangle(box, fill=colour)
        case 2:
            pen.polygon([(x, y - reach), (x + reach, y + reach), (x - reach, y + reach)], fill=colour)
        case _:
            pen.ellipse(box, outline=colour, width=max(1, round(reach / 3)))
    return picture


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-grids", action="store_true", help="leave out tests marked grid, and name them")


_LEFT_OUT = pytest.StashKey[list[str]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--no-grids"):
        return
    grids = [item for item in items if item.get_closest_marker("grid")]
    items[:] = [item for item in items if not item.get_closest_marker("grid")]
    config.stash[_LEFT_OUT] = [item.nodeid for item in grids]
    config.hook.pytest_deselected(items=grids)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for name in config.stash.get(_LEFT_OUT, []):
        terminalreporter.write_line(f"LEFT OUT: {name}")
