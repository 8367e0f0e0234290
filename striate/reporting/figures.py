"""The door to matplotlib: figures of one look, by its objects alone, and files that are whole or not there at all.

Nothing that a user has set for matplotlib changes a picture of ours, and nothing here stays set.
"""

import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from striate.base.atomic import output_error, replace_file
from striate.base.errors import OutputError
from striate.data.names import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.figure import Figure

ENDINGS = (".png", ".svg")
EXTRA = "pip install 'striate[report]'"

INK, FAINT = "#222222", "#666666"
FAMILY = "sans-serif"
"""Of its fonts DejaVu Sans comes with matplotlib; for SVGs others stand in where it is not, which are no wider."""
SMALL, USUAL, LARGE = 8.5, 9.5, 12.0
"""Points of a font. A picture is looked at in a page as wide as a hand, or on paper."""

DPI = 110
SHADES = 256
"""Colours of a PNG: a third of the bytes, and nobody sees the difference."""

_LOOK = {
    "font.family": FAMILY,
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": USUAL,
    "text.color": INK,
    "text.parse_math": False,  # names may hold dollars
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "svg.fonttype": "none",  # texts stay texts, which can be searched, and take a tenth of the room
    "svg.hashsalt": "striate",  # names of parts are otherwise drawn by chance
}


def checked_path(path: str | os.PathLike[str]) -> Path:
    """The path of a picture, if one can be drawn there as far as can be said before.

    Raises:
        OutputError: it ends in neither of ``ENDINGS``, its folder is not there, a folder is in the way, or matplotlib
            is not installed.
    """
    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        ending = f"ends in {printable(path.suffix)}" if path.suffix else "has no ending"
        raise OutputError(f"{printable(path)}: {ending}; a picture is a file that ends in {' or '.join(ENDINGS)}")
    try:
        if not stat.S_ISDIR(path.parent.stat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    except OSError as error:
        raise output_error(path, error) from error
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        why = "is not installed" if isinstance(error, ModuleNotFoundError) else f"cannot be loaded ({error})"
        raise OutputError(f"cannot draw {printable(path)}: that takes matplotlib, which {why}: {EXTRA}") from error
    return path


@contextmanager
def one_look() -> Iterator[None]:
    """Within this block what is made of matplotlib looks as all our pictures do."""
    from matplotlib import style

    with style.context(["default", _LOOK]):
        yield


def figure(width: float, height: float) -> "Figure":
    """An empty sheet of so many inches."""
    from matplotlib.figure import Figure

    return Figure((width, height), dpi=DPI, facecolor="white")


def placed(sheet: "Figure", left: float, bottom: float, width: float, height: float) -> "Axes":
    """Bare axes at a place of the sheet, all in inches; their own x is in inches, too, and y from 0 to 1."""
    wide, high = sheet.get_size_inches()
    axes = sheet.add_axes((left / wide, bottom / high, width / wide, height / high))
    axes.set_xlim(0, width)
    axes.set_ylim(0, 1)
    axes.set_axis_off()
    return axes


@cache
def measured(text: str, size: float, *, bold: bool = False) -> tuple[float, float]:
    """Width and height of a text of so many points, in inches."""
    from matplotlib.font_manager import FontProperties

    font = FontProperties(family=[FAMILY], size=size, weight="bold" if bold else "normal")
    width, height, _ = _measuring().get_text_width_height_descent(text, font, ismath=False)
    return width / DPI, height / DPI


@cache
def _measuring() -> "RendererAgg":
    from matplotlib.backends.backend_agg import RendererAgg

    return RendererAgg(1, 1, DPI)


def drawable(name: str, most: int | None = None) -> str:
    """A name as the font can show it: the rest in escapes, and the middle left out of what is longer than ``most``."""
    known = _characters()
    shown = "".join(c if ord(c) in known else c.encode("unicode_escape").decode() for c in printable(name))
    if most is None or len(shown) <= most:
        return shown
    half = (most - 1) // 2
    return f"{shown[: most - 1 - half]}…{shown[-half:]}"


@cache
def _characters() -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    return frozenset(get_font(findfont(FontProperties(family=[FAMILY]))).get_charmap())


def write(sheet: "Figure", path: Path) -> None:
    """The sheet as a file of the format that its ending says; the same sheet gives the same bytes.

    Raises:
        OutputError: it cannot be written there.
    """
    file = io.BytesIO()
    if path.suffix.lower() == ".svg":
        sheet.savefig(file, format="svg", metadata={"Date": None, "Creator": "Striate"})
    else:
        _save_png(sheet, file)
    with replace_file(path) as temporary:
        temporary.write_bytes(file.getvalue())


def _save_png(sheet: "Figure", file: io.BytesIO) -> None:
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(sheet)
    canvas.draw()
    drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    drawn.quantize(SHADES, dither=Image.Dither.NONE).save(file, format="PNG", optimize=True, dpi=(DPI, DPI))
