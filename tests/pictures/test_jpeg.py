"""JPEG files whose end is missing: what is accepted has the very pixels of the whole file."""

import io
import time

import numpy as np
import pytest
from PIL import Image

from striate.base.errors import DecodeError
from striate.pictures.decode import decode, from_memory
from striate.pictures.jpeg import END, has_end, lacks_only_its_end

Y, X = np.mgrid[:61, :83]
SCENE = np.stack([X * 3, Y * 4, X + Y], axis=2).astype(np.uint8)
SCENE ^= np.random.default_rng(0).integers(0, 40, SCENE.shape, np.uint8)

KINDS = {
    "baseline": {},
    "4:4:4": {"subsampling": 0},
    "optimised": {"optimize": True},
    "coarse": {"quality": 5},
    "fine": {"quality": 100},
    "progressive": {"progressive": True},
    "progressive, coarse": {"progressive": True, "quality": 10},
    "restarts": {"restart_marker_blocks": 2},
    "restarts in every block": {"restart_marker_blocks": 1},
    "progressive with restarts": {"progressive": True, "restart_marker_rows": 1},
}


def encoded(mode="RGB", pixels=SCENE, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


def found(data):
    """Its pixels, or None if it is refused."""
    try:
        return decode(data, "rgb").pixels
    except DecodeError:
        return None


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_a_file_cut_anywhere_near_its_end_has_its_pixels_or_is_refused(mode, options):
    data = encoded(mode, **options)
    whole = decode(data, "rgb")
    assert data.endswith(END) and whole.remark == "" and has_end(data)
    for cut in range(1, 200):
        pixels = found(data[:-cut])
        assert (pixels is not None) == (cut <= 2), cut  # both bytes of the marker, or one of them
        assert pixels is None or (pixels == whole.pixels).all()
    for shorter_side in (None, 30, 15, 7):
        without = decode(data[:-2], "rgb", shorter_side)
        assert without.remark == "no end marker"
        assert (without.pixels == decode(data, "rgb", shorter_side).pixels).all()


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_whatever_size_a_picture_has(options):
    rng = np.random.default_rng(1)
    for number in range(20):
        height, width = rng.integers(5, 44, 2)
        noise = rng.integers(0, 256, (height, width, 3), np.uint8)
        data = encoded(("RGB", "L")[number % 2], noise, **options)
        whole = decode(data, "rgb").pixels
        for cut in range(1, 40):
            pixels = found(data[:-cut])
            assert pixels is not None or cut > 2
            assert pixels is None or (pixels == whole).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(
    "garbage",
    [bytes(100), bytes(4096), b"</body></html>\r\n", b"Connection closed", b"\xff" * 9, b"\xff\0" * 9],
    ids=range(6),
)
def test_garbage_in_place_of_the_end_is_never_taken_for_pixels(mode, options, garbage):
    data = encoded(mode, **options)
    whole = decode(data, "rgb").pixels
    assert (decode(data + garbage, "rgb").pixels == whole).all()  # behind the end anything may lie
    assert decode(data + garbage, "rgb").remark == ""
    for cut in (*range(2, 60), 200, 300):
        pixels = found(data[:-cut] + garbage)
        assert pixels is None or (pixels == whole).all(), cut


def scans(data):
    """Where the scans of a file begin, found without knowing what lies between them."""
    return [at for at in range(len(data) - 1) if data[at : at + 2] == b"\xff\xda"]


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_progressive_picture_without_its_last_scans_is_refused(mode):
    """With an end marker it decodes without a complaint, to a coarser picture."""
    data = encoded(mode, progressive=True)
    whole, starts = decode(data, "rgb").pixels, scans(data)
    assert len(starts) > 5
    for start in starts[1:]:
        cut = data[: data.rfind(b"\xff\xc4", 0, start)]  # before the tables of that scan
        assert (decode(cut + END, "rgb").pixels != whole).any()
        for end in (b"", b"\xff", data[len(cut) : start], data[len(cut) : start + 2], data[len(cut) : start + 9]):
            assert found(cut + end) is None


def test_a_colour_that_is_missing_is_refused():
    """Each band in a scan of its own: the last scan's absence shows in no band but one."""
    grey = encoded("L", quality=80)
    frame, scan = grey.index(b"\xff\xc0"), grey.index(b"\xff\xda")
    header = bytes([0xFF, 0xC0, 0, 17, 8, *grey[frame + 5 : frame + 9], 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0])
    coded = grey[scan + 10 : -2]
    body = grey[:frame] + header + grey[frame + 13 : scan]
    one = {band: bytes([0xFF, 0xDA, 0, 8, 1, band, 0, 0, 63, 0]) + coded for band in (1, 2, 3)}
    whole = body + one[1] + one[2] + one[3]
    assert (decode(whole, "rgb").pixels == decode(whole + END, "rgb").pixels).all()
    for missing in (body + one[1], body + one[1] + one[2], body + one[1] + one[1] + one[2], body):
        assert found(missing) is None


def test_a_file_that_decoders_of_other_codes_would_fill_up_is_refused():
    data = bytearray(encoded()[:-2])
    place = data.index(b"\xff\xc0")
    for frame in (0xC3, 0xC9, 0xCA, 0xC5):  # lossless, arithmetic, arithmetic and progressive, hierarchical
        data[place + 1] = frame
        assert not lacks_only_its_end(bytes(data))


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xff\xda", b"\xff\xd8\xff\xc0\0\x03", b"roses", END]
)
def test_what_is_no_picture_lacks_more_than_an_end(data):
    assert not lacks_only_its_end(data)


def test_a_thumbnails_end_is_not_the_pictures():
    data = encoded()
    inner = (
        data[:2]
        + b"\xff\xe1"
        + (2 + len(thumbnail := encoded(pixels=SCENE[:8, :8]))).to_bytes(2, "big")
        + thumbnail
        + data[2:]
    )
    assert (decode(inner, "rgb").pixels == decode(data, "rgb").pixels).all()
    without = decode(inner[:-2], "rgb")
    assert without.remark == "no end marker" and (without.pixels == decode(data, "rgb").pixels).all()
    assert not has_end(inner[:-2]) and found(inner[:-3]) is None


def test_photographs(shared_data):
    for path in sorted((shared_data / "flowers").glob("*/*.jpg"))[::200]:
        data = path.read_bytes()
        whole = decode(data, "rgb", 224).pixels
        if not data.endswith(END):
            continue
        for cut in range(1, 12):
            try:
                assert (decode(data[:-cut], "rgb", 224).pixels == whole).all() and cut <= 2
            except DecodeError:
                assert cut > 2


def test_an_image_of_pillows_is_refused_as_pillow_does():
    """Its bytes are Pillow's affair."""
    with pytest.raises(DecodeError, match="truncated"):
        from_memory(Image.open(io.BytesIO(encoded()[:-2])), "rgb")


def test_a_long_filling_before_a_marker_takes_no_long_search():
    began = time.process_time()
    assert not has_end(b"\xff\xd8" + b"\xff" * 80_000 + b"\0") and has_end(b"\xff\xd8" + b"\xff" * 80_000 + b"\xd9\0")
    assert time.process_time() - began < 2
