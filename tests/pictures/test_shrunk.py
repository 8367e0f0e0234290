"""Where decoders put an edge: found in the pixels of real files, and compared with what `Shrunk` says."""

import io

import numpy as np
import pytest
from PIL import Image

from striate.pictures.decode import decode, from_memory
from striate.pictures.geometry import Geometry, Shrunk

HEIGHT, WIDTH, DOWN, ACROSS = 333, 1001, 290, 960
"""An upright photograph whose sides no factor divides, and the edges in it, not far from the partial pixels."""

UPRIGHT = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
UPRIGHT[DOWN:] += 70
UPRIGHT[:, ACROSS:] += 50

# How a camera that notes the orientation stored the upright picture: EXIF's instruction, undone.
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: upright.swapaxes(0, 1)[::-1],
    7: lambda upright: upright.swapaxes(0, 1)[::-1, ::-1],
    8: lambda upright: upright.swapaxes(0, 1)[:, ::-1],
}

KINDS = {
    "jpeg": ("JPEG", "RGB", {"quality": 95, "subsampling": 0}),  # libjpeg-turbo
    "jpeg-420": ("JPEG", "RGB", {"quality": 95, "subsampling": 2}),
    "jpeg-422-progressive": ("JPEG", "RGB", {"quality": 95, "subsampling": 1, "progressive": True}),
    "jpeg-grey": ("JPEG", "L", {"quality": 95}),
    "jpeg-cmyk": ("JPEG", "CMYK", {"quality": 95}),  # Pillow, which reduces afterwards
    "png": ("PNG", "RGB", {"compress_level": 1}),
    "tiff": ("TIFF", "RGB", {}),  # Pillow turns it upright before it is reduced
}


def stored(orientation, kind):
    name, mode, options = KINDS[kind]
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(STORED[orientation](UPRIGHT))).convert(mode)
    image.save(file, name, exif=exif, **options)
    return file.getvalue()


def edges(pixels):
    """Where brightness rises, as (down, across) in pixels: the darker share of each profile, added up."""
    profiles = (pixels.mean((1, 2)), pixels.mean((0, 2)))
    return [((profile.max() - profile) / (profile.max() - profile.min())).sum() for profile in map(settled, profiles)]


def settled(profile):
    """The profile without the ringing of JPEG: all but the edge at one of two heights."""
    low, high = np.median(profile[: len(profile) // 2]), np.median(profile[-2:])
    return np.clip(profile, low, high)


def agree(decoded, pixels=None):
    geometry = decoded.geometry
    expected = geometry.boxes(np.array([[ACROSS, DOWN, WIDTH, HEIGHT]]))[0, 1::-1]
    found = edges(decoded.pixels if pixels is None else pixels)
    assert np.abs(found - expected).max() < 0.06, (found, expected)
    assert (geometry.height, geometry.width) == (HEIGHT, WIDTH)
    assert geometry.output_size == decoded.pixels.shape[:2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_edge_lies_where_the_geometry_says(orientation, kind):
    data = stored(orientation, kind)
    for factor in (1, 2, 4, 8):
        decoded = decode(data, "rgb", HEIGHT // factor)
        assert decoded.shrunk.factor == factor
        agree(decoded)
        if not kind.startswith("jpeg"):
            with Image.open(io.BytesIO(data)) as image:
                from_pillow = from_memory(image, "rgb", HEIGHT // factor)
            assert from_pillow.geometry == decoded.geometry
            assert (from_pillow.pixels == decoded.pixels).all()


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
def test_arrays_are_reduced_alike(factor):
    decoded = from_memory(UPRIGHT, "rgb", HEIGHT // factor)
    assert decoded.shrunk == Shrunk(factor)
    agree(decoded)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_pillow_s_own_reduction_of_jpeg_lies_there_too(factor):
    with Image.open(io.BytesIO(stored(1, "jpeg-grey"))) as image:
        image.draft("L", (WIDTH // factor, HEIGHT // factor))
        drafted = np.asarray(image)[:, :, None]
    geometry = Geometry(HEIGHT, WIDTH).then(Shrunk(factor))
    assert geometry.output_size == drafted.shape[:2]
    assert np.abs(edges(drafted) - geometry.boxes(np.array([[ACROSS, DOWN, WIDTH, HEIGHT]]))[0, 1::-1]).max() < 0.06


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_masks_go_the_way_of_the_pixels(orientation, factor):
    decoded = decode(stored(orientation, "png"), "grey", HEIGHT // factor)
    geometry = decoded.geometry
    levels = np.unique(UPRIGHT)
    there = geometry.mask(np.searchsorted(levels, UPRIGHT[:, :, 0]).astype(np.uint8))
    whole = np.isin(decoded.pixels[:, :, 0], levels)  # pixels that no edge runs through
    assert whole.mean() > 0.9
    assert (levels[there] == decoded.pixels[:, :, 0])[whole].all()
    back = geometry.undo_mask(there)
    assert back.shape == (HEIGHT, WIDTH)
    # Only within the pixels that an edge runs through may the way there and back again change anything.
    wrong = levels[back] != UPRIGHT[:, :, 0]
    assert not wrong[: DOWN - factor, : ACROSS - factor].any() and wrong.sum() <= factor * (HEIGHT + WIDTH)
