"""What a picture looks like, in 64 bits: by the definition, and of copies and others."""

import io
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from striate.pictures.decode import decode
from striate.pictures.likeness import ALIKE, SIDE, alike, likeness_hash


def by_definition(small):
    """The cosine transform summed up pixel by pixel; frequencies by their sum, the nearest to the diagonal first."""
    places = [(y, x) for y in range(SIDE) for x in range(SIDE)]
    frequencies = sorted(
        ((u, v) for u in range(SIDE) for v in range(SIDE)), key=lambda f: (sum(f), abs(f[0] - f[1]), f)
    )

    def angle(place, frequency):
        return math.cos(math.pi * (2 * place + 1) * frequency / (2 * SIDE))

    bits = [
        math.fsum(float(small[y, x]) * angle(y, u) * angle(x, v) for y, x in places) > 0.5 for u, v in frequencies[1:65]
    ]
    return sum(bit << (63 - place) for place, bit in enumerate(bits))


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_signs_of_the_lowest_cosines(seed):
    small = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    assert likeness_hash(small[:, :, None]) == by_definition(small)


@pytest.mark.parametrize("level", [0, 1, 77, 255])
def test_plain_pictures_are_alike(level):
    assert likeness_hash(np.full((50, 70, 1), level, np.uint8)) == 0


def test_brightness_and_contrast_matter_to_no_bit():
    grey = np.random.default_rng(0).integers(0, 2, (SIDE, SIDE, 1), dtype=np.uint8)
    assert likeness_hash(50 + 100 * grey) == likeness_hash(3 + 250 * grey)


@given(st.lists(st.tuples(st.integers(0, 2), st.sets(st.integers(0, 63), max_size=8)), max_size=12), st.booleans())
def test_groups_are_those_of_all_pairs(rows, far):
    """Against sets that are put together while any two have members alike."""
    roots = np.random.default_rng(5).integers(0, 2**63, 3, dtype=np.uint64)
    hashes = [int(roots[root]) ^ sum(1 << bit for bit in bits) for root, bits in rows]
    if far:
        hashes = [each ^ (0xFFFF * place) for place, each in enumerate(hashes)]
    groups = [{place} for place in range(len(hashes))]
    for one in range(len(hashes)):
        for other in range(one):
            if (hashes[one] ^ hashes[other]).bit_count() <= ALIKE:
                joined = next(g for g in groups if one in g) | next(g for g in groups if other in g)
                groups = [g for g in groups if not g & joined] + [joined]
    firsts, pairs = alike(np.array(hashes, dtype=np.uint64))
    assert firsts == [min(next(g for g in groups if place in g)) for place in range(len(hashes))]
    assert len(pairs) == len(hashes) - len(groups)
    assert all(one < other and (hashes[one] ^ hashes[other]).bit_count() <= ALIKE for one, other in pairs)


def copies(photograph):
    """In other sizes and qualities, as they are made by programs that know nothing of us."""
    for scale, filter_ in ((0.5, Image.Resampling.LANCZOS), (1.7, Image.Resampling.BICUBIC)):
        size = (round(photograph.width * scale), round(photograph.height * scale))
        yield photograph.resize(size, filter_), {"format": "JPEG", "quality": 75}
    yield photograph.resize((224, 224)), {"format": "PNG"}
    yield photograph, {"format": "JPEG", "quality": 30}
    yield photograph, {"format": "WEBP", "quality": 50}


def test_copies_of_photographs_are_alike_and_other_photographs_are_not(shared_data):
    files = sorted((shared_data / "flowers").rglob("*.jpg"))[::20]
    hashes = [likeness_hash(decode(file, "grey", SIDE).pixels) for file in files]
    assert len(files) == 30 and alike(np.array(hashes, np.uint64))[1] == []
    far = 0
    for file, known in zip(files, hashes, strict=True):
        for picture, how in copies(Image.open(file).convert("RGB")):
            written = io.BytesIO()
            picture.save(written, **how)
            found = likeness_hash(decode(written.getvalue(), "grey", SIDE).pixels)
            far += (found ^ known).bit_count() > ALIKE
    assert far <= 1  # of 150: 99.6 % are within the bound
