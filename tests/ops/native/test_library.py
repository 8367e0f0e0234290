"""Which kernels a process takes, and that it does without whatever is in the way."""

import dataclasses
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from striate.base.compiling import compilers, providing, sources
from striate.base.compiling.levels import VARIABLE, NoKernelsError
from striate.layers import Conv2d
from striate.ops.native import checking, kernels, library
from tests.ops.native import levels, situations
from tests.ops.native.levels import needs_kernels
from tests.ops.native.situations import SITUATIONS, Place, Situation, bare_package, copying

REPOSITORY = Path(__file__).resolve().parents[3]
ASK_ANEW = library.loaded.__wrapped__
QUICK = {"no compiler", "compiler that fails"}
ON_A_MOUNT = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="mounts a tmpfs, as root on Linux"
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A folder to set up a situation in, and a compiler that takes no time."""
    script = tmp_path / "good-cc"
    script.write_text(f"#!/bin/sh\n{situations.VERSION}\n{copying(levels.file('auto'))}\n")
    script.chmod(0o755)
    return Place(tmp_path, str(script), levels.file)


@pytest.fixture(scope="session")
def losses() -> dict[str, list[float]]:
    """What torch alone makes of the steps."""
    with levels.computing_with("off"):
        return {"float32": situations.steps(low=False), "bfloat16": situations.steps(low=True)}


@pytest.fixture
def anew(monkeypatch: pytest.MonkeyPatch, place: Place) -> Iterator[pytest.MonkeyPatch]:
    """A process that has not asked for kernels yet, of an installation that came without any."""
    monkeypatch.setattr(providing, "INSTALLED", place.folder / "installed")
    monkeypatch.setenv("STRIATE_CACHE", str(place.cache))
    monkeypatch.setenv(VARIABLE, "auto")
    library.kernels_at_hand.cache_clear()
    yield monkeypatch
    library.kernels_at_hand.cache_clear()


def asked(environment: dict[str, str]) -> library.Loaded:
    """What a process gets that asks for kernels in this environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        return ASK_ANEW()


def trained(found: library.Loaded, losses: dict[str, list[float]]) -> str:
    """What a log says of kernels, whose losses are those of torch alone."""
    with levels.computing_by(found):
        assert situations.steps(low=False) == pytest.approx(losses["float32"], rel=1e-4)
        assert situations.steps(low=True) == pytest.approx(losses["bfloat16"], rel=2e-2)
    return found.said


def leftovers(place: Place) -> list[str]:
    """Files in the cache that are neither a library, nor its sum, nor a fault that is remembered."""
    found = [path for path in (place.cache / "native").rglob("*") if path.is_file()]
    return [path.name for path in found if path.suffix not in (".so", ".sha256", ".fault")]


BUILDS = "without AVX512"  # for which a second library is compiled
HERE = [
    pytest.param(each, id=each.name, marks=[pytest.mark.slow] if each.name == BUILDS else [])
    for each in SITUATIONS
    if not each.bound
]


@needs_kernels
@pytest.mark.parametrize("situation", HERE)
def test_training_goes_on_and_says_how(situation: Situation, place: Place, losses, anew) -> None:
    if situation.name == BUILDS and "avx2" not in levels.NAMES:
        pytest.skip("this processor has no AVX2")
    said = trained(asked(situation.prepare(place)), losses)
    assert re.fullmatch(situation.said.format(level=place.level), said), said
    assert leftovers(place) == []


@pytest.mark.slow
@needs_kernels
@pytest.mark.parametrize("situation", [pytest.param(s, id=s.name) for s in SITUATIONS if s.bound])
def test_a_process_without_rights_goes_on_and_says_how(situation: Situation, place: Place, losses) -> None:
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("NO setpriv: permissions do not bind the superuser")
    environment = {"STRIATE_CACHE": str(place.cache), VARIABLE: "auto", **situation.prepare(place)}
    settings = {**os.environ, "PYTHONPATH": str(REPOSITORY), **environment}
    command = [*situations.bound(), sys.executable, "-m", "tests.ops.native.situations"]
    bare = bare_package(place.folder / "bare")
    done = subprocess.run(command, env=settings, cwd=bare, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["float32"] == pytest.approx(losses["float32"], rel=1e-4)
    assert re.fullmatch(situation.said.format(level=place.level), found["said"]), found["said"]


@needs_kernels
@pytest.mark.parametrize("situation", [pytest.param(s, id=s.name) for s in SITUATIONS if s.name.startswith("compiler")])
def test_nothing_is_spoilt_for_who_comes_next(situation: Situation, place: Place, anew) -> None:
    """With a working compiler, after whatever was in the way before, there are kernels."""
    assert asked(situation.prepare(place)).library is None
    elsewhere = place.folder / "the same cache"  # a process never loads another library from the same path
    if place.cache.is_dir():
        shutil.copytree(place.cache, elsewhere)
    said = asked({"CC": place.compiler, "STRIATE_CACHE": str(elsewhere)}).said
    assert said == f"kernels of Striate for {place.level}"


def counting(place: Place, script: str) -> tuple[dict[str, str], Path]:
    """A compiler that also notes each time it is asked to compile, and the file in which it does."""
    log = place.folder / "asked"
    log.touch()
    return place.script(f"echo x >> {log}\n{script}"), log


@needs_kernels
@pytest.mark.parametrize("name", ["compiler that fails", "compiler whose library computes otherwise"])
def test_a_fault_is_remembered_for_this_compiler_until_somebody_tries_again(name: str, place: Place, anew) -> None:
    situation = next(s for s in SITUATIONS if s.name == name)
    script = Path(situation.prepare(place)["CC"]).read_text().partition(situations.VERSION)[2]
    environment, log = counting(place, script)
    first, times = asked(environment).said, len(log.read_text().split())
    assert times > 0
    assert asked(environment).said == first.removesuffix(")") + situations.AGAIN + ")"
    assert len(log.read_text().split()) == times
    providing.forget_faults()
    if name == "compiler that fails":
        assert asked(environment).said == first
        assert len(log.read_text().split()) > times
    else:  # its library is compared again, and found to be the same
        compared: list[object] = []
        true = checking.first_difference
        anew.setattr(checking, "first_difference", lambda found: compared.append(found) or true(found))
        assert asked(environment).said.startswith(first.removesuffix(")"))
        assert len(compared) == 1


@needs_kernels
def test_faults_are_those_of_one_compiler(place: Place, anew) -> None:
    situation = next(s for s in SITUATIONS if s.name == "compiler whose library computes otherwise")
    environment = situation.prepare(place)
    script = Path(environment["CC"])
    assert asked(environment).library is None
    assert situations.AGAIN in asked(environment).said
    script.write_text(script.read_text().replace("1.0", "2.0"))
    assert situations.AGAIN not in asked(environment).said


@needs_kernels
def test_the_best_level_that_is_there_is_taken_before_one_is_built(place: Place, anew) -> None:
    worse = levels.NAMES[-1]
    if worse == place.level:
        pytest.skip("this processor has one level")
    environment, log = counting(place, copying(levels.file("auto")))
    # Which one is taken does not depend on what is in it, so nobody need build the worse one.
    dataclasses.replace(place, library=lambda level: levels.file("auto")).keep(worse)
    assert asked(environment).said == f"kernels of Striate for {worse}"
    place.keep("auto")
    assert asked(environment).said == f"kernels of Striate for {place.level}"
    assert log.read_text() == ""


@needs_kernels
def test_the_installations_library_comes_before_the_users(place: Place, anew) -> None:
    place.keep("auto", b"a text", hashlib.sha256(b"a text").hexdigest())  # whole, and of no use
    for path in (levels.file("auto"), situations.sum_of(levels.file("auto"))):
        (place.folder / "installed").mkdir(exist_ok=True)
        shutil.copy(path, place.folder / "installed")
    assert asked(place.no_compiler()).said == f"kernels of Striate for {place.level}"
    assert place.kept("auto").read_bytes() == b"a text"


@needs_kernels
@pytest.mark.parametrize("what", ["library", "folder"])
def test_what_others_may_write_is_not_loaded(what: str, place: Place, anew) -> None:
    place.keep("auto")
    path = place.kept("auto") if what == "library" else place.kept("auto").parent
    path.chmod(path.stat().st_mode | 0o002)
    said = asked(place.no_compiler()).said
    assert ("may be written to by others" if what == "folder" else "there is no C compiler") in said
    path.chmod(path.stat().st_mode & ~0o002)
    assert asked(place.no_compiler()).library is not None


@needs_kernels
@pytest.mark.parametrize("there", ["nothing", "a library of no use"])
def test_who_only_answers_does_without_and_keeps_to_it(there: str, place: Place, anew) -> None:
    environment, log = counting(place, copying(levels.file("auto")))
    anew.setenv("CC", environment["CC"])
    if there != "nothing":
        place.keep("auto", b"a text", hashlib.sha256(b"a text").hexdigest())
    assert library.kernels_at_hand() is None
    place.keep("auto")  # somebody else has built them meanwhile
    assert library.kernels_at_hand() is None
    assert log.read_text() == ""


@needs_kernels
def test_whether_a_compiler_will_be_waited_for(place: Place, anew) -> None:
    waits = providing.needs_building
    anew.setenv("CC", place.compiler)
    assert waits()
    anew.setenv(VARIABLE, "off")
    assert not waits()
    anew.setenv(VARIABLE, "auto")
    for name, value in place.no_compiler().items():
        anew.setenv(name, value)
    assert not waits()
    place.keep("auto")
    assert not waits()


@needs_kernels
def test_two_torches_that_share_a_cache_do_not_take_turns_to_build(place: Place, anew) -> None:
    environment, log = counting(place, copying(levels.file("auto")))
    true, ours = checking.first_difference, torch.__version__
    anew.setattr(checking, "first_difference", lambda found: true(found) if torch.__version__ == ours else "all of it")
    said, times = [], 0
    for version in (ours, "99.0", ours, "99.0", ours):
        anew.setattr(torch, "__version__", version)
        said.append(asked(environment).library is not None)
        times = times or len(log.read_text().split())
    assert said == [True, False, True, False, True]
    assert len(log.read_text().split()) == times


@needs_kernels
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_somebodys_default_type_is_not_meant(dtype: torch.dtype) -> None:
    torch.set_default_dtype(dtype)
    try:
        assert checking.first_difference(levels.built("auto")) == ""
        assert torch.get_default_dtype() == dtype
    finally:
        torch.set_default_dtype(torch.float32)


@needs_kernels
@ON_A_MOUNT
@pytest.mark.parametrize(
    ("options", "said"), [("size=64k", "MB free, 17 are needed"), ("size=99m,noexec", "mounted noexec")]
)
def test_disks_that_are_full_or_run_no_programs(options: str, said: str, place: Place, losses, anew) -> None:
    place.cache.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(place.cache)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("NO TMPFS: this machine lets nobody mount one")
    environment, log = counting(place, copying(levels.file("auto")))
    try:
        assert said in trained(asked(environment), losses)
    finally:
        subprocess.run(["umount", "--lazy", place.cache], check=True)
    assert log.read_text() == ""  # nobody spends minutes on what cannot be kept


@pytest.mark.slow
@needs_kernels
@pytest.mark.parametrize("situation", [pytest.param(s, id=s.name) for s in SITUATIONS if s.name in QUICK])
def test_a_network_is_trained(situation: Situation, place: Place, photo_folder) -> None:
    """By the command line, whose log says how it was computed."""
    photos = photo_folder(place.folder / "photos", per_class=10, size=32)
    words = ["train", str(photos), "--model", "mobilenet_v1_025", "--weights", "none", "--size", "32", "--epochs", "1"]
    settings = {**os.environ, "STRIATE_CACHE": str(place.cache), VARIABLE: "auto", **situation.prepare(place)}
    command = [sys.executable, "-m", "striate.cli", *words, "--out", str(place.folder / "run")]
    bare = bare_package(place.folder / "bare")
    done = subprocess.run(command, env=settings, cwd=bare, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.search(f"(with|by) {situation.said.format(level=place.level)}", done.stderr), done.stderr


@pytest.mark.slow
@needs_kernels
@pytest.mark.parametrize("level", [level.name for level in levels.LEVELS])
def test_every_level_of_this_processor(level: str, losses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, level)
    if level in levels.NAMES:
        levels.file(level)
    none = f"torch alone (there are no kernels for this processor ({level}))"
    wanted = f"kernels of Striate for {level}" if level in levels.NAMES else none
    assert trained(ASK_ANEW(), losses) == wanted


def test_a_wish_that_nobody_can_grant(place: Place, anew) -> None:
    said = asked({VARIABLE: "fast"}).said
    assert (
        said == "torch alone (STRIATE_NATIVE is 'fast'; it is auto, off, or a list of avx512bf16, avx512, avx2, neon)"
    )
    assert not place.cache.exists()


@needs_kernels
@pytest.mark.parametrize(
    "around", [torch.autocast("cpu", torch.bfloat16), torch.device("meta"), torch.inference_mode()], ids=str
)
def test_the_first_question_may_come_in_the_middle_of_a_step(around) -> None:
    whole = levels.built("auto")
    with around:
        assert checking.first_difference(whole) == ""


@needs_kernels
def test_this_process_has_them() -> None:
    assert kernels() is not None


# Whether a library is what it should be


class Idle:
    """A library, one of whose functions does nothing."""

    def __init__(self, whole: object, name: str) -> None:
        self.whole, self.name = whole, name

    def __getattr__(self, name: str) -> object:
        return (lambda *words: 0) if name == self.name else getattr(self.whole, name)


FUNCTIONS = sorted(
    {
        name
        for unit in sources.UNITS
        for name in re.findall(r"^(?:int|void) (\w+)\(", (sources.FOLDER / unit).read_text(), re.MULTILINE)
    }
    - {"pointwise_multiplies", "depthwise_rows"}  # the second is for other kernels
)


@needs_kernels
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_library_whose_function_does_nothing_is_refused(function: str) -> None:
    whole = levels.built("auto")
    assert checking.first_difference(whole) == ""
    if function.startswith(("pointwise", "windows", "winograd")) and not whole.pointwise_multiplies():
        pytest.skip("this processor does not multiply bfloat16")
    # Fresh memory is filled then, so that nothing right lies there from the last time.
    torch.use_deterministic_algorithms(True)
    try:
        assert checking.first_difference(Idle(whole, function)) != ""
    finally:
        torch.use_deterministic_algorithms(False)


@needs_kernels
def test_checking_leaves_no_trace_in_somebodys_random_numbers() -> None:
    torch.manual_seed(3)
    wanted = torch.randn(4)
    torch.manual_seed(3)
    checking.first_difference(levels.built("auto"))
    assert torch.equal(torch.randn(4), wanted)


@needs_kernels
def test_a_step_without_kernels_never_asks_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation that nobody differentiates loads no library: torch is the faster one there."""
    monkeypatch.setattr("striate.ops.native.library.loaded", lambda: pytest.fail("the library was loaded"))
    convolve = Conv2d(8, 8, 5, padding="same", groups=8)
    with torch.no_grad():
        convolve(torch.randn(1, 8, 9, 9).contiguous(memory_format=torch.channels_last))


@needs_kernels
def test_who_waits_hears_of_it(place: Place, anew) -> None:
    anew.setenv("CC", place.compiler)
    heard: list[tuple[int, int]] = []
    anew.setattr(library, "loaded", ASK_ANEW)
    assert library.prepare(lambda *counts: heard.append(counts)) == f"kernels of Striate for {place.level}"
    assert (heard[0], heard[-1]) == ((0, len(sources.UNITS)), (len(sources.UNITS), len(sources.UNITS)))


@needs_kernels
def test_who_hears_of_it_may_end_it(place: Place, anew) -> None:
    def stop(done: int, units: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    anew.setenv("CC", place.compiler)
    anew.setattr(library, "loaded", ASK_ANEW)
    with pytest.raises(KeyboardInterrupt):
        library.prepare(stop)
    assert compilers.there_is_one()
    assert asked({}).said == f"kernels of Striate for {place.level}"


def test_a_reason_is_all_that_is_missing(anew) -> None:
    def nothing(levels: object) -> None:
        raise NoKernelsError("this and that")

    anew.setattr(library, "possible", nothing)
    assert asked({}) == library.Loaded(None, "torch alone (this and that)")
