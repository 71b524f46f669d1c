"""Boxes, arrows and grids of cells: the few shapes from which the schemes are made.

Coordinates are inches from the lower left corner. Shapes return a `Place`, from whose sides arrows start and end, so
that a scheme can be read as what flows where. Colours mean the same in every scheme: blue and orange are the two
halves of a vector, green is noise and its prior, grey is what computes.
"""

import re
from dataclasses import dataclass, replace
from itertools import pairwise

from common.files import atomic_write
from common.plots.charts import COLOURS

FIRST, SECOND, NOISE = COLOURS[0], COLOURS[1], COLOURS[2]
BOTH = (FIRST, SECOND)
INK, GREY = "#33333b", "#8a8a94"
DPI = 100  # 9 inches are then as wide as a README
SIZE, SMALL = 11.5, 10
HIGH, MIDDLE, LOW = 2.25, 1.5, 0.75  # the lanes of the two halves, and what lies between them
NORMAL = r"$\mathcal{N}(0, I)$"


@dataclass(frozen=True)
class Place:
    """Where a shape lies: its centre and its extent."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self):
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

    def at(self, y):
        """The points at height y of the left and of the right side: more than one arrow may meet a tall box."""
        return (self.left[0], y), (self.right[0], y)


def tint(colour, strength=0.18):
    """A colour mixed with white."""
    from matplotlib.colors import to_rgb

    return tuple(1 - strength * (1 - part) for part in to_rgb(colour))


class Drawing:
    """A white page of width x height inches."""

    def __init__(self, height, width=9.0):
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # late: it takes half a second
        from matplotlib.figure import Figure

        self.width = width
        self.figure = Figure(figsize=(width, height), dpi=DPI)
        FigureCanvasAgg(self.figure)
        self.axes = self.figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
        self.axes.set_axis_off()

    def text(self, x, y, text, colour=INK, size=SIZE, ha="center"):
        r"""Writes around (x, y); in formulas \h, \x, \y and \z are the vectors."""
        text = re.sub(r"\\([hxyz])(?![a-z])", r"\\mathbf{\1}", text)
        style = dict(math_fontfamily="dejavuserif", linespacing=1.35, zorder=5)
        self.axes.text(x, y, text, color=colour, fontsize=size, ha=ha, va="center", **style)

    def note(self, x, y, text, colour="#55555f", ha="center"):
        self.text(x, y, text, colour, SMALL, ha)

    def caption(self, y, text):
        """A line across the page."""
        self.text(self.width / 2, y, text)

    def box(self, x, y, text, width=0.9, height=0.5, colour=INK, fills=None, size=SIZE, dashed=False):
        """A rounded box around (x, y).

        Args:
            fills: the colours of its ground, side by side, paled; default grey for ink, else the colour of its rim.
        """
        from matplotlib.patches import FancyBboxPatch, Rectangle

        fills = fills or (GREY if colour == INK else colour,)
        shape = ((x - width / 2, y - height / 2), width, height, "round,pad=0,rounding_size=0.08")
        ground = self.axes.add_patch(FancyBboxPatch(*shape, color=tint(fills[0]), linewidth=0, zorder=3))
        part = width / len(fills)
        for i, fill in enumerate(fills):
            corner = x - width / 2 + i * part, y - height / 2
            strip = self.axes.add_patch(Rectangle(corner, part, height, color=tint(fill), linewidth=0, zorder=3))
            strip.set_clip_path(ground)
        line = dict(edgecolor=colour, linewidth=1.4, linestyle="--" if dashed else "-")
        self.axes.add_patch(FancyBboxPatch(*shape, facecolor="none", zorder=3, **line))
        self.text(x, y, text, size=size)
        return Place(x, y, width, height)

    def pile(self, x, y, text, width, height, step=0.07):
        """A box in front of others like it."""
        for i in (2, 1):
            self.box(x + i * step, y + i * step, "", width, height)
        return self.box(x, y, text, width, height)

    def node(self, x, y, sign, radius=0.17):
        """A circle with a sign in it: +, ×, ..."""
        from matplotlib.patches import Circle

        self.axes.add_patch(Circle((x, y), radius, facecolor="white", edgecolor=INK, linewidth=1.4, zorder=3))
        self.text(x, y, f"${sign}$", size=14)
        return Place(x, y, 2 * radius, 2 * radius)

    def arrow(self, *points, colour=INK, bend=False, dashed=False, head=True):
        """An arrow through the points; with `bend` it swings from one height to another before the last."""
        from matplotlib.patches import FancyArrowPatch
        from matplotlib.path import Path

        points, codes = list(points), [Path.MOVETO] + [Path.LINETO] * (len(points) - 1)
        if bend:
            (x0, y0), (x1, y1) = points[-2:]
            points[-1:] = [((x0 + x1) / 2, y0), ((x0 + x1) / 2, y1), (x1, y1)]
            codes[-1:] = [Path.CURVE4] * 3
        line = dict(color=colour, linewidth=1.6, linestyle=(0, (3, 2)) if dashed else "-", zorder=1)
        shape = dict(arrowstyle="-|>" if head else "-", mutation_scale=11, capstyle="butt", joinstyle="round")
        self.axes.add_patch(FancyArrowPatch(path=Path(points, codes), shrinkA=0, shrinkB=0, **shape, **line))

    def chain(self, *places, colour=INK):
        """Arrows from each place to the next on its right."""
        for a, b in pairwise(places):
            self.arrow(a.right, b.left, colour=colour)

    def frame(self, x0, y0, x1, y1):
        """A dashed line around what is repeated."""
        from matplotlib.patches import FancyBboxPatch

        style = dict(facecolor="none", edgecolor=GREY, linewidth=1.2, linestyle="--", zorder=0)
        self.axes.add_patch(FancyBboxPatch((x0, y0), x1 - x0, y1 - y0, "round,pad=0,rounding_size=0.12", **style))

    def cells(self, x, y, colours, side, labels=None, strength=0.55):
        """A grid around (x, y): `colours` is a list of rows; None is an empty cell, a pair a colour and its strength.

        `labels` has the same form as `colours`.
        """
        from matplotlib.patches import Rectangle

        rows, columns = len(colours), len(colours[0])
        for r, row in enumerate(colours):
            for c, colour in enumerate(row):
                colour, depth = colour if isinstance(colour, tuple) else (colour, strength)
                corner = x + (c - columns / 2) * side, y + (rows / 2 - r - 1) * side
                face = "white" if colour is None else tint(colour, depth)
                self.axes.add_patch(
                    Rectangle(corner, side, side, facecolor=face, edgecolor=INK, linewidth=0.8, zorder=2)
                )
                if labels:
                    self.text(corner[0] + side / 2, corner[1] + side / 2, labels[r][c], size=9)
        return Place(x, y, columns * side, rows * side)

    def planes(self, x, y, channels, side, step=0.16):
        """Channels one behind the other, the first in front, each a grid as in `cells`; around (x, y)."""
        middle = (len(channels) - 1) / 2
        for i in reversed(range(len(channels))):
            place = self.cells(x + (i - middle) * step, y + (i - middle) * step, channels[i], side)
        spread = 2 * middle * step
        return Place(x, y, place.width + spread, place.height + spread)

    def save(self, path):
        # Without the version of matplotlib in the file, the same drawing gives the same bytes.
        write = lambda file: self.figure.savefig(file, format="png", metadata={"Software": None})
        atomic_write(path, write)


def draw_split(drawing, image, how, halves, names):
    """From the place of an image, through a box that says how it is split, to the places of its halves."""
    split = drawing.box(4.2, image.y, how, 1.4, 0.8)
    drawing.arrow(image.right, split.left)
    for half, name, colour, k in zip(halves, names, BOTH, (1, 2), strict=True):
        start = split.at(split.y + (0.2 if k == 1 else -0.2))[1]
        drawing.arrow(start, half.left, colour=colour, bend=True)
        drawing.text(7.65, half.y, rf"$\x_{k}$: {name}", ha="left")


@dataclass(frozen=True)
class Half:
    """A half of a vector: whose fate it shares (1 or 2), its name now, and the halves of the input it depends on."""

    index: int
    label: str
    fills: tuple

    @property
    def colour(self):
        return BOTH[self.index - 1]


def couplings(drawing, count, crossed, affine=False):
    """Two lanes through couplings that change what is in the lower one, then the prior.

    Args:
        crossed: whether the halves change lanes between couplings.
        affine: scale and shift, instead of shift alone.
    """
    halves = [Half(1, r"\x_1", (FIRST,)), Half(2, r"\x_2", (SECOND,))]
    x, pitch = 0.5, (7.4 - 0.5) / count
    places = _state(drawing, x, halves)
    for k in range(1, count + 1):
        upper, lower = halves
        end = _coupling(drawing, places, k, halves, affine).right
        changed = replace(lower, label=rf"\h_{lower.index}^{{({k})}}", fills=BOTH)
        swap = crossed and k < count
        halves = [changed, upper] if swap else [upper, changed]
        if k == count:
            halves = [replace(half, label=rf"\z_{half.index}") for half in halves]
        x += pitch
        new = _state(drawing, x, halves)
        of_upper, of_lower = new[::-1] if swap else new
        drawing.arrow(places[0].right, (end[0], HIGH), of_upper.left, colour=upper.colour, bend=swap)
        drawing.arrow(end, of_lower.left, colour=lower.colour, bend=swap)
        places = new
    height = HIGH - LOW + 0.5
    prior = drawing.box(8.45, MIDDLE, "$\\z$\n$\\sim$\n" + NORMAL, 0.85, height, colour=NOISE)
    for place in places:
        drawing.arrow(place.right, prior.at(place.y)[0], colour=NOISE)


def _state(drawing, x, halves):
    lanes = zip(halves, (HIGH, LOW), strict=True)
    return [drawing.box(x, y, f"${half.label}$", 0.65, colour=half.colour, fills=half.fills) for half, y in lanes]


def _coupling(drawing, places, k, halves, affine):
    """What happens to the lower lane; returns the last node."""
    (x, _), last = places[0].right, places[1]
    for name, sign in (("s", r"\times"), ("t", "+")) if affine else (("m", "+"),):
        x += 0.6 if last is places[1] else 0.75
        network, node = drawing.box(x, MIDDLE, f"${name}_{k}$", 0.5, 0.45), drawing.node(x, LOW, sign)
        drawing.arrow((x, HIGH), network.top, colour=halves[0].colour)
        drawing.arrow(network.bottom, node.top)
        drawing.chain(last, node, colour=halves[1].colour)
        last = node
    return last
