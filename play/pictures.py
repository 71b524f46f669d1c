"""Pictures as arrays, for every tab."""

import numpy as np

from common.plots.images import as_picture, image_grid


def strip(images, columns=None, side=96):
    """Return images in a row, or in rows of `columns`, each about `side` pixels wide: uint8 (height, width, 3).

    Args:
        images: uint8, or floats in [-1, 1], (n, size, size, channels).
        columns: int (default: all in one row).
        side: int.
    """
    scale = max(1, round(side / images.shape[1]))
    return as_rgb(as_picture(image_grid(images, columns or len(images), scale=scale)))


def as_rgb(picture):
    """Return a grey or coloured picture as uint8 (height, width, 3)."""
    picture = np.asarray(picture)
    return np.repeat(picture.reshape(*picture.shape[:2], -1), 3 if picture.ndim == 2 or picture.shape[2] == 1 else 1, 2)


def to_array(drawn):
    """Return a matplotlib figure as uint8 (height, width, 3)."""
    drawn.canvas.draw()
    return np.asarray(drawn.canvas.buffer_rgba())[..., :3].copy()


def shown(caption, name, **kwargs):
    """Return the component that shows a picture, with its caption above it.

    Args:
        caption: str.
        name: str, its id on the page.
        **kwargs: further arguments of `gradio.Image`.
    """
    import gradio as gr

    gr.Markdown(caption, elem_classes="caption")
    return gr.Image(
        show_label=False, label=caption, format="png", elem_id=name, buttons=["download", "fullscreen"], **kwargs
    )
