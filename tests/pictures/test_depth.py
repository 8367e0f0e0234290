"""Numbers of more than 8 bits: how large white is must be known."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from striate.base.errors import DecodeError
from striate.pictures.decode import decode, from_memory, read_header
from striate.pictures.remarks import Remarks

NUMBERS = np.arange(0, 249, 8).reshape(4, 8)[:, :7]  # 0..240


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def tiff(numbers, sample_format, bits=None):
    """An uncompressed TIFF of one band or three, by hand: TIFF 6.0, section 8, and SampleFormat of section 19."""
    end = "<" if numbers.dtype.str[0] in "<|" else ">"
    body = numbers.tobytes()
    bands = 1 if numbers.ndim == 2 else numbers.shape[2]
    bits = bits or 8 * numbers.itemsize
    tags = [
        *((256, 4, numbers.shape[1]), (257, 4, numbers.shape[0]), (258, 3, bits), (259, 3, 1), (262, 3, 1)),
        *((273, 4, 8), (277, 3, bands), (278, 4, numbers.shape[0]), (279, 4, len(body)), (339, 3, sample_format)),
    ]
    entries = b"".join(
        struct.pack(f"{end}HHI", tag, kind, 1)
        + (struct.pack(f"{end}HH", value, 0) if kind == 3 else struct.pack(f"{end}I", value))
        for tag, kind, value in tags
    )
    head = (b"II*\0" if end == "<" else b"MM\0*") + struct.pack(f"{end}I", 8 + len(body))
    return head + body + struct.pack(f"{end}H", len(tags)) + entries + bytes(4)


def integers():
    image = Image.fromarray(NUMBERS.astype(np.int32))
    assert image.mode == "I"
    return image


@pytest.mark.parametrize(
    "data",
    [
        encoded(integers(), "TIFF"),
        encoded(integers(), "TIFF", compression="tiff_lzw"),
        encoded(integers(), "TIFF", save_all=True, append_images=[integers()]),
        *(tiff(NUMBERS.astype(kind), number) for kind, number in [("<i4", 2), ("<u4", 1), (">i4", 2)]),
    ],
)
def test_32_bit_integers_are_refused_as_arrays_of_them_are(data):
    for read in (
        lambda: decode(data, "grey"),
        lambda: decode(data, "rgb", 2),
        lambda: decode(data, 1),
        lambda: decode(data, 2),
        lambda: read_header(data),
        lambda: from_memory(Image.open(io.BytesIO(data)), "grey"),
    ):
        with pytest.raises(
            DecodeError, match=r"32-bit integers \(Pillow's mode I\).*8 or 16 bits.*uint8 if 255 is white"
        ):
            read()


@pytest.mark.parametrize(
    "image",
    [
        integers(),
        Image.fromarray(NUMBERS.astype(np.uint8)).convert("I"),
        Image.fromarray(NUMBERS.astype(np.uint16)).convert("I"),
        Image.open(io.BytesIO(b"P5 2 1 65535\n" + bytes([0, 248, 255, 255]))).copy(),
    ],
)
def test_32_bit_integers_in_memory_are_refused(image):
    with pytest.raises(DecodeError, match="32-bit integers"):
        from_memory(image, "grey")


@pytest.mark.parametrize("dtype", ["<u2", ">u2", "<i2", ">i2"])
@pytest.mark.parametrize("white", [240, 4095, 4096, 32767])
def test_what_a_file_says_has_16_bits_is_scaled_as_16_bits(dtype, white):
    numbers = np.linspace(0, white, 28).astype(dtype).reshape(4, 7)
    data = tiff(numbers, 2 if dtype[1] == "i" else 1)
    expected = np.rint(numbers / 257)
    for decoded in (decode(data, "grey"), from_memory(Image.open(io.BytesIO(data)), "grey")):
        assert (decoded.pixels[:, :, 0] == expected).all()
        assert decoded.remark == ("16 bits, dim" if white < 4096 else "16 bits")


def test_negative_numbers_of_16_bits_are_refused():
    with pytest.raises(DecodeError, match="integers from -1 to 239"):
        decode(tiff(NUMBERS.astype("<i2") - 1, 2), "grey")


@pytest.mark.parametrize(
    ("data", "most"),
    [
        (b"P5 2 1 65535\n" + struct.pack(">HH", 257, 65535), 255),
        (b"P5 2 1 4095\n" + struct.pack(">HH", 257, 4095), 255),  # Pillow scales by what the file calls white
        (b"P2 2 1 4095\n257 4095\n", 255),
    ],
)
def test_grey_of_pnm_has_the_white_that_it_names(data, most):
    for decoded in (decode(data, "grey"), from_memory(Image.open(io.BytesIO(data)), "grey")):
        assert decoded.pixels.max() == most and decoded.remark == "16 bits"


def png_16(numbers):
    """A 16-bit RGB PNG, which Pillow reads and cannot write."""
    height, width, _ = numbers.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in numbers)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )


COLOURS = np.stack([NUMBERS, NUMBERS * 2, NUMBERS // 2], axis=2).astype(np.uint16)  # to 480


@pytest.mark.parametrize(
    ("image", "remark"),
    [
        (Image.fromarray(NUMBERS.astype(np.uint8)), ""),
        (Image.fromarray((NUMBERS // 16).astype(np.uint8)), ""),  # dark, but bytes
        (Image.fromarray(NUMBERS.astype(np.float32) / 255), ""),
        (Image.fromarray(NUMBERS.astype(np.uint16)), "16 bits, dim"),
        (Image.fromarray((NUMBERS * 17).astype(np.uint16)), "16 bits, dim"),  # 4080
        (Image.fromarray((NUMBERS * 18).astype(np.uint16)), "16 bits"),
    ],
)
def test_what_is_dim_is_remarked(image, remark):
    for channels in ("grey", "rgb", "luma", 1):
        for kind in ("TIFF",) if image.mode == "F" else ("TIFF", "PNG"):  # PNG has no floats
            assert decode(encoded(image, kind), channels).remark == remark
            assert decode(encoded(image, kind), channels, 2).remark == remark
        assert from_memory(image, channels).remark == remark
        assert from_memory(np.asarray(image), channels).remark == remark


@pytest.mark.parametrize(("factor", "remark"), [(1, "16 bits, dim"), (8, "16 bits, dim"), (9, "16 bits")])
def test_colours_of_16_bits_are_remarked_though_pillow_keeps_8(factor, remark):
    numbers = COLOURS * factor
    data = png_16(numbers)
    assert (decode(data, "rgb").pixels == numbers >> 8).all()  # so the picture was made as it should be
    for decoded in (decode(data, "rgb"), decode(data, "grey"), decode(data, 3), from_memory(numbers, "rgb")):
        assert decoded.remark == remark
    opaque = np.dstack([numbers, np.full(numbers.shape[:2], 65535, np.uint16)])
    assert from_memory(opaque, "rgb").remark == remark  # alpha is no brightness


def test_bands_on_pages():
    pages = [Image.fromarray((NUMBERS * factor).astype(np.uint16)) for factor in (1, 2, 30)]
    dim = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:2])
    assert decode(dim, 2).remark == "16 bits, dim"
    assert decode(encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]), 3).remark == "16 bits"


def test_remarks_are_said_once_a_data_set():
    remarks = Remarks()
    assert remarks.sentences() == []
    for number in range(7):
        remarks.add(f"{number}.png", "16 bits, dim")
        remarks.add(f"{number}.jpg", "")
    (said,) = remarks.sentences()
    assert "the 16-bit pictures (7) use less than a sixteenth of the range, numbers below 4,096 of 65,536" in said
    remarks.add("bright.png", "16 bits")
    assert remarks.sentences() == []
    for number in range(7):
        remarks.add(f"{number}.jpg", "no end marker")
    (said,) = remarks.sentences()
    assert said.endswith("(7): 0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg, ...")
