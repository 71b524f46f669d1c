"""What a training of spectra came to: numbers, a table of F1 and one of confusions, and a picture."""

from typing import NamedTuple

import numpy as np

from common.experiments.tables import table
from common.files import atomic_write
from common.plots.charts import plot_curves
from spectra.best import BestWeights, score
from spectra.f1 import confusion
from spectra.simulator import CLASSES


class Result(NamedTuple):
    """A network with its best weights: its `BestWeights`, F1 of each class and predictions (n,) on the test set."""

    best: BestWeights
    scores: np.ndarray
    predicted: np.ndarray


def measure(network, best, test):
    """Return the `Result` of a network with its best weights on the test set, a `spectra.dataset.Part`."""
    scores, _, predicted = score(network, *test)
    return Result(best, scores, predicted)


def metrics(results):
    """Return the numbers of the results, dict training -> `Result`."""
    numbers = {}
    for name, result in results.items():
        numbers |= {f"macro-F1/{name}": result.scores.mean(), f"validation/{name}": max(result.best.curve()[1])}
        numbers |= {f"F1/{name}/{kind}": value for kind, value in zip(CLASSES, result.scores, strict=True)}
    if {"then macro-F1", "then cross-entropy"} <= results.keys():
        of_f1, of_control = (numbers[f"macro-F1/then {loss}"] for loss in ("macro-F1", "cross-entropy"))
        numbers["macro-F1 minus cross-entropy"] = of_f1 - of_control
    left = results["first"].best.step_left()
    return numbers | {"left the plateau": left is not None} | ({} if left is None else {"step of leaving": left})


def write_tables(run_dir, results, labels):
    """Write `table.md` and return its text: F1 of each class, and the confusions of the first training."""
    rows = {
        name: {"macro-F1": [result.scores.mean()]} | {k: [v] for k, v in zip(CLASSES, result.scores, strict=True)}
        for name, result in results.items()
    }
    counts = confusion(labels, results["first"].predicted, len(CLASSES))
    of_label = {
        kind: dict(zip(CLASSES, ([n] for n in row), strict=True)) for kind, row in zip(CLASSES, counts, strict=True)
    }
    text = table("F1 on the test set", rows) + "\n" + table("spectra of the type, by the prediction (first)", of_label)
    atomic_write(run_dir / "table.md", lambda path: path.write_text(text, encoding="utf-8"))
    return text


def draw(folder, results, first):
    """Draw the macro-F1 on the validation set over the steps, without step 0, beside which all others look alike.

    Args:
        folder: path of the folder of figures.
        results: dict of `Result`, that of the first training under "first".
        first: str, the loss of the first training in words.
    """
    steps, values = results["first"].best.curve()
    start = steps[int(np.argmax(values))]  # where the further trainings begin
    curves = {first: (steps[1:], values[1:])}
    for name, result in results.items():
        if name != "first":
            steps, values = result.best.curve()
            curves[name] = ([start + step for step in steps], values)
    plot_curves(
        folder / "f1.png", curves, "step", "macro-F1 on the validation set", "Macro-F1 while the network trains"
    )
