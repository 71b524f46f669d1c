"""Draw clusters by SNE and by t-SNE, and measure how SNE crowds them (article 6191).

    python word_vectors/sne.py                  # half a minute on one CPU core, nothing is trained
    python word_vectors/sne.py --preset smoke   # one seed, fewer steps

The article (https://kexue.fm/archives/6191) shows that SNE has the cost of its library: points x_i in many dimensions
invent the reader, p(j|i) proportional to exp(-|x_i - x_j|^2 / (2 sigma^2)), and vectors v_i in the plane are fitted by
S = H + KL. t-SNE only has another q, proportional to 1 / (1 + |v_i - v_j|^2).

Here 200 points lie in eight clusters in ten dimensions, and all clusters are equally far from each other. No plane has
room for that, so clusters crowd. The separation is the smallest distance of two cluster centres, divided by the
spread of the points around their own centre. The t-SNE of scikit-learn, which normalises q over all pairs and sets
sigma for each point, is drawn beside ours if it is installed.

All goes to `<out>/word_vectors/sne/` (`sne-smoke/` for that preset).
"""

from pathlib import Path

import numpy as np

from common.cli import figure_parser, main
from common.streams import stage
from word_vectors import cost

PRESETS = {"smoke": {"seeds": 1, "steps": 150}, "quick": {"seeds": 5, "steps": 500}}
CLUSTERS, POINTS, DIMENSIONS = 8, 200, 10
CENTRE = 4.75  # distance of each centre from the origin, along an axis of its own; the points have variance 1 per axis
SIGMA = 1.65  # bandwidth of p
RATES = {"gaussian": 5.0, "student": 20.0}  # step sizes of the descent
NAMES = {"gaussian": "SNE", "student": "t-SNE"}
START = 0.01  # standard deviation of the first vectors
NEIGHBOURS = 10


def make_parser():
    return figure_parser(
        __doc__, PRESETS, "smoke: 1 seed and 150 steps of descent; quick: 5 seeds and 500 steps (default)"
    )


def clusters(seed):
    """Return points (200, 10) and the clusters (200,) that they belong to."""
    labels = np.arange(POINTS) % CLUSTERS
    noise = np.random.default_rng(seed).normal(size=(POINTS, DIMENSIONS))
    return CENTRE * np.eye(DIMENSIONS)[labels] + noise, labels


def probabilities(x, sigma):
    """Return p(i) (n,), all equal, and SNE's p(j|i) (n, n) of points x (n, d)."""
    scores = -cost.squared_distances(x) / (2 * sigma**2)
    return np.full(len(x), 1 / len(x)), np.exp(cost.log_softmax(scores))


def perplexity(next_):
    """Return the mean over i of the exponential of the entropy of p(.|i), which counts neighbours."""
    log_p = np.log(next_, where=next_ > 0, out=np.zeros_like(next_))
    return float(np.exp(-(next_ * log_p).sum(1)).mean())


def first_components(x):
    """Return the first two principal components (n, 2) of points x (n, d)."""
    x = x - x.mean(0)
    return x @ np.linalg.svd(x, full_matrices=False)[2][:2].T


def separation(v, labels):
    """Return the smallest distance of two centres over the mean spread (root mean square) around a centre."""
    groups = [v[labels == label] for label in np.unique(labels)]
    between = cost.squared_distances(np.stack([group.mean(0) for group in groups])) ** 0.5
    np.fill_diagonal(between, np.inf)
    spread = np.mean([((group - group.mean(0)) ** 2).sum(1).mean() ** 0.5 for group in groups])
    return float(between.min() / spread)


def purity(v, labels):
    """Return the mean share of a point's 10 nearest neighbours that are of its cluster."""
    d2 = cost.squared_distances(v)
    np.fill_diagonal(d2, np.inf)
    return float((labels[d2.argsort(1)[:, :NEIGHBOURS]] == labels[:, None]).mean())


def of_scikit_learn(x, perplexity, seed):
    """Return the vectors (n, 2) of scikit-learn's t-SNE, or None with a printed line if it is not installed."""
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        print("note: scikit-learn is not installed, so its t-SNE is left out (.venv/bin/pip install scikit-learn)")
        return None
    return TSNE(perplexity=perplexity, method="exact", random_state=seed).fit_transform(x).astype("float64")


@stage("drawing the clusters by SNE and t-SNE")
def embed(seed, steps):
    """Return ({method: (vectors, numbers)}, clusters) of one seed; the first method is none, in ten dimensions."""
    x, labels = clusters(seed)
    first, next_ = probabilities(x, SIGMA)
    start = START * np.random.default_rng([seed, 1]).normal(size=(POINTS, 2))
    vectors = {"ten dimensions": x, "PCA": first_components(x)}
    numbers = {name: {} for name in vectors}
    for kernel, name in NAMES.items():
        vectors[name], _ = cost.descend(start, first, next_, kernel, steps, RATES[kernel])
        numbers[name] = {"KL": cost.divergence(first, next_, cost.log_q(vectors[name], kernel))}
    v = of_scikit_learn(x, perplexity(next_), seed)
    if v is not None:
        vectors["t-SNE of scikit-learn"] = v
        numbers["t-SNE of scikit-learn"] = {}
    for name, v in vectors.items():
        numbers[name] |= {"separation": separation(v, labels), "purity": purity(v, labels)}
    numbers["ten dimensions"] |= {"H": cost.entropy(first, next_), "perplexity": perplexity(next_)}
    return {name: (v, numbers[name]) for name, v in vectors.items()}, labels


def draw_maps(path, maps, labels):
    """Draw vectors in the plane side by side into a PNG, coloured by cluster.

    Args:
        path: path of the PNG.
        maps: dict title -> (n, 2).
        labels: ints (n,).
    """
    import matplotlib

    from common.plots.charts import blank_figure, write_figure

    figure = blank_figure(2.7 * len(maps), 3.1)
    figure.suptitle("Eight clusters, equally far from each other in ten dimensions", fontsize=11)
    for axes, (title, v) in zip(figure.subplots(1, len(maps)), maps.items(), strict=True):
        axes.scatter(*v.T, s=9, c=matplotlib.colormaps["Dark2"](labels), linewidths=0)
        axes.set_title(title, fontsize=9)
        axes.set(aspect="equal", adjustable="datalim", xlabel="$v_1$", ylabel="$v_2$")
        axes.tick_params(labelsize=7)
    write_figure(path, figure)


def run(args):
    from common.experiments.tables import table
    from common.files import atomic_write, write_json
    from common.plots.charts import plot_bars
    from common.training.run_dir import provenance, write_results

    sizes = PRESETS[args.preset]
    output_dir = Path(args.out) / "word_vectors" / ("sne" if args.preset == "quick" else f"sne-{args.preset}")
    write_json(output_dir / "config.json", provenance(args) | {"settings": sizes})

    results = [embed(seed, sizes["steps"]) for seed in range(sizes["seeds"])]
    maps, labels = results[0]
    rows = {
        name: {key: [methods[name][1][key] for methods, _ in results] for key in maps[name][1]} for name in maps
    }  # the same methods for each seed
    titles = {f"{name}\nseparation {numbers['separation']:.1f}": v for name, (v, numbers) in maps.items()}
    draw_maps(output_dir / "figures/maps.png", dict(list(titles.items())[1:]), labels)
    bars = {name: {"separation": row["separation"]} for name, row in rows.items()}
    before = {"in ten dimensions": np.mean(rows["ten dimensions"]["separation"])}
    plot_bars(
        output_dir / "figures/separation.png", bars, "distance of centres over spread",
        "Separation of the clusters: higher is less crowded", before,
    )  # fmt: skip

    text = table("", rows)
    atomic_write(output_dir / "table.md", lambda path: path.write_text(text, encoding="utf-8"))
    metrics = {f"{key}/{name}": np.mean(values) for name, row in rows.items() for key, values in row.items()}
    metrics |= {
        f"{key}/{name}/{i}": v
        for name, row in rows.items()
        for key, values in row.items()
        for i, v in enumerate(values)
    }
    write_results(output_dir, {name: float(value) for name, value in metrics.items()})
    print(text, *sorted((output_dir / "figures").iterdir()), sep="\n")


if __name__ == "__main__":
    main(run, make_parser(), backend_needed=False)
