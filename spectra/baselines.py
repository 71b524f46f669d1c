"""Measure what simple classifiers reach on the drawn spectra: the height that a network has to pass (article 5505).

    python spectra/baselines.py                 # a minute on a CPU core

The same 6,000 spectra to train on and 2,000 to test on as `spectra/train.py` draws with the preset quick: the largest
class for all; the nearest mean of a class; ridge regression on the one-hot labels; the nine nearest neighbours in 20
principal components; and a threshold on the noise alone, which can tell nothing but the unknown.

Writes a table to `<out>/spectra/baselines/` (`baselines-smoke/` for that preset).
"""

from pathlib import Path

from common.cli import figure_parser, main
from common.flag_types import count_int

LIMIT = {"quick": 6000, "smoke": 300}
POINTS = 650
RIDGE = 100.0  # penalty on the squared weights, for spectra in units of their own spread
COMPONENTS, NEIGHBOURS = 20, 9


def make_parser():
    p = figure_parser(__doc__, LIMIT, "quick: 6,000 spectra to train on (default); smoke: 300")
    p.add_argument("--seeds", type=count_int, default=3, help="number of seeds, from 0 on (default 3)")
    return p


def majority(x, labels, test, classes):
    """Return the largest class for every test spectrum."""
    import numpy as np

    return np.full(len(test), np.bincount(labels, minlength=classes).argmax())


def nearest_mean(x, labels, test, classes):
    """Return the class whose mean spectrum is nearest to each test spectrum."""
    import numpy as np

    means = np.stack([x[labels == c].mean(0) for c in range(classes)])
    return (np.square(means).sum(1) - 2 * test @ means.T).argmin(1)


def ridge(x, labels, test, classes):
    """Return the class with the highest score of a linear least-squares fit to the one-hot labels."""
    import numpy as np

    mean, y = x.mean(0), np.eye(classes)[labels]
    centred = (x - mean).astype("float64")
    weights = np.linalg.solve(centred.T @ centred + RIDGE * np.eye(x.shape[1]), centred.T @ (y - y.mean(0)))
    return ((test - mean) @ weights + y.mean(0)).argmax(1)


def neighbours(x, labels, test, classes):
    """Return the most frequent class among the nearest spectra in principal components; ties go to the first class."""
    import numpy as np

    from common.metrics.pca import pca_codes

    codes, test_codes = pca_codes(x, test, min(COMPONENTS, len(x)))
    distances = np.square(codes).sum(1) - 2 * test_codes @ codes.T
    nearest = np.argpartition(distances, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
    return np.stack([(labels[nearest] == c).sum(1) for c in range(classes)], 1).argmax(1)


def noise_alone(x, labels, test, classes):
    """Return "unknown" where the noise is above a threshold, and else the largest class.

    The noise is the mean absolute second difference; the threshold is the one with the highest F1 of "unknown" on x.
    """
    import numpy as np

    from spectra.f1 import f1_scores
    from spectra.simulator import UNKNOWN

    noise = lambda spectra: np.abs(np.diff(spectra, 2, axis=1)).mean(1)
    largest = majority(x, labels, test[:1], classes)[0]
    predict = lambda level, threshold: np.where(level > threshold, UNKNOWN, largest)
    thresholds = np.quantile(noise(x), np.linspace(0.5, 0.99, 50))
    best = max(thresholds, key=lambda t: f1_scores(labels, predict(noise(x), t), classes)[UNKNOWN])
    return predict(noise(test), best)


CLASSIFIERS = {
    "largest class": majority, "noise alone": noise_alone, "nearest mean": nearest_mean, "ridge regression": ridge,
    "9 neighbours, 20 components": neighbours,
}  # fmt: skip


def run(args):
    from common.experiments.tables import table
    from common.files import atomic_write, write_json
    from spectra.dataset import SIMULATED, load
    from spectra.f1 import f1_scores
    from spectra.simulator import CLASSES

    rows = {name: {column: [] for column in ("macro-F1", *CLASSES)} for name in CLASSIFIERS}
    for seed in range(args.seeds):
        train, _, test = load(SIMULATED, LIMIT[args.preset], POINTS, seed)
        for name, classify in CLASSIFIERS.items():
            predicted = classify(train.x[..., 0], train.labels, test.x[..., 0], len(CLASSES))
            scores = f1_scores(test.labels, predicted, len(CLASSES))
            for column, value in zip(rows[name], (scores.mean(), *scores), strict=True):
                rows[name][column].append(float(value))
    folder = Path(args.out) / "spectra" / ("baselines" if args.preset == "quick" else f"baselines-{args.preset}")
    text = table("F1 on the test set", rows)
    atomic_write(folder / "table.md", lambda path: path.write_text(text, encoding="utf-8"))
    numbers = {f"{n}/{c}/{i}": v for n, row in rows.items() for c, vs in row.items() for i, v in enumerate(vs)}
    write_json(folder / "results.json", {"metrics": numbers, "seeds": args.seeds})
    print(text, folder / "results.json", sep="\n")


if __name__ == "__main__":
    main(run, make_parser())
