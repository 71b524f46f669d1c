"""Pictures with words around them: a title, a label for each column and a label for each row."""

import numpy as np

from common.plots.charts import DPI, blank_figure, write_figure
from common.plots.images import as_picture

LETTER = 8  # width of a letter of a label, in pixels: labels and titles of that width fit
TITLE_LETTER = 10
LINE, TITLE_LINE, MARGIN = 20, 28, 8  # pixels


def save_labelled(path, picture, title, columns=(), rows=()):
    """Write a picture with a title above it and labels along its top and its left side into a PNG.

    The pixels of the picture stay as they are.

    Args:
        path: path of the PNG.
        picture: (h, w, c) or (h, w), as in `common.plots.images.save_png`.
        title: str.
        columns: list of str, one for each column of equal width, from left to right (default: no labels).
        rows: list of str, one for each row of equal height, from the top down (default: no labels).

    Raises:
        ValueError: for another shape or type of the picture.
        UserError: if values are not finite, or if the file cannot be written.
    """
    picture = as_picture(picture)
    picture = np.broadcast_to(picture.reshape(*picture.shape[:2], -1), (*picture.shape[:2], 3))
    height, width = picture.shape[:2]
    left = MARGIN + LETTER * max(map(len, rows), default=0)
    top = TITLE_LINE + LINE * bool(len(columns))
    total_width = max(left + width, MARGIN + TITLE_LETTER * len(title)) + MARGIN
    total_height = top + height + MARGIN
    # a little more than a whole number of pixels, which rounding must not lower
    figure = blank_figure((total_width + 1e-6) / DPI, (total_height + 1e-6) / DPI)
    figure.set_layout_engine("none")
    box = (left / total_width, MARGIN / total_height, width / total_width, height / total_height)
    axes = figure.add_axes(box, frameon=False)
    axes.imshow(picture, interpolation="none", aspect="auto")
    axes.set_xticks(_centres(len(columns), width), list(columns), parse_math=False)
    axes.set_yticks(_centres(len(rows), height), list(rows), parse_math=False)
    axes.tick_params(length=0, pad=3, labelsize=8, labeltop=True, labelbottom=False)
    title_place = (MARGIN / total_width, 1 - 5 / total_height)
    figure.text(*title_place, title, va="top", fontsize=10, parse_math=False)
    write_figure(path, figure)


def _centres(n, length):
    """Return the centres of n equal parts of a side, in coordinates whose pixel i reaches from i - 0.5 to i + 0.5."""
    return (np.arange(n) + 0.5) * length / max(n, 1) - 0.5
