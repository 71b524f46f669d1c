"""Plots of the plane: points and densities side by side."""

import math

import numpy as np

from common.data.checks import check_finite
from common.plots.charts import COLOURS, DPI, blank_figure, write_figure

PANELS_PER_ROW = 4
PANEL_WIDTH = 2.6  # inches, with its margins
LEFT, RIGHT, BOTTOM, TOP = 0.5, 0.14, 0.42, 0.4  # inches around the axes of a panel: ticks, names, title, scale
TITLE_HEIGHT = 0.3  # inches
AXIS_NAMES = ("$x_1$", "$x_2$")  # of the plane
COLORMAP, FRAME_COLOUR, LABEL_COLOUR = "magma", "#9a9aa4", "#55555f"


def grid_points(extent, m):
    """Return the centres of the m x m equal cells of an extent, row by row from the lowest y up.

    For values at these points, `values.reshape(m, m)` is a panel for `plot_panels_2d`. Their sum times the area of a
    cell is the midpoint rule.

    Args:
        extent: (xmin, xmax, ymin, ymax).
        m: int, cells per side.

    Returns:
        float32 (m * m, 2).

    Raises:
        ValueError: for an extent that is not finite or not increasing, and for m below 1.
    """
    xmin, xmax, ymin, ymax = _extent(extent)
    if not isinstance(m, int | np.integer) or m < 1:
        raise ValueError(f"m, the number of cells per side, must be an integer, at least 1. Received: {m!r}")
    steps = (np.arange(m) + 0.5) / m
    x, y = np.meshgrid(xmin + (xmax - xmin) * steps, ymin + (ymax - ymin) * steps)
    return np.stack([x.reshape(-1), y.reshape(-1)], 1).astype("float32")


def plot_panels_2d(path, panels, extent, title=""):
    """Draw panels side by side, at most four in a row, into a PNG. The same panels give the same bytes.

    Args:
        path: path of the PNG, written atomically.
        panels: dict title -> array. Points (n, 2) are drawn as translucent dots; those outside the extent are not
            seen. Values (m, m), m at least 3, on the cells of `grid_points`, [row = y, column = x], are drawn as an
            image with its own colour scale, whose ends stand below the title.
        extent: (xmin, xmax, ymin, ymax) of all panels, drawn with equal units along x and y.
        title: str, title above all panels. Without one, the plot is a frame of an animation: a PNG and nothing else.

    Raises:
        ValueError: for other shapes, no panels, or an extent that is not finite or not increasing.
        UserError: for points and values that are not finite.
    """
    xmin, xmax, ymin, ymax = extent = _extent(extent)
    panels = {title: _panel(title, values) for title, values in panels.items()}
    if not panels:
        raise ValueError(f"A plot needs at least one panel. Received: {panels}")
    columns, rows = min(len(panels), PANELS_PER_ROW), math.ceil(len(panels) / PANELS_PER_ROW)
    width = PANEL_WIDTH - LEFT - RIGHT
    height = width * (ymax - ymin) / (xmax - xmin)
    total_width = PANEL_WIDTH * columns
    total_height = (height + TOP + BOTTOM) * rows + TITLE_HEIGHT * bool(title)
    figure = blank_figure(total_width, total_height)
    figure.set_layout_engine("none")  # `inside_of_panel` knows where the axes are
    if title:
        figure.text(0.5, 1 - 0.08 / total_height, title, ha="center", va="top", fontsize=11, parse_math=False)
    for i, (name, values) in enumerate(panels.items()):
        row, column = divmod(i, PANELS_PER_ROW)
        left, bottom = column * PANEL_WIDTH + LEFT, (rows - 1 - row) * (height + TOP + BOTTOM) + BOTTOM
        box = (left / total_width, bottom / total_height, width / total_width, height / total_height)
        axes = figure.add_axes(box)
        axes.tick_params(labelsize=7, length=2, color=FRAME_COLOUR, labelcolor=LABEL_COLOUR)
        axes.locator_params(nbins=5, steps=[1, 2, 5, 10])
        axes.spines[:].set_color(FRAME_COLOUR)
        if values.shape[1] == 2:
            size, alpha = _dots(len(values))
            axes.scatter(*values.T, s=size, color=COLOURS[0], alpha=alpha, linewidths=0)
        else:
            axes.imshow(values, cmap=COLORMAP, origin="lower", extent=extent)
            dark, bright = _ends(values)
            scale = f"dark {dark:.2g}, bright {bright:.2g}"
            axes.text(
                0.5, 1.02, scale, transform=axes.transAxes, ha="center", va="bottom", fontsize=7, color=LABEL_COLOUR
            )
        axes.set_title(name, fontsize=10, parse_math=False, pad=14 if values.shape[1] != 2 else 5)
        axes.set_xlabel(AXIS_NAMES[0], fontsize=8, labelpad=1, color=LABEL_COLOUR)
        axes.set_ylabel(AXIS_NAMES[1], fontsize=8, labelpad=1, color=LABEL_COLOUR)
        axes.set(xlim=(xmin, xmax), ylim=(ymin, ymax), aspect="equal")
    write_figure(path, figure, png_alone=not title)


def inside_of_panel(picture, i, n):
    """Return what a panel shows, without its frame, ticks and title, cut out of a frame of an animation.

    Args:
        picture: (height, width, ...), a picture that `plot_panels_2d` drew of n panels without a title above all.
        i: int, number of the panel, from 0 on.
        n: int, number of panels, at most `PANELS_PER_ROW`.
    """
    height, left = len(picture), i * picture.shape[1] // n
    inner = 3  # pixels, a little more than half of the frame's line
    rows = slice(round(TOP * DPI) + inner, height - round(BOTTOM * DPI) - inner)
    columns = slice(left + round(LEFT * DPI) + inner, left + round((PANEL_WIDTH - RIGHT) * DPI) - inner)
    return picture[rows, columns]


def _dots(n):
    """Return the area in points^2 and the opacity of a dot: fewer dots are larger and darker."""
    return float(np.clip(3000 / n, 1.5, 12)), float(np.clip(25 / math.sqrt(n), 0.15, 0.8))


def _ends(values):
    """Return the least and the greatest value, 0 in place of one that is far smaller than their difference."""
    low, high = values.min(), values.max()
    return tuple(0.0 if abs(value) < 1e-3 * (high - low) else value for value in (low, high))


def _extent(extent):
    """Return an extent as a tuple of four floats, after checking it."""
    values = np.asarray(extent, "float64")
    if values.shape != (4,) or not np.isfinite(values).all() or not (values[::2] < values[1::2]).all():
        raise ValueError(f"An extent must be (xmin, xmax, ymin, ymax) with min < max. Received: {extent}")
    return tuple(values.tolist())


def _panel(title, values):
    """Return a panel's points (n, 2) or values (m, m) as float64, after checking them."""
    values = check_finite(f"panel {title!r}", values).astype("float64")
    points = values.ndim == 2 and values.shape[1] == 2 and len(values)
    square = values.ndim == 2 and values.shape[0] == values.shape[1] >= 3
    if not (points or square):
        raise ValueError(f"Panel {title!r} must be points (n, 2) or values (m, m). Received: {values.shape}")
    return values
