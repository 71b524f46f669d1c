"""Tables and pictures of fine-tunings: their accuracy after the first epoch, at best, and on the test set."""

import numpy as np

from common.errors import UserError
from common.files import read_json
from common.plots.charts import plot_bars, plot_curves

PARTS = ("validation", "test")
COLUMNS = ("after epoch 1", "best", "test", "seconds per epoch", "parameters")
GAINS = {"after epoch 1": "after epoch 1", "best": "at best", "test": "on the test set"}


def read_scores(path):
    """Return the dict that a finished fine-tuning wrote.

    Raises:
        UserError: if the file is damaged.
    """
    scores = read_json(path)
    if not isinstance(scores, dict) or not {*PARTS, "seconds", "parameters"} <= scores.keys():
        raise UserError(f"{path} is damaged: delete it, so that the scores are measured again")
    return scores


def summary(scores):
    """Return {column: number} of one fine-tuning, as the article's table has it.

    Args:
        scores: dict with "validation" and "test", accuracies after each epoch, "seconds" after each, and "parameters".

    Returns:
        dict with "after epoch 1" and "best" on the validation set, "test" at the epoch of the best, "seconds per
        epoch" without the first one, in which the graph is compiled, and the "parameters" of the encoder.
    """
    valid, seconds = np.array(scores["validation"]), scores["seconds"]
    per_epoch = np.diff(seconds) if len(seconds) > 1 else seconds
    return {
        "after epoch 1": valid[0],
        "best": valid.max(),
        "test": scores["test"][valid.argmax()],
        "seconds per epoch": float(np.median(per_epoch)),
        "parameters": scores["parameters"],
    }


def metrics(results):
    """Return {"task/variant/column": number}.

    Args:
        results: dict (task, variant) -> scores, see `summary`.
    """
    return {
        f"{task}/{variant}/{column}": value
        for (task, variant), scores in results.items()
        for column, value in summary(scores).items()
    } | {
        f"{task}/{variant}/epoch {i}": value
        for (task, variant), scores in results.items()
        for i, value in enumerate(scores["validation"], 1)
    }


def write_table(run_dir, results):
    """Write `table.md` of a run and return its text."""
    from common.experiments.tables import table
    from common.files import atomic_write

    rows = {
        f"{task}, {variant}": {column: [value] for column, value in summary(scores).items()}
        for (task, variant), scores in results.items()
    }
    text = table("task", rows)
    atomic_write(run_dir / "table.md", lambda path: path.write_text(text, encoding="utf-8"))
    return text


def draw(folder, results, history):
    """Draw the accuracy of the pre-training on masked tokens, and of each task after each epoch."""
    steps = sorted(map(int, history.values))
    values = [history.values[str(step)] for step in steps]
    plot_curves(
        folder / "pre-training.png", {"held out": (steps, values)}, "step", "accuracy on masked tokens", "Pre-training"
    )
    for task in dict.fromkeys(task for task, _ in results):
        curves = {
            variant: (list(range(1, 1 + len(scores["validation"]))), scores["validation"])
            for (name, variant), scores in results.items()
            if name == task
        }
        path = folder / f"{task.replace(' ', '_')}.png"
        plot_curves(path, curves, "epoch", "accuracy on the validation set", f"Fine-tuning: {task}")


def by_task(runs, variants):
    """Return {task: {variant: {column: list of numbers, one per seed}}}, the tasks from easy to hard.

    Hard is the task with more errors of the shared encoder on the test set, as a mean over the seeds.

    Args:
        runs: list of the metrics of a run, one per seed.
        variants: names of ways of fine-tuning, in their order.
    """
    names = [key.split("/") for key in runs[0] if key.count("/") == 2]
    columns = lambda task, variant: [column for t, v, column in names if (t, v) == (task, variant)]
    of_seeds = lambda *name: [run["/".join(name)] for run in runs]
    results = {
        task: {v: {c: of_seeds(task, v, c) for c in columns(task, v)} for v in variants if columns(task, v)}
        for task in dict.fromkeys(task for task, _, _ in names)
    }
    accuracy = lambda task: np.mean(results[task].get("shared", next(iter(results[task].values())))["test"])
    return {task: results[task] for task in sorted(results, key=accuracy, reverse=True)}


def gains(results):
    """Return {task: {column: list of numbers}}: accuracy unshared minus shared, seed by seed, in percentage points.

    Args:
        results: see `by_task`. A task without both is left out.
    """
    return {
        task: {
            name: [100 * (b - a) for a, b in zip(of["shared"][column], of["unshared"][column], strict=True)]
            for column, name in GAINS.items()
        }
        for task, of in results.items()
        if {"shared", "unshared"} <= of.keys()
    }


def gain_table(gains):
    """Return a Markdown table of `gains`: mean and range over the seeds, and for how many seeds it is positive."""
    from common.experiments.tables import table

    rows = {
        task: {
            header: values
            for name, of_seeds in of.items()
            for header, values in (
                (f"gain {name} (points)", of_seeds), (f"seeds with one {name}", [sum(v > 0 for v in of_seeds)]),
            )
        }
        for task, of in gains.items()
    }  # fmt: skip
    return table("task, from easy to hard", rows)


def draw_comparison(folder, results, gains):
    """Draw the gains, and the accuracy of all ways of fine-tuning after each epoch."""
    if gains:
        ylabel = "unshared minus shared (percentage points)"
        plot_bars(folder / "gain.png", gains, ylabel, "What unsharing gains, from the easy task to the hard one")
    for task, variants in results.items():
        curves = {}
        for variant, of in variants.items():
            epochs = [int(name.removeprefix("epoch ")) for name in of if name.startswith("epoch ")]
            curves[variant] = [
                (epochs, list(values)) for values in zip(*(of[f"epoch {i}"] for i in epochs), strict=True)
            ]
        path = folder / f"{task.replace(' ', '_')}.png"
        plot_curves(path, curves, "epoch", "accuracy on the validation set", f"Fine-tuning: {task}")
