"""Kinds of bad masks: those that are refused, and those that are taken and spoken of.

Each kind is what writes a data set into an empty folder, and what must be said of it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from striate.data.settings import DataSettings
from tests.data.sources.annotated import picture
from tests.data.sources.masked import mask, pairs, rows, wide_png

Write = Callable[[Path], Any]

SKY_ROAD = "135 206 235 sky\n128 64 128 road\n"
SKY, ROAD = (135, 206, 235), (128, 64, 128)


def masks(*given: Any, classes: str | None = "sky\nroad\n") -> Write:
    return lambda folder: pairs(folder, *given, classes=classes)


def beside(write: Write, *more: Write) -> Write:
    return lambda folder: [each(folder) for each in (write, *more)]


def raw(name: str, content: bytes | str) -> Write:
    data = content if isinstance(content, bytes) else content.encode()
    return lambda folder: (folder / name).write_bytes(data)


def another(name: str, values: Any) -> Write:
    return lambda folder: mask(folder / name, values)


def more_pictures(*names: str) -> Write:
    return lambda folder: [picture(folder / name, seed=9) for name in names]


def colours(*given: tuple[int, int, int]) -> np.ndarray:
    """Bands of colours, ``[10, 20, 3]``."""
    return np.repeat(np.array(given, np.uint8), 20 // len(given), axis=0)[None].repeat(10, axis=0)


def smooth_circle(mode: str, ground: Any, paint: Any) -> np.ndarray:
    """A circle drawn four times as large and shrunk, whose edge is mixed of both."""
    image = Image.new(mode, (80, 40), ground)
    ImageDraw.Draw(image).ellipse((20, 4, 60, 36), fill=paint)
    return np.array(image.resize((20, 10), Image.Resampling.BILINEAR))


def palette(name: str, *table: int) -> Write:
    return lambda folder: mask(folder / name, rows(0, 1), palette=table)


def saved(name: str, values: Any, **options: Any) -> Write:
    return lambda folder: Image.fromarray(values).save(folder / name, **options)


def cut(folder: Path) -> None:
    path = folder / "masks" / "0.png"
    content = Image.fromarray(np.random.default_rng(0).integers(0, 2, (10, 20), np.uint8))
    content.save(path)
    path.write_bytes(path.read_bytes()[:60])


def animated(folder: Path) -> None:
    frames = [Image.fromarray(rows(0, 1)), Image.fromarray(rows(1, 0))]
    frames[0].save(folder / "masks" / "0.tif", save_all=True, append_images=frames[1:])
    (folder / "masks" / "0.png").unlink()


def instead(name: str, write: Write) -> Write:
    """With the mask ``masks/0.png`` as another file."""
    return beside(masks(rows(0, 1)), lambda folder: (folder / "masks/0.png").unlink(), write)


def turned_picture(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 10)).save(folder / "images" / "0.png", exif=exif)


def turned_mask(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(rows(0, 1)).save(folder / "masks" / "0.png", exif=exif)


def copied(folder: Path) -> None:
    (folder / "images" / "1.png").write_bytes((folder / "images" / "0.png").read_bytes())


REFUSED: dict[str, tuple[Write, str]] = {
    # Who belongs to whom
    "no mask": (
        beside(masks(rows(0, 1)), more_pictures("images/b.png")),
        "1 picture has no mask: images/b.png; add what is missing, or leave such pictures out with --unlabelled skip",
    ),
    "no picture": (beside(masks(rows(0, 1)), another("masks/b.png", rows(0))), "1 mask has no picture: masks/b.png"),
    "suffix": (
        beside(more_pictures("images/a.png"), another("masks/a_seg.png", rows(0, 1))),
        "1 mask has no picture: masks/a_seg.png; a mask is called like its picture",
    ),
    "two masks": (
        beside(masks(rows(0, 1)), another("masks/0_gt.png", rows(0, 1))),
        "cannot be told from others of that name: images/0.png = masks/0.png = masks/0_gt.png",
    ),
    "two pictures": (
        beside(masks(rows(0, 1)), more_pictures("images/0.bmp")),
        "images/0.bmp = images/0.png = masks/0.png; keep one picture and one mask of each name",
    ),
    "no split": (
        beside(
            lambda folder: pairs(folder / "train", rows(0, 1), classes=None),
            lambda folder: pairs(folder / "more", rows(0, 1), start=5),
        ),
        "1 picture in no split (more/images/5.png), and 1 in splits",
    ),
    # Files
    "empty": (beside(masks(rows(0, 1)), raw("masks/0.png", b"")), "masks/0.png (it is empty (0 bytes))"),
    "no picture file": (beside(masks(rows(0, 1)), raw("masks/0.png", "mask")), "1 mask cannot be read: masks/0.png ("),
    "cut": (beside(masks(rows(0, 1)), cut), "masks/0.png (it is truncated, its end is missing"),
    "jpeg": (
        instead("0.jpg", another("masks/0.jpg", rows(0, 1))),
        "1 mask is compressed with loss, which changes values: masks/0.jpg (JPEG); save masks as PNG",
    ),
    "lossy webp": (
        instead("0.webp", saved("masks/0.webp", colours(SKY, ROAD), quality=50)),
        "1 mask is compressed with loss, which changes values: masks/0.webp (lossy WebP); save masks as PNG",
    ),
    "lossy jpeg 2000": (
        instead("0.jp2", saved("masks/0.jp2", rows(0, 1), irreversible=True)),
        "masks/0.jp2 (lossy JPEG 2000); save masks as PNG",
    ),
    "jpeg within tiff": (
        instead("0.tif", saved("masks/0.tif", rows(0, 1), compression="jpeg")),
        "masks/0.tif (JPEG in TIFF); save masks as PNG",
    ),
    "colours of 16 bits": (
        instead("0.png", raw("masks/0.png", wide_png(2, rows(0, 1)[..., None].repeat(3, axis=2)))),
        "1 mask cannot be read: masks/0.png (it has several bands of 16 bits, where a mask has one of 16 bits",
    ),
    "grey of 16 bits with alpha": (
        instead("0.png", raw("masks/0.png", wide_png(4, np.dstack([rows(0, 1), rows(1, 1)])))),
        "masks/0.png (it has several bands of 16 bits, where a mask has one of 16 bits, or bands of 8)",
    ),
    "pages": (beside(masks(rows(0, 1)), animated), "masks/0.tif (it has 2 pages or frames, where a mask has one)"),
    "floats": (
        instead("0.tif", saved("masks/0.tif", rows(0, 1).astype(np.float32))),
        "masks/0.tif (it is a picture of mode F, where a mask has grey values, a palette or colours)",
    ),
    "size": (
        masks(rows(0, 1), np.zeros((10, 21), np.uint8)),
        "1 mask is not of its picture's size: masks/1.png (21 x 10, and the picture 20 x 10)",
    ),
    "as the camera lay": (
        beside(masks(rows(0, 1)), turned_picture),
        "masks/0.png (20 x 10, and the picture 10 x 20); a mask has a pixel for each of the upright picture",
    ),
    # Values
    "grey levels": (
        masks(rows(0, 38), rows(0, 75)),
        (
            "masks have the values 0, 38, 75, which are not the indices of classes.txt; write the value in front of "
            "each name in classes.txt: '0 NAME', '38 NAME', '75 NAME'"
        ),
    ),
    "grey levels of as many classes": (
        masks(rows(0, 38), rows(0, 75), classes="sky\nroad\ncar\n"),
        "in classes.txt: '0 sky', '38 road', '75 car'",
    ),
    "grey levels without names": (
        masks(rows(0, 38), rows(0, 75), classes=None),
        (
            "masks have the values 0, 38, 75, which are no class indices; write the value in front of each name in "
            "classes.txt: '0 NAME', '38 NAME', '75 NAME'"
        ),
    ),
    "outside": (
        masks(rows(0, 1), rows(0, 1, 1, 2), rows(0, 3)),
        (
            "2 masks have values outside the classes: masks/1.png (2 in 50 pixels), masks/2.png (3 in 100 pixels); "
            "classes.txt names 0 to 1, and 255 is nobody's"
        ),
    ),
    "not named": (
        masks(rows(0, 1, 2, 3), classes="0 sky\n1 road\n3 car\n"),
        (
            "1 mask has values outside the classes: masks/0.png (2 in 50 pixels); classes.txt names 0, 1, 3, and 255 "
            "is nobody's; name the others there"
        ),
    ),
    "smooth edges": (
        masks(smooth_circle("L", 0, 1), smooth_circle("L", 0, 255)),
        "where edges were smoothed, save the masks without (by nearest neighbour)",
    ),
    "photographs": (
        masks(np.arange(200, dtype=np.uint8).reshape(10, 20), classes=None),
        "masks have 200 different values or more; there may be 255 classes, and of more than 64 classes.txt must name",
    ),
    "256 classes and more": (
        masks(np.arange(200, dtype=np.uint16).reshape(10, 20) * 2, classes=None),
        "masks have 200 different values or more; there may be 255 classes",
    ),
    "nobody's": (masks(rows(255), classes=None), "masks have the value 255 alone, which is nobody's"),
    "one class": (masks(rows(0), classes=None), "masks have one class alone, '0'; name what is not it as well"),
    # Colours
    "colours without a table": (
        masks(colours(SKY, ROAD)),
        (
            "1 mask is in colours, for which no table says the classes: masks/0.png; write classes.txt with a line for "
            "each colour, as '128 64 128 NAME', '135 206 235 NAME'"
        ),
    ),
    "a colour of no class": (
        masks(colours(SKY, ROAD), colours(SKY, (128, 64, 120)), classes=SKY_ROAD),
        (
            "1 mask has colours that are no class's: masks/1.png (128 64 120 in 100 pixels; nearest is 128 64 128, "
            "road); name each colour in classes.txt"
        ),
    ),
    "smooth coloured edges": (
        masks(smooth_circle("RGB", SKY, ROAD), classes=SKY_ROAD),
        "where edges were smoothed, save the masks without (by nearest neighbour)",
    ),
    "grey of 16 bits and a table of colours": (
        masks(rows(0, 300, dtype=np.uint16), classes=SKY_ROAD),
        "1 mask has grey of 16 bits: masks/0.png; classes.txt says the classes by colours",
    ),
    "palettes that differ": (
        beside(
            masks(rows(0, 1), rows(0, 1)),
            palette("masks/0.png", 0, 0, 0, 9, 0, 0),
            palette("masks/1.png", 0, 0, 0, 0, 9, 0),
        ),
        "1 mask has another palette: masks/1.png (place 1 is 0 9 0, and 9 0 0 in masks/0.png)",
    ),
    # classes.txt
    "index twice": (
        masks(rows(0, 1), classes="sky\nroad\n1 car\n"),
        "classes.txt:3: the index 1 belongs to 'car' and, in classes.txt:2, to 'road'; a name without an index has the",
    ),
    "name twice": (masks(rows(0, 1), classes="sky\nSky\n"), "classes.txt:2: 'Sky' is in classes.txt:1, too"),
    "colour twice": (
        masks(colours(SKY, ROAD), classes=f"{SKY_ROAD}135 206 235 sea\n"),
        "classes.txt:3: the colour 135 206 235 belongs to 'sea' and, in classes.txt:1, to 'sky'",
    ),
    "colours for some": (
        masks(colours(SKY, ROAD), classes=f"{SKY_ROAD}sea\n"),
        "classes.txt:3: 'sea' has no colour, and other lines have",
    ),
    "no colour": (
        masks(colours(SKY, ROAD), classes="135 206 256 sky\n128 64 128 road\n"),
        "classes.txt:1: the colour is '135 206 256'; expected three numbers from 0 to 255",
    ),
    "numbers alone": (masks(rows(0, 1), classes="0\n1\n"), "classes.txt:1: is '0'; expected a class, as 'sky'"),
    "no class": (masks(rows(0, 1), classes="# nothing\n"), "classes.txt: names no class"),
    "too many classes": (
        masks(rows(0, 1), classes="".join(f"c{n}\n" for n in range(256))),
        "classes.txt: names 256 classes; masks have 255 at most",
    ),
    "no text": (beside(masks(rows(0, 1)), raw("classes.txt", b"\xff\xfe")), "classes.txt is not UTF-8 text"),
    "lists that differ": (
        lambda folder: [
            pairs(folder / "train", rows(0, 1)),
            pairs(folder / "val", rows(1, 0), classes="road\nsky\n", start=5),
        ],
        "val/classes.txt: names other classes than train/classes.txt",
    ),
    "csv of other columns": (
        beside(masks(colours(SKY, ROAD), classes=None), raw("class_dict.csv", "class,colour\nsky,1\n")),
        "class_dict.csv:1: has the columns class, colour; expected name, r, g, b",
    ),
    "labelmap": (
        beside(masks(colours(SKY, ROAD), classes=None), raw("labelmap.txt", "# label:color\nsky\n")),
        "labelmap.txt:2: is 'sky'; expected name:red,green,blue:parts:actions",
    ),
}
"""What is written, and what the one paragraph must hold."""

SKIP = DataSettings(unlabelled="skip")
ACCEPTED: dict[str, tuple[Write, DataSettings, str]] = {
    "0 and 255": (
        masks(rows(0, 255), classes=None),
        DataSettings(),
        "masks have the values 0 and 255 alone, which are taken for two classes, background and foreground",
    ),
    "0 and 255 of two names": (
        masks(rows(0, 255)),
        DataSettings(),
        "masks have the values 0 and 255 alone: 255 is taken for road",
    ),
    "no names": (
        masks(rows(0, 1), rows(2, 255), classes=None),
        DataSettings(),
        "no classes.txt names the classes, so they are called 0, 1, 2",
    ),
    "void by name": (
        masks(rows(0, 1, 1, 2), classes="sky\nroad\n2 void\n"),
        DataSettings(),
        "25.0% of all pixels are nobody's (255, void) and not counted",
    ),
    "255 within": (masks(rows(0, 1, 1, 255)), DataSettings(), "25.0% of all pixels are nobody's (255) and not counted"),
    "grey in colours": (
        masks(rows(0, 1)[..., None].repeat(3, axis=2)),
        DataSettings(),
        "1 mask is stored in colours, all of them grey, taken for grey values: masks/0.png",
    ),
    "not opaque": (
        masks(np.dstack([colours(SKY, ROAD), rows(0, 255)]), classes=SKY_ROAD),
        DataSettings(),
        "1 mask has pixels that are not opaque, taken as such: masks/0.png",
    ),
    "all void": (
        masks(rows(0, 1), rows(255)),
        DataSettings(),
        "1 mask has no pixel of any class, of which nothing counts: masks/1.png",
    ),
    "a class that nowhere is": (
        masks(rows(0, 1), classes="sky\nroad\ncar\n"),
        DataSettings(),
        "1 class has no pixel in any mask: car",
    ),
    "pictures without masks": (
        beside(masks(rows(0, 1)), more_pictures("images/b.png")),
        SKIP,
        "1 picture has no mask, left out: images/b.png",
    ),
    "other files among masks": (
        beside(masks(rows(0, 1)), another("masks/0_fine.png", rows(1, 0))),
        DataSettings(mask_suffix="_fine"),
        "passed over 1 file without the masks' suffix: masks/0.png",
    ),
    "two lists of classes": (
        beside(masks(rows(0, 1)), raw("labelmap.txt", "sky:0,0,0::\n")),
        DataSettings(),
        "passed over 1 list of classes beside classes.txt: labelmap.txt",
    ),
    "turned by EXIF": (
        beside(masks(rows(0, 1)), turned_picture, turned_mask),
        DataSettings(),
        "1 mask was turned upright, as their EXIF says: masks/0.png",
    ),
    "one mask of two": (
        beside(masks(rows(0, 1), rows(1, 0)), copied),
        DataSettings(),
        (
            "1 copy differs from the first picture in what is said of it: images/0.png = images/1.png; of equal bytes, "
            "they stay on one side of a split (striate train --group near also keeps copies in other sizes or "
            "qualities together)"
        ),
    ),
}
"""What is written, the settings, and a notice."""
