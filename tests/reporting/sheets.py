"""What is on a figure, as matplotlib's own renderer has it."""

from itertools import combinations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox


def texts(sheet: Figure) -> dict[str, list[Bbox]]:
    """Every text that is seen, and where, in pixels."""
    sheet.draw_without_rendering()
    drawing = FigureCanvasAgg(sheet).get_renderer()
    found: dict[str, list[Bbox]] = {}
    for text in sheet.findobj(Text):
        if text.get_visible() and text.get_text() and (text.axes is None or is_seen(text)):
            found.setdefault(text.get_text(), []).append(text.get_window_extent(drawing))
    return found


def is_seen(text: Text) -> bool:
    """Axes that are off have labels of ticks that nobody draws."""
    return text.axes.axison or text in text.axes.texts


def overlapping(sheet: Figure, said: dict[str, list[Bbox]]) -> list[tuple[str, str]]:
    """Of the texts of a sheet those that touch, by twos, and those that go beyond it, with "" as the other."""
    every = [(text, box) for text, boxes in said.items() for box in boxes]
    width, height = sheet.get_size_inches() * sheet.dpi
    beyond = [(text, "") for text, box in every if box.x0 < 0 or box.y0 < 0 or box.x1 > width or box.y1 > height]
    return beyond + [
        (one, other)
        for (one, a), (other, b) in combinations(every, 2)
        if min(a.x1, b.x1) > max(a.x0, b.x0) and min(a.y1, b.y1) > max(a.y0, b.y0)
    ]
