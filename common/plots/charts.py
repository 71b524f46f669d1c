"""Line charts and bar charts, written as PNG."""

from itertools import cycle
from pathlib import Path

import numpy as np

from common.files import atomic_write

COLOURS = ("#2f6c8f", "#d9643f", "#5c9c76", "#a8405c", "#d9a04e", "#6a5fa8", "#4a4a55")


def plot_curves(path, series, xlabel, ylabel, title="", logy=False, references=None):
    """Draw lines into a PNG.

    Args:
        series: name -> (x, y), or a list of such pairs, one per seed: drawn as their mean in a band from the least to
            the greatest. The seeds of a name must share their x.
        logy: logarithmic y axis.
        references: name -> value, drawn as dashed lines across; a published number, say.
    """
    if not series:
        raise ValueError(f"Curves need at least one series. Received: {series}")
    figure, axes = _axes(xlabel, ylabel, title)
    for i, (name, runs) in enumerate(series.items()):
        x, ys = _runs(name, runs)
        colour = COLOURS[i % len(COLOURS)]
        how = {"linestyle": "--" if i >= len(COLOURS) else "-", "marker": "o" if len(x) == 1 else None}
        axes.plot(x, ys.mean(0), color=colour, label=name, linewidth=1.8, **how)
        if len(ys) > 1:
            axes.fill_between(x, ys.min(0), ys.max(0), color=colour, alpha=0.2, linewidth=0)
    if logy:
        axes.set_yscale("log")
    _references(axes, references)
    _save_figure(path, figure, axes)


def plot_bars(path, groups, ylabel, title="", references=None):
    """Draw a table with its spread over seeds into a PNG: bars for the means, a point for every value.

    Args:
        groups: group -> {label: value, or list of values, one per seed}. Labels share their colour across groups.
        references: name -> value, drawn as dashed lines across.
    """
    labels = list(dict.fromkeys(label for group in groups.values() for label in group))
    if not labels:
        raise ValueError(f"Bars need at least one value. Received: {groups}")
    figure, axes = _axes("", ylabel, title, width=max(6.4, 1.0 + 0.22 * len(groups) * (len(labels) + 1)))
    width = 0.8 / len(labels)
    for i, (colour, label) in enumerate(zip(cycle(COLOURS), labels, strict=False)):
        values = [np.atleast_1d(np.asarray(group.get(label, []), "float64")) for group in groups.values()]
        places = np.arange(len(groups)) + (i - (len(labels) - 1) / 2) * width
        present = [(place, v) for place, v in zip(places, values, strict=True) if v.size]
        axes.bar([p for p, _ in present], [v.mean() for _, v in present], 0.92 * width, color=colour, label=label)
        for place, v in present:
            if len(v) > 1:
                axes.scatter([place] * len(v), v, s=14, color="white", edgecolor="#222222", linewidth=0.8, zorder=3)
    rotate = dict(rotation=35, ha="right") if len(groups) > 6 else {}
    axes.set_xticks(range(len(groups)), list(groups), **rotate)
    axes.set_xlim(-0.6, len(groups) - 0.4)
    axes.grid(visible=False, axis="x")
    _references(axes, references)
    _save_figure(path, figure, axes)


def _runs(name, runs):
    """x (points,) and ys (seeds, points) of one series."""
    runs = [runs] if isinstance(runs, tuple) else list(runs)
    runs = [run if isinstance(run, tuple | list) else [run] for run in runs]
    pairs = [tuple(np.asarray(values, "float64") for values in run) for run in runs]
    shapes = [tuple(values.shape for values in pair) for pair in pairs]
    if not pairs or any(len(s) != 2 or s[0] != s[1] or len(s[0]) != 1 or s[0] == (0,) for s in shapes):
        raise ValueError(f"Series {name!r} must be (x, y) of equal length, or a list of such. Received: {shapes}")
    x = pairs[0][0]
    if any(not np.array_equal(x, other) for other, _ in pairs):
        raise ValueError(f"The seeds of series {name!r} must share their x. Received: {[p[0].tolist() for p in pairs]}")
    return x, np.stack([y for _, y in pairs])


def blank_figure(width, height):
    """An empty matplotlib figure of that size in inches, without pyplot and its windows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # late: it takes half a second
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def write_figure(path, figure):
    """Write a matplotlib figure into a PNG, whole or not at all; the same drawing gives the same bytes."""
    software = {"Software": None}  # without the version of matplotlib in the file
    atomic_write(path, lambda file: figure.savefig(Path(file), format="png", metadata=software))


def _axes(xlabel, ylabel, title, width=6.4):
    figure = blank_figure(width, 4.2)
    axes = figure.add_subplot()
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e4e4e8", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _references(axes, references):
    for name, value in (references or {}).items():
        line = axes.axhline(value, color="#55555f", linestyle="--", linewidth=1.1)
        end = axes.get_yaxis_transform()
        axes.text(0.995, value, name, transform=end, ha="right", va="bottom", fontsize=8, color=line.get_color())


def _save_figure(path, figure, axes):
    axes.legend(frameon=False, fontsize=9)
    write_figure(path, figure)
