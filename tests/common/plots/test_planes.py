"""Panels of the plane: what is drawn where, in pixels of the PNG."""

import subprocess
import sys

import imageio.v3 as iio
import numpy as np
import pytest

from common.errors import UserError
from common.plots.charts import COLOURS
from common.plots.planes import grid_points, inside_of_panel, plot_panels_2d

SQUARE = (-2, 2, -2, 2)
DOT = tuple(int(COLOURS[0][i : i + 2], 16) for i in (1, 3, 5))


def read(path):
    return iio.imread(path)[..., :3].astype("int32")


def near(image, colour, within=40):
    return np.abs(image - colour).max(2) <= within


def box(mask):
    """Return (left, right, top, bottom) of what is set, in pixels from the upper left. Titles are set, too."""
    rows, columns = np.nonzero(mask)
    return np.array([columns.min(), columns.max() + 1, rows.min(), rows.max() + 1])


def one_cell(m, row, column):
    values = np.zeros((m, m))
    values[row, column] = 1
    return values


def pale(image):
    """Return the mask of the upper end of the colour scale: nearly white, but with less blue."""
    return (image[..., 0] > 240) & (image[..., 2] < 220)


def test_grid_points_are_cell_centres_row_by_row():
    points = grid_points((0, 4, 10, 12), 2)
    assert points.dtype == np.float32
    np.testing.assert_array_equal(points, [[1, 10.5], [3, 10.5], [1, 11.5], [3, 11.5]])


def test_grid_points_are_a_midpoint_rule():
    x, y = grid_points((0, 1, 0, 2), 50).astype("float64").T
    cell = 2 / 50**2  # the integral of x^2 + y over (0, 1) x (0, 2) is 2/3 + 2; of x^2 the rule gives 1/(12 m^2) less
    np.testing.assert_allclose(np.sum(x**2 + y) * cell, 2 / 3 + 2 - 2 / (12 * 50**2), rtol=1e-6)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 3), (3, 0), (2, 1)])
def test_a_cell_and_a_point_at_its_centre_are_drawn_at_the_same_place(tmp_path, row, column):
    m = 4
    values = one_cell(m, row, column)
    middle = grid_points(SQUARE, m)[values.reshape(-1) == 1]
    plot_panels_2d(tmp_path / "cell.png", {"": values}, SQUARE)
    plot_panels_2d(tmp_path / "dot.png", {"": middle}, SQUARE)
    cell, dot = read(tmp_path / "cell.png"), read(tmp_path / "dot.png")
    left, right, top, bottom = box(near(cell, 0) | pale(cell))
    side = (right - left) / m
    assert abs((bottom - top) / m - side) < 1
    bright = box(pale(cell))
    expected = [left + column * side, left + (column + 1) * side, bottom - (row + 1) * side, bottom - row * side]
    np.testing.assert_allclose(bright, expected, atol=3)
    ink = box(near(dot, DOT, 90) & (np.ptp(dot, 2) > 40))
    np.testing.assert_allclose(ink.reshape(2, 2).mean(1), bright.reshape(2, 2).mean(1), atol=3)


def test_units_are_equal_along_both_axes(tmp_path):
    for extent in ((-3, 3, -2, 2), (0, 2, 0, 4)):
        plot_panels_2d(tmp_path / "wide.png", {"": one_cell(20, 3, 4)}, extent)
        image = read(tmp_path / "wide.png")
        left, right, top, bottom = box(near(image, 0))
        assert (right - left) / (bottom - top) == pytest.approx(
            (extent[1] - extent[0]) / (extent[3] - extent[2]), rel=0.03
        )


def test_more_points_are_more_ink_and_points_outside_are_none(tmp_path):
    def ink(points):
        plot_panels_2d(tmp_path / "points.png", {"a": points}, SQUARE)
        return (np.ptp(read(tmp_path / "points.png"), 2) > 20).sum()

    points = np.random.default_rng(0).uniform(-2, 2, (400, 2))
    few = ink(points[:100])
    assert ink(points) > 1.5 * few > 0
    assert ink(points + 10) == 0


def test_four_panels_in_a_row(tmp_path):
    def drawn(n):
        panels = {f"{i}": one_cell(4, 1, 1) for i in range(n)}
        plot_panels_2d(tmp_path / "panels.png", panels, SQUARE)
        image = read(tmp_path / "panels.png")
        corners = np.pad(pale(image), 1).astype("int32")
        corners = corners[1:, 1:] - corners[1:, :-1] - corners[:-1, 1:] + corners[:-1, :-1]
        return image.shape[:2], np.abs(corners).sum()

    sizes, corners = zip(*(drawn(n) for n in (1, 4, 5, 8, 9)), strict=True)
    (height, width), full, two, also_two, three = sizes
    assert full == (height, 4 * width)
    assert two == also_two
    np.testing.assert_allclose([two, three], [(2 * height, 4 * width), (3 * height, 4 * width)], atol=2)
    assert corners == (4, 16, 20, 32, 36)  # a bright rectangle in every panel


def test_every_panel_has_its_own_scale(tmp_path):
    small, large = one_cell(4, 2, 2) * 1e-3, one_cell(4, 2, 2) * 1e3
    plot_panels_2d(tmp_path / "two.png", {"small": small, "large": large}, SQUARE)
    image = read(tmp_path / "two.png")
    halves = [pale(half).sum() for half in np.split(image, 2, axis=1)]
    assert min(halves) > 1000
    assert max(halves) < 1.1 * min(halves)


@pytest.mark.parametrize("extent", [SQUARE, (-3, 3, -2, 2)])
def test_the_inside_of_a_panel_is_cut_at_its_frame(tmp_path, extent):
    plot_panels_2d(tmp_path / "a.png", {"": np.zeros((4, 4)), " ": np.ones((4, 4))}, extent)
    picture = read(tmp_path / "a.png")
    inside = inside_of_panel(picture, 1, 2)
    assert np.ptp(inside.reshape(-1, 3), 0).max() == 0  # one colour: no frame, no tick
    left, right, top, bottom = box(near(picture[:, : picture.shape[1] // 2], inside[0, 0]))
    inside = inside_of_panel(picture, 0, 2)
    assert 0 <= right - left - inside.shape[1] <= 8 and 0 <= bottom - top - inside.shape[0] <= 8


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(7, 2), (4, 4)])
def test_points_and_values_that_are_no_numbers_are_named(tmp_path, shape, value):
    bad = np.zeros(shape)
    bad[2, 1] = value
    with pytest.raises(UserError, match=r"panel 'samples' must be finite.*1 of .* the first in row 2"):
        plot_panels_2d(tmp_path / "a.png", {"data": np.zeros((9, 2)), "samples": bad}, SQUARE)
    assert not list(tmp_path.iterdir())


def test_same_panels_give_same_bytes_and_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    panels = {"points": np.random.default_rng(0).normal(size=(500, 2)), "values": one_cell(9, 2, 3)}
    path = tmp_path / "new" / "a.png"
    plot_panels_2d(path, panels, SQUARE)
    first = path.read_bytes()
    plot_panels_2d(path, panels, SQUARE)
    assert path.read_bytes() == first

    def half_a_file(self, file, **settings):
        file.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", half_a_file)
    with pytest.raises(UserError, match="disk full"):
        plot_panels_2d(path, panels, (-1, 1, -1, 1))
    assert path.read_bytes() == first
    assert [p.name for p in path.parent.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    "panels",
    [{}, *({"a": np.zeros(shape)} for shape in [(0, 2), (3, 4), (4, 3), (1, 1), (5,), (), (5, 5, 1), (5, 1), (2, 3)])],
)
def test_planes_refuse_panels(tmp_path, panels):
    with pytest.raises(ValueError, match="Received"):
        plot_panels_2d(tmp_path / "a.png", panels, SQUARE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("extent", [(0, 1, 0), (1, 1, 0, 1), (0, 1, 1, 0), (0, np.inf, 0, 1), 3, (0, 1, 0, np.nan)])
def test_extents_are_refused(tmp_path, extent):
    with pytest.raises(ValueError, match=r"xmin, xmax, ymin, ymax.*Received"):
        plot_panels_2d(tmp_path / "a.png", {"a": np.zeros((3, 3))}, extent)
    with pytest.raises(ValueError, match=r"xmin, xmax, ymin, ymax.*Received"):
        grid_points(extent, 3)


@pytest.mark.parametrize("m", [0, -1, 2.0, "3"])
def test_grids_are_refused(m):
    with pytest.raises(ValueError, match=r"number of cells per side, must be an integer.*Received"):
        grid_points(SQUARE, m)


def test_importing_is_light_and_pyplot_stays_out(tmp_path):
    code = (
        "import sys, common.plots.planes as p, common.data.toy_2d as t; assert 'matplotlib' not in sys.modules; "
        "p.plot_panels_2d(sys.argv[1], {'a': t.sample('two_moons', 9, 0)}, (-2, 2, -2, 2)); "
        "assert not {'matplotlib.pyplot', 'tensorflow', 'jax', 'torch', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.png")], check=True)
    assert (tmp_path / "a.png").exists()
