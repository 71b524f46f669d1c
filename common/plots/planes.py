"""Pictures of the plane: points and densities side by side."""

import math

import numpy as np

from common.plots.charts import COLOURS, blank_figure, write_figure

PER_ROW = 4
INCHES = 2.6  # of width for a panel
MARGIN = 0.4  # of them for the numbers beside it, and as much for the title above
COLORMAP, GAP = "magma", "#b9b9c2"
FRAME = "#9a9aa4"


def grid_points(extent, m):
    """Centres of the m x m equal cells of the extent, float32 (m * m, 2), in rows from the lowest y up.

    So `values.reshape(m, m)` of values at these points is a panel for `planes`, and their sum times the area of a cell
    is the midpoint rule. `extent` is (xmin, xmax, ymin, ymax); a wrong one, or m below 1, raises `ValueError`.
    """
    xmin, xmax, ymin, ymax = _extent(extent)
    if not isinstance(m, int | np.integer) or m < 1:
        raise ValueError(f"A grid needs a whole number of cells per side, at least 1. Received: {m!r}")
    steps = (np.arange(m) + 0.5) / m
    x, y = np.meshgrid(xmin + (xmax - xmin) * steps, ymin + (ymax - ymin) * steps)
    return np.stack([x.reshape(-1), y.reshape(-1)], 1).astype("float32")


def plot_panels_2d(path, panels, extent):
    """Draw panels side by side, at most four in a row, into a PNG, whole or not at all; the same bytes every time.

    Args:
        panels: title -> points (n, 2), drawn as translucent dots (those outside the extent are not seen); or values
            (m, m), m at least 3, on the cells of `grid_points`, [row = y, column = x], drawn as an image with a colour
            scale of its own. What is not finite is left out: no dots, grey cells.
        extent: (xmin, xmax, ymin, ymax), one for all panels, drawn with equal units along x and y.

    Wrong shapes raise `ValueError`.
    """
    xmin, xmax, ymin, ymax = extent = _extent(extent)
    panels = {title: _panel(title, values) for title, values in panels.items()}
    if not panels:
        raise ValueError(f"Planes need at least one panel. Received: {panels}")
    columns, rows = min(len(panels), PER_ROW), -(-len(panels) // PER_ROW)
    height = (INCHES - MARGIN) * (ymax - ymin) / (xmax - xmin) + 1.5 * MARGIN
    figure = blank_figure(INCHES * columns, height * rows)
    for i, (title, values) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, columns, i + 1)
        axes.set_title(title, fontsize=10)
        axes.tick_params(labelsize=7, length=2, color=FRAME, labelcolor="#55555f")
        axes.locator_params(nbins=5, steps=[1, 2, 5, 10])
        axes.spines[:].set_color(FRAME)
        if values.shape[1] == 2:
            size, alpha = _dots(len(values))
            axes.scatter(*values.T, s=size, color=COLOURS[0], alpha=alpha, linewidths=0)
        else:
            axes.imshow(values, cmap=COLORMAP, origin="lower", extent=extent)
            axes.set_facecolor(GAP)
        axes.set(xlim=(xmin, xmax), ylim=(ymin, ymax), aspect="equal")
    write_figure(path, figure)


def _dots(n):
    """Area in points^2 and opacity of a dot: fewer dots are larger and darker."""
    return float(np.clip(3000 / n, 1.5, 12)), float(np.clip(25 / math.sqrt(n), 0.15, 0.8))


def _extent(extent):
    values = np.asarray(extent, "float64")
    if values.shape != (4,) or not np.isfinite(values).all() or not (values[::2] < values[1::2]).all():
        raise ValueError(f"An extent is (xmin, xmax, ymin, ymax) with min < max. Received: {extent}")
    return tuple(values.tolist())


def _panel(title, values):
    values = np.asarray(values, "float64")
    points = values.ndim == 2 and values.shape[1] == 2 and len(values)
    square = values.ndim == 2 and values.shape[0] == values.shape[1] >= 3
    if not (points or square):
        raise ValueError(f"Panel {title!r} must be points (n, 2) or values (m, m). Received: {values.shape}")
    return values
