"""The diagrams of Glow in article 5807, drawn by `python flow/diagrams.py`."""

from flow.drawing import BOTH, FIRST, HIGH, LOW, MIDDLE, NOISE, NORMAL, SECOND, Drawing


def glow():
    """Draw 5807-F8: Glow as a whole."""
    d, y = Drawing(3.3, "Glow as a whole"), 1.5
    d.frame(1.05, 0.6, 5.6, 2.2)
    x = d.box(0.5, y, r"$\x$", 0.55)
    squeeze1, steps1 = d.box(1.75, y, "squeeze"), d.box_stack(3.2, y, "flow step", 1.1, 0.5)
    split = d.box(4.8, y, "split", 0.8)
    squeeze2, steps2 = d.box(6.4, y, "squeeze"), d.box_stack(7.75, y, "flow step", 1.1, 0.5)
    d.connect(x, squeeze1, steps1)
    d.arrow((steps1.right[0] + 0.14, y), split.left)
    d.connect(split, squeeze2, steps2)
    noise, last = (d.box(x, 2.75, rf"$\z_{l} \sim$ " + NORMAL, 1.4, colour=NOISE) for x, l in ((4.8, "l"), (7.75, "L")))
    d.arrow(split.top, noise.bottom)
    d.arrow((steps2.x, y + 0.39), last.bottom)
    for steps in (steps1, steps2):
        d.note(steps.x, 1.08, r"$\times\,K$")
    d.note(1.2, 0.8, r"$\times\,(L - 1)$ levels", ha="left")
    d.caption(0.25, "Every part is invertible: backwards, from noise to an image, the arrows turn round.")
    return d


def glow_encoder():
    """Draw 5807-F9: one level of Glow's encoder."""
    d, y = Drawing(3.4, "One level of Glow"), 1.35
    d.frame(2.35, 0.3, 6.2, 2.5)
    h, squeezed = d.box(0.55, y, r"$\h_{l-1}$", 0.65), d.box(1.65, y, "squeeze")
    content = "\nactnorm\npermutation\ncoupling"
    steps = [d.box(x, y, f"step {k}:" + content, 1.25, 1.2) for x, k in ((3.1, 1), (5.45, "$K$"))]
    split = d.box(6.95, y, "split", 0.8)
    next_level = d.box(8.35, y, r"$\h_l$", 0.65, colour=FIRST)
    noise = d.box(6.95, 2.85, r"$\z_l$", 0.65, colour=NOISE)
    d.connect(h, squeezed, steps[0])
    d.arrow(steps[0].right, (4.0, y))
    d.text(4.3, y, r"$\cdots$", size=16)
    d.arrow((4.55, y), steps[1].left)
    d.connect(steps[1], split)
    d.arrow(split.right, next_level.left, colour=FIRST)
    d.arrow(split.top, noise.bottom, colour=SECOND)
    d.note(4.275, 2.25, r"$K$ flow steps on $h/2 \times w/2 \times 4c$")
    d.note(0.7, 0.9, r"$h \times w \times c$")
    d.note(8.25, 0.9, r"$h/2 \times w/2 \times 2c$")
    d.note(7.4, 2.85, r"$h/2 \times w/2 \times 2c$", ha="left")
    d.text(0.25, 3.1, "Level $l$ of the encoder (the last has no split)", ha="left")
    return d


def glow_step():
    """Draw 5807-F10: one flow step of Glow."""
    d = Drawing(4.0, "One step of Glow")
    y, high, low = 2.1, 2.95, 1.25
    x = d.box(0.45, y, r"$\x$", 0.5, fills=BOTH)
    norm = d.box(1.6, y, "actnorm\n" + r"$(\x - \mu)\,/\,\sigma$", 1.2, 0.8)
    mix = d.box(3.2, y, "permutation\nor invertible\n" + r"$1 \times 1$: $\x W$", 1.35, 1.0)
    split = d.box(4.55, y, "split", 0.7)
    network = d.box(5.95, y, "network\n" + r"$s(\x_1),\ t(\x_1)$", 1.3, 0.8)
    times, plus = d.node(5.65, low, r"\times"), d.node(6.25, low, "+")
    concat = d.box(7.55, y, "concat", 0.8)
    out = d.box(8.55, y, r"$\y$", 0.5, fills=BOTH)
    d.connect(x, norm, mix, split)
    d.arrow(split.top, (split.x, high), (concat.x, high), concat.top, colour=FIRST)
    d.arrow((network.x, high), network.top, colour=FIRST)
    d.arrow(split.bottom, (split.x, low), times.left, colour=SECOND)
    for node in (times, plus):
        d.arrow((node.x, network.bottom[1]), node.top)
    d.connect(times, plus, colour=SECOND)
    d.arrow(plus.right, (concat.x, low), concat.bottom, colour=SECOND)
    d.connect(concat, out)
    d.note(5.0, high + 0.2, r"$\x_1$", FIRST)
    d.note(5.0, low + 0.2, r"$\x_2$", SECOND)
    d.note(0.45, 0.5, r"$\log\,|\mathrm{det}|$:")
    mixing = r"$0$ or $hw\,\log\,|\mathrm{det}\,W|$"
    for shape, term in ((norm, r"$-hw\,\sum\,\log\,\sigma$"), (mix, mixing), (network, r"$\sum\,\log\,s(\x_1)$")):
        d.note(shape.x, 0.5, term)
    d.caption(3.7, r"One flow step on $h \times w \times c$ (additive coupling: $s = 1$)")
    return d


def split2d():
    """Draw 5807-F11: the split after a level, with its conditional prior."""
    d = Drawing(3.2, "The split of Glow, with its conditional prior")
    h = d.box(0.5, MIDDLE, r"$\h$", 0.55, fills=BOTH)
    split = d.box(1.6, MIDDLE, "split", 0.8)
    first = d.box(2.95, HIGH, r"$\h_1$", 0.65, colour=FIRST)
    second = d.box(2.95, LOW, r"$\h_2$", 0.65, colour=SECOND)
    network = d.box(5.0, MIDDLE, r"conv $3 \times 3$, zero-initialised", 2.5)
    minus, divide = d.node(4.4, LOW, "-"), d.node(5.6, LOW, r"\div")
    next_level = d.box(7.7, HIGH, "next level", 1.4, colour=FIRST)
    noise = d.box(7.7, LOW, "$\\z \\sim$ " + NORMAL, 1.4, colour=NOISE)
    d.connect(h, split)
    d.arrow(split.top, (split.x, HIGH), first.left, colour=FIRST)
    d.arrow(split.bottom, (split.x, LOW), second.left, colour=SECOND)
    d.connect(first, next_level, colour=FIRST)
    d.arrow((network.x, HIGH), network.top, colour=FIRST)
    for node, name in ((minus, r"$\mu(\h_1)$"), (divide, r"$\sigma(\h_1)$")):
        d.arrow((node.x, network.bottom[1]), node.top)
        d.note(node.x + 0.32, 1.08, name, ha="left")
    d.connect(second, minus, divide, noise, colour=SECOND)
    d.caption(2.9, r"The second half leaves as noise: $\z = (\h_2 - \mu(\h_1))\,/\,\sigma(\h_1)$; the first goes on.")
    d.caption(0.2, r"$p(\h_2\,|\,\h_1)$ is normal, with mean and scale from $\h_1$, at first $\mu = 0,\ \sigma = 1$.")
    return d


def coupling_net():
    """Draw 5807-F12: the network in a coupling."""
    d, y = Drawing(2.6, "The network in a coupling of Glow"), 1.35
    x = d.box(0.5, y, r"$\x_1$", 0.6, colour=FIRST)
    one = d.box(2.1, y, "conv $3 \\times 3$, 512\nReLU", 1.5, 0.8)
    two = d.box(4.2, y, "conv $1 \\times 1$, 512\nReLU", 1.5, 0.8)
    three = d.box(6.3, y, "conv $3 \\times 3$,\nzero-initialised", 1.5, 0.8)
    shift = d.box(8.3, y + 0.42, r"$t(\x_1)$", 1.1)
    scale = d.box(8.3, y - 0.42, r"$\log\,s(\x_1)$", 1.1, dashed=True)
    d.connect(x, one, two, three)
    d.arrow(three.sides_at(y + 0.15)[1], shift.left, bend=True)
    d.arrow(three.sides_at(y - 0.15)[1], scale.left, bend=True, dashed=True)
    for x, channels in ((0.7, "c/2"), (3.15, 512), (5.25, 512)):
        d.note(x, 0.75, rf"$h \times w \times {channels}$")
    d.note(8.15, 0.5, "affine coupling only")
    d.caption(2.35, r"The network of a coupling: any function of $\x_1$; it is never inverted.")
    d.caption(0.2, r"Zeros at the end: at first $t = 0,\ s = 1$, and the coupling is the identity.")
    return d
