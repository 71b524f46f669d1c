"""Follow the product of 60 step Jacobians: which cells let gradients vanish or explode (article 7888)?

    python rnn/norms.py                             # half a minute on one CPU core, nothing is trained
    python rnn/norms.py --preset smoke              # fewer draws: seconds

The article (https://kexue.fm/archives/7888) reasons about one step and one unit. Here the products are computed, with
the closed forms of `rnn/jacobians.py`:

- 16 units, 10 normal inputs, W as Glorot draws it, each U orthogonal times a scale, over seeds: the norm of the product
  over 60 steps, against the scale and the forget bias;
- one unit, W and U drawn from N(0, s^2): how often the product of 50 steps is above 1 or below 1e-6;
- the terms of the gradient by U, step by step, of the tanh and the ReLU cell.

The forget bias is that of the gate that keeps the memory: f, or 1 - z. Tables and figures go to `<out>/rnn/norms/`
(`norms-smoke/` for that preset).
"""

from pathlib import Path

import numpy as np

from common.cli import figure_parser, main
from common.streams import stage
from rnn.jacobians import FORGET, GATES, STEPS, first_state, log_norms

PRESETS = {"smoke": {"seeds": 3, "draws": 500}, "quick": {"seeds": 12, "draws": 5000}}
UNITS, INPUTS, T = 16, 10, 60
SCALES = (0.5, 0.71, 1.0, 1.41, 2.0, 2.83, 4.0)
BIASES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0)
PANELS = ((1.0, 0.0), (2.0, 0.0), (1.0, 1.0), (2.0, 1.0))  # (scale, forget bias) of the curves
GATED = ("lstm", "gru", "reset_output")
DELAYS = (20, 50, 100)  # of `rnn/compare.py`
T_OF_ONE, SIZES = 50, (1.0, 4.0)  # of one unit: steps, and s
FLOOR = -300.0  # stands for log10 of a product that is exactly 0


def make_parser():
    return figure_parser(
        __doc__, PRESETS, "smoke: 3 seeds, 500 draws of one unit each; quick: 12 seeds, 5,000 draws each (default)"
    )


def orthogonal(rng, n):
    """Return an orthogonal matrix (n, n), uniformly distributed."""
    Q, R = np.linalg.qr(rng.normal(size=(n, n)))
    return Q * np.sign(np.diag(R))


def layer_weights(kind, seeds, scale, forget_bias, units=UNITS, inputs=INPUTS):
    """Return weights {gate: (W, U, b)} of a layer with the leading axis (seeds,).

    A seed has the same W and the same orthogonal matrices at every scale.
    """
    weights = {gate: [] for gate in GATES[kind]}
    for seed in range(seeds):
        rng = np.random.default_rng([seed, 0])
        for draws in weights.values():
            W = rng.normal(0, np.sqrt(2 / (inputs + units)), (inputs, units))
            draws.append((W, scale * orthogonal(rng, units)))
    bias = lambda gate: np.full(units, FORGET.get(gate, 0) * forget_bias)
    return {gate: (*map(np.stack, zip(*draws, strict=True)), bias(gate)) for gate, draws in weights.items()}


def layer_inputs(seeds):
    """Return the inputs (60, seeds, 10)."""
    return np.stack([np.random.default_rng([seed, 1]).normal(size=(T, INPUTS)) for seed in range(seeds)], 1)


def unit_weights(kind, draws, s, forget_bias, seed):
    """Return weights {gate: (W, U, b)} of one unit with the leading axis (draws,)."""
    rng = np.random.default_rng([seed, 2])
    W_and_U = lambda: rng.normal(0, s, (2, draws, 1, 1))
    return {gate: (*W_and_U(), np.full(1, FORGET.get(gate, 0) * forget_bias)) for gate in GATES[kind]}


@stage("drawing cells of one unit")
def unit_row(kind, s, forget_bias, seeds, draws):
    """Return {column: [percent of the draws, one number per seed]}: products above 1, and below 1e-6."""
    row = {"above 1": [], "below 1e-6": []}
    for seed in range(seeds):
        inputs = np.random.default_rng([seed, 3]).normal(size=(T_OF_ONE, draws, 1))
        (last,), _ = log_norms(kind, unit_weights(kind, draws, s, forget_bias, seed), inputs, last_only=True)
        row["above 1"].append(100 * (last > 0).mean())
        row["below 1e-6"].append(100 * (last < -6).mean())
    return row


@stage("multiplying Jacobians")
def layer_norms(kind, scale, forget_bias, seeds, last_only=False):
    """Return log10 of the norms of the products, (2, steps, seeds): of the article's Jacobians, and of all states."""
    weights = layer_weights(kind, seeds, scale, forget_bias)
    return np.maximum(log_norms(kind, weights, layer_inputs(seeds), last_only), FLOOR)


def task_row(kind, forget_bias, seeds):
    """Return {column: [median]} of the norms for a network of `rnn/train.py` at its start: 32 units, one input."""
    weights = layer_weights(kind, seeds, 1.0, forget_bias, units=32, inputs=1)
    noise = np.stack([np.random.default_rng([seed, 5]).normal(size=(max(DELAYS), 1)) for seed in range(seeds)], 1)
    norms, _ = log_norms(kind, weights, noise)
    return {f"T = {delay}": [np.median(norms[delay - 1])] for delay in DELAYS}


def gradient_terms(kind, scale, seeds):
    """Return the gradient of v h_60 by U of a simple cell, and what each step adds to it, for random directions v.

    The gradient is the sum over s of (v J_60 ... J_{s+1}) dh_s/dU, where h_{s-1} does not move with U.

    Args:
        kind: "tanh" or "relu".
        scale: float, of U.
        seeds: int.

    Returns:
        Array (60, seeds, n, n), the terms s = 1 to 60. Entry (i, j) belongs to U from unit i to unit j.
    """
    weights, state, steps = layer_weights(kind, seeds, scale, 0.0), first_state(kind, (seeds, UNITS)), []
    for x in layer_inputs(seeds):
        before = state
        state, J, _ = STEPS[kind](weights, x, state)
        slope = 1 - state[0] ** 2 if kind == "tanh" else (state[0] > 0).astype(float)
        steps.append((before[0], slope, J))
    v = np.stack([np.random.default_rng([seed, 4]).normal(size=UNITS) for seed in range(seeds)])
    v, terms = v / np.linalg.norm(v, axis=-1, keepdims=True), []
    for h, slope, J in reversed(steps):
        terms.append(h[..., :, None] * (v * slope)[..., None, :])
        v = (v[..., None, :] @ J)[..., 0, :]
    return np.stack(terms[::-1])


# figures


def style(axes, title, **kwargs):
    """Give axes a title, a grid, a line at a product of 1, and labels."""
    axes.axhline(0, color="#4a4a55", linewidth=1, linestyle="--")
    axes.set(**kwargs)
    axes.set_title(title, fontsize=10)
    axes.grid(color="#e4e4e8", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)


def band(axes, x, values, kind):
    """Draw the median over seeds of values (points, seeds), in a band from the lowest to the highest."""
    from common.plots.charts import COLOURS
    from common.plots.words import in_words

    colour = COLOURS[list(STEPS).index(kind)]
    line_style = "--" if kind == "reset_output" else "-"  # it often lies on the line of the GRU
    axes.plot(x, np.median(values, 1), color=colour, label=in_words(kind), linewidth=1.9, linestyle=line_style)
    axes.fill_between(x, values.min(1), values.max(1), color=colour, alpha=0.16, linewidth=0)


def draw_curves(path, curves):
    """Draw the norms over the steps into a PNG, a panel for each scale and forget bias.

    Args:
        path: path of the PNG.
        curves: {(scale, forget bias): {kind: log10 of the norms (steps, seeds)}}.
    """
    from common.plots.charts import blank_figure, write_figure

    figure = blank_figure(9.6, 6.4)
    figure.suptitle("Does the gradient reach back? Norm of the product of the step Jacobians", fontsize=12)
    panels = figure.subplots(2, 2, sharex=True, sharey=True).flat
    for axes, ((scale, bias), of_kind) in zip(panels, curves.items(), strict=True):
        for kind, values in of_kind.items():
            band(axes, np.arange(1, len(values) + 1), values, kind)
        style(
            axes, f"U orthogonal times {scale:g}, forget bias {bias:g}", xlabel="steps", ylabel="norm", ylim=(-14, 16)
        )
        axes.set_yticks(range(-12, 16, 4), [f"$10^{{{power}}}$" for power in range(-12, 16, 4)])
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    write_figure(path, figure)


def draw_sweeps(path, by_scale, by_bias):
    """Draw the norm after 60 steps over the scale, and over the forget bias, into a PNG.

    Args:
        path: path of the PNG.
        by_scale: {forget bias: {kind: log10 of the norms (scales, seeds)}}.
        by_bias: {kind: log10 of the norms (biases, seeds)}.
    """
    from common.plots.charts import blank_figure, write_figure

    figure = blank_figure(10.8, 4.0)
    figure.suptitle(f"Norm of the product of {T} step Jacobians", fontsize=12)
    *over_scale, over_bias = figure.subplots(1, 3)
    for axes, (bias, of_kind) in zip(over_scale, by_scale.items(), strict=True):
        for kind, values in of_kind.items():
            band(axes, SCALES, values, kind)
        style(axes, f"forget bias {bias:g}", xlabel="scale of U", ylabel="log10 of the norm", ylim=(-32, 38))
        axes.set_xscale("log", base=2)
        axes.set_xticks([0.5, 1, 2, 4], ["0.5", "1", "2", "4"])
    for kind, values in by_bias.items():
        band(over_bias, BIASES, values, kind)
    style(over_bias, "scale 1", xlabel="forget bias", ylabel="log10 of the norm", ylim=(-13, 4))
    figure.legend(*over_scale[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    write_figure(path, figure)


def run(args):
    from common.experiments.tables import table
    from common.files import atomic_write, write_json
    from common.plots.words import in_words
    from common.training.run_dir import provenance, write_results

    seeds, draws = PRESETS[args.preset]["seeds"], PRESETS[args.preset]["draws"]
    output_dir = Path(args.out) / "rnn" / ("norms" if args.preset == "quick" else f"norms-{args.preset}")
    write_json(output_dir / "config.json", provenance(args) | {"settings": PRESETS[args.preset]})

    # 16 units
    rows, curves = {}, {}
    for scale, bias in PANELS:
        curves[scale, bias] = {}
        for kind in STEPS:
            norms = layer_norms(kind, scale, bias, seeds)
            curves[scale, bias][kind] = norms[0]
            if bias == 0 or kind in GATED:
                name = f"{in_words(kind)}, scale {scale:g}" + (f", forget bias {bias:g}" if kind in GATED else "")
                last, exact = norms[:, -1]
                rows[name] = {"median": [np.median(last)], "lowest": [last.min()], "highest": [last.max()]}
                rows[name]["median, all states"] = [np.median(exact)]
    draw_curves(output_dir / "figures/curves.png", curves)
    last = lambda kind, scale, bias: layer_norms(kind, scale, bias, seeds, last_only=True)[0, -1]
    by_scale = {bias: {kind: np.array([last(kind, s, bias) for s in SCALES]) for kind in STEPS} for bias in (0.0, 1.0)}
    by_bias = {kind: np.array([last(kind, 1.0, bias) for bias in BIASES]) for kind in GATED}
    draw_sweeps(output_dir / "figures/sweeps.png", by_scale, by_bias)
    medians = lambda heads, values: {f"{x:g}": [np.median(v)] for x, v in zip(heads, values, strict=True)}
    bias_rows = {in_words(kind): medians(BIASES, values) for kind, values in by_bias.items()}
    scale_rows = {
        in_words(kind) + (f", forget bias {bias:g}" if kind in GATED else ""): medians(SCALES, values)
        for bias, of_kind in by_scale.items() for kind, values in of_kind.items()
    }  # fmt: skip

    # one unit
    unit_rows = {}
    for s in SIZES:
        for kind in STEPS:
            for bias in (0.0, 1.0) if kind in GATED else (0.0,):
                name = f"{in_words(kind)}, s = {s:g}" + (f", forget bias {bias:g}" if kind in GATED else "")
                unit_rows[name] = unit_row(kind, s, bias, seeds, draws)

    # the networks that learn to recall a bit
    task_rows = {
        in_words(kind) + (f", forget bias {bias:g}" if kind in GATED else ""): task_row(kind, bias, seeds)
        for kind in STEPS for bias in ((0.0, 1.0) if kind in GATED else (0.0,))
    }  # fmt: skip

    # terms of the gradient
    term_rows, norm = {}, lambda matrices: np.linalg.norm(matrices, axis=(-2, -1))
    for kind in ("tanh", "relu"):
        terms = gradient_terms(kind, 1.0, seeds)
        early, total = norm(terms[: T // 2].sum(0)), norm(terms.sum(0))
        term_rows[in_words(kind)] = {
            "norm of the gradient": [np.median(total)],
            "of its first 30 terms": [np.median(early)],
        }

    text = f"log10 of the norm of the product of {T} step Jacobians, {UNITS} units, {seeds} seeds:\n\n"
    text += table("cell", rows) + "\nIts median by the scale of U:\n\n" + table("cell", scale_rows)
    text += "\nIts median by the forget bias, at scale 1:\n\n" + table("cell", bias_rows)
    text += f"\nOne unit, {T_OF_ONE} steps, {draws} draws per seed: percent of the products\n\n" + table(
        "cell", unit_rows
    )
    text += "\nlog10 of the norm for the networks of rnn/train.py at their start, median:\n\n" + table(
        "cell", task_rows
    )
    text += "\nThe gradient by U at scale 1, median over seeds:\n\n" + table("cell", term_rows)
    atomic_write(output_dir / "table.md", lambda path: path.write_text(text, encoding="utf-8"))
    blocks = {
        "layer": rows,
        "scale": scale_rows,
        "bias": bias_rows,
        "unit": unit_rows,
        "task": task_rows,
        "gradient": term_rows,
    }
    write_results(
        output_dir,
        {f"{block}/{name}/{column}": float(np.mean(values)) for block, rows in blocks.items()
         for name, row in rows.items() for column, values in row.items()},
    )  # fmt: skip
    print(text, *sorted((output_dir / "figures").iterdir()), sep="\n")


if __name__ == "__main__":
    main(run, make_parser(), backend_needed=False)
