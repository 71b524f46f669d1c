"""Boxes, arrows and grids: the shapes of the diagrams.

Coordinates are inches from the lower left corner. A method that draws a shape returns its `Bounds`, and arrows connect
the sides of `Bounds`. Colours mean the same in every diagram: blue and orange are the two halves of a vector, green is
noise and its prior, grey is a computation.
"""

import re
from dataclasses import dataclass
from itertools import pairwise

from common.plots.charts import COLOURS, write_figure

FIRST, SECOND, NOISE = COLOURS[0], COLOURS[1], COLOURS[2]
BOTH = (FIRST, SECOND)
INK, GREY = "#33333b", "#8a8a94"
DPI = 100  # so that 9 inches are as wide as a README
FONT_SIZE, SMALL_FONT_SIZE, TITLE_FONT_SIZE = 11.5, 10, 13
TITLE_HEIGHT = 0.45  # inches above a page
HIGH, MIDDLE, LOW = 2.25, 1.5, 0.75  # y of the first half, of the networks between the halves, of the second half
NORMAL = r"$\mathcal{N}(0, I)$"


@dataclass(frozen=True)
class Bounds:
    """Centre and size of a shape, in inches."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self):
        """Middle of the left side, (x, y); `right`, `top` and `bottom` likewise."""
        return self.x - self.width / 2, self.y

    @property
    def right(self):
        return self.x + self.width / 2, self.y

    @property
    def top(self):
        return self.x, self.y + self.height / 2

    @property
    def bottom(self):
        return self.x, self.y - self.height / 2

    def sides_at(self, y):
        """Return the points of the left and of the right side at height y, for a tall box with several arrows."""
        return (self.left[0], y), (self.right[0], y)


def tint(colour, strength=0.18):
    """Return a colour mixed with white: white at strength 0, the colour at strength 1."""
    from matplotlib.colors import to_rgb

    return tuple(1 - strength * (1 - channel) for channel in to_rgb(colour))


class Drawing:
    """A white page with a title.

    Args:
        height: float, inches, without the title.
        title: str.
        width: float, inches.
    """

    def __init__(self, height, title, width=9.0):
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # imported late: it takes half a second
        from matplotlib.figure import Figure

        self.width = width
        self.figure = Figure(figsize=(width, height + TITLE_HEIGHT), dpi=DPI)
        FigureCanvasAgg(self.figure)
        self.axes = self.figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height + TITLE_HEIGHT))
        self.axes.set_axis_off()
        self.text(width / 2, height + TITLE_HEIGHT / 2 - 0.05, title, size=TITLE_FONT_SIZE)

    def text(self, x, y, text, colour=INK, size=FONT_SIZE, ha="center"):
        r"""Write text at (x, y). In formulas \h, \x, \y and \z are bold, as vectors are."""
        text = re.sub(r"\\([hxyz])(?![a-z])", r"\\mathbf{\1}", text)
        style = dict(math_fontfamily="dejavuserif", linespacing=1.35, zorder=5)
        self.axes.text(x, y, text, color=colour, fontsize=size, ha=ha, va="center", **style)

    def note(self, x, y, text, colour="#55555f", ha="center"):
        """Write small text at (x, y)."""
        self.text(x, y, text, colour, SMALL_FONT_SIZE, ha)

    def caption(self, y, text):
        """Write a line in the middle of the page."""
        self.text(self.width / 2, y, text)

    def box(self, x, y, text, width=0.9, height=0.5, colour=INK, fills=None, dashed=False):
        """Draw a rounded box with a text.

        Args:
            x: float, centre.
            y: float, centre.
            text: str.
            width: float.
            height: float.
            colour: colour of the border.
            fills: colours of the background, side by side, tinted. By default the colour of the border, or grey if that
                is `INK`.
            dashed: bool, whether the border is dashed.

        Returns:
            `Bounds`.
        """
        from matplotlib.patches import FancyBboxPatch, Rectangle

        fills = fills or (GREY if colour == INK else colour,)
        shape = ((x - width / 2, y - height / 2), width, height, "round,pad=0,rounding_size=0.08")
        background = self.axes.add_patch(FancyBboxPatch(*shape, color=tint(fills[0]), linewidth=0, zorder=3))
        strip_width = width / len(fills)
        for i, fill in enumerate(fills):
            corner = x - width / 2 + i * strip_width, y - height / 2
            strip = Rectangle(corner, strip_width, height, color=tint(fill), linewidth=0, zorder=3)
            self.axes.add_patch(strip).set_clip_path(background)
        line = dict(edgecolor=colour, linewidth=1.4, linestyle="--" if dashed else "-")
        self.axes.add_patch(FancyBboxPatch(*shape, facecolor="none", zorder=3, **line))
        self.text(x, y, text)
        return Bounds(x, y, width, height)

    def box_stack(self, x, y, text, width, height, step=0.07):
        """Draw a box with two more behind it, and return the `Bounds` of the front one."""
        for i in (2, 1):
            self.box(x + i * step, y + i * step, "", width, height)
        return self.box(x, y, text, width, height)

    def node(self, x, y, sign, radius=0.17):
        """Draw a circle with a mathematical sign in it, and return its `Bounds`."""
        from matplotlib.patches import Circle

        self.axes.add_patch(Circle((x, y), radius, facecolor="white", edgecolor=INK, linewidth=1.4, zorder=3))
        self.text(x, y, f"${sign}$", size=14)
        return Bounds(x, y, 2 * radius, 2 * radius)

    def arrow(self, *points, colour=INK, bend=False, dashed=False, head=True):
        """Draw an arrow through points.

        Args:
            *points: (x, y) each.
            colour: colour of the line.
            bend: bool, whether the last segment is an S-shaped curve.
            dashed: bool, whether the line is dashed.
            head: bool, whether the line has an arrow head.
        """
        from matplotlib.patches import FancyArrowPatch
        from matplotlib.path import Path

        points, codes = list(points), [Path.MOVETO] + [Path.LINETO] * (len(points) - 1)
        if bend:
            (x0, y0), (x1, y1) = points[-2:]
            x_middle = (x0 + x1) / 2
            points[-1:] = [(x_middle, y0), (x_middle, y1), (x1, y1)]
            codes[-1:] = [Path.CURVE4] * 3
        line = dict(color=colour, linewidth=1.6, linestyle=(0, (3, 2)) if dashed else "-", zorder=1)
        shape = dict(arrowstyle="-|>" if head else "-", mutation_scale=11, capstyle="butt", joinstyle="round")
        self.axes.add_patch(FancyArrowPatch(path=Path(points, codes), shrinkA=0, shrinkB=0, **shape, **line))

    def connect(self, *shapes, colour=INK):
        """Draw an arrow from each of the `Bounds` to the next one on its right."""
        for source, target in pairwise(shapes):
            self.arrow(source.right, target.left, colour=colour)

    def frame(self, x0, y0, x1, y1):
        """Draw a dashed frame around a part that is repeated."""
        from matplotlib.patches import FancyBboxPatch

        style = dict(facecolor="none", edgecolor=GREY, linewidth=1.2, linestyle="--", zorder=0)
        self.axes.add_patch(FancyBboxPatch((x0, y0), x1 - x0, y1 - y0, "round,pad=0,rounding_size=0.12", **style))

    def grid(self, x, y, colours, side, labels=None, strength=0.55):
        """Draw a grid of square cells.

        Args:
            x: float, centre.
            y: float, centre.
            colours: list of rows of colours. `None` is an empty cell, a pair is a colour and the strength of its tint.
            side: float, side of a cell.
            labels: list of rows of str, one text per cell.
            strength: float, strength of the tints that `colours` leaves open.

        Returns:
            `Bounds`.
        """
        from matplotlib.patches import Rectangle

        rows, columns = len(colours), len(colours[0])
        for r, row in enumerate(colours):
            for c, colour in enumerate(row):
                colour, cell_strength = colour if isinstance(colour, tuple) else (colour, strength)
                corner = x + (c - columns / 2) * side, y + (rows / 2 - r - 1) * side
                face = "white" if colour is None else tint(colour, cell_strength)
                cell = Rectangle(corner, side, side, facecolor=face, edgecolor=INK, linewidth=0.8, zorder=2)
                self.axes.add_patch(cell)
                if labels:
                    self.text(corner[0] + side / 2, corner[1] + side / 2, labels[r][c], size=9)
        return Bounds(x, y, columns * side, rows * side)

    def channel_stack(self, x, y, channels, side, step=0.16):
        """Draw the channels of an image one behind the other, the first in front, and return the `Bounds` of all.

        Args:
            x: float, centre.
            y: float, centre.
            channels: list of `colours` of `grid`.
            side: float, side of a cell.
            step: float, shift from one channel to the next, to the right and upwards.
        """
        middle = (len(channels) - 1) / 2
        for i in reversed(range(len(channels))):
            bounds = self.grid(x + (i - middle) * step, y + (i - middle) * step, channels[i], side)
        spread = 2 * middle * step
        return Bounds(x, y, bounds.width + spread, bounds.height + spread)

    def save(self, path):
        """Save the page as `common.plots.charts.write_figure` does. Equal drawings give equal bytes."""
        write_figure(path, self.figure)
