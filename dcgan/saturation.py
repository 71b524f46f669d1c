"""Draw why the minimax loss of the generator saturates (arXiv 1406.2661), and by how much.

    python dcgan/saturation.py                      # seconds, nothing is trained

Left: the slope of both losses over the critic's score f of a fake. With log(1 - sigma(f)) it is -sigma(f), which is 0
where the critic is sure of a fake. With -log sigma(f) it is sigma(f) - 1, which is -1 there.

Right: the same in the smallest GAN. The data is N(0, 1), the fakes are N(d, 1), and the critic is the best one,
f(x) = log p(x)/q(x). The picture shows how hard each loss pushes the fakes towards the data, as |dL/dd|, over the
distance d. All goes to `<out>/dcgan/saturation/`.
"""

from pathlib import Path

import numpy as np

from common.cli import figure_parser, main

SCORES = np.linspace(-10, 10, 401)
DISTANCES = np.linspace(0, 10, 101)
TABLE = (1.0, 2.0, 4.0, 6.0, 8.0, 10.0)  # distances in the table
LOSSES = {"minimax": "sgan_minimax", "non-saturating": "sgan"}  # names in `common.losses.adversarial`


def make_parser():
    return figure_parser(__doc__)


def slope(loss, scores):
    """Return dL/df of a generator loss at scores f of fakes, from its definition by a difference quotient.

    Args:
        loss: str, name in `common.losses.adversarial`.
        scores: array.
    """
    from keras import ops

    from common.losses.adversarial import get_loss

    generator, h = get_loss(loss).generator, 0.01
    value = lambda f: np.asarray(ops.convert_to_numpy(generator(None, f.astype("float32"))), "float64")
    return (value(scores + h) - value(scores - h)) / (2 * h)


def push(kind, distance):
    """Return |dL/dd| of the fakes N(d, 1) against the best critic of the data N(0, 1), which is held fixed.

    The critic is f(x) = d^2/2 - d x, with the slope -d. So dL/dd = -d E_q[dL/df], here by the trapezoidal rule.

    Args:
        kind: "minimax" or "non-saturating".
        distance: float, d.
    """
    noise = np.linspace(-12, 12, 4801)
    density = np.exp(-(noise**2) / 2)
    f = distance**2 / 2 - distance * (distance + noise)
    log_sigma = -np.logaddexp(0, -f if kind == "minimax" else f)  # of f, or of -f: 1 - sigma(f) = sigma(-f)
    return float(distance * np.sum(density * np.exp(log_sigma)) / np.sum(density))


def draw(path):
    """Draw both panels into a PNG."""
    from common.plots.charts import COLOURS, blank_figure, write_figure

    figure = blank_figure(9.0, 3.6)
    figure.suptitle("The minimax loss stops pushing just where the fakes are worst", fontsize=11)
    left, right = figure.subplots(1, 2)
    for colour, (kind, loss) in zip(COLOURS, LOSSES.items(), strict=False):
        left.plot(SCORES, slope(loss, SCORES), color=colour, label=kind)
        right.plot(DISTANCES, [push(kind, d) for d in DISTANCES], color=colour, label=kind)
    left.set(xlabel="score f of a fake (the critic is sure of it at the left)", ylabel="slope dL/df")
    left.set_title("for one fake", fontsize=10)
    right.set(xlabel="distance d of the fakes N(d, 1) from the data N(0, 1)", ylabel="push |dL/dd|")
    right.set_title("for the best critic", fontsize=10)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    write_figure(path, figure)


def run(args):
    from common.experiments.tables import table
    from common.files import atomic_write, write_json
    from common.training.run_dir import provenance, write_results

    output_dir = Path(args.out) / "dcgan/saturation"
    write_json(output_dir / "config.json", provenance(args))
    draw(output_dir / "figures/saturation.png")
    pushes = {kind: {f"d = {d:g}": [push(kind, d)] for d in TABLE} for kind in LOSSES}
    text = "The push |dL/dd| on fakes N(d, 1), with data N(0, 1) and the best critic:\n\n" + table("loss", pushes)
    atomic_write(output_dir / "table.md", lambda path: path.write_text(text, encoding="utf-8"))
    metrics = {f"push/{kind}/{key}": value for kind, row in pushes.items() for key, (value,) in row.items()}
    write_results(output_dir, metrics)
    print(text, output_dir / "figures/saturation.png", sep="\n")


if __name__ == "__main__":
    main(run, make_parser())
