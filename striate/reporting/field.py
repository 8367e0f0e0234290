"""What a place of a network's maps sees, drawn on a photograph as the network is fed with it."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from striate.base.errors import ModelError, OutputError
from striate.data.names import printable
from striate.inference import prepared
from striate.pictures.geometry import Crop, Geometry, Pad
from striate.pictures.preprocess import Preprocess
from striate.planning import Layer, Plan
from striate.reporting import figures
from striate.reporting.figures import FAINT, LARGE, SMALL, USUAL
from striate.reporting.stretches import spread
from striate.tracing import AxisField

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches.
SHOWN, LEFT, BELOW, WORDS, LINE = 5.6, 0.5, 0.35, 0.36, 0.27
MOST = 16
"""So many boxes are drawn; of more those are left out that are nearest to others."""
BEYOND, EDGE = 0.6, 0.05
"""How far beyond the picture the sheet goes at most, in its sides: more would leave the picture too small. And how far
at least, where something is beyond."""
LONGEST = 30
"""Letters of a name."""
PIXELS, COLOURS = 256, 128
"""Of the longer side of the photograph on a sheet, and how many it has."""
LAST, OUTSIDE = "#d62728", "#ececec"


@dataclass(frozen=True, slots=True)
class Box:
    """What the middle place of some blocks' maps sees: pixels from the picture's left and top, edges exclusive."""

    names: tuple[str, ...]
    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> str:
        """Width and height in words."""
        return f"{self.right - self.left}x{self.bottom - self.top}"


def field_picture(
    plan: Plan,
    photograph: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    preprocess: Preprocess | None = None,
) -> Path:
    """Draw the theoretical receptive fields of a network's maps on a photograph, and return the file's path.

    Of each block's map the field of its middle place is a box, up to the last map whose places see a part of the
    picture; what lies beyond the picture is padding. Which block sees the whole image, and by which operation, is said
    in the title.

    Args:
        plan: of a network for pictures.
        photograph: the path of a picture's file.
        path: of a PNG or an SVG, by its ending.
        preprocess: how the photograph becomes what the network is fed with; by default the plan's own, and of
            somebody's module the largest window in the middle that fits.

    Raises:
        DecodeError: the photograph cannot be read.
        ModelError: it cannot become what the network is fed with.
        OutputError: the picture cannot be drawn or written there; says why.
    """
    path, photograph = figures.checked_path(path), Path(photograph)
    with suppress(OSError):  # one of them is not there
        if path.samefile(photograph):
            raise OutputError(f"{printable(path)} is the photograph that is drawn on; choose another name")
    pixels = fed(plan, photograph, preprocess)
    with figures.one_look():
        figures.write(field_figure(plan, pixels, photograph.name), path)
    return path


def fed(plan: Plan, photograph: Path, preprocess: Preprocess | None = None) -> NDArray[np.uint8]:
    """The photograph as the network is fed with it, as colours for people: uint8 ``[H, W, 3]``."""
    channels, *size = plan.input[1:]
    known = preprocess or plan.preprocess or _plain(channels)
    if known.count != channels:
        raise ModelError(f"preprocess gives pictures of {known.count} channels, and {plan.name} is fed with {channels}")
    if known.resize == "none":
        pixels = _middle(prepared(photograph, known)[0], (size[0], size[1]), known.fill)
    else:
        pixels = prepared(photograph, replace(known, size=(size[0], size[1])))[0]
    pixels = pixels[:, :, ::-1] if known.channels == "bgr" else pixels
    return np.ascontiguousarray(pixels[:, :, :3] if channels > 2 else pixels[:, :, [0, 0, 0]])


def _plain(channels: int) -> Preprocess:
    """How photographs become pictures of so many channels where nobody says it."""
    known = {1: Preprocess(channels="grey", mean=(0.0,), scale=(1.0,)), 3: Preprocess()}
    return known.get(channels) or Preprocess(channels=channels, mean=(0.0,), scale=(1.0,))


def _middle(pixels: NDArray[np.uint8], size: tuple[int, int], fill: int) -> NDArray[np.uint8]:
    """The window of a size in the middle of a picture, which ends somewhere where it is smaller."""
    height, width = pixels.shape[:2]
    high, wide = min(height, size[0]), min(width, size[1])
    down, across = size[0] - high, size[1] - wide
    crop = Crop((height - high) // 2, (width - wide) // 2, high, wide)
    pad = Pad(down // 2, down - down // 2, across // 2, across - across // 2, fill)
    return Geometry(height, width, (crop, pad)).image(pixels)


# Which boxes


def boxes(plan: Plan) -> tuple[Box, ...]:
    """What the middle places of the blocks' maps see, from the first block on; blocks that see the same are one."""
    found: dict[tuple[int, ...], tuple[str, ...]] = {}
    last = plan.last_field
    for row in plan.table() if last else ():
        edges = _edges(row, plan.input[2:])
        if edges is not None:
            found[edges] = (*found.get(edges, ()), row.block or row.what)
        if row == last:
            break
    return tuple(Box(names, *edges) for edges, names in found.items())


def _edges(row: Layer, sides: Sequence[int]) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of what the middle place of a map sees; None where that is not a part."""
    if row.field is None or len(row.field) != 2:
        return None
    spans = [
        _middle_span(axis, side, row.shape[2 + place] if len(row.shape) == 4 else None)
        for place, (axis, side) in enumerate(zip(row.field, sides, strict=True))
    ]
    (down, across) = spans
    if down is None or across is None:
        return None
    return across[0], down[0], across[1] + 1, down[1] + 1


def _middle_span(axis: AxisField, side: int, places: int | None) -> tuple[int, int] | None:
    """From where to where the middle place along an axis sees; of ``places``, if that is how many lie along it."""
    spans = axis.spans
    if spans is None:
        return None
    end = None if places is None else spans.at(places - 1)
    if places is not None and end is not None and end[0] < side:
        return spans.at(places // 2)
    # The map has no such dimension, or another one in its place, as where channels are last.
    known = (span for place in range(side) if (span := spans.at(place)) is not None)
    return min(known, key=lambda span: (abs(span[0] + span[1] + 1 - side), -span[0]), default=None)


def _some(every: Sequence[Box]) -> list[Box]:
    """As many as can be told apart, the last one among them."""
    kept = list(every)
    while len(kept) > MOST:
        widths = [box.right - box.left + box.bottom - box.top for box in kept]
        gaps = [abs(widths[place + 1] - widths[place]) / widths[place + 1] for place in range(len(kept) - 1)]
        kept.pop(gaps.index(min(gaps)))
    return kept


def _beyond(plan: Plan) -> Iterator[str]:
    """From which block on places see the whole image, or nobody knows what, and by which operation."""
    for word in ("whole", "unknown"):
        for row in plan.table():
            by = [getattr(axis, word) for axis in row.field or () if getattr(axis, word)]
            if by:
                what = "whole image" if word == "whole" else "unknown fields"
                yield f"{what} from {_name(row)} on: {figures.drawable(by[0], 60)}"
                break


# The sheet


def field_figure(plan: Plan, pixels: NDArray[np.uint8], photograph: str) -> "Figure":
    """Boxes on pixels, uint8 ``[H, W, 3]``, as a figure of matplotlib; made and looked at within `figures.one_look`."""
    height, width = pixels.shape[:2]
    labels = _labels(_some(boxes(plan)), (height, width))
    within = [each.box for each in labels if not each.beyond]
    edge = EDGE if len(within) < len(labels) else 0.0
    down = _view(height, [(box.top, box.bottom) for box in within], edge)
    across = _view(width, [(box.left, box.right) for box in within], edge)
    scale = SHOWN / max(down[1] - down[0], across[1] - across[0])
    wide, high = scale * (across[1] - across[0]), scale * (down[1] - down[0])
    words = max((WORDS + figures.measured(each.text, USUAL, bold=True)[0] for each in labels), default=0.0) + 0.2
    title = _wrapped(_title(plan, photograph, (height, width)), LEFT + wide + words - 0.4)
    below = BELOW + max(0.0, LINE * len(labels) - high)
    sheet = figures.figure(LEFT + wide + words, below + high + 0.25 + 0.24 * len(title))
    axes = figures.placed(sheet, LEFT, below, wide, high)
    axes.set_axis_on()
    axes.set_facecolor(OUTSIDE)
    axes.imshow(_light(pixels), extent=(0, width, height, 0), interpolation="none", aspect="auto", zorder=1)
    axes.set_xlim(*across)
    axes.set_ylim(*down[::-1])
    axes.set_xticks([0, width], ["0", f"{width}"], fontsize=SMALL)
    axes.set_yticks([0, height], ["0", f"{height}"], fontsize=SMALL)
    _draw_boxes(axes, figures.placed(sheet, LEFT + wide, below, words, high), labels, high)
    for place, line in enumerate(title):
        up = 1 - (0.27 + 0.24 * place) / sheet.get_figheight()
        style = {"fontsize": USUAL, "color": FAINT} if place else {"fontsize": LARGE, "fontweight": "bold"}
        sheet.text(0.2 / sheet.get_figwidth(), up, line, fontdict=style)
    return sheet


@dataclass(frozen=True, slots=True)
class _Label:
    """A box and what is written of it; ``beyond``: it is too large for the sheet."""

    box: Box
    beyond: bool
    text: str
    last: bool


def _labels(shown: Sequence[Box], sides: tuple[int, int]) -> list[_Label]:
    """From the largest box to the smallest."""
    found = []
    for box in shown:
        spans = ((box.top, box.bottom), (box.left, box.right))
        beyond = any(
            least < -BEYOND * side or most > (1 + BEYOND) * side
            for (least, most), side in zip(spans, sides, strict=True)
        )
        names = figures.drawable(", ".join(box.names), LONGEST)
        text = f"{names}: {box.size} pixels{', beyond this sheet' if beyond else ''}"
        found.append(_Label(box, beyond, text, box is shown[-1]))
    return sorted(found, key=lambda each: (each.box.left - each.box.right) * (each.box.bottom - each.box.top))


def _view(side: int, spans: Sequence[tuple[int, int]], edge: float) -> tuple[float, float]:
    """From where to where is shown: the picture, what is seen around it, and an edge."""
    least, most = min([0, *(begin for begin, _ in spans)]), max([side, *(end for _, end in spans)])
    edge = max(edge, EDGE / 2 if least < 0 or most > side else 0.0) * side
    return least - edge, most + edge


def _light(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The pixels as a sheet shows them, in fewer colours, since PNG has many bytes for photographs."""
    image = Image.fromarray(pixels)
    image.thumbnail((PIXELS, PIXELS))
    return np.asarray(image.quantize(COLOURS, kmeans=2, dither=Image.Dither.NONE).convert("RGB"))


def _draw_boxes(axes: "Axes", words: "Axes", labels: Sequence[_Label], high: float) -> None:
    """Boxes, and beside them what is written of them, with a line from each box's upper right corner.

    Of those beyond the sheet the last is a broken line along its edge.
    """
    from matplotlib import colormaps
    from matplotlib.patches import ConnectionPatch, Rectangle
    from matplotlib.patheffects import withStroke

    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    inside = 0.012 * (right - left)
    colours = colormaps["viridis"](np.linspace(0.0, 0.75, len(labels)))
    corners = [(min(each.box.right, right), max(each.box.top, top)) for each in labels]
    wanted = [high * (y - top) / (bottom - top) for _, y in corners]
    middles = spread(wanted, LINE, max(high, LINE * len(labels)) - LINE)
    for each, shade, corner, middle in zip(labels, colours, corners, middles, strict=True):
        colour, thick = (LAST, 2.0) if each.last else (shade, 1.3)
        box, beyond = each.box, (left + inside, top + inside, right - inside, bottom - inside)
        ends = beyond if each.beyond else (box.left, box.top, box.right, box.bottom)
        if each.last or not each.beyond:
            frame = Rectangle(ends[:2], ends[2] - ends[0], ends[3] - ends[1], fill=False, edgecolor=colour, zorder=3)
            halo = withStroke(linewidth=thick + 1, foreground="white")
            frame.set(linewidth=thick, linestyle="dashed" if each.beyond else "solid", path_effects=[halo])
            axes.add_patch(frame)
        at = (WORDS - 0.06, 1 - (middle + LINE / 2) / high)
        words.add_artist(ConnectionPatch(corner, at, axes.transData, words.transData, color=colour, linewidth=0.9))
        words.text(WORDS, at[1], each.text, fontsize=USUAL, fontweight="bold" if each.last else "normal", va="center")


def _title(plan: Plan, photograph: str, size: tuple[int, int]) -> Iterator[str]:
    last, name = plan.last_field, figures.drawable(plan.name, 60)
    yield f"{name}: what the middle places of its maps see"
    fed = f"{figures.drawable(photograph, 40)} as the network is fed with it, {size[1]}x{size[0]} pixels"
    yield fed + (f"; the last map that keeps places is that of {_name(last)}" if last else "; no map keeps places")
    yield from _beyond(plan)


def _name(row: Layer) -> str:
    return figures.drawable(row.block or row.what, LONGEST)


def _wrapped(lines: Iterable[str], width: float) -> list[str]:
    """Lines that are no longer than a width in inches; the first is a large one."""
    found: list[str] = []
    for line in lines:
        size = USUAL if found else LARGE
        found.append("")
        for word in line.split(" "):
            longer = f"{found[-1]} {word}".strip()
            if found[-1] and figures.measured(longer, size, bold=size == LARGE)[0] > width:
                found.append(word)
            else:
                found[-1] = longer
    return found
