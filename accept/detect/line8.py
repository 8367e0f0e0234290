"""Annotations: conversions that are exact, faults that are named, hostile files that are refused, and a long fuzz."""

import json
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

from accept import Check, at_most
from accept.commands import DATA, REPOSITORY, STRIATE, CommandError, striate
from accept.pytests import all_pass
from tests.cli.test_malformed_annotations import KINDS
from tests.data.sources.test_fuzz import READERS

MUTANTS = int(os.environ.get("STRIATE_MUTANTS", "20000"))
GIB = 1 << 30
RACCOON = DATA / "raccoon"

READ = """
import resource, sys
from striate.data import open_data
from striate.data.sources import text_files
if free := int(sys.argv[2]):
    text_files.available_memory = lambda: free
try:
    said = sum(len(each.target) for each in open_data(sys.argv[1], format="coco").records)
except text_files.DataError as error:
    said = error
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, said)
"""


def checks() -> Iterator[Check]:
    with tempfile.TemporaryDirectory(prefix="striate-boxes-") as name:
        yield from _conversions(Path(name))
        yield from _pairs(Path(name))
    yield Check("8.kinds", ">= 25", f"{len(KINDS)} kinds of malformed annotation", len(KINDS) >= 25)
    yield all_pass("8.malformed", "tests/cli/test_malformed_annotations.py", "tests/data/sources/test_other_formats.py")
    hostile = "entit or external or deep or bomb or memory or pipe"
    yield all_pass("8.hostile", "tests/data/sources/test_malformed.py", "-k", hostile)
    yield from _large()
    for reader in READERS:
        yield from _fuzz(reader)


Boxes = Iterator[tuple[str, list[list[float]]]]
"""A picture's stem and its boxes as edges, in pixels from 0."""


def _conversions(folder: Path) -> Iterator[Check]:
    """VOC to COCO to YOLO to VOC; what the files hold is read by parsers of its own and compared with the first."""
    before = dict(_of_voc(RACCOON / "annotations"))
    data = RACCOON
    for kind, precision in (("coco", 1e-6), ("yolo", 1e-8), ("voc", 0.0)):
        striate("convert", data, "--to", kind, "--out", folder / kind)
        data = folder / kind
        after = dict({"coco": _of_coco, "yolo": _of_yolo, "voc": _of_voc}[kind](data))
        same = {stem: len(boxes) for stem, boxes in before.items()} == {stem: len(b) for stem, b in after.items()}
        pairs = [pair for stem in before for pair in zip(before[stem], after.get(stem, []), strict=False)]
        most = max(abs(one - other) for pair in pairs for one, other in zip(*pair, strict=True))
        got = f"{len(pairs)} boxes on {len(after)} pictures, at most {most:.1e} px off"
        yield Check(f"8.{kind}", f"equal to {precision:g} px", got, same and most <= precision)


def _of_voc(folder: Path) -> Boxes:
    for file in folder.rglob("*.xml"):
        boxes = [
            [float(box.findtext(edge) or "nan") for edge in ("xmin", "ymin", "xmax", "ymax")]
            for box in ElementTree.parse(file).iter("bndbox")
        ]
        yield file.stem, [[left - 1, top - 1, right, bottom] for left, top, right, bottom in boxes]


def _of_coco(folder: Path) -> Boxes:
    content = json.loads((folder / "instances.json").read_text())
    for image in content["images"]:
        boxes = [each["bbox"] for each in content["annotations"] if each["image_id"] == image["id"]]
        yield Path(image["file_name"]).stem, [[x, y, x + width, y + height] for x, y, width, height in boxes]


def _of_yolo(folder: Path) -> Boxes:
    from PIL import Image

    for file in (folder / "labels").iterdir():
        with Image.open(folder / "images" / f"{file.stem}.jpg") as picture:
            width, height = picture.size
        rows = [[float(word) for word in line.split()[1:]] for line in file.read_text().splitlines()]
        edges = [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for x, y, w, h in rows]
        yield file.stem, [[left * width, top * height, right * width, low * height] for left, top, right, low in edges]


def _pairs(folder: Path) -> Iterator[Check]:
    """Which raccoons are said to be the same photograph: by their bytes, and as a run groups them by how they look."""
    near = ("train", RACCOON, "--group", "near", "--epochs", "1", "--out", folder / "near")
    for name, wanted, words in (
        ("8.pairs", 4, ("convert", RACCOON, "--to", "voc", "--out", folder / "pairs")),
        ("8.pairs.near", 6, near),
    ):
        done = subprocess.run([*STRIATE, *map(str, words)], cwd=REPOSITORY, capture_output=True, text=True)
        pairs = re.findall(r"raccoon-(\d+)\.jpg [=~] \S*raccoon-(\d+)\.jpg", done.stdout + done.stderr)
        yield Check(name, f"exactly {wanted}", " ".join("-".join(pair) for pair in pairs), len(pairs) == wanted)


def _large() -> Iterator[Check]:
    """A COCO file of 1 GiB, polygons and all: where it would not fit refused before it is read, where it fits read."""
    with tempfile.TemporaryDirectory(prefix="striate-large-") as name:
        data = Path(name)
        (data / "images").symlink_to(DATA / "coco128" / "images")
        boxes = _many_instances(data / "instances.json", GIB)
        peak, said = _read(data, free=4 * GIB)
        good = "would take" in said and peak < 1024
        yield Check("8.GiB.too-large", "refused, below 1 GiB", f"{said[said.find('has 1') :][:58]}; {peak} MiB", good)
        peak, said = _read(data)
        yield Check("8.GiB", f"{boxes} boxes", f"{said[-60:]}; {peak} MiB", said == str(boxes))


def _read(data: Path, free: int = 0) -> tuple[int, str]:
    """Peak memory in MiB, and boxes or error; ``free`` bytes are taken to be free, or those that are."""
    command = [sys.executable, "-c", READ, str(data), str(free)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    if done.returncode:
        raise CommandError(f"reading 1 GiB: {' / '.join(done.stderr.strip().splitlines()[-3:])}")
    peak, _, said = done.stdout.strip().partition(" ")
    return int(peak), said


def _many_instances(path: Path, size: int) -> int:
    """Write the instances of coco128 again and again, each time a little narrower; returns how many they are."""
    content = json.loads((DATA / "coco128" / "instances.json").read_text())
    count = turn = 0
    with path.open("w") as file:
        file.write(f'{{"images": {json.dumps(content["images"])}, "categories": {json.dumps(content["categories"])}, ')
        file.write('"annotations": [')
        while file.tell() < size:
            for each in content["annotations"]:
                count += 1
                x, y, width, height = each["bbox"]
                changed = each | {"id": count, "bbox": [x, y, round(width - turn * 1e-5, 6), height]}
                file.write((", " if count > 1 else "") + json.dumps(changed))
            turn += 1
        file.write("]}")
    return count


def _fuzz(reader: str) -> Iterator[Check]:
    command = [sys.executable, "-m", "accept.detect.fuzzing", reader, str(MUTANTS)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    if done.returncode:
        raise CommandError(f"{reader}: {' / '.join(done.stderr.strip().splitlines()[-3:])}")
    found = json.loads(done.stdout)
    name = f"8.fuzz.{reader.replace(' ', '-')}"
    got = f"{found['files']} files, {found['refused']:.0%} refused, the slowest in {found['slowest']:.2f} s"
    yield Check(name, f"{MUTANTS} files", got, found["files"] == MUTANTS)
    yield at_most(f"{name}.GiB", found["peak"] / GIB, 1)
