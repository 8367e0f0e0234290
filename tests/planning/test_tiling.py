"""Networks of all kinds of windows, answered in tiles: the very numbers of the whole, or a sentence why not."""

import json
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from striate.base.errors import ModelError
from striate.layers import AveragePool2d, Conv2d, ConvTranspose2d, GlobalAveragePool, MaxPool2d
from striate.models import build
from striate.planning import Cutter

PLENTY = 1 << 40
CHANNELS = 2


class Down(nn.Module):
    """Windows one after the other, and back up: by one way of enlarging for each stride, beside the maps of before."""

    def __init__(self, windows, ups, joins, ends):
        super().__init__()
        self.windows, self.joins = nn.ModuleList(windows), joins
        self.strides = [getattr(window, "stride", 1) or 1 for window in windows]
        self.ups = nn.ModuleList(
            ConvTranspose2d(CHANNELS, CHANNELS, up, stride=stride, padding="same") if isinstance(up, int) else None
            for up, stride in zip(ups, self.strides, strict=True)
        )
        self.modes, self.last = ups, Conv2d(CHANNELS, CHANNELS, 3, padding=ends)
        self.narrow = nn.ModuleList(Conv2d(2 * CHANNELS, CHANNELS, 1) for _ in windows)

    def forward(self, x):
        maps = []
        for window in self.windows:
            maps.append(x)
            x = window(x)
        for at in reversed(range(len(maps))):
            x = self.enlarged(at, x, maps[at])
            if self.joins[at] == "add":
                x = x + maps[at]
            elif self.joins[at] == "cat":
                x = self.narrow[at](torch.cat([x, maps[at]], 1))
        return self.last(x)

    def enlarged(self, at, x, like):
        if isinstance(self.modes[at], int):
            return self.ups[at](x, output_size=like.shape[2:])
        corners = {} if self.modes[at] == "nearest" else {"align_corners": False}
        return F.interpolate(x, scale_factor=float(self.strides[at]), mode=self.modes[at], **corners)


@st.composite
def windows(draw):
    size, stride, dilation = draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    kind = draw(st.sampled_from(["conv", "conv", "max", "mean"]))
    if kind == "conv":
        return Conv2d(CHANNELS, CHANNELS, size, stride=stride, dilation=dilation, padding="same")
    pool = MaxPool2d if kind == "max" else AveragePool2d
    return pool(size, stride=stride, padding="same")


@st.composite
def networks(draw):
    torch.manual_seed(draw(st.integers(0, 1000)))
    found = draw(st.lists(windows(), min_size=1, max_size=3))
    ups = [draw(st.sampled_from([2, 3, 4, "nearest", "bilinear"])) for _ in found]
    joins = [draw(st.sampled_from(["add", "cat", "none"])) for _ in found]
    return Down(found, ups, joins, draw(st.sampled_from(["same", 1]))).double().eval()


def in_tiles(module, image, tiles, stride=1):
    """What tiles answer for their cores, put together."""
    whole = None
    for tile in tiles:
        top, left, bottom, right = tile.shows
        answer = module(image[:, :, top:bottom, left:right])
        if whole is None:
            whole = answer.new_full((*answer.shape[:2], *(side // stride for side in image.shape[2:])), torch.nan)
        first, begin, last, end = (side // stride for side in tile.core)
        whole[:, :, first:last, begin:end] = answer[
            :, :, first - top // stride : last - top // stride, begin - left // stride : end - left // stride
        ]
    return whole


def equal_in_tiles(module, rows, columns, more):
    cutter = Cutter("it", module, CHANNELS)
    look = cutter.look()
    size = cutter.padded((rows, columns))
    least = max(-(-seen // step) * step for seen, step in zip(look.before, look.step, strict=True))
    least += max(-(-seen // step) * step for seen, step in zip(look.after, look.step, strict=True)) + max(look.step)
    tiles = cutter.cut(size, PLENTY, longest=least + more)
    image = torch.rand(1, CHANNELS, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(rows))
    with torch.no_grad():
        whole, found = module(image), in_tiles(module, image, tiles)
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-12)
    return tiles


@settings(max_examples=8, deadline=None)
@given(networks(), st.integers(60, 200), st.integers(60, 200), st.integers(0, 40))
def test_tiles_give_the_numbers_of_the_whole(module, rows, columns, more):
    equal_in_tiles(module, rows, columns, more)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(networks(), st.integers(1, 400), st.integers(1, 400), st.integers(0, 100))
def test_tiles_give_the_numbers_of_the_whole_at_all_sizes(module, rows, columns, more):
    equal_in_tiles(module, rows, columns, more)


def test_a_tile_that_is_a_step_too_small_would_not():
    """The margins are no wider than they must be, or the other tests would say little."""
    torch.manual_seed(0)
    module = nn.Sequential(
        Conv2d(CHANNELS, CHANNELS, 5, stride=2, padding="same"), Conv2d(CHANNELS, CHANNELS, 3, padding="same")
    ).double()
    look = Cutter("it", module, CHANNELS).look()
    assert (look.step, look.before, look.after) == ((2, 2), (3, 3), (4, 4))
    image = torch.rand(1, CHANNELS, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        whole, tile = module(image), module(image[:, :, 32:])
    right = (whole[:, :, 16:] == tile).all(3).all(1)[0].tolist()
    assert right == [False, False, *[True] * 14]


def test_a_map_of_coarse_places_is_cut_as_well():
    torch.manual_seed(0)
    module = nn.Sequential(
        Conv2d(CHANNELS, CHANNELS, 3, stride=2, padding="same"), Conv2d(CHANNELS, CHANNELS, 4, stride=2, padding="same")
    ).double()
    tiles = Cutter("it", module, CHANNELS).cut((120, 200), PLENTY, longest=40)
    assert tiles.count > 20
    image = torch.rand(1, CHANNELS, *tiles.size, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(in_tiles(module, image, tiles, 4), module(image), rtol=0, atol=1e-12)


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.before, self.pool = Conv2d(CHANNELS, CHANNELS, 3, padding="same"), GlobalAveragePool()
        self.after = Conv2d(CHANNELS, CHANNELS, 5, padding="same")

    def forward(self, x):
        x = self.before(x)
        return self.after(x * self.pool(x)[:, :, None, None].sigmoid())


def test_what_sees_the_whole_picture_is_named_and_the_rest_still_looks_no_farther():
    tiles = Cutter("it", Gated(), CHANNELS).cut((96, 96), PLENTY, longest=32)
    assert tiles.wholes == ("mean in pool",)
    assert (tiles.rows.before, tiles.rows.after, tiles.rows.seam) == (3 + 1, 3, 1)


class Ends(nn.Module):
    """VALID windows, and a map enlarged to the size of what they read: the factor depends on the size."""

    def __init__(self):
        super().__init__()
        self.conv = Conv2d(CHANNELS, CHANNELS, 3, stride=2)

    def forward(self, x):
        return x + F.interpolate(self.conv(x), size=x.shape[2:], mode="nearest")


def test_a_network_that_enlarges_by_what_is_left_is_refused():
    with pytest.raises(ModelError, match="it: how far it looks around a pixel depends on the size of the picture"):
        Cutter("it", Ends(), CHANNELS).cut((512, 512), PLENTY)


class Cropped(nn.Module):
    """Cuts places off its map and goes on as if the picture ended there."""

    def __init__(self):
        super().__init__()
        self.conv = Conv2d(CHANNELS, CHANNELS, 3, padding="same")

    def forward(self, x):
        return self.conv(x[:, :, 4:])


def test_a_map_that_ends_inside_the_picture_is_refused():
    with pytest.raises(ModelError, match="slice cuts off places that lie inside the picture"):
        Cutter("it", Cropped(), CHANNELS).cut((512, 512), PLENTY)


@pytest.fixture(scope="module")
def cutter():
    return Cutter("unet", build("unet", classes=2, seed=0, arguments={"width": 8}).eval(), 1)


def test_a_budget_below_the_weights_is_refused(cutter):
    with pytest.raises(ModelError, match=f"the weights of unet alone are {cutter.weights:,}"):
        cutter.cut((512, 512), cutter.weights - 1)


def test_a_budget_that_holds_no_tile_says_what_it_takes(cutter):
    with pytest.raises(ModelError, match=r"the smallest tile .* has 208x208 pixels, which takes ([\d,]+)") as refused:
        cutter.cut((512, 512), cutter.weights + 1000)
    needed = int(str(refused.value).split("which takes ")[1].split(";")[0].replace(",", ""))
    assert cutter.cut((512, 512), needed).tile == (208, 208)
    with pytest.raises(ModelError):
        cutter.cut((512, 512), needed - 1)


def test_a_tile_that_answers_for_nothing_is_refused(cutter):
    with pytest.raises(ModelError, match="tile is 207, but unet looks 92 and 96 pixels around each"):
        cutter.cut((512, 512), PLENTY, longest=207)


def test_more_memory_computes_less_twice_until_the_whole_fits(cutter):
    takes = [cutter.cut((1000, 1500), budget).again for budget in (80 << 20, 120 << 20, 300 << 20, PLENTY)]
    assert takes == sorted(takes, reverse=True)
    assert takes[-1] == 0


def test_what_is_held_meanwhile_counts(cutter):
    budget = 120 << 20
    assert cutter.cut((1000, 1500), budget, held=40 << 20) == cutter.cut((1000, 1500), budget - (40 << 20))


MEASURED = """
import json, re, resource, sys
import numpy as np
from striate import modelfile
from striate.data.records import Classes
from striate.models import build
from striate.models.table import architecture
from striate.planning import plan
from striate.predictor import Predictor

name, arguments, budget = json.loads(sys.argv[1])
network = build(name, classes=3, seed=0, arguments=arguments).eval()
further = {"classes": 3, "in_channels": network.in_channels, **arguments}
described = modelfile.Description(name, further, "segment", Classes(tuple("abc")), architecture(name).preprocess)
# That of this process alone: the system's other figure begins with what who started it has.
most = lambda: 1024 * int(re.search("VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
weights = sum(each.numel() * each.element_size() for each in network.state_dict().values())
predictor = Predictor(network, described, device="cpu")
plan("lenet5", mode="inference")  # with which what traces take of torch is there
before, cut = most() - weights, []
pixels = np.zeros((1600, 1100, 3)[: 2 + (network.in_channels > 1)], np.uint8)
list(predictor.stream([pixels], budget=budget, on_tiles=lambda _, tiles: cut.append(tiles)))
print(json.dumps([most() - before, cut[0].count]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments", "budget"),
    [("unet", {"width": 8}, 250_000_000), ("unet/mobilenet_v1", {}, 550_000_000)],
)
def test_a_process_takes_no_more_than_the_budget(name, arguments, budget):
    """What it takes beside Python and torch, as the system counts it; tiles use most of what they are given."""
    command = [sys.executable, "-c", MEASURED, json.dumps([name, arguments, budget])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    most, count = json.loads(done.stdout.splitlines()[-1])
    assert count > 1
    assert 0.5 * budget < most <= budget
