"""Whatever is wrong with annotations: one paragraph with file and place, exit code 2, and nothing half-written."""

import pytest

from tests.data.sources import test_malformed, test_other_formats
from tests.data.sources.annotated import picture

KINDS = {
    **{
        name: (test_malformed.FORMATS[name.partition("/")[0]], write, said)
        for name, (write, said) in test_malformed.MALFORMED.items()
    },
    **{
        name: (name.partition("/")[0], test_malformed.raw(file, content.encode(errors="surrogateescape")), said)
        for name, (file, content, said) in test_other_formats.MALFORMED.items()
    },
}
OF_EACH_FORMAT = {kind: name for name, (kind, _, _) in KINDS.items()}
CASES = [
    pytest.param(*KINDS[name], id=name, marks=() if name in OF_EACH_FORMAT.values() else pytest.mark.slow)
    for name in KINDS
]


def test_there_are_kinds_of_each_format():
    kinds = [kind for kind, _, _ in KINDS.values()]
    assert {kind: kinds.count(kind) >= 8 for kind in kinds} == dict.fromkeys(
        ("voc", "coco", "yolo", "via", "dlib", "boxes-csv"), True
    )
    assert len(KINDS) == len(test_malformed.MALFORMED) + len(test_other_formats.MALFORMED) >= 100


@pytest.mark.parametrize("verb", ["train", "convert"])
@pytest.mark.parametrize(("kind", "write", "said"), CASES)
def test_it_is_refused_and_nothing_is_written(striate, tmp_path, verb, kind, write, said):
    data = tmp_path / "data"
    picture(data / "a.png")
    write(data)
    before = sorted(tmp_path.rglob("*"))
    words = ("data", "--format", kind, "--out", "out", *(("--to", "coco") if verb == "convert" else ()))
    striate(verb, *words).refuses(said)
    assert sorted(tmp_path.rglob("*")) == before
