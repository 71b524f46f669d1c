"""Pictures of images and curves: arrays in, PNG or GIF out.

Images are (n, height, width, channels) with 1 or 3 channels: uint8, or floats in [-1, 1] which are rounded, and
clipped where a model overshoots. Pictures come back as uint8 (height, width, channels); the same input gives the same
bytes. Wrong shapes and types raise `ValueError`.
"""

import math

import numpy as np

from common.data.images import to_uint8
from common.files import atomic_write

WHITE = 255


def image_grid(images, columns=None, gutter=0, scale=1):
    """Lay images out row by row.

    Args:
        images: (n, h, w, c), n at least 1.
        columns: images in a row; default the smallest square that holds all. What is left of the last row is white.
        gutter: white pixels between neighbours, counted before scaling; none at the rim.
        scale: whole factor by which pixels are repeated, so that small images can be seen.
    """
    images = _as_uint8_images(images)
    columns = math.ceil(math.sqrt(len(images))) if columns is None else columns
    _check_int("columns", columns, 1)
    _check_int("gutter", gutter, 0)
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
    originals, reconstructions = _as_uint8_images(originals), _as_uint8_images(reconstructions)
    _check_same_shape("Originals and reconstructions", originals, reconstructions)
    if columns % 2:
        raise ValueError(f"Pairs need an even number of columns. Received: columns={columns}")
    pairs = np.stack([originals, reconstructions], 1)
    return image_grid(pairs.reshape(-1, *originals.shape[1:]), columns, scale=scale)


def interpolation_rows(originals_left, rows_of_images, originals_right, gutter=None, scale=1):
    """Each row: an original, the decoded steps between the two, the other original, with white gutters between.

    Args:
        originals_left: (rows, h, w, c), and `originals_right` alike.
        rows_of_images: (rows, steps, h, w, c).
        gutter: white pixels between originals and steps, counted before scaling; default the author's 20 at 128
            pixels, in proportion.
    """
    left, right, steps = (
        _as_uint8_images(originals_left),
        _as_uint8_images(originals_right),
        _as_uint8_images(rows_of_images, 5),
    )
    _check_same_shape("The originals of both ends", left, right)
    _check_same_shape("Originals and rows of steps", left, steps[:, 0])
    gutter = round(20 * left.shape[2] / 128) if gutter is None else gutter
    _check_int("gutter", gutter, 0)
    middle = image_grid(steps.reshape(-1, *left.shape[1:]), steps.shape[1])
    white = np.full((len(middle), gutter, left.shape[3]), WHITE, "uint8")
    return _enlarge(np.concatenate([image_grid(left, 1), white, middle, white, image_grid(right, 1)], 1), scale)


def neighbours(queries, matches, scale=1):
    """One column per query: the query on top, its matches below it, the nearest first.

    Args:
        queries: (q, h, w, c).
        matches: (q, k, h, w, c).
    """
    queries, matches = _as_uint8_images(queries), _as_uint8_images(matches, 5)
    _check_same_shape("Queries and matches", queries, matches[:, 0])
    rows = np.concatenate([queries[None], matches.swapaxes(0, 1)])
    return image_grid(rows.reshape(-1, *queries.shape[1:]), len(queries), scale=scale)


def save_png(path, image):
    """Write one picture (h, w, c) or (h, w), whole or not at all; makes the folder if need be."""
    import imageio.v3 as iio

    image = _picture(image)
    atomic_write(path, lambda temporary: iio.imwrite(temporary, image, extension=".png"))


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
    atomic_write(path, write)


def _as_uint8_images(images, dimensions=4):
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


def _check_same_shape(what, a, b):
    if a.shape != b.shape:
        raise ValueError(f"{what} must agree in number and shape. Received: {a.shape} and {b.shape}")


def _check_int(name, value, least):
    if not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} must be a whole number, at least {least}. Received: {value!r}")


def _enlarge(picture, scale):
    _check_int("scale", scale, 1)
    return picture.repeat(scale, 0).repeat(scale, 1)
