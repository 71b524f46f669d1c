"""Check how fast each flow lowers the loss, and where RMSprop comes to rest (article 6261).

    python dynamics/decay.py                        # seconds on one CPU core, nothing is trained

The flows of `dynamics/flows.py` start at (1, 1, 1) on a quadratic with the curvatures 1, 10 and 100. The first figure
and table show the loss and dL/dt beside the formulas of the article (https://kexue.fm/archives/6261). The second ones
show the steps of RMSprop on x^2/2 that never come to rest, and those that do. All goes to `<out>/dynamics/decay/`.
"""

from pathlib import Path

import numpy as np

from common.cli import figure_parser, main
from common.ode import alternating_euler, euler, rk4, solve
from dynamics.flows import gradient_flow, polyak_flow, rmsprop_flow, rmsprop_swing, sign_flow, with_memory

CURVATURES = np.array([1.0, 10.0, 100.0])
CAP = 0.05  # of the capped Polyak flow: it acts where the gradient is shorter than 20
T, H = 3.0, 1e-3
# (rho, epsilon, step size) of RMSprop on x^2/2; rho 0 with epsilon 0 is sign descent
RESTS = [(0.0, 0.0, 0.1), (0.9, 1e-8, 0.1), (0.99, 1e-8, 0.1), (0.9, 1e-3, 0.1), (0.9, 1e-2, 0.1)]
RESTS += [(0.0, 1e-2, 0.1), (0.9, 1e-7, 1e-3), (0.9, 1e-7, 1e-4)]
REST_START, REST_STEPS = 10.3, 2000  # in steps from the minimum


def make_parser():
    return figure_parser(__doc__)


def loss(theta):
    """Return sum_i c_i theta_i^2 / 2 with the curvatures c, (..., 1)."""
    return (CURVATURES * theta * theta).sum(-1, keepdims=True) / 2


def gradient(theta):
    """Return the gradient of `loss`, in the shape of theta."""
    return CURVATURES * theta


# name: (field, dL/dt as the article's formula gives it at theta)
FLOWS = {
    "gradient": (gradient_flow(gradient), lambda theta: -(gradient(theta) ** 2).sum()),
    "sign": (sign_flow(gradient), lambda theta: -abs(gradient(theta)).sum()),
    "Polyak": (polyak_flow(loss, gradient), lambda theta: -loss(theta)[0]),
    "capped Polyak": (
        polyak_flow(loss, gradient, CAP),
        lambda theta: -loss(theta)[0] * min(1, CAP * np.linalg.norm(gradient(theta))),
    ),
}


def decay_row(name):
    """Return the losses (steps + 1,) of a flow in Euler steps, and its row of the table.

    The row has dL/dt at the start, by the formula and from two short steps of Runge-Kutta, and L(T) / L(0).
    """
    (field, formula), start, short = FLOWS[name], np.ones(3), 1e-6
    losses = loss(solve(field, start, T, H, euler))[:, 0]
    ends = loss(solve(field, start, 2 * short, short))[:, 0]
    row = {"dL/dt by the formula": [formula(start)], "dL/dt measured": [(ends[2] - ends[0]) / (2 * short)]}
    row["L(3)/L(0), Euler"] = [losses[-1] / losses[0]]
    if name == "Polyak":  # the others do not stay at the formula's dL/dt
        row["Runge-Kutta"] = [loss(solve(field, start, T, 10 * H, rk4)[-1])[0] / losses[0]]
        row["e^-3"] = [np.exp(-T)]
    return losses, row


def rest_path(rho, epsilon, h):
    """Return x (steps + 1,) of RMSprop on x^2/2, in units of its step size h."""
    start = with_memory([REST_START * h], 1)
    path = solve(rmsprop_flow(lambda x: x, h, rho, epsilon), start, REST_STEPS * h, h, alternating_euler)
    return path[:, -1, 0] / h


# figures


def draw_decay(path, losses):
    """Draw {flow: losses (steps + 1,)} over time, with L_0 e^-t as points, into a PNG."""
    from common.plots.charts import COLOURS, blank_figure, write_figure

    figure = blank_figure(6.4, 4.0)
    axes, t = figure.add_subplot(), np.linspace(0, T, round(T / H) + 1)
    for colour, (name, values) in zip(COLOURS, losses.items(), strict=False):
        style = "--" if name == "capped Polyak" else "-"
        axes.plot(t, values, label=f"{name} flow", color=colour, linewidth=1.8, linestyle=style)
    axes.plot(t[::200], losses["Polyak"][0] * np.exp(-t[::200]), "o", color="black", markersize=4, label="$L_0 e^{-t}$")
    axes.set(xlabel="time", ylabel="loss", yscale="log", ylim=(2e-4, 200))
    axes.set_title("How fast each flow lowers the loss", fontsize=11)
    axes.grid(color="#e4e4e8", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    write_figure(path, figure)


def draw_rest(path, paths):
    """Draw {(rho, epsilon, h): x (steps + 1,)} into a PNG, one panel each: the first 30 steps and the last 10."""
    from common.plots.charts import COLOURS, blank_figure, write_figure

    figure = blank_figure(9.2, 4.4)
    figure.suptitle(r"RMSprop on $x^2/2$: does it come to rest?", fontsize=11)
    for axes, ((rho, epsilon, h), x) in zip(figure.subplots(2, len(paths) // 2).flat, paths.items(), strict=True):
        axes.plot(np.arange(30), x[:30], color=COLOURS[0], linewidth=1, marker="o", markersize=2.5)
        axes.plot(np.arange(32, 42), x[-10:], color=COLOURS[1], linewidth=1, marker="o", markersize=2.5)
        axes.axhline(0, color="#55555f", linewidth=0.8, linestyle="--")
        axes.set(title=rf"$\rho$ {rho:g}, $\epsilon$ {epsilon:g}, h {h:g}", xlabel="step (red: the last ten)")
        axes.set_ylabel("x / h")
        axes.title.set_fontsize(9)
        axes.set(xticks=[0, 10, 20, 30], ylim=(-2.5, 11))
        axes.spines[["top", "right"]].set_visible(False)
    write_figure(path, figure)


def run(args):
    from common.experiments.tables import table
    from common.files import atomic_write, write_json
    from common.training.run_dir import provenance, write_results

    output_dir = Path(args.out) / "dynamics/decay"
    write_json(output_dir / "config.json", provenance(args))

    decays = {name: decay_row(name) for name in FLOWS}
    draw_decay(output_dir / "figures/decay.png", {name: losses for name, (losses, _) in decays.items()})
    paths = {setting: rest_path(*setting) for setting in RESTS}
    draw_rest(output_dir / "figures/rest.png", paths)

    rows = {}
    for (rho, epsilon, h), x in paths.items():
        late = x[-100:]
        row = {"swing / h": [np.ptp(late)], "by the formula": [rmsprop_swing(h, epsilon) / h]}
        rows[f"{rho:g}, {epsilon:g}, {h:g}"] = row | {"largest abs(x) / h": [abs(late).max()]}
    decay_rows = {name: row for name, (_, row) in decays.items()}
    text = "How fast each flow lowers the loss:\n\n" + table("flow", decay_rows)
    text += "\nThe last 100 steps of RMSprop on x^2/2:\n\n" + table("rho, epsilon, h", rows)
    atomic_write(output_dir / "table.md", lambda path: path.write_text(text, encoding="utf-8"))
    named = {"decay": decay_rows, "rest": rows}
    write_results(
        output_dir,
        {f"{kind}/{name}/{key}": float(v) for kind, block in named.items() for name, row in block.items()
         for key, (v,) in row.items()},
    )  # fmt: skip
    print(text, *sorted((output_dir / "figures").iterdir()), sep="\n")


if __name__ == "__main__":
    main(run, make_parser(), backend_needed=False)
