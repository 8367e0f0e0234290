"""Memory over the course of a step, drawn: areas as high as planned, names that can be read, files as promised."""

import xml.etree.ElementTree as Tree
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.patches import Polygon
from PIL import Image
from torch import Tensor, nn

from striate.base.errors import ModelError, OutputError
from striate.planning import Plan, plan
from striate.planning.course import PARTS
from striate.reporting import figures, memory_picture
from striate.reporting.memory import COLOURS, PHASES, memory_figure
from striate.reporting.stretches import apart, shared_out
from tests.reporting.sheets import overlapping, texts


class Chain(nn.Module):
    """So many blocks with long names, one after the other, with an activation between them."""

    def __init__(self, count: int, name: str = "block_of_the_chain_with_number") -> None:
        super().__init__()
        for place in range(count):
            self.add_module(f"{name}_{place}", nn.Conv2d(2, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.children():
            x = block(x).relu()
        return x


@pytest.fixture(scope="module")
def small() -> Plan:
    return plan("lenet5", batch=4)


@pytest.fixture(scope="module")
def chain() -> Plan:
    return plan(Chain(60), size=(2, 8, 8), batch=2)


def areas(found: Plan) -> dict[str, np.ndarray]:
    """The corners of each area, by the part that has its colour."""
    with figures.one_look():
        (curve,) = (axes for axes in memory_figure(found).axes if axes.get_ylabel())
        drawn = [each for each in curve.patches if isinstance(each, Polygon) and len(each.get_xy()) > 5]
        colours = {figures_colour(colour): part for part, colour in COLOURS.items()}
        return {colours[each.get_facecolor()]: each.get_xy() for each in drawn if each.get_facecolor() in colours}


def figures_colour(name: str) -> tuple[float, ...]:
    from matplotlib.colors import to_rgba

    return to_rgba(name)


def test_areas_are_as_high_as_the_plan_says(small: Plan) -> None:
    drawn, peak = areas(small), small.course.peak
    assert peak is not None and drawn["temporaries"][:, 1].max() == small.peak.bytes
    highest = [max(sums) for sums in zip(*(accumulate(m.parts) for m in small.course.moments), strict=True)]
    for part, height in zip(PARTS, highest, strict=True):
        if part in drawn:
            assert drawn[part][:, 1].max() == height
    assert set(PARTS) - set(drawn) <= {"averaged weights", "weights", "optimizer state"}  # which are as flat as tables


def test_what_is_said(small: Plan) -> None:
    with figures.one_look():
        said = texts(memory_figure(small, budget=2_000_000))
    peak = small.course.peak
    assert peak is not None and f"peak {small.peak.bytes / 1e6:,.1f} MB" in said
    assert any(text.startswith(f"{peak.operation} in {peak.path} (") for text in said)
    assert all(len(said[block]) == 2 for block in small.blocks)  # forward and backward
    assert set(PHASES) <= said.keys() and "budget 2.0 MB" in said


def test_a_budget_is_a_line_or_said_to_be_far_above(small: Plan) -> None:
    with figures.one_look():
        for budget, drawn in ((small.peak.bytes // 2, True), (small.peak.bytes * 3, True), (10**12, False)):
            sheet = memory_figure(small, budget)
            lines = [line for axes in sheet.axes for line in axes.lines if set(line.get_ydata()) == {budget}]
            said = texts(sheet)
            assert bool(lines) == drawn and overlapping(sheet, said) == []
            assert any("far above" in text for text in said) != drawn


@pytest.mark.parametrize(
    "count", [5, pytest.param(20, marks=pytest.mark.slow), pytest.param(40, marks=pytest.mark.slow)]
)
def test_names_do_not_touch(count: int) -> None:
    found = plan(Chain(count), size=(2, 8, 8), batch=2)
    with figures.one_look():
        sheet = memory_figure(found, budget=found.peak.bytes)
        said = texts(sheet)
    assert overlapping(sheet, said) == []
    assert len([text for text in said if text.startswith("block_of")]) == count


def test_sixty_blocks_are_named_once_each(chain: Plan) -> None:
    with figures.one_look():
        sheet = memory_figure(chain)
        said = texts(sheet)
    assert overlapping(sheet, said) == []
    assert len([text for text in said if text.startswith("block_of")]) == 60
    assert not any("no room" in text for text in said)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["vgg16", "resnet152", "unet/efficientnet_lite0", "tood/efficientnet_lite0", "googlenet"]
)
def test_networks_of_ours_can_be_read(name: str, tmp_path: Path) -> None:
    found = plan(name, batch=8)
    with figures.one_look():
        sheet = memory_figure(found, budget=2 * found.peak.bytes)
        said = texts(sheet)
    assert overlapping(sheet, said) == [] and set(found.blocks) <= said.keys()
    for ending in ("svg", "png"):
        assert memory_picture(found, tmp_path / f"a.{ending}").stat().st_size < 200_000


def test_more_blocks_and_odd_names_are_drawn_too(tmp_path: Path) -> None:
    found = plan(Chain(130, "$x_1$ 模型\x1b"), size=(2, 4, 4), batch=1, mode="inference")
    with figures.one_look():
        sheet = memory_figure(found)
        said = texts(sheet)
    assert overlapping(sheet, said) == []
    assert any("no room for the names of" in text for text in said)
    assert memory_picture(found, tmp_path / "odd.svg").stat().st_size < 200_000
    Tree.parse(tmp_path / "odd.svg")


def test_pictures_are_of_their_format_small_and_always_the_same(small: Plan, chain: Plan, tmp_path: Path) -> None:
    before = dict(rcParams)
    svg, again = (memory_picture(small, tmp_path / name).read_bytes() for name in ("a.svg", "b.SVG"))
    assert svg == again and b"<dc:date>" not in svg
    assert memory_picture(chain, tmp_path / "chain.svg").stat().st_size < 200_000
    words = {text.text for text in Tree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")}
    assert {"forward", "loss", "backward", "optimizer"} <= words
    path = memory_picture(chain, tmp_path / "a.png")
    with Image.open(path) as picture:
        assert picture.format == "PNG" and picture.width > 1000
    assert path.stat().st_size < 200_000 and dict(rcParams) == before


def test_a_users_own_look_changes_nothing(small: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = memory_picture(small, tmp_path / "a.svg").read_bytes()
    for name, value in (("font.size", 30.0), ("axes.facecolor", "black"), ("svg.hashsalt", "mine")):
        monkeypatch.setitem(rcParams, name, value)
    assert memory_picture(small, tmp_path / "b.svg").read_bytes() == wanted
    assert rcParams["svg.hashsalt"] == "mine"


def test_what_cannot_be_drawn_is_refused(small: Plan, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nothing runs in such a step"):
        memory_picture(plan(nn.Identity(), size=4, mode="inference"), tmp_path / "a.png")
    (tmp_path / "b.png").mkdir()
    (tmp_path / "file").touch()
    for name, said in (
        ("a.pdf", "ends in .pdf; a picture is a file that ends in .png or .svg"),
        ("a", "has no ending"),
        ("nowhere/a.png", "its folder does not exist"),
        ("file/a.png", "a part of its path is a file"),
        ("b.png", "a folder of that name is in the way"),
        (f"{'a' * 300}.png", "its name is too long"),
    ):
        with pytest.raises(OutputError, match=said):
            memory_picture(small, tmp_path / name)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["b.png", "file"]


def test_widths_are_shared_out() -> None:
    given = shared_out([1, 1, 8, 90], [2, 0, 0, 0], 20)
    assert sum(given) == pytest.approx(20) and given[0] == 2 and given[3] / given[2] == pytest.approx(90 / 8)
    assert shared_out([5, 5], [3, 1], 2) == [1.5, 0.5]


def test_of_names_that_touch_each_block_has_one_before_any_has_two() -> None:
    names = [str(place) for place in range(6)]
    kept = apart([*range(6), *range(10, 16)], [1.5] * 12, [1.0] * 12, [*names, *reversed(names)])
    assert {([*names, *reversed(names)])[place] for place in kept} == set(names)
