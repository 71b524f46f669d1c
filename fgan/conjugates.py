"""Draw and check the functions behind f-GAN (article 6016, https://kexue.fm/archives/6016).

    python fgan/conjugates.py                       # seconds, nothing is trained

    f(u) = max_t {t u - g(t)}: f is the highest of its tangents, with slope t = f'(xi) and intercept -g(t)

With u = p(x)/q(x), and times q(x), that is q f(p/q) >= p T - q g(T) at every x, with equality where T(x) = f'(p/q).
So a critic chooses a tangent at every point, and a wrong choice lowers the bound. The script writes two figures and a
table of errors to `<out>/fgan/curves/`. All errors should be rounding errors.
"""

from pathlib import Path

import numpy as np

from common.cli import figure_parser, main
from fgan.quadrature import bound, normal

U = np.exp(np.linspace(-4, 4, 81))  # ratios p/q at which the formulas are checked
X = np.linspace(-15, 15, 3001)
P, Q = normal(X, 1, 1), normal(X, 0, 1)  # the two Gaussians of the table and the figures
TANGENT_NAMES = ("kl", "js", "pearson")  # divergences of the second figure
TANGENT_POINTS = (0.2, 1.0, 2.7)  # ratios whose tangents it draws
LIGHT = "#b9c4cc"


def make_parser():
    return figure_parser(__doc__)


def tangent(row, xi, p, q=1.0):
    """Return p t - q g(t) with t = f'(xi).

    For q = 1 it is the tangent of f at xi, evaluated at u = p. In general it is q times that tangent at u = p/q. With
    xi = p/q it equals q f(p/q).

    Args:
        row: `Divergence`.
        xi: array, points of contact.
        p: array that broadcasts with xi.
        q: array that broadcasts with xi (default 1).
    """
    t = row.derivative(xi)
    return p * t - q * row.conjugate(t)


# the table


def errors(row):
    """Return the largest errors of a row of the table, each relative to 1 + |value|.

    Args:
        row: `Divergence`.

    Returns:
        {identity: error}, the last two for D(N(1, 1)||N(0, 1)). `None` if there is no closed form.
    """
    from keras import ops

    from fgan.custom import numeric_conjugate

    error = lambda actual, expected: float(np.max(np.abs(actual - expected) / (1 + np.abs(expected))))
    slopes = row.derivative(U)
    # The biconjugate is the highest tangent. The slopes t are those at U and many in between.
    t = np.append(slopes, np.linspace(slopes[0], slopes[-1], 2001))
    biconjugate = (t * U[:, None] - row.conjugate(t)).max(1)
    # Near the ends of the range of f', rounding errors hide the maximum.
    low, high = (-0.49, 0.49) if row.name == "total_variation" else (row.derivative(1e-6), row.derivative(1e3))
    t = np.linspace(max(low, -8), min(high, 8), 101)
    activation = ops.convert_to_numpy(row.activation(row.optimal_score(U)))
    v = np.clip(row.optimal_score(P / Q), -1e7, 40)[:, None]  # scores of the best critic
    divergence = row.from_densities(P, Q, X)
    return {
        "f** = f": error(biconjugate, row.f(U)),
        "g = sup": error(row.conjugate(t), numeric_conjugate(row.f, t)),
        "T(best v) = f'": error(activation, slopes),
        "best bound = D": error(bound(row.name, lambda x: v if row.increasing else -v, P, Q, X), divergence),
        "D = closed form": error(divergence, row.gaussian_closed_form(1)) if row.gaussian_closed_form else None,
    }


def error_table(rows):
    """Return a Markdown table of `errors`, one row per `Divergence`."""
    columns = list(errors(rows[0]))
    lines = [f"| divergence | D | {' | '.join(columns)} |", f"|---|---|{'---|' * len(columns)}"]
    for row in rows:
        cells = ["" if value is None else f"{value:.0e}" for value in errors(row).values()]
        lines.append(f"| {row.name} | {row.from_densities(P, Q, X):.4f} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


# the figures


def style_axes(axes, **properties):
    """Remove the frame, add a grid, and set properties as `axes.set` does."""
    axes.set(**properties)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#ececf0", linewidth=0.7)
    axes.tick_params(labelsize=8)


def padded_limits(y):
    """Return axis limits around all values of y, with a margin of 8 % of their range."""
    return y.min() - 0.08 * np.ptp(y), y.max() + 0.08 * np.ptp(y)


def draw_f_and_g(path, rows):
    """Draw f on (0, 4] and g into a PNG for each row, with the ends of the range of f' as dashed lines."""
    from common.plots.charts import COLOURS, blank_figure, write_figure
    from common.plots.words import in_words

    figure = blank_figure(11.0, 6.8)
    figure.suptitle("f and its conjugate g; dashed, the ends of the range of f'", fontsize=11)
    for row, subfigure in zip(rows, figure.subfigures(3, 3, wspace=0.03, hspace=0.04).flat, strict=True):
        subfigure.suptitle(in_words(row.name), fontsize=10, fontweight="bold")
        left, right = subfigure.subplots(1, 2)
        u = np.linspace(0.004, 4, 1000)
        left.plot(u, row.f(u), color=COLOURS[0], linewidth=1.8)
        left.plot(1, 0, "o", color=COLOURS[0], markersize=4)
        style_axes(left, xlabel="u", ylabel="f(u)", xlim=(0, 4), ylim=padded_limits(row.f(u[u > 0.1])))
        low, high = row.t_range
        t = np.linspace(max(low - 0.5, -3), min(high, 3), 1000)
        right.plot(t, row.conjugate(t), color=COLOURS[1], linewidth=1.8)
        for end in filter(np.isfinite, row.t_range):
            right.axvline(end, color="#55555f", linestyle="--", linewidth=0.9)
        style_axes(
            right, xlabel="t", ylabel="g(t)", xlim=(t[0], t[-1] + 0.5), ylim=padded_limits(row.conjugate(t[:-40]))
        )
    write_figure(path, figure)


def draw_tangents(path, rows):
    """Draw f with three tangents, and the bound of a critic that has these tangents alone, into a PNG.

    The upper panels show f and the highest tangent; the lower ones the integrand of D and that of the bound.
    """
    from common.plots.charts import COLOURS, blank_figure, write_figure
    from common.plots.words import in_words

    figure = blank_figure(11.0, 6.3)
    figure.suptitle("What a critic loses that has three tangents of f alone", fontsize=11)
    points = np.array(TANGENT_POINTS)[:, None]
    shown = (X > -4) & (X < 4.5)
    u, x, p, q = np.linspace(0.02, 4, 800), X[shown], P[shown], Q[shown]
    grid = figure.subplots(2, len(rows))
    for row, above, below in zip(rows, *grid, strict=True):
        lines = tangent(row, points, u)
        above.plot(u, lines.T, color=LIGHT, linewidth=1.0)
        above.plot(u, lines.max(0), color=COLOURS[1], linewidth=1.6, label="the highest of three tangents")
        above.plot(u, row.f(u), color=COLOURS[0], linewidth=2.0, label="f(u)")
        above.plot(TANGENT_POINTS, row.f(TANGENT_POINTS), "o", color=COLOURS[0], markersize=4)
        style_axes(
            above, title=in_words(row.name), xlabel="u = p/q", xlim=(0, 4), ylim=padded_limits(row.f(u[u > 0.1]))
        )

        best = tangent(row, p / q, p, q)
        three = tangent(row, points, p, q).max(0)
        below.fill_between(x, three, best, color=COLOURS[1], alpha=0.3, linewidth=0, label="what it loses")
        below.plot(x, best, color=COLOURS[0], linewidth=2.0, label="q f(p/q)")
        below.plot(x, three, color=COLOURS[1], linewidth=1.2, label="p T - q g(T)")
        three_bound = np.trapezoid(tangent(row, points, P, Q).max(0), X)
        title = f"D = {row.from_densities(P, Q, X):.3f}, bound of three tangents {three_bound:.3f}"
        style_axes(below, title=title, xlabel="x", xlim=(x[0], x[-1]))
        for axes in (above, below):
            axes.title.set_fontsize(10)
        above.set_ylabel("f(u)")
        below.set_ylabel("integrand")
    for axes in grid[:, 0]:
        axes.legend(frameon=False, fontsize=8, loc="upper left")
    write_figure(path, figure)


def run(args):
    from common.files import atomic_write, write_json
    from common.training.run_dir import provenance
    from fgan.divergences import DIVERGENCES

    output_dir, rows = Path(args.out) / "fgan/curves", list(DIVERGENCES.values())
    text = error_table(rows)
    atomic_write(output_dir / "table.md", lambda path: path.write_text(text))
    draw_f_and_g(output_dir / "figures/f-and-g.png", rows)
    draw_tangents(output_dir / "figures/tangents.png", [DIVERGENCES[name] for name in TANGENT_NAMES])
    write_json(output_dir / "config.json", provenance(args))
    print(text, *(output_dir / "figures" / name for name in ("f-and-g.png", "tangents.png")), sep="\n")


if __name__ == "__main__":
    main(run, make_parser())
