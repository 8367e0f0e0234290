"""Whatever is in the way of the kernels, a network is trained alike, and the log says how it was computed."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from accept import Check, at_most
from accept.commands import STRIATE, CommandError, metrics
from accept.pytests import all_pass
from striate.base.compiling.building import library
from striate.base.compiling.levels import LEVELS, possible
from tests.conftest import draw_photo_folder
from tests.ops.native import situations
from tests.ops.native.situations import SITUATIONS, Place, Situation, bare_package

Started = tuple[Path, subprocess.Popen[str]]
WORDS = ("--model", "mobilenet_v1_025", "--weights", "none", "--size", "64", "--batch-size", "10")
RECIPE = """precision = "float32"
log_every = 1
[[stages]]
epochs = 2
rate = 0.001
"""
# Two steps: later ones magnify what torch's own gradients differ by from those of float64, which is more than ours do.
SAME, STEPS = 5e-3, 2
WAYS = ("off", "auto", "avx2")


def checks() -> Iterator[Check]:
    with tempfile.TemporaryDirectory(prefix="striate-situations-") as name:
        folder = bare_package(Path(name))  # of an installation that came without kernels
        photos = draw_photo_folder(folder / "photos", per_class=20, size=64)
        wanted = {way: _undisturbed(way, photos, folder) for way in WAYS}
        for way in WAYS[1:]:
            pairs = list(zip(wanted["off"], wanted[way], strict=True))[:STEPS]
            yield at_most(f"6.{way}-and-torch", max(abs(a - b) / a for a, b in pairs), SAME, "of the loss")
        for index, situation in enumerate(SITUATIONS):
            yield _tried(situation, index, photos, folder, wanted)
        yield _at_once(photos, folder, wanted)
    yield all_pass("6.steps", "tests/ops/native/test_library.py", "tests/base/compiling")


def _undisturbed(way: str, photos: Path, folder: Path) -> list[float]:
    """The losses where nothing is in the way."""
    settings = {"STRIATE_CACHE": str(folder / "libraries"), "STRIATE_NATIVE": way}
    return _losses(*_finished(_train(photos, folder / f"undisturbed-{way}", settings)))


def _tried(situation: Situation, index: int, photos: Path, folder: Path, wanted: Mapping[str, list[float]]) -> Check:
    """One situation; the compiler that works is the real one."""
    place = Place(_fresh(folder / str(index)), "gcc", lambda level: _library(level, folder))
    environment = situation.prepare(place)
    run, said = _finished(_train(photos, place.folder / "run", _settings(place, environment), bound=situation.bound))
    found = re.search(situation.said.format(level=place.level), said)
    if not found:
        return Check(f"6.{situation.name}", situation.said, said[-200:], False)
    way = "off" if found[0].startswith("torch alone") else "avx2" if found[0].endswith("avx2") else "auto"
    return _verdict(f"6.{situation.name}", _losses(run, said) == wanted[way], found[0])


def _at_once(photos: Path, folder: Path, wanted: Mapping[str, list[float]]) -> Check:
    place = Place(_fresh(folder / "together"), "gcc", lambda level: _library(level, folder))
    both = [_train(photos, place.folder / f"run{i}", _settings(place, {})) for i in range(2)]
    ended = [_finished(process) for process in both]
    way = f"kernels of Striate for {place.level}"
    same = all(way in said and _losses(run, said) == wanted["auto"] for run, said in ended)
    return _verdict("6.two at once", same, way)


def _verdict(id: str, same: bool, way: str) -> Check:
    return Check(id, "the undisturbed losses", f"{'the same' if same else 'OTHERS'}, {way}", same)


def _fresh(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _library(level: str, folder: Path) -> Path:
    """The library for a level, built once for all situations."""
    folder = folder / "libraries" / "native"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = possible()[0] if level == "auto" else next(each for each in LEVELS if each.name == level)
    return library(wanted, folder)


def _settings(place: Place, environment: Mapping[str, str]) -> dict[str, str]:
    return {"STRIATE_CACHE": str(place.cache), "STRIATE_NATIVE": "auto", **environment}


def _train(photos: Path, run: Path, settings: Mapping[str, str], *, bound: bool = False) -> Started:
    recipe = photos.parent / "recipe.toml"
    recipe.write_text(RECIPE)
    words = [*STRIATE, "train", str(photos), "--out", str(run), "--recipe", str(recipe), *WORDS]
    command = [*situations.bound(), *words] if bound else words
    pipes = subprocess.PIPE, subprocess.STDOUT
    environment = {**os.environ, **settings}
    return run, subprocess.Popen(
        command, cwd=photos.parent, env=environment, text=True, stdout=pipes[0], stderr=pipes[1]
    )


def _finished(started: Started) -> tuple[Path, str]:
    run, process = started
    return run, process.communicate()[0]


def _losses(run: Path, said: str) -> list[float]:
    found = [line["loss"] for line in metrics(run) if line["kind"] == "step"]
    if not found:
        raise CommandError(f"training ended without a step: {said[-300:]}")
    return found
