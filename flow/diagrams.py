"""Draws the schemes of the articles on flows (5776, 5807, 6407) as PNG.

    python flow/diagrams.py            (-> runs/flow/schemes/*.png)

Blue and orange are the two halves of a vector or an image, and a box of both colours depends on both; green is noise.
"""

import math
from pathlib import Path

from common.cli import Parser, main
from flow.drawing import BOTH, FIRST, HIGH, LOW, MIDDLE, NOISE, NORMAL, SECOND, Drawing, couplings, draw_split


def nice_fixed():
    d = Drawing(3.2)
    couplings(d, 3, crossed=False)
    d.caption(2.9, r"$\h_1 = \x_1, \quad \h_2 = \x_2 + m(\x_1)$")
    d.caption(0.2, r"Whatever the number of couplings, $\z_1 = \x_1$: the first half never changes.")
    return d


def nice_crossed():
    d = Drawing(3.2)
    couplings(d, 3, crossed=True)
    d.caption(2.9, "The halves change places after each coupling: each is shifted by a function of the other.")
    d.caption(0.2, "From the second coupling on, both depend on all of the input (boxes of both colours).")
    return d


def affine_crossed():
    d = Drawing(3.2)
    couplings(d, 2, crossed=True, affine=True)
    d.caption(2.9, r"$\h_1 = \x_1, \quad \h_2 = s(\x_1) \otimes \x_2 + t(\x_1)$")
    d.caption(0.2, r"$\log\,|\mathrm{det}\ \partial\h\,/\,\partial\x| \ =\ \sum_i \ \log\,s_i(\x_1)$")
    return d


def shuffle():
    d = Drawing(3.6)
    side, x, y = 0.28, 0.75, 1.8
    heights = [y + (3.5 - i) * side + (0.06 if i < 4 else -0.06) for i in range(8)]
    halves = (heights[1] + heights[2]) / 2, (heights[5] + heights[6]) / 2
    colours = [FIRST] * 4 + [SECOND] * 4
    column = lambda: [d.cells(x, h, [[colour]], side) for h, colour in zip(heights, colours, strict=True)]
    column()
    for k, order in enumerate([(5, 2, 7, 0, 3, 6, 1, 4), (2, 6, 1, 4, 7, 3, 0, 5), None], 1):
        block = d.box(x + 0.9, y, f"affine\ncoupling\n$s_{k},\\ t_{k}$", 0.95, 2.36)
        for height in halves:
            d.arrow((x + side / 2, height), block.at(height)[0])
            d.arrow(block.at(height)[1], (x + 1.8 - side / 2, height))
        x += 1.8
        before = column()
        if order:
            colours = [colours[source] for source in order]
            x += 1.0
            for cell, source, colour in zip(column(), order, colours, strict=True):
                d.arrow(before[source].right, cell.left, colour=colour, bend=True, head=False)
    for name, height in zip(("$\\x_1$", "$\\x_2$"), halves, strict=True):
        d.text(0.35, height, name)
    d.text(x + 0.4, y, "$\\z$")
    d.caption(3.35, "A fixed random shuffle between the blocks, in place of the crossing")
    d.caption(0.25, "A cell keeps the colour of the half it began in: every block splits the vector another way.")
    return d


def channel_split():
    d = Drawing(3.5)
    first, second = [[FIRST] * 4] * 4, [[SECOND] * 4] * 4
    image = d.planes(1.5, 1.85, [first, first, second, second], 0.36)
    d.note(1.5, 0.4, r"$h \times w \times c$")
    halves = d.planes(6.8, 2.62, [first] * 2, 0.28), d.planes(6.8, 0.98, [second] * 2, 0.28)
    draw_split(d, image, "split along\nthe channels", halves, [r"$h \times w \times c/2$"] * 2)
    return d


def checkerboard_split():
    d = Drawing(3.5)
    board = lambda kept: [[BOTH[(i + j) % 2] if (i + j) % 2 in kept else None for j in range(6)] for i in range(6)]
    image = d.planes(1.5, 1.85, [board((0, 1))] * 3, 0.28)
    d.note(1.5, 0.4, r"$h \times w \times c$, one mask for all channels")
    halves = [d.planes(6.75, y, [board((k,))] * 3, 0.19, 0.12) for k, y in enumerate((2.6, 1.0))]
    draw_split(d, image, "split by the\ncheckerboard", halves, ("$i + j$ even", "$i + j$ odd"))
    return d


def squeeze():
    d = Drawing(4.6)
    shades = [[(FIRST, 0.6), (FIRST, 0.25)], [(SECOND, 0.6), (SECOND, 0.25)]]  # [dy][dx]
    side = 0.42
    for channel, y in enumerate((3.2, 1.3)):
        colours = [[shades[r % 2][c % 2] for c in range(4)] for r in range(4)]
        labels = [[str(16 * channel + 4 * r + c) for c in range(4)] for r in range(4)]
        d.cells(1.15, y, colours, side, labels)
        for k in range(4):
            x, dy, dx = 4.15 + 1.2 * k, k // 2, k % 2
            d.cells(x, y, [[shades[dy][dx]] * 2] * 2, side, [row[dx::2] for row in labels[dy::2]])
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
    d, y = Drawing(3.9), 3.0
    x = d.box(0.55, y, r"$\x$", 0.6)
    flow1, split1 = d.box(1.6, y, "flow"), d.box(2.75, y, "split")
    z2, flow2, split2 = d.box(3.85, y, r"$\z_2$", 0.6), d.box(4.9, y, "flow"), d.box(6.05, y, "split")
    z4, flow3 = d.box(7.15, y, r"$\z_4$", 0.6), d.box(8.2, y, "flow")
    d.chain(x, flow1, split1, z2, flow2, split2, z4, flow3)
    for source, parent, z in ((split1, z2, 1), (split2, z4, 3), (flow3, None, 5)):
        noise = d.box(source.x, 2.0, rf"$\z_{z}$", 0.6, colour=NOISE)
        given = rf"\,|\,\z_{z + 1}" if parent else ""
        prior = d.box(source.x, 1.05, rf"$p(\z_{z}{given})$", 1.1, colour=NOISE)
        d.arrow(source.bottom, noise.top)
        d.arrow(prior.top, noise.bottom, colour=NOISE, dashed=True)
        if parent:
            d.arrow(parent.bottom, (parent.x, prior.y), prior.right, colour=NOISE, dashed=True)
    for place, size in ((x, "$D$ values"), (z2, "$D/2$"), (z4, "$D/4$")):
        d.note(place.x, 3.5, size)
    d.caption(0.35, r"$p(\z_1, \z_3, \z_5) = p(\z_1\,|\,\z_2)\ p(\z_3\,|\,\z_4)\ p(\z_5)$")
    return d


def glow():
    d, y = Drawing(3.3), 1.5
    d.frame(1.05, 0.6, 5.6, 2.2)
    x = d.box(0.5, y, r"$\x$", 0.55)
    squeeze1, steps1 = d.box(1.75, y, "squeeze"), d.pile(3.2, y, "flow step", 1.1, 0.5)
    split = d.box(4.8, y, "split", 0.8)
    squeeze2, steps2 = d.box(6.4, y, "squeeze"), d.pile(7.75, y, "flow step", 1.1, 0.5)
    d.chain(x, squeeze1, steps1)
    d.arrow((steps1.right[0] + 0.14, y), split.left)
    d.chain(split, squeeze2, steps2)
    noise, last = (d.box(x, 2.75, rf"$\z_{l} \sim$ " + NORMAL, 1.4, colour=NOISE) for x, l in ((4.8, "l"), (7.75, "L")))
    d.arrow(split.top, noise.bottom)
    d.arrow((steps2.x, y + 0.39), last.bottom)
    for steps in (steps1, steps2):
        d.note(steps.x, 1.08, r"$\times\,K$")
    d.note(1.2, 0.8, r"$\times\,(L - 1)$ levels", ha="left")
    d.caption(0.25, "Every part is invertible: backwards, from noise to an image, the arrows turn round.")
    return d


def glow_encoder():
    d, y = Drawing(3.4), 1.35
    d.frame(2.35, 0.3, 6.2, 2.5)
    h, squeezed = d.box(0.55, y, r"$\h_{l-1}$", 0.65), d.box(1.65, y, "squeeze")
    content = "\nactnorm\npermutation\ncoupling"
    steps = [d.box(x, y, f"step {k}:" + content, 1.25, 1.2) for x, k in ((3.1, 1), (5.45, "$K$"))]
    split = d.box(6.95, y, "split", 0.8)
    onward = d.box(8.35, y, r"$\h_l$", 0.65, colour=FIRST)
    noise = d.box(6.95, 2.85, r"$\z_l$", 0.65, colour=NOISE)
    d.chain(h, squeezed, steps[0])
    d.arrow(steps[0].right, (4.0, y))
    d.text(4.3, y, r"$\cdots$", size=16)
    d.arrow((4.55, y), steps[1].left)
    d.chain(steps[1], split)
    d.arrow(split.right, onward.left, colour=FIRST)
    d.arrow(split.top, noise.bottom, colour=SECOND)
    d.note(4.275, 2.25, r"$K$ flow steps on $h/2 \times w/2 \times 4c$")
    d.note(0.7, 0.9, r"$h \times w \times c$")
    d.note(8.25, 0.9, r"$h/2 \times w/2 \times 2c$")
    d.note(7.4, 2.85, r"$h/2 \times w/2 \times 2c$", ha="left")
    d.text(0.25, 3.1, "Level $l$ of the encoder (the last has no split)", ha="left")
    return d


def glow_step():
    d = Drawing(4.0)
    y, high, low = 2.1, 2.95, 1.25
    x = d.box(0.45, y, r"$\x$", 0.5, fills=BOTH)
    norm = d.box(1.6, y, "actnorm\n" + r"$(\x - \mu)\,/\,\sigma$", 1.2, 0.8)
    mix = d.box(3.2, y, "permutation\nor invertible\n" + r"$1 \times 1$: $\x W$", 1.35, 1.0)
    split = d.box(4.55, y, "split", 0.7)
    network = d.box(5.95, y, "network\n" + r"$s(\x_1),\ t(\x_1)$", 1.3, 0.8)
    times, plus = d.node(5.65, low, r"\times"), d.node(6.25, low, "+")
    concat = d.box(7.55, y, "concat", 0.8)
    out = d.box(8.55, y, r"$\y$", 0.5, fills=BOTH)
    d.chain(x, norm, mix, split)
    d.arrow(split.top, (split.x, high), (concat.x, high), concat.top, colour=FIRST)
    d.arrow((network.x, high), network.top, colour=FIRST)
    d.arrow(split.bottom, (split.x, low), times.left, colour=SECOND)
    for node in (times, plus):
        d.arrow((node.x, network.bottom[1]), node.top)
    d.chain(times, plus, colour=SECOND)
    d.arrow(plus.right, (concat.x, low), concat.bottom, colour=SECOND)
    d.chain(concat, out)
    d.note(5.0, high + 0.2, r"$\x_1$", FIRST)
    d.note(5.0, low + 0.2, r"$\x_2$", SECOND)
    d.note(0.45, 0.5, r"$\log\,|\mathrm{det}|$:")
    mixing = r"$0$ or $hw\,\log\,|\mathrm{det}\,W|$"
    for place, term in ((norm, r"$-hw\,\sum\,\log\,\sigma$"), (mix, mixing), (network, r"$\sum\,\log\,s(\x_1)$")):
        d.note(place.x, 0.5, term)
    d.caption(3.7, r"One flow step on $h \times w \times c$ (additive coupling: $s = 1$)")
    return d


def split2d():
    d = Drawing(3.2)
    h = d.box(0.5, MIDDLE, r"$\h$", 0.55, fills=BOTH)
    split = d.box(1.6, MIDDLE, "split", 0.8)
    first = d.box(2.95, HIGH, r"$\h_1$", 0.65, colour=FIRST)
    second = d.box(2.95, LOW, r"$\h_2$", 0.65, colour=SECOND)
    network = d.box(5.0, MIDDLE, r"conv $3 \times 3$, zero-initialised", 2.5)
    minus, divide = d.node(4.4, LOW, "-"), d.node(5.6, LOW, r"\div")
    onward = d.box(7.7, HIGH, "next level", 1.4, colour=FIRST)
    noise = d.box(7.7, LOW, "$\\z \\sim$ " + NORMAL, 1.4, colour=NOISE)
    d.chain(h, split)
    d.arrow(split.top, (split.x, HIGH), first.left, colour=FIRST)
    d.arrow(split.bottom, (split.x, LOW), second.left, colour=SECOND)
    d.chain(first, onward, colour=FIRST)
    d.arrow((network.x, HIGH), network.top, colour=FIRST)
    for node, name in ((minus, r"$\mu(\h_1)$"), (divide, r"$\sigma(\h_1)$")):
        d.arrow((node.x, network.bottom[1]), node.top)
        d.note(node.x + 0.32, 1.08, name, ha="left")
    d.chain(second, minus, divide, noise, colour=SECOND)
    d.caption(2.9, r"The second half leaves as noise: $\z = (\h_2 - \mu(\h_1))\,/\,\sigma(\h_1)$; the first goes on.")
    d.caption(0.2, r"$p(\h_2\,|\,\h_1)$ is normal, with mean and scale from $\h_1$, at first $\mu = 0,\ \sigma = 1$.")
    return d


def coupling_net():
    d, y = Drawing(2.6), 1.35
    x = d.box(0.5, y, r"$\x_1$", 0.6, colour=FIRST)
    one = d.box(2.1, y, "conv $3 \\times 3$, 512\nReLU", 1.5, 0.8)
    two = d.box(4.2, y, "conv $1 \\times 1$, 512\nReLU", 1.5, 0.8)
    three = d.box(6.3, y, "conv $3 \\times 3$,\nzero-initialised", 1.5, 0.8)
    shift = d.box(8.3, y + 0.42, r"$t(\x_1)$", 1.1)
    scale = d.box(8.3, y - 0.42, r"$\log\,s(\x_1)$", 1.1, dashed=True)
    d.chain(x, one, two, three)
    d.arrow(three.at(y + 0.15)[1], shift.left, bend=True)
    d.arrow(three.at(y - 0.15)[1], scale.left, bend=True, dashed=True)
    for x, channels in ((0.7, "c/2"), (3.15, 512), (5.25, 512)):
        d.note(x, 0.75, rf"$h \times w \times {channels}$")
    d.note(8.15, 0.5, "affine coupling only")
    d.caption(2.35, r"The network of a coupling: any function of $\x_1$; it is never inverted.")
    d.caption(0.2, r"Zeros at the end: at first $t = 0,\ s = 1$, and the coupling is the identity.")
    return d


def exp_matrix():
    d = Drawing(2.8)
    x, y, side = (0.9, -0.3, 0.5, -0.8, 0.4), (0.6, 0.8, -0.4, 0.3, -0.7), 0.3
    s = sum(a * b for a, b in zip(x, y, strict=True))
    phi = (math.exp(s) - 1) / s
    shade = lambda value: (FIRST if value > 0 else SECOND, min(1.0, abs(value)))
    matrix = lambda entry: [[shade(entry(i, j)) for j in range(5)] for i in range(5)]
    d.text(0.8, MIDDLE, r"$\exp(\x \y^T) \ =$", size=14)
    identity = d.cells(2.3, MIDDLE, matrix(lambda i, j: i == j), side)
    d.text(3.55, MIDDLE, r"$+\ \ \phi(s)$", size=14)
    column = d.cells(4.3, MIDDLE, [[shade(a)] for a in x], side)
    row = d.cells(5.4, MIDDLE, [[shade(b) for b in y]], side)
    d.text(6.55, MIDDLE, "$=$", size=14)
    total = d.cells(7.7, MIDDLE, matrix(lambda i, j: (i == j) + phi * x[i] * y[j]), side)
    for place, name in ((identity, "$I$"), (column, r"$\x$"), (row, r"$\y^T$"), (total, "identity + rank one")):
        d.text(place.x, MIDDLE + 0.98, name)
    d.caption(0.25, r"$\phi(s) = (e^s - 1)\,/\,s, \quad s = \y^T \x, \quad \log\,\det\,\exp(\x \y^T) = s$")
    return d


FIGURES = {
    "nice-fixed": (nice_fixed, "5776-F2"),
    "nice-crossed": (nice_crossed, "5776-F3"),
    "affine-crossed": (affine_crossed, "5807-F1"),
    "shuffle": (shuffle, "5807-F2"),
    "channel-split": (channel_split, "5807-F3"),
    "checkerboard-split": (checkerboard_split, "5807-F4"),
    "squeeze": (squeeze, "5807-F5"),
    "multi-scale": (multi_scale, "5807-F6"),
    "glow": (glow, "5807-F8"),
    "glow-encoder": (glow_encoder, "5807-F9"),
    "glow-step": (glow_step, "5807-F10"),
    "split2d": (split2d, "5807-F11"),
    "coupling-net": (coupling_net, "5807-F12"),
    "exp-matrix": (exp_matrix, "6407"),
}


def make_parser():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("--out", default="runs", help="folder for flow/schemes/*.png (default runs)")
    return p


def run(args):
    for name, (draw, _) in FIGURES.items():
        path = Path(args.out) / "flow/schemes" / f"{name}.png"
        draw().save(path)
        print(path)


if __name__ == "__main__":
    main(run, make_parser())
