"""Give the books of a library vectors by maximum likelihood: the cost is entropy plus divergence (article 6191).

    python word_vectors/soft_library.py                  # seconds on one CPU core, nothing is trained
    python word_vectors/soft_library.py --preset smoke   # one library

The article (https://kexue.fm/archives/6191) replaces the least distance between books by a normaliser: the step from
book i to book j costs -log q(j|i), with q(j|i) proportional to exp(-|v_i - v_j|^2) over all other books. Then

    S = sum_ij p(i) p(j|i) (-log q(j|i)) = H + KL,

so the least cost is the entropy H of the readers, and to lower S is to fit q to p: minimal entropy is maximum
likelihood. The readers are those of `word_vectors/library.py`. The vectors have 1, 2, 3 or 8 dimensions.

The pictures show S on the way down, and the books in the plane. All goes to `<out>/word_vectors/soft_library/`
(`soft_library-smoke/` for that preset).
"""

from pathlib import Path

import numpy as np

from common.cli import figure_parser, main
from common.streams import stage
from word_vectors import cost
from word_vectors.library import BOOKS, visits

PRESETS = {"smoke": {"libraries": 1, "steps": 200}, "quick": {"libraries": 5, "steps": 1000}}
DIMENSIONS = (1, 2, 3, 8)
RATE, START = 1.0, 0.1  # step size; standard deviation of the first vectors


def make_parser():
    return figure_parser(
        __doc__, PRESETS, "smoke: 1 library and 200 steps of descent; quick: 5 libraries and 1,000 steps (default)"
    )


def fit(seed, dimensions, steps):
    """Return (vectors (60, dimensions) of the books of a library, values of S on the way down)."""
    first, next_, _ = visits(seed)
    start = START * np.random.default_rng([seed, dimensions]).normal(size=(BOOKS, dimensions))
    return cost.descend(start, first, next_, "gaussian", steps, RATE)


def alike(v, topics):
    """Return the share of the items whose nearest other item has their topic, for vectors (n, d)."""
    d2 = cost.squared_distances(v)
    np.fill_diagonal(d2, np.inf)
    return float((topics[d2.argmin(1)] == topics).mean())


def measure(seed, v):
    """Return (dict of the numbers of one fit, |S - H - KL|), each term computed by its own formula."""
    first, next_, topics = visits(seed)
    log_q, h = cost.log_q(v, "gaussian"), cost.entropy(first, next_)
    s, kl = cost.cost(first, next_, log_q), cost.divergence(first, next_, log_q)
    numbers = {"S": s, "H": h, "KL": kl, "alike neighbours": alike(v, topics)}
    joint, others = first[:, None] * next_, ~np.eye(BOOKS, dtype=bool)
    joint = (joint + joint.T) / 2
    closeness, by_chance = -cost.squared_distances(v)[others], np.outer(joint.sum(0), joint.sum(0))[others]
    joint = joint[others]
    for name, target in (("log p(i,j)", np.log(joint)), ("PMI", np.log(joint / by_chance))):
        numbers[f"correlation with {name}"] = float(np.corrcoef(closeness, target)[0, 1])
    return numbers, abs(s - h - kl)


def draw_books(path, v, topics):
    """Draw the vectors (60, 2) of books into a PNG, coloured by topic; larger dots are more popular."""
    from common.plots.charts import COLOURS, blank_figure, write_figure

    figure = blank_figure(5.4, 5.2)
    axes = figure.add_subplot()
    sizes = 25 + 500 / np.arange(1, len(v) + 1)
    axes.scatter(*v.T, s=sizes, c=[COLOURS[topic] for topic in topics], alpha=0.85, linewidths=0)
    axes.set_title("The same books as vectors; colour is topic, size is popularity", fontsize=9)
    axes.set(aspect="equal", xlabel="$v_1$", ylabel="$v_2$")
    axes.spines[["top", "right"]].set_visible(False)
    write_figure(path, figure)


@stage("fitting the vectors")
def fit_all(sizes):
    """Return {(seed, dimensions): (vectors, values of S)} of a preset."""
    return {(seed, d): fit(seed, d, sizes["steps"]) for seed in range(sizes["libraries"]) for d in DIMENSIONS}


def run(args):
    from common.experiments.tables import table
    from common.files import atomic_write, write_json
    from common.plots.charts import plot_curves
    from common.training.run_dir import provenance, write_results

    sizes = PRESETS[args.preset]
    name = "soft_library" if args.preset == "quick" else f"soft_library-{args.preset}"
    output_dir = Path(args.out) / "word_vectors" / name
    write_json(output_dir / "config.json", provenance(args) | {"settings": sizes})

    fits = fit_all(sizes)
    rows, residuals = {}, []
    for d in DIMENSIONS:
        measured = [measure(seed, fits[seed, d][0]) for seed in range(sizes["libraries"])]
        rows[f"{d}"] = {key: [row[key] for row, _ in measured] for key in measured[0][0]}
        residuals += [residual for _, residual in measured]
    first, next_, topics = visits(0)
    references = {"log 59: all vectors equal": np.log(BOOKS - 1), "H: no vectors below": cost.entropy(first, next_)}
    curves = {f"{d} dimension{'s' * (d > 1)}": fits[0, d][1][:101] for d in DIMENSIONS}
    plot_curves(
        output_dir / "figures/cost.png", {name: (range(len(s)), s) for name, s in curves.items()}, "step of descent",
        "S in nats", title="The cost falls towards the entropy of the readers", references=references,
    )  # fmt: skip
    draw_books(output_dir / "figures/books.png", fits[0, 2][0], topics)

    text = "S = H + KL in nats, by the number of dimensions:\n\n" + table("dimensions", rows)
    text += f"\nS and H + KL differ by at most {max(residuals):.0e}.\n"
    atomic_write(output_dir / "table.md", lambda path: path.write_text(text, encoding="utf-8"))
    metrics = {"largest |S - H - KL|": max(residuals)}
    metrics |= {f"{key}/{d}/{i}": v for d, row in rows.items() for key, vs in row.items() for i, v in enumerate(vs)}
    metrics |= {f"{key}/{d}": float(np.mean(values)) for d, row in rows.items() for key, values in row.items()}
    write_results(output_dir, metrics)
    print(text, *sorted((output_dir / "figures").iterdir()), sep="\n")


if __name__ == "__main__":
    main(run, make_parser(), backend_needed=False)
