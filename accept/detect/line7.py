"""YOLOv3 and the tiny one by arithmetic: parameters, the length of darknet's file, operations of convolutions."""

from collections.abc import Iterator

from accept import Check
from accept.pytests import all_pass
from striate.models.layer_table import layer_table
from striate.models.meta import build_on_meta

HEADER = 20  # bytes: three numbers of 32 bits, and one of 64
WANTED = {"yolov3": (61_949_149, 248_007_048, "65.864"), "yolov3_tiny": (8_852_366, 35_434_956, "5.565")}


def checks() -> Iterator[Check]:
    for name, (parameters, length, operations) in WANTED.items():
        table, network = layer_table(name), build_on_meta(name, classes=80)
        yield _equal(f"7.{name}.parameters", parameters, table.parameters)
        statistics = sum(each.numel() for path, each in network.named_buffers() if not path.endswith("tracked"))
        yield _equal(f"7.{name}.file", length, HEADER + 4 * (table.parameters + statistics))
        yield _equal(f"7.{name}.bflops", operations, f"{2 * table.multiply_adds / 1e9:.3f}")
    yield all_pass("7.layers", "tests/models/test_yolov3.py", "tests/weights/schemes/test_darknet.py")


def _equal(id: str, wanted: int | str, got: int | str) -> Check:
    said = [f"{each:,}" if isinstance(each, int) else each for each in (wanted, got)]
    return Check(id, said[0], said[1], wanted == got)
