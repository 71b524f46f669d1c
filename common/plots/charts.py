"""Line charts and bar charts with their spread over seeds, written as PNG files."""

from itertools import cycle
from pathlib import Path
from textwrap import fill

import numpy as np

from common.data.checks import check_finite
from common.files import atomic_write
from common.plots.fonts import make_drawable, note_on_missing_fonts
from common.plots.words import in_words

DPI = 120
LETTERS = 9  # of the names below a bar chart, per inch of its width: they do not touch
MOST_INSIDE = 7  # names of a legend inside the axes; more would lie over the curves
COLOURS = ("#2f6c8f", "#d9643f", "#5c9c76", "#a8405c", "#d9a04e", "#6a5fa8", "#4a4a55")


def plot_curves(path, series, xlabel, ylabel, title="", logx=False, logy=False, references=None):
    """Draw a line chart into a PNG.

    Args:
        path: path of the PNG.
        series: dict name -> (x, y), or a list of such pairs, one per seed. Seeds are drawn as their mean, in a band
            from the minimum to the maximum, and must share their x. The legend shows names as `in_words` writes them.
            Whole numbers get ticks at whole numbers.
        xlabel: str, label of the x axis.
        ylabel: str, label of the y axis.
        title: str.
        logx: bool, whether the x axis is logarithmic; its values must be positive.
        logy: bool, whether the y axis is logarithmic. It stays linear if no value, or not every reference, is positive.
        references: dict name -> value, drawn as dashed horizontal lines that the legend names, e.g. a published number.

    Raises:
        ValueError: if there is nothing to draw, x and y differ in length, or the seeds differ in x.
        UserError: if a value is not finite. Leave out the points that were not measured.
    """
    if not series:
        raise ValueError(f"A line chart needs at least one series. Received: {series}")
    curves = {name: _stack_seeds(name, one_or_more) for name, one_or_more in series.items()}
    _check_references(references)
    figure, axes = _axes(xlabel, ylabel, title)
    for i, (name, (x, ys)) in enumerate(curves.items()):
        colour = COLOURS[i % len(COLOURS)]
        linestyle = "--" if i >= len(COLOURS) else "-"  # where the colours repeat
        marker = "o" if len(x) == 1 else None  # a line of one point would be invisible
        axes.plot(x, ys.mean(0), color=colour, label=in_words(name), linewidth=1.8, linestyle=linestyle, marker=marker)
        if len(ys) > 1:
            axes.fill_between(x, ys.min(0), ys.max(0), color=colour, alpha=0.2, linewidth=0)
    has_positive = any((ys > 0).any() for _, ys in curves.values())
    if logy and has_positive and all(value > 0 for value in (references or {}).values()):
        axes.set_yscale("log")
    elif all(_is_whole(ys) for _, ys in curves.values()):
        axes.yaxis.get_major_locator().set_params(integer=True)
    if logx:
        axes.set_xscale("log")
    elif all(_is_whole(x) for x, _ in curves.values()):
        axes.xaxis.get_major_locator().set_params(integer=True)
    _draw_references(axes, references)
    _save_figure(path, figure, axes)


def plot_seeds(path, curves, ylabel, title, references=None, **plot_kwargs):
    """Draw curves over the seeds, see `plot_curves`; print a line instead if the steps of a kind's runs differ.

    Args:
        path: path of the PNG.
        curves: dict kind -> list of (steps, values), one per seed. Kinds without values are left out.
        ylabel: str.
        title: str.
        references: dict name -> value; None for a value that was not measured.
        **plot_kwargs: further arguments of `plot_curves`.
    """
    steps = {kind: {tuple(x) for x, _ in curves_of_kind} for kind, curves_of_kind in curves.items()}
    curves = {kind: curves_of_kind for kind, curves_of_kind in curves.items() if steps[kind] != {()}}
    if any(len(steps[kind]) > 1 for kind in curves):
        print(f"not drawn: {path} (the seeds were measured at different steps)", flush=True)
    elif curves:
        references = {name: value for name, value in (references or {}).items() if value is not None}
        plot_curves(path, curves, "step", ylabel, title, references=references, **plot_kwargs)


def plot_bars(path, groups, ylabel, title="", references=None):
    """Draw a bar chart into a PNG: a bar for the mean over seeds, and a point for every value.

    Args:
        path: path of the PNG.
        groups: dict group -> {label: value, or list of values, one per seed}. A label has one colour in all groups.
        ylabel: str, label of the y axis.
        title: str.
        references: dict name -> value, drawn as dashed horizontal lines.

    Raises:
        ValueError: if there is nothing to draw.
        UserError: if a value is not finite.
    """
    labels = list(dict.fromkeys(label for group in groups.values() for label in group))
    if not labels:
        raise ValueError(f"A bar chart needs at least one value. Received: {groups}")
    _check_references(references)
    figure, axes = _axes("", ylabel, title, width=max(6.4, 1.0 + 0.22 * len(groups) * (len(labels) + 1)))
    width = 0.8 / len(labels)
    for i, (colour, label) in enumerate(zip(cycle(COLOURS), labels, strict=False)):
        values = [
            np.atleast_1d(check_finite(f"{label!r} of {name!r}", group.get(label, [])).astype("float64"))
            for name, group in groups.items()
        ]
        positions = np.arange(len(groups)) + (i - (len(labels) - 1) / 2) * width
        present = [(x, v) for x, v in zip(positions, values, strict=True) if v.size]
        axes.bar(
            [x for x, _ in present], [v.mean() for _, v in present], 0.92 * width, color=colour, label=in_words(label)
        )
        for x, v in present:
            if len(v) > 1:
                axes.scatter([x] * len(v), v, s=14, color="white", edgecolor="#222222", linewidth=0.8, zorder=3)
    label_kwargs = {"rotation": 35, "ha": "right"} if len(groups) > 6 else {}
    letters = 60 if label_kwargs else int(LETTERS * figure.get_figwidth() / len(groups))
    names = [fill(in_words(name), letters, break_long_words=False) for name in groups]  # in lines if they are long
    axes.set_xticks(range(len(groups)), names, parse_math=False, **label_kwargs)
    axes.set_xlim(-0.6, len(groups) - 0.4)
    axes.grid(visible=False, axis="x")
    _draw_references(axes, references)
    _save_figure(path, figure, axes)


def _stack_seeds(name, curves):
    """Return x (points,) and ys (seeds, points) of one series, (x, y) or a list of such pairs."""
    curves = [curves] if isinstance(curves, tuple) else list(curves)
    curves = [curve if isinstance(curve, tuple | list) else [curve] for curve in curves]  # for the message below
    name_of_values = f"the values of series {name!r}"
    pairs = [tuple(check_finite(name_of_values, values).astype("float64") for values in curve) for curve in curves]
    shapes = [tuple(values.shape for values in pair) for pair in pairs]
    is_valid = [len(s) == 2 and s[0] == s[1] and len(s[0]) == 1 and s[0] != (0,) for s in shapes]
    if not pairs or not all(is_valid):
        raise ValueError(f"Series {name!r} must be (x, y) of equal length, or a list of such. Received: {shapes}")
    x = pairs[0][0]
    if any(not np.array_equal(x, other) for other, _ in pairs):
        raise ValueError(f"The seeds of series {name!r} must share their x. Received: {[p[0].tolist() for p in pairs]}")
    return x, np.stack([y for _, y in pairs])


def _is_whole(values):
    """Return whether all values are whole numbers, such as steps or numbers of modes."""
    return np.array_equal(values, np.round(values))


def blank_figure(width, height):
    """Return an empty matplotlib figure of a width and height in inches, without pyplot and its windows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # imported late, because it takes half a second
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def write_figure(path, figure, png_alone=False):
    """Write a matplotlib figure into a PNG atomically; the same drawing gives the same bytes.

    If matplotlib's own setting `savefig.format` names another format, as --format does, the figure is written in that
    one too, beside the PNG. Characters that no installed font has are left out of its texts, with a printed line.

    Args:
        path: path of the PNG.
        figure: matplotlib figure.
        png_alone: bool, write no other format, e.g. for a frame of an animation (default no).
    """
    import matplotlib

    left_out = make_drawable(figure)
    if left_out:
        print(f"{path}: {note_on_missing_fonts(left_out)}", flush=True)
    save_figure(path, figure, "png")
    further = matplotlib.rcParams["savefig.format"]
    if further != "png" and not png_alone:
        save_figure(Path(path).with_suffix(f".{further}"), figure, further)


def save_figure(path, figure, file_format):
    """Write a matplotlib figure atomically in one format; the same drawing gives the same bytes."""
    import matplotlib

    # versions, dates and random names would change the bytes
    metadata = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(file_format)
    with matplotlib.rc_context({"svg.hashsalt": "the same names in each call"}):
        atomic_write(path, lambda file: figure.savefig(Path(file), format=file_format, metadata=metadata))


def _axes(xlabel, ylabel, title, width=6.4):
    """Return a figure and its axes in our style."""
    figure = blank_figure(width, 4.2)
    axes = figure.add_subplot()
    axes.set_xlabel(xlabel, parse_math=False)  # names may contain dollar signs
    axes.set_ylabel(ylabel, parse_math=False)
    axes.set_title(title, parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e4e4e8", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _draw_references(axes, references):
    """Draw horizontal lines, each of another dash, with their names in the legend."""
    for (name, value), line_style in zip((references or {}).items(), cycle(("--", ":", "-.")), strict=False):
        axes.axhline(value, color="#55555f", linestyle=line_style, linewidth=1.1, label=name)


def _check_references(references):
    for name, value in (references or {}).items():
        check_finite(f"the reference {name!r}", value)


def _save_figure(path, figure, axes):
    many = len(axes.get_legend_handles_labels()[1]) > MOST_INSIDE
    place = {"loc": "center left", "bbox_to_anchor": (1, 0.5)} if many else {}
    for text in axes.legend(frameon=False, fontsize=9, **place).get_texts():
        text.set_parse_math(False)
    write_figure(path, figure)
