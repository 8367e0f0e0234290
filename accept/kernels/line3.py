"""Early: each way to install brings kernels along; and what is in the way of keeping any is a sentence."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

from accept import Check
from accept.commands import REPOSITORY
from accept.pytests import all_pass
from striate.base.compiling.levels import possible
from tests.ops.native import situations

ASK = "from striate.ops.native import description; print(description())"
WHEEL = f"py3-none-linux_{os.uname().machine}.whl"


def checks() -> Iterator[Check]:
    with tempfile.TemporaryDirectory(prefix="striate-install-") as name:
        folder = Path(name)
        home = folder / "home"
        home.mkdir(mode=0o555)
        for way in ("pip .", "pip -e .", "pip --no-build-isolation", "sdist", "uv"):
            yield _installed(way, _fresh(folder, way), home)
        yield from _wheels(_fresh(folder, "wheels"))
    tests = ("tests/ops/native/test_library.py", "tests/base/compiling")
    yield all_pass("3.in-the-way", *tests, "-k", "disk or lock or write or rights or compiler or user")


def _fresh(folder: Path, way: str) -> Path:
    """A fresh environment, and a checkout as somebody would get it."""
    own = folder / way.replace(" ", "")
    subprocess.run(["git", "clone", "--quiet", str(REPOSITORY), str(own / "checkout")], check=True)
    subprocess.run([sys.executable, "-m", "venv", str(own / "venv")], check=True)
    # What Striate needs is taken from here: it is not what is tested, and gigabytes.
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(own / "venv"), "platbase": str(own / "venv")}))
    (packages / "needed.pth").write_text(sysconfig.get_path("purelib"))
    return own


def _pip(own: Path, *words: str, env: dict[str, str] | None = None) -> None:
    pip = [str(own / "venv/bin/python"), "-m", "pip", "-qq", "--disable-pip-version-check", *words]
    subprocess.run(pip, cwd=own / "checkout", check=True, env={**os.environ, "STRIATE_NATIVE": "auto", **(env or {})})


def _installed(way: str, own: Path, home: Path) -> Check:
    match way:
        case "pip .":
            _pip(own, "install", "--no-deps", ".")
        case "pip -e .":
            _pip(own, "install", "--no-deps", "-e", ".")
        case "pip --no-build-isolation":
            _pip(own, "install", "hatchling")
            _pip(own, "install", "--no-deps", "--no-build-isolation", ".")
        case "sdist":
            _pip(own, "install", "build")
            subprocess.run(
                [str(own / "venv/bin/python"), "-m", "build", "-s"],
                cwd=own / "checkout",
                check=True,
                stdout=subprocess.DEVNULL,
            )
            _pip(own, "install", "--no-deps", *map(str, (own / "checkout/dist").glob("*.tar.gz")))
        case "uv":
            _pip(own, "install", "uv")
            uv = [
                str(own / "venv/bin/uv"),
                "pip",
                "install",
                "-q",
                "--no-deps",
                "--python",
                str(own / "venv/bin/python"),
                ".",
            ]
            subprocess.run(uv, cwd=own / "checkout", check=True)
    # A user who cannot write anywhere, and has no compiler.
    (own / "empty").mkdir()
    environment = {"HOME": str(home), "PATH": str(own / "empty"), "STRIATE_NATIVE": "auto"}
    command = [*situations.bound(), str(own / "venv/bin/python"), "-c", ASK]
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True)
    wanted = f"kernels of Striate for {possible()[0].name}"
    said = done.stdout.strip() or done.stderr.strip()[-200:]
    return Check(f"3.{way}", wanted, said, said == wanted)


def _wheels(own: Path) -> Iterator[Check]:
    """What the wheels are called and hold that are built for others, and for nobody."""
    for wish, tag, names in (("off", "py3-none-any.whl", []), ("avx2,avx512", WHEEL, ["avx2", "avx512"])):
        out = own / wish.replace(",", "-")
        _pip(own, "wheel", "--no-deps", "--wheel-dir", str(out), ".", env={"STRIATE_NATIVE": wish})
        (wheel,) = out.glob("*.whl")
        shutil.unpack_archive(wheel, out / "content", "zip")
        found = sorted(path.name.partition("-")[0] for path in (out / "content").rglob("built/*.so"))
        got = f"{wheel.name}: {', '.join(found) or 'none'}, {wheel.stat().st_size / 1e6:.1f} MB"
        yield Check(
            f"3.wheel {wish}", f"{tag}: {', '.join(names) or 'none'}", got, wheel.name.endswith(tag) and found == names
        )
