"""Pictures of images and curves: arrays in, PNG or GIF out.

Images are (n, height, width, channels) with 1 or 3 channels: uint8, or floats in [-1, 1] which are rounded, and
clipped where a model overshoots. Pictures come back as uint8 (height, width, channels); the same input gives the same
bytes. Wrong shapes and types raise `ValueError`.
"""

import math
from itertools import cycle
from pathlib import Path

import numpy as np

from common.data import to_uint8
from common.runs import write_whole

WHITE = 255
COLOURS = ("#2f6c8f", "#d9643f", "#5c9c76", "#a8405c", "#d9a04e", "#6a5fa8", "#4a4a55")


def image_grid(images, columns=None, gutter=0, scale=1):
    """Lay images out row by row.

    Args:
        images: (n, h, w, c), n at least 1.
        columns: images in a row; default the smallest square that holds all. What is left of the last row is white.
        gutter: white pixels between neighbours, counted before scaling; none at the rim.
        scale: whole factor by which pixels are repeated, so that small images can be seen.
    """
    images = _bytes(images)
    columns = math.ceil(math.sqrt(len(images))) if columns is None else columns
    _whole("columns", columns, 1)
    _whole("gutter", gutter, 0)
    n, height, width, channels = images.shape
    rows = -(-n // columns)
    grid = np.full((rows, height + gutter, columns, width + gutter, channels), WHITE, "uint8")
    for i, image in enumerate(images):
        grid[i // columns, :height, i % columns, :width] = image
    grid = grid.reshape(rows * (height + gutter), columns * (width + gutter), channels)
    return _enlarge(grid[: len(grid) - gutter, : grid.shape[1] - gutter], scale)


def reconstruction_pairs(originals, reconstructions, columns=8, scale=1):
    """Originals (n, h, w, c) in the columns 0, 2, ..., each with its reconstruction to the right of it.

    `columns` is even and counts both. 32 pairs in 8 columns are the author's square.
    """
    originals, reconstructions = _bytes(originals), _bytes(reconstructions)
    _same("Originals and reconstructions", originals, reconstructions)
    if columns % 2:
        raise ValueError(f"Pairs need an even number of columns. Received: columns={columns}")
    pairs = np.stack([originals, reconstructions], 1)
    return image_grid(pairs.reshape(-1, *originals.shape[1:]), columns, scale=scale)


def interpolation(originals_left, rows_of_images, originals_right, gutter=None, scale=1):
    """Each row: an original, the decoded steps between the two, the other original, with white gutters between.

    Args:
        originals_left: (rows, h, w, c), and `originals_right` alike.
        rows_of_images: (rows, steps, h, w, c).
        gutter: white pixels between originals and steps, counted before scaling; default the author's 20 at 128
            pixels, in proportion.
    """
    left, right, steps = _bytes(originals_left), _bytes(originals_right), _bytes(rows_of_images, 5)
    _same("The originals of both ends", left, right)
    _same("Originals and rows of steps", left, steps[:, 0])
    gutter = round(20 * left.shape[2] / 128) if gutter is None else gutter
    _whole("gutter", gutter, 0)
    middle = image_grid(steps.reshape(-1, *left.shape[1:]), steps.shape[1])
    white = np.full((len(middle), gutter, left.shape[3]), WHITE, "uint8")
    return _enlarge(np.concatenate([image_grid(left, 1), white, middle, white, image_grid(right, 1)], 1), scale)


def neighbours(queries, matches, scale=1):
    """One column per query: the query on top, its matches below it, the nearest first.

    Args:
        queries: (q, h, w, c).
        matches: (q, k, h, w, c).
    """
    queries, matches = _bytes(queries), _bytes(matches, 5)
    _same("Queries and matches", queries, matches[:, 0])
    rows = np.concatenate([queries[None], matches.swapaxes(0, 1)])
    return image_grid(rows.reshape(-1, *queries.shape[1:]), len(queries), scale=scale)


def save_png(path, image):
    """Write one picture (h, w, c) or (h, w), whole or not at all; makes the folder if need be."""
    import imageio.v3 as iio

    image = _picture(image)
    write_whole(path, lambda temporary: iio.imwrite(temporary, image, extension=".png"))


def save_gif(path, frames, seconds_per_frame=0.25, last_seconds=2.0):
    """Write pictures (h, w, c) of one size as an endless film that rests on its last frame; whole or not at all."""
    import imageio.v3 as iio

    frames = [_picture(frame) for frame in frames]
    shapes = {frame.shape for frame in frames}
    if len(shapes) != 1:
        raise ValueError(f"A film needs frames, all of one shape. Received: {len(frames)} frames of {sorted(shapes)}")
    if not min(seconds_per_frame, last_seconds) > 0:
        raise ValueError(f"Frames must last. Received: {seconds_per_frame=}, {last_seconds=}")
    milliseconds = [1000 * seconds_per_frame] * (len(frames) - 1) + [1000 * last_seconds]
    write = lambda temporary: iio.imwrite(temporary, frames, extension=".gif", duration=milliseconds, loop=0)
    write_whole(path, write)


def curves(path, series, xlabel, ylabel, title="", logy=False, references=None):
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


def bars(path, groups, ylabel, title="", references=None):
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


def _bytes(images, dimensions=4):
    """Images as uint8, after checking that they are images."""
    images = np.asarray(images)
    if images.ndim != dimensions or images.shape[-1] not in (1, 3) or not images.size:
        wanted = "(n, h, w, c)" if dimensions == 4 else "(rows, columns, h, w, c)"
        raise ValueError(f"Images must have the shape {wanted} with 1 or 3 channels. Received: {images.shape}")
    return _to_bytes(images)


def _picture(image):
    """One picture as uint8 (h, w, 3), or (h, w) if it is grey."""
    image = np.asarray(image)
    image = image[..., None] if image.ndim == 2 else image
    if image.ndim != 3 or image.shape[-1] not in (1, 3) or not image.size:
        raise ValueError(f"A picture must have the shape (h, w) or (h, w, 1 or 3). Received: {image.shape}")
    image = _to_bytes(image)
    return image[..., 0] if image.shape[-1] == 1 else image


def _to_bytes(values):
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind != "f" and values.dtype.name != "bfloat16":
        raise ValueError(f"Images must be uint8 or floats in [-1, 1]. Received: {values.dtype}")
    if values.min() >= 0 and values.max() > 2:  # a model may overshoot [-1, 1], but not so
        raise ValueError(f"Floats must lie in [-1, 1]. Received: {values.min()} to {values.max()}")
    return to_uint8(values)


def _same(what, a, b):
    if a.shape != b.shape:
        raise ValueError(f"{what} must agree in number and shape. Received: {a.shape} and {b.shape}")


def _whole(name, value, least):
    if not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} must be a whole number, at least {least}. Received: {value!r}")


def _enlarge(picture, scale):
    _whole("scale", scale, 1)
    return picture.repeat(scale, 0).repeat(scale, 1)


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
    write_whole(path, lambda file: figure.savefig(Path(file), format="png", metadata=software))


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
