"""Receptive fields on photographs: boxes against gradients, pixels against what the network is fed with."""

import xml.etree.ElementTree as Tree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from striate.base.errors import DecodeError, ModelError, OutputError
from striate.inference import prepared
from striate.pictures.preprocess import PREPROCESSING, Preprocess
from striate.planning import Plan, plan
from striate.reporting import field_picture, figures
from striate.reporting.field import MOST, boxes, fed, field_figure
from tests.reporting.sheets import overlapping, texts


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (8, 10, 3), dtype=np.uint8))
    noise.resize((300, 240), Image.Resampling.BICUBIC).save(path)
    return path


class Blocks(nn.Module):
    """Windows, a branch, a pool and a transposed window; every weight is more than 0."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 2, 3, stride=2, padding=1)
        self.wide = nn.Conv2d(2, 2, 3, dilation=2, padding=2)
        self.pool = nn.AvgPool2d(2)
        self.up = nn.ConvTranspose2d(2, 1, 2, stride=2)
        for each in self.parameters():
            nn.init.constant_(each, 0.5)

    def maps(self, x: Tensor) -> dict[str, Tensor]:
        stem = self.stem(x)
        wide = stem + self.wide(stem)
        pool = self.pool(wide)
        return {"stem": stem, "wide": self.wide(stem), "pool": pool, "up": self.up(pool)}

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.pool(self.wide(stem := self.stem(x)) + stem))


def seen(net: Blocks, name: str, side: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the pixels that move the middle place of a map."""
    x = torch.zeros(1, 1, side, side, requires_grad=True)
    given = net.maps(x)[name]
    given[0, :, given.shape[2] // 2, given.shape[3] // 2].sum().backward()
    assert x.grad is not None
    rows, columns = (x.grad[0, 0].abs().sum(axis).nonzero().flatten() for axis in (1, 0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@pytest.mark.parametrize("side", [40, 41])
def test_boxes_are_where_gradients_are(side: int) -> None:
    net = Blocks()
    found = {name: box for box in boxes(plan(net, size=(1, side, side), mode="inference")) for name in box.names}
    assert list(found) == ["stem", "wide", "pool", "up"]
    for name, box in found.items():
        assert (box.left, box.top, box.right, box.bottom) == seen(net, name, side)
        assert box.size == f"{box.right - box.left}x{box.bottom - box.top}"


def test_a_vector_and_maps_with_channels_last_have_their_middle_in_the_middle() -> None:
    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, 96, 4, stride=4)
            self.turned = Turned()

        def forward(self, x: Tensor) -> Tensor:
            return self.turned(self.patches(x))

    class Turned(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.permute(0, 2, 3, 1)

    patches = boxes(plan(Last(), size=32, mode="inference"))
    assert len(patches) == 1 and patches[0].names == ("patches", "turned")
    last = boxes(plan("lenet5", mode="inference"))[-1]
    assert (last.left, last.top, last.right, last.bottom) == (0, 0, 32, 32)


def test_pixels_are_what_the_network_is_fed_with(photo: Path) -> None:
    def shown(preprocess: Preprocess, size: tuple[int, int, int] = (3, 64, 64)) -> np.ndarray:
        return fed(plan(nn.Conv2d(size[0], 2, 3), size=size, mode="inference"), photo, preprocess)

    for resize in ("crop", "stretch", "letterbox"):
        own = Preprocess(resize=resize, size=(48, 64), fill=7)
        assert np.array_equal(shown(own, (3, 48, 64)), prepared(photo, own)[0])
    assert np.array_equal(shown(PREPROCESSING["caffe"]), shown(Preprocess()))
    grey = shown(Preprocess(channels="grey", mean=(0.5,), scale=(0.5,)), (1, 64, 64))
    assert grey.shape == (64, 64, 3) and np.array_equal(grey[..., 0], grey[..., 2])
    whole = np.asarray(Image.open(photo))
    own = Preprocess(resize="none")
    assert np.array_equal(shown(own), whole[88:152, 118:182])
    larger = shown(replace(own, fill=9), (3, 250, 320))
    assert np.array_equal(larger[5:245, 10:310], whole) and (larger[:5] == 9).all()
    with pytest.raises(ModelError, match="pictures of 3 channels, and Conv2d is fed with 1"):
        shown(Preprocess(), (1, 64, 64))


def sheet_of(found: Plan, photo: Path) -> tuple[list[tuple[str, str]], list[str]]:
    """What touches on the sheet, and all that it says."""
    with figures.one_look():
        sheet = field_figure(found, fed(found, photo), photo.name)
        said = texts(sheet)
        return overlapping(sheet, said), [*said]


def test_what_is_said(photo: Path) -> None:
    touching, said = sheet_of(plan("resnet18", mode="inference", size=64), photo)
    assert touching == [] and "stem: 7x7 pixels" in said
    assert any("as the network is fed with it, 64x64 pixels; the last map" in text for text in said)
    assert any(text.startswith("whole image from pool on: mean in ") for text in said)
    assert [text for text in said if text.endswith("beyond this sheet")]


def test_many_boxes_and_none(photo: Path) -> None:
    many = nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1) for _ in range(60)))
    touching, said = sheet_of(plan(many, size=64, mode="inference"), photo)
    assert touching == [] and len([text for text in said if " pixels" in text and ":" in text]) == MOST
    assert any(text.startswith("59: 121x121 pixels") for text in said) and "0: 3x3 pixels" in said
    touching, said = sheet_of(plan(nn.Sequential(nn.AdaptiveAvgPool2d(1)), size=8, mode="inference"), photo)
    assert touching == [] and any("no map keeps places" in text for text in said)
    assert any(text.startswith("whole image from 0 on") for text in said)


def test_pictures_are_of_their_format_small_and_always_the_same(photo: Path, tmp_path: Path) -> None:
    found = plan(Blocks(), size=(1, 224, 320), mode="inference")
    svg, again = (field_picture(found, photo, tmp_path / name).read_bytes() for name in ("a.svg", "b.svg"))
    assert svg == again and len(svg) < 200_000
    assert "pool, up: 13x13 pixels" in {
        text.text for text in Tree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    }
    path = field_picture(found, photo, tmp_path / "a.png")
    with Image.open(path) as picture:
        assert picture.format == "PNG" and path.stat().st_size < 200_000


def test_what_cannot_be_drawn_on_is_refused(photo: Path, tmp_path: Path) -> None:
    found = plan(Blocks(), size=(1, 32, 32), mode="inference")
    before = photo.read_bytes()
    with pytest.raises(OutputError, match="is the photograph that is drawn on"):
        field_picture(found, photo, photo)
    assert photo.read_bytes() == before
    (tmp_path / "text.jpg").write_text("no picture")
    for name in ("text.jpg", "nothing.jpg", f"{'a' * 300}.jpg"):
        with pytest.raises(DecodeError):
            field_picture(found, tmp_path / name, tmp_path / "a.png")
    assert [each.name for each in tmp_path.iterdir()] == ["text.jpg"]
