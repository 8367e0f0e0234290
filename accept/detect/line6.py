"""Dense layers as convolutions: equal answers, the chapter's map, and a tulip in a large picture, found in one pass."""

import runpy
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from accept import Check, at_most, noted
from accept.commands import DATA, REPOSITORY, striate
from accept.pytests import all_pass
from striate import create, load
from striate.base.errors import ModelError
from striate.data import open_data, split
from striate.models import MODELS, as_convolutional, build
from striate.models.network import Network

REFUSED = {"lenet5_1998", *(name for name in MODELS if name.startswith("se_"))}
"""Networks that end in distances, or that weigh maps by means over whole pictures."""


def checks() -> Iterator[Check]:
    yield from _equal()
    yield all_pass("6.parts", "tests/models/test_convolutional.py")
    for name in ("vgg11", "efficientnet_lite0"):
        with torch.inference_mode():
            shape = list(as_convolutional(build(name, classes=10))(torch.zeros(1, 3, 448, 448)).shape[1:])
        yield Check(f"6.map.{name}", "[10, 8, 8]", str(shape), shape == [10, 8, 8])
    with tempfile.TemporaryDirectory(prefix="striate-sliding-") as name:
        yield from _tulips(Path(name))


def _equal() -> Iterator[Check]:
    """Every network that names what a picture shows, at the size of pictures that it was published with."""
    differences, refused = {}, set()
    for name in (name for name, row in MODELS.items() if row.task == "classify"):
        try:
            differences[name] = _difference(build(name, seed=0).eval())
        except ModelError:
            refused.add(name)
    worst = max(differences, key=differences.__getitem__)
    yield at_most("6.equal", differences[worst], 1e-5, f"of the largest answer, {worst} of {len(differences)}")
    yield at_most("6.equal.pretrained", _difference(create("efficientnet_lite0", weights="pretrained").eval()), 1e-5)
    yield Check("6.refused", f"{len(REFUSED)} with a reason", ", ".join(sorted(refused)), refused == REFUSED)


def _difference(network: Network) -> float:
    made = as_convolutional(network)
    images = torch.randn(1, made.in_channels, *made.smallest, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        wanted, got = network(images), made(images)
    return float((got.flatten(1) - wanted).abs().max() / wanted.abs().max())


def _tulips(folder: Path) -> Iterator[Check]:
    """The example with a run of its own, and with each other tulip of the test pictures in the place of its own."""
    flowers = DATA / "flowers"
    answer = striate("train", flowers, "--out", folder / "run")
    yield noted("6.tulip.run", f"top-1 {answer['test']['top1']:.3f}, {answer['seconds']:.0f} s, {answer['processor']}")
    sliding = runpy.run_path(str(REPOSITORY / "examples" / "sliding.py"))
    predictor, files, tile = load(folder / "run", device="cpu"), sliding["pictures"](flowers), sliding["TILE"]
    row, column = sliding["PLACE"]
    place = row * sliding["COLUMNS"] + column
    tested = split(open_data(flowers)).of_split("test")
    tulips = [each.handle for each in tested if isinstance(each.handle, Path) and each.handle.parent.name == "tulips"]
    found, alone = [], 0
    for tulip in tulips:
        files[place] = tulip
        probable = sliding["seen"](predictor, sliding["composed"](files))
        top, left = (int(start) * 32 for start in divmod(probable.argmax(), probable.shape[1]))
        inside = (top + 112) // tile == row and (left + 112) // tile == column
        found.append(inside)
        alone += predictor(tulip).name == tulip.parent.name
        if tulip is tulips[0]:
            said = f"at {top}, {left} with {probable.max():.2f}"
            yield Check("6.tulip", f"in row {row}, column {column} of {tile}", said, inside)
    yield noted("6.tulip.others", f"{sum(found)} of {len(found)} found; alone {alone} are answered right")
    yield noted("6.tulip.seconds", _seconds(predictor.network))


def _seconds(network: Network) -> str:
    """One pass over a picture of the example's size, and as many pictures of 224 as it has parts."""
    large, parts = torch.zeros(1, 3, 1152, 1536), torch.zeros(30, 3, 224, 224)
    clock = []
    for made, images in ((as_convolutional(network), large), (network, parts)):
        with torch.inference_mode():
            made(images)
            started = time.perf_counter()
            made(images)
            clock.append(time.perf_counter() - started)
    return f"one pass {clock[0]:.2f}, 1,260 parts {clock[1] * 42:.1f}"
