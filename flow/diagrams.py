"""Draw the diagrams of the articles on flows (5776, 5807, 6407) as PNG files.

    python flow/diagrams.py            (-> runs/flow/schemes/*.png)

Blue and orange are the two halves of a vector or an image. A box of both colours depends on both. Green is noise.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path

from common.cli import Parser, add_format, main
from common.flag_types import output_folder
from flow import glow_diagrams
from flow.drawing import BOTH, FIRST, HIGH, LOW, MIDDLE, NOISE, NORMAL, SECOND, Drawing


def nice_fixed():
    """Draw 5776-F2: NICE with the couplings in a fixed order."""
    d = Drawing(3.2, "NICE: couplings in a fixed order")
    draw_couplings(d, 3, crossed=False)
    d.caption(2.9, r"$\h_1 = \x_1, \quad \h_2 = \x_2 + m(\x_1)$")
    d.caption(0.2, r"Whatever the number of couplings, $\z_1 = \x_1$: the first half never changes.")
    return d


def nice_crossed():
    """Draw 5776-F3: NICE with crossed couplings."""
    d = Drawing(3.2, "NICE: crossed couplings")
    draw_couplings(d, 3, crossed=True)
    d.caption(2.9, "The halves change places after each coupling: each is shifted by a function of the other.")
    d.caption(0.2, "From the second coupling on, both depend on all of the input (boxes of both colours).")
    return d


def affine_crossed():
    """Draw 5807-F1: crossed affine couplings."""
    d = Drawing(3.2, "RealNVP: crossed affine couplings")
    draw_couplings(d, 2, crossed=True, affine=True)
    d.caption(2.9, r"$\h_1 = \x_1, \quad \h_2 = s(\x_1) \otimes \x_2 + t(\x_1)$")
    d.caption(0.2, r"$\log\,|\mathrm{det}\ \partial\h\,/\,\partial\x| \ =\ \sum_i \ \log\,s_i(\x_1)$")
    return d


def shuffle():
    """Draw 5807-F2: a random shuffle between the couplings."""
    d = Drawing(3.6, "RealNVP: a random shuffle between the couplings")
    side, x, y = 0.28, 0.75, 1.8
    heights = [y + (3.5 - i) * side + (0.06 if i < 4 else -0.06) for i in range(8)]
    halves = (heights[1] + heights[2]) / 2, (heights[5] + heights[6]) / 2
    colours = [FIRST] * 4 + [SECOND] * 4

    def draw_vector():
        return [d.grid(x, height, [[colour]], side) for height, colour in zip(heights, colours, strict=True)]

    draw_vector()
    for k, permutation in enumerate([(5, 2, 7, 0, 3, 6, 1, 4), (2, 6, 1, 4, 7, 3, 0, 5), None], 1):
        block = d.box(x + 0.9, y, f"affine\ncoupling\n$s_{k},\\ t_{k}$", 0.95, 2.36)
        for height in halves:
            d.arrow((x + side / 2, height), block.sides_at(height)[0])
            d.arrow(block.sides_at(height)[1], (x + 1.8 - side / 2, height))
        x += 1.8
        cells = draw_vector()
        if permutation:
            colours = [colours[source] for source in permutation]
            x += 1.0
            for cell, source, colour in zip(draw_vector(), permutation, colours, strict=True):
                d.arrow(cells[source].right, cell.left, colour=colour, bend=True, head=False)
    for name, height in zip(("$\\x_1$", "$\\x_2$"), halves, strict=True):
        d.text(0.35, height, name)
    d.text(x + 0.4, y, "$\\z$")
    d.caption(3.35, "A fixed random shuffle between the blocks, in place of the crossing")
    d.caption(0.25, "A cell keeps the colour of the half it began in: every block splits the vector another way.")
    return d


def channel_split():
    """Draw 5807-F3: an image split along the channels."""
    d = Drawing(3.5, "An image, split along its channels")
    first, second = [[FIRST] * 4] * 4, [[SECOND] * 4] * 4
    image = d.channel_stack(1.5, 1.85, [first, first, second, second], 0.36)
    d.note(1.5, 0.4, r"$h \times w \times c$")
    halves = d.channel_stack(6.8, 2.62, [first] * 2, 0.28), d.channel_stack(6.8, 0.98, [second] * 2, 0.28)
    draw_split(d, image, "split along\nthe channels", halves, [r"$h \times w \times c/2$"] * 2)
    return d


def checkerboard_split():
    """Draw 5807-F4: an image split by a checkerboard."""
    d = Drawing(3.5, "An image, split by a checkerboard")
    colour = lambda parity, shown: BOTH[parity] if parity in shown else None
    board = lambda shown: [[colour((i + j) % 2, shown) for j in range(6)] for i in range(6)]
    image = d.channel_stack(1.5, 1.85, [board((0, 1))] * 3, 0.28)
    d.note(1.5, 0.4, r"$h \times w \times c$, one mask for all channels")
    halves = [d.channel_stack(6.75, y, [board((k,))] * 3, 0.19, 0.12) for k, y in enumerate((2.6, 1.0))]
    draw_split(d, image, "split by the\ncheckerboard", halves, ("$i + j$ even", "$i + j$ odd"))
    return d


def squeeze():
    """Draw 5807-F5: squeeze, on an image of 4 x 4 pixels and 2 channels."""
    d = Drawing(4.6, "Squeeze: half the height and width, four times the channels")
    shades = [[(FIRST, 0.6), (FIRST, 0.25)], [(SECOND, 0.6), (SECOND, 0.25)]]  # [dy][dx]
    side = 0.42
    for channel, y in enumerate((3.2, 1.3)):
        colours = [[shades[r % 2][c % 2] for c in range(4)] for r in range(4)]
        labels = [[str(16 * channel + 4 * r + c) for c in range(4)] for r in range(4)]
        d.grid(1.15, y, colours, side, labels)
        for k in range(4):
            x, dy, dx = 4.15 + 1.2 * k, k // 2, k % 2
            d.grid(x, y, [[shades[dy][dx]] * 2] * 2, side, [row[dx::2] for row in labels[dy::2]])
            d.note(x, y - 0.65, f"channel {k * 2 + channel}")
            if not channel:
                d.note(x, 4.0, f"$dy = {dy},\\ dx = {dx}$")
        d.note(2.55, y, f"$ch = {channel}$")
    d.arrow((2.2, 2.25), (3.4, 2.25))
    d.note(1.15, 4.3, r"$h \times w \times c$")
    d.note(5.95, 4.3, r"$h/2 \times w/2 \times 4c$")
    d.caption(0.2, r"channel$\,= (2\,dy + dx)\,c + ch$:  here $h = w = 4,\ c = 2$; equal numbers are the same value")
    return d


def multi_scale():
    """Draw 5807-F6: the multi-scale structure."""
    d, y = Drawing(3.9, "The multi-scale structure: half of the values leave at each level"), 3.0
    x = d.box(0.55, y, r"$\x$", 0.6)
    flow1, split1 = d.box(1.6, y, "flow"), d.box(2.75, y, "split")
    z2, flow2, split2 = d.box(3.85, y, r"$\z_2$", 0.6), d.box(4.9, y, "flow"), d.box(6.05, y, "split")
    z4, flow3 = d.box(7.15, y, r"$\z_4$", 0.6), d.box(8.2, y, "flow")
    d.connect(x, flow1, split1, z2, flow2, split2, z4, flow3)
    for source, parent, z in ((split1, z2, 1), (split2, z4, 3), (flow3, None, 5)):
        noise = d.box(source.x, 2.0, rf"$\z_{z}$", 0.6, colour=NOISE)
        given = rf"\,|\,\z_{z + 1}" if parent else ""
        prior = d.box(source.x, 1.05, rf"$p(\z_{z}{given})$", 1.1, colour=NOISE)
        d.arrow(source.bottom, noise.top)
        d.arrow(prior.top, noise.bottom, colour=NOISE, dashed=True)
        if parent:
            d.arrow(parent.bottom, (parent.x, prior.y), prior.right, colour=NOISE, dashed=True)
    for box, size in ((x, "$D$ values"), (z2, "$D/2$"), (z4, "$D/4$")):
        d.note(box.x, 3.5, size)
    d.caption(0.35, r"$p(\z_1, \z_3, \z_5) = p(\z_1\,|\,\z_2)\ p(\z_3\,|\,\z_4)\ p(\z_5)$")
    return d


def exp_matrix():
    """Draw the matrix exp(x y^T) of article 6407."""
    d = Drawing(2.8, "Mixing by the exponential of a matrix of rank one")
    x, y, side = (0.9, -0.3, 0.5, -0.8, 0.4), (0.6, 0.8, -0.4, 0.3, -0.7), 0.3
    s = sum(a * b for a, b in zip(x, y, strict=True))
    phi = (math.exp(s) - 1) / s
    shade = lambda value: (FIRST if value > 0 else SECOND, min(1.0, abs(value)))
    matrix = lambda entry: [[shade(entry(i, j)) for j in range(5)] for i in range(5)]
    d.text(0.8, MIDDLE, r"$\exp(\x \y^T) \ =$", size=14)
    identity = d.grid(2.3, MIDDLE, matrix(lambda i, j: i == j), side)
    d.text(3.55, MIDDLE, r"$+\ \ \phi(s)$", size=14)
    column = d.grid(4.3, MIDDLE, [[shade(a)] for a in x], side)
    row = d.grid(5.4, MIDDLE, [[shade(b) for b in y]], side)
    d.text(6.55, MIDDLE, "$=$", size=14)
    total = d.grid(7.7, MIDDLE, matrix(lambda i, j: (i == j) + phi * x[i] * y[j]), side)
    for shape, name in ((identity, "$I$"), (column, r"$\x$"), (row, r"$\y^T$"), (total, "identity + rank one")):
        d.text(shape.x, MIDDLE + 0.98, name)
    d.caption(0.25, r"$\phi(s) = (e^s - 1)\,/\,s, \quad s = \y^T \x, \quad \log\,\det\,\exp(\x \y^T) = s$")
    return d


def draw_split(drawing, image, label, halves, names):
    """Draw how an image is split: arrows from it, through a box, to its two halves.

    Args:
        drawing: `Drawing`.
        image: `Bounds` of the image.
        label: str, text of the box.
        halves: `Bounds` of the two halves.
        names: str of each half, written beside it.
    """
    split = drawing.box(4.2, image.y, label, 1.4, 0.8)
    drawing.arrow(image.right, split.left)
    for half, name, colour, k in zip(halves, names, BOTH, (1, 2), strict=True):
        start = split.sides_at(split.y + (0.2 if k == 1 else -0.2))[1]
        drawing.arrow(start, half.left, colour=colour, bend=True)
        drawing.text(7.65, half.y, rf"$\x_{k}$: {name}", ha="left")


@dataclass(frozen=True)
class Half:
    """A half of a vector on its way through the couplings."""

    index: int  # 1 or 2: the half of the input that it comes from
    label: str
    fills: tuple  # colours of the halves of the input that it depends on

    @property
    def colour(self):
        return BOTH[self.index - 1]


def draw_couplings(drawing, count, crossed, affine=False):
    """Draw the two halves of x going through couplings, which change the lower one, and then the prior of z.

    Args:
        drawing: `Drawing`.
        count: int, number of couplings.
        crossed: bool, whether the halves change places between couplings.
        affine: bool, whether a coupling scales and shifts, or only shifts.
    """
    halves = [Half(1, r"\x_1", (FIRST,)), Half(2, r"\x_2", (SECOND,))]
    x, spacing = 0.5, (7.4 - 0.5) / count
    boxes = _draw_halves(drawing, x, halves)
    for k in range(1, count + 1):
        upper, lower = halves
        end = _draw_coupling(drawing, boxes, k, halves, affine).right
        changed = replace(lower, label=rf"\h_{lower.index}^{{({k})}}", fills=BOTH)
        swap = crossed and k < count
        halves = [changed, upper] if swap else [upper, changed]
        if k == count:
            halves = [replace(half, label=rf"\z_{half.index}") for half in halves]
        x += spacing
        new_boxes = _draw_halves(drawing, x, halves)
        new_upper, new_lower = new_boxes[::-1] if swap else new_boxes
        drawing.arrow(boxes[0].right, (end[0], HIGH), new_upper.left, colour=upper.colour, bend=swap)
        drawing.arrow(end, new_lower.left, colour=lower.colour, bend=swap)
        boxes = new_boxes
    height = HIGH - LOW + 0.5
    prior = drawing.box(8.45, MIDDLE, "$\\z$\n$\\sim$\n" + NORMAL, 0.85, height, colour=NOISE)
    for box in boxes:
        drawing.arrow(box.right, prior.sides_at(box.y)[0], colour=NOISE)


def _draw_halves(drawing, x, halves):
    """Draw a box for the upper and one for the lower half, and return their `Bounds`."""
    return [
        drawing.box(x, y, f"${half.label}$", 0.65, colour=half.colour, fills=half.fills)
        for half, y in zip(halves, (HIGH, LOW), strict=True)
    ]


def _draw_coupling(drawing, boxes, k, halves, affine):
    """Draw what coupling k does to the lower half, and return the `Bounds` of its last node."""
    operations = (("s", r"\times"), ("t", "+")) if affine else (("m", "+"),)
    (x, _), last = boxes[0].right, boxes[1]
    for name, sign in operations:
        x += 0.6 if last is boxes[1] else 0.75
        network, node = drawing.box(x, MIDDLE, f"${name}_{k}$", 0.5, 0.45), drawing.node(x, LOW, sign)
        drawing.arrow((x, HIGH), network.top, colour=halves[0].colour)
        drawing.arrow(network.bottom, node.top)
        drawing.connect(last, node, colour=halves[1].colour)
        last = node
    return last


FIGURES = {  # name of the file: (function that draws it, figure of the article)
    "nice-fixed": (nice_fixed, "5776-F2"),
    "nice-crossed": (nice_crossed, "5776-F3"),
    "affine-crossed": (affine_crossed, "5807-F1"),
    "shuffle": (shuffle, "5807-F2"),
    "channel-split": (channel_split, "5807-F3"),
    "checkerboard-split": (checkerboard_split, "5807-F4"),
    "squeeze": (squeeze, "5807-F5"),
    "multi-scale": (multi_scale, "5807-F6"),
    "glow": (glow_diagrams.glow, "5807-F8"),
    "glow-encoder": (glow_diagrams.glow_encoder, "5807-F9"),
    "glow-step": (glow_diagrams.glow_step, "5807-F10"),
    "split2d": (glow_diagrams.split2d, "5807-F11"),
    "coupling-net": (glow_diagrams.coupling_net, "5807-F12"),
    "exp-matrix": (exp_matrix, "6407"),
}


def make_parser():
    """Return the parser of this script's flags."""
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("--out", type=output_folder, default="runs", help="folder for flow/schemes/*.png (default runs)")
    add_format(p)
    return p


def run(args):
    """Draw all diagrams and print their paths."""
    for name, (draw, _) in FIGURES.items():
        path = Path(args.out) / "flow/schemes" / f"{name}.png"
        draw().save(path)
        print(path)


if __name__ == "__main__":
    main(run, make_parser(), backend_needed=False)
