"""Bounds of the step Jacobians of five cells (article 7888, https://kexue.fm/archives/7888).

    python rnn/bounds.py                            # seconds on one CPU core, nothing is trained

For one unit. With a = W x_t + b, the Jacobian of the tanh cell is sech^2(a + U h_{t-1}) U. Over all U it is at most

    max over z of |z - a| sech^2(z), divided by |h_{t-1}|,

and that of ReLU has no bound. The Jacobians of the gated cells are the gate that keeps the memory plus side terms; with
all U of size u those are at most

    LSTM          0.112 u + u / 4 + u                  since |c (1 - tanh(c)^2)| <= 0.4477
    GRU           u / 2 + (1 + u)^2 / 4                the second only u if u < 1
    reset output  u / 2 + u                            both times the gate r_{t-1}

A table and a figure go to `<out>/rnn/bounds/`.
"""

from pathlib import Path

import numpy as np

from common.cli import figure_parser, main

REST = (0.0, 0.5, 1.0, 2.0, 5.0)  # |a| in the table
SIZES = (0.5, 1.0, 2.0, 4.0)  # u in the table
H = 0.5  # h_{t-1} in the figure


def make_parser():
    return figure_parser(__doc__)


def tanh_bound(a):
    """Return the largest |h_{t-1} dh_t/dh_{t-1}| of the tanh cell over all U.

    Args:
        a: float, W x_t + b.
    """
    z = np.linspace(-12, 12, 240_001)
    return float((abs(z - a) / np.cosh(z) ** 2).max())


def peak_of_memory_term():
    """Return (c, value) of the largest c (1 - tanh(c)^2): c tanh(c) = 1/2 there."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if middle * np.tanh(middle) > 0.5 else (middle, high)
    return low, low * (1 - np.tanh(low) ** 2)


PEAK_AT, PEAK = peak_of_memory_term()
# the largest factors of U_f, U_i, U_g of the LSTM, and of U_z (and, of reset output, U_g)
SIDE_TERMS = {"lstm": (PEAK / 4, 1 / 4, 1.0), "gru": (1 / 2,), "reset_output": (1 / 2, 1.0)}


def gru_bound_of_g(u):
    """Return the largest factor of U_g in the Jacobian of the GRU, r [1 + (1-r) h U_r] at |U_r| = u."""
    return (1 + u) ** 2 / (4 * u) if u > 1 else 1.0


def side_bound(kind, u):
    """Return the bound of all side terms together, with every U of size u.

    Args:
        kind: "lstm", "gru" or "reset_output".
        u: float.
    """
    return u * (sum(SIDE_TERMS[kind]) + (gru_bound_of_g(u) if kind == "gru" else 0))


# figure


def draw(path):
    """Draw the Jacobian of tanh over U, its bound over a, and the LSTM's c (1 - tanh(c)^2) into a PNG."""
    from common.plots.charts import COLOURS, blank_figure, write_figure

    figure = blank_figure(10.8, 3.5)
    over_u, over_a, over_c = figure.subplots(1, 3)
    U = np.linspace(0, 14, 1401)
    for a, colour in zip((0, -1, -2, -5), COLOURS, strict=False):
        over_u.plot(U, U / np.cosh(a + U * H) ** 2, color=colour, linewidth=1.8, label=f"tanh, $a$ = {a}")
        over_u.axhline(tanh_bound(a) / H, color=colour, linestyle=":", linewidth=1)
    over_u.plot(U, U, color="#4a4a55", linestyle="--", linewidth=1.4, label="ReLU, active")
    over_u.set(xlabel="$U$", ylabel=r"$\partial h_t/\partial h_{t-1}$", ylim=(0, 14), xlim=(0, 14))
    over_u.set_title(f"ReLU grows with $U$, tanh does not, at $h_{{t-1}}$ = {H}", fontsize=9)
    over_u.legend(frameon=False, fontsize=8, loc="upper left")

    a = np.linspace(0, 6, 121)
    over_a.plot(a, [tanh_bound(value) for value in a], color=COLOURS[0], linewidth=1.8, label="bound")
    over_a.plot(a, a, color="#4a4a55", linestyle="--", linewidth=1.1, label="$|a|$")
    over_a.axhline(1, color=COLOURS[3], linestyle=":", linewidth=1.2, label="1")
    over_a.plot(REST, [tanh_bound(value) for value in REST], "o", color=COLOURS[0], markersize=4)
    over_a.set(xlabel="$|a|$ = $|W x_t + b|$", ylabel=r"$|h_{t-1}|$ times the bound", xlim=(0, 6), ylim=(0, 6))
    over_a.set_title("The bound of tanh grows with the input", fontsize=9)
    over_a.legend(frameon=False, fontsize=8, loc="upper left")

    c = np.linspace(-4, 4, 401)
    over_c.plot(c, c * (1 - np.tanh(c) ** 2), color=COLOURS[0], linewidth=1.8)
    over_c.plot([-PEAK_AT, PEAK_AT], [-PEAK, PEAK], "o", color=COLOURS[1], markersize=5)
    for side in (-0.45, 0.45):
        over_c.axhline(side, color="#4a4a55", linestyle="--", linewidth=1)
    over_c.text(3.9, 0.43, "0.45", ha="right", va="top", fontsize=8, color="#4a4a55")
    over_c.set(xlabel="$c$", ylabel=r"$c\,(1-\tanh^2 c)$", ylim=(-0.55, 0.55))
    over_c.set_title(f"LSTM: never above {PEAK:.4f}", fontsize=9)
    for axes in (over_u, over_a, over_c):
        axes.grid(color="#e4e4e8", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
    write_figure(path, figure)


def run(args):
    from common.experiments.tables import table
    from common.files import atomic_write, write_json
    from common.plots.words import in_words
    from common.training.run_dir import provenance, write_results

    output_dir = Path(args.out) / "rnn/bounds"
    write_json(output_dir / "config.json", provenance(args))
    draw(output_dir / "figures/bounds.png")

    of_tanh = {"tanh": {f"abs(a) = {a:g}": [tanh_bound(a)] for a in REST}}
    of_gates = {in_words(kind): {f"u = {u:g}": [side_bound(kind, u)] for u in SIZES} for kind in SIDE_TERMS}
    text = "Largest abs(h dh'/dh) of the tanh cell over all U, where a = W x + b:\n\n" + table("cell", of_tanh)
    text += "\nBound of the side terms, with every U of size u:\n\n" + table("cell", of_gates)
    atomic_write(output_dir / "table.md", lambda path: path.write_text(text, encoding="utf-8"))
    metrics = {f"tanh/{column}": value for column, (value,) in of_tanh["tanh"].items()}
    metrics |= {f"side/{name}/{column}": value for name, row in of_gates.items() for column, (value,) in row.items()}
    write_results(output_dir, metrics | {"peak/c": PEAK_AT, "peak/value": PEAK})
    print(text, output_dir / "figures/bounds.png", sep="\n")


if __name__ == "__main__":
    main(run, make_parser(), backend_needed=False)
