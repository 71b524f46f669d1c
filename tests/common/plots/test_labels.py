"""Labels around a picture: its pixels stay, each label stands at its column or row, and names are words."""

import imageio.v3 as iio
import numpy as np
import pytest

from common.plots import labels
from common.plots.labels import save_labelled
from common.plots.words import in_words


@pytest.mark.parametrize("shape", [(40, 60, 3), (41, 67, 1), (40, 60)])
@pytest.mark.parametrize("rows", [(), ("one", "another"), ("one", "another with a long name")])
def test_the_pixels_stay_as_they_are(tmp_path, shape, rows):
    picture = np.random.default_rng(0).integers(0, 256, shape).astype("uint8")
    save_labelled(tmp_path / "a.png", picture, "A title that is wider than the picture", ("a", "b"), rows)
    read = iio.imread(tmp_path / "a.png")[..., :3]
    left = labels.MARGIN + labels.LETTER * max(map(len, rows), default=0)
    top = labels.TITLE_LINE + labels.LINE
    inside = read[top : top + shape[0], left : left + shape[1]]
    np.testing.assert_array_equal(inside, np.broadcast_to(picture.reshape(*shape[:2], -1), inside.shape))
    outside = read.copy()
    outside[top : top + shape[0], left : left + shape[1]] = 255
    assert (outside[:top] < 100).any() and (outside[:, -2:] == 255).all()
    assert (outside[top:, :left] < 100).any() == bool(rows)


def test_labels_stand_at_the_middle_of_their_columns_and_rows(monkeypatch):
    figures = []
    monkeypatch.setattr(labels, "write_figure", lambda path, figure: figures.append(figure))
    save_labelled("a.png", np.zeros((30, 80, 3), "uint8"), "t", ("a", "b", "c", "d"), ("x", "y"))
    (axes,) = figures[0].axes
    assert [(t.get_text(), *t.get_position()) for t in axes.get_xticklabels()] == [
        ("a", 9.5, 1), ("b", 29.5, 1), ("c", 49.5, 1), ("d", 69.5, 1)
    ]  # fmt: skip
    assert [(t.get_text(), t.get_position()[1]) for t in axes.get_yticklabels()] == [("x", 7), ("y", 22)]


def test_names_are_words():
    assert in_words("critic_gap") == "critic gap" and in_words("toy_faces") == "toy faces"
    assert in_words("stacked_mnist_2") == "stacked MNIST of two digits" and in_words(0.5) == "0.5"
    assert in_words("folder:/my_photos") == "folder:/my_photos"
