"""Train a net, its exact copy and its uneven copy, all from one function (article 8444).

    python enlarge/symmetry.py                      # seconds

Two copies of a hidden unit with equal weights get equal gradients, so they stay equal for ever: the large net of the
article (https://kexue.fm/archives/8444) trains like the small one. If the copies share their outgoing weight unevenly,
the function at the start is the same, and their gradients differ. Full batches, gradient descent, float64, a net with
one hidden tanh layer, by numpy alone. All goes to `<out>/enlarge/symmetry/`.
"""

from pathlib import Path

import numpy as np

from common.cli import figure_parser, main
from enlarge.rules import repeat, wide_kernel

HIDDEN, POINTS, STEPS, SEEDS = 4, 64, 15_000, 5
RATE = 0.1  # step size of gradient descent, for all nets
SPREAD = 0.4  # of the uneven shares: 1/2 +- 0.2


def make_parser():
    return figure_parser(__doc__)


def data():
    """Return x (points, 1) in [-1, 1] and the wave y (points, 1) that the nets must learn."""
    x = np.linspace(-1, 1, POINTS)[:, None]
    return x, np.sin(4 * x) + 0.5 * np.cos(9 * x)


def new_net(hidden, rng):
    """Return a net [kernel 1, bias 1, kernel 2, bias 2] with random weights."""
    return [
        rng.normal(size=(1, hidden)) * 2,
        rng.normal(size=hidden),
        rng.normal(size=(hidden, 1)) / hidden**0.5,
        np.zeros(1),
    ]


def widen(net, spread, rng):
    """Return a net with two copies of each hidden unit that computes the same function."""
    kernel_1, bias_1, kernel_2, bias_2 = net
    return [
        repeat(kernel_1, 1, 2),
        repeat(bias_1, 0, 2),
        wide_kernel(kernel_2, 2, 0, 0, spread, rng, is_last=True),
        bias_2,
    ]


def loss_and_gradients(net, x, y):
    """Return the mean square error of a net and its gradients, in the order of the weights."""
    kernel_1, bias_1, kernel_2, bias_2 = net
    hidden = np.tanh(x @ kernel_1 + bias_1)
    error = hidden @ kernel_2 + bias_2 - y
    slope = 2 * error / len(x)
    inner = (slope @ kernel_2.T) * (1 - hidden**2)
    return (error**2).mean(), [x.T @ inner, inner.sum(0), hidden.T @ slope, slope.sum(0)]


def train(net, x, y, steps=STEPS):
    """Return (net after gradient descent, losses (steps + 1,))."""
    net, losses = [weight.copy() for weight in net], []
    for _ in range(steps):
        loss, gradients = loss_and_gradients(net, x, y)
        losses.append(loss)
        net = [weight - RATE * gradient for weight, gradient in zip(net, gradients, strict=True)]
    return net, np.array([*losses, loss_and_gradients(net, x, y)[0]])


def gap(net):
    """Return the greatest difference of the incoming weights of two copies."""
    return max(abs(weight[..., ::2] - weight[..., 1::2]).max() for weight in net[:2])


def compare(seed):
    """Return {net: (losses (steps + 1,), gap of the copies at the end)} of one seed."""
    x, y = data()
    rng = np.random.default_rng(seed)
    small = new_net(HIDDEN, rng)
    starts = {"small net": small, "exact copies": widen(small, 0.0, rng), "uneven shares": widen(small, SPREAD, rng)}
    starts["large net, new"] = new_net(2 * HIDDEN, rng)
    ends = {name: train(net, x, y) for name, net in starts.items()}
    return {
        name: (losses, gap(net) if name in ("exact copies", "uneven shares") else 0)
        for name, (net, losses) in ends.items()
    }


def run(args):
    from common.experiments.tables import table
    from common.files import atomic_write
    from common.plots.charts import plot_curves
    from common.training.run_dir import write_results

    output_dir = Path(args.out) / "enlarge/symmetry"
    runs = [compare(seed) for seed in range(SEEDS)]
    rows, curves = {}, {}
    for name in runs[0]:
        losses = [r[name][0] for r in runs]
        rows[name] = {"loss at the start": [v[0] for v in losses], "at the end": [v[-1] for v in losses]}
        if name in ("exact copies", "uneven shares"):
            rows[name]["gap of the copies"] = [r[name][1] for r in runs]
        curves[name] = [(np.arange(0, STEPS + 1, 50), v[::50]) for v in losses]
    plot_curves(
        output_dir / "figures/symmetry.png", curves, "step of gradient descent", "mean square error",
        "Copies that stay equal are no larger net", logy=True,
    )  # fmt: skip
    text = table("net", rows)
    atomic_write(output_dir / "table.md", lambda path: path.write_text(text, encoding="utf-8"))
    metrics = {
        f"{name}/{key}/{i}": v for name, row in rows.items() for key, vs in row.items() for i, v in enumerate(vs)
    }
    write_results(output_dir, metrics)
    print(text, output_dir / "figures/symmetry.png", sep="\n")


if __name__ == "__main__":
    main(run, make_parser(), backend_needed=False)
