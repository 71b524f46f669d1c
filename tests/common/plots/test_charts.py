"""Line and bar charts: what is drawn, as pixels and as matplotlib's objects, and the same bytes every time."""

import subprocess
import sys
from unittest import mock

import imageio.v3 as iio
import numpy as np
import pytest

from common.cli import Parser, add_format, main
from common.errors import UserError
from common.plots import charts
from common.plots.charts import plot_bars, plot_curves
from tests.helpers.arrays import assert_not_blank

X = np.arange(5.0)
T = np.linspace(0, 3, 50)


def drawn(path):
    """Return a drawing as integers, and the mask of its pixels that are coloured rather than grey."""
    image = iio.imread(path)[..., :3].astype("int32")
    return image, np.ptp(image, 2) > 10


def test_curves_draw_lines_bands_and_references(tmp_path):
    def ink(name, series, **settings):
        path = tmp_path / "plots" / name
        plot_curves(path, series, "step", "loss", "title", **settings)
        assert_not_blank(path)
        image, coloured = drawn(path)
        return image, coloured.sum()

    line, count = ink("line.png", {"a": (X, X**2)})
    same, _ = ink("same.png", {"a": [(X, X**2)]})
    np.testing.assert_array_equal(line, same)
    _, band = ink("band.png", {"a": [(X, X**2 - 3), (X, X**2 + 3)]})
    assert band > 5 * count > 0
    _, two = ink("two.png", {"a": (X, X**2), "b": (X, 16 - X**2)})
    assert two > 1.5 * count
    referenced, _ = ink("reference.png", {"a": (X, X**2)}, references={"published": 7})
    dark = lambda image: (image.max(2) < 120).sum()
    assert dark(referenced) > dark(line) + 300


@pytest.mark.parametrize(
    ("x", "y", "axes", "expected"),
    [(T, np.exp(T), {"logy": True}, 0.0), (np.exp(T), T, {"logx": True}, 0.0), (T, np.exp(T), {}, 0.336)],
)
def test_an_exponential_is_a_straight_line_on_a_logarithmic_axis(tmp_path, x, y, axes, expected):
    """On a linear axis e^3x sags below the chord over (0, 1) by max x - (e^3x - 1) / (e^3 - 1) = .336."""
    plot_curves(tmp_path / "curve.png", {"a": (x, y)}, "", "", **axes)
    image, coloured = drawn(tmp_path / "curve.png")
    coloured[: len(image) // 4, : image.shape[1] // 3] = False  # the legend
    columns = np.flatnonzero(coloured.any(0))
    height = np.array([-np.flatnonzero(coloured[:, column]).mean() for column in columns])
    height = (height - height.min()) / np.ptp(height)
    chord = (columns - columns.min()) / np.ptp(columns)
    assert np.max(chord - height) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize(("y", "reference"), [([0.0, 0], 1.0), ([1.0, 2], 0.0), ([1.0, 2], -1e-12), ([-1.0, -2], 1.0)])
def test_what_has_no_logarithm_is_drawn_on_a_linear_axis(tmp_path, y, reference):
    for name, logy in (("log.png", True), ("linear.png", False)):
        plot_curves(tmp_path / name, {"a": ([1, 2], y)}, "x", "y", logy=logy, references={"floor": reference})
    assert (tmp_path / "log.png").read_bytes() == (tmp_path / "linear.png").read_bytes()


def test_curves_show_a_single_point(tmp_path):
    plot_curves(tmp_path / "point.png", {"a": ([3], [4])}, "x", "y")
    assert drawn(tmp_path / "point.png")[1].sum() > 20


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, None, "7"])
def test_values_that_are_no_numbers_are_named(tmp_path, value):
    path, bad = tmp_path / "chart.png", [0, 1, value, 3, 4]
    with pytest.raises(UserError, match="the values of series 'second' must be"):
        plot_curves(path, {"first": (X, X), "second": [(X, X), (X, bad)]}, "x", "y")
    with pytest.raises(UserError, match="the values of series 'a' must be"):
        plot_curves(path, {"a": (bad, X)}, "x", "y")
    with pytest.raises(UserError, match="'FID' of 'wgan' must be"):
        plot_bars(path, {"sgan": {"FID": 1}, "wgan": {"FID": [2, value]}}, "y")
    for draw in (lambda r: plot_curves(path, {"a": (X, X)}, "", "", references=r),
                 lambda r: plot_bars(path, {"g": {"a": 1}}, "", references=r)):  # fmt: skip
        with pytest.raises(UserError, match="the reference 'published' must be"):
            draw({"published": value})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "series",
    [
        {},
        {"a": []},
        {"a": ([], [])},
        {"a": (X, X[:3])},
        {"a": [(X, X), (X + 1, X)]},
        {"a": X},
        {"a": [(X, X), (X, X[:2])]},
    ],
)
def test_curves_refuse(tmp_path, series):
    with pytest.raises(ValueError, match="Received"):
        plot_curves(tmp_path / "curves.png", series, "x", "y")
    assert not list(tmp_path.iterdir())


def test_bars_are_means_with_a_point_for_every_seed(monkeypatch):
    figures = []
    monkeypatch.setattr(charts, "write_figure", lambda path, figure: figures.append(figure))
    plot_bars("bars.png", {"tilt": {"ours": [0.1, 0.3], "PCA": 0.5}, "gaze": {"ours": [0.2, 0.4, 0.6]}}, "R^2")
    (axes,) = figures[0].axes
    bars = [(bar.get_x() + bar.get_width() / 2, bar.get_height()) for bar in axes.patches]
    np.testing.assert_allclose(bars, [(-0.2, 0.2), (0.8, 0.4), (0.2, 0.5)])
    points = [dots.get_offsets().tolist() for dots in axes.collections]
    assert points == [[[-0.2, 0.1], [-0.2, 0.3]], [[0.8, 0.2], [0.8, 0.4], [0.8, 0.6]]]  # none for the one value of PCA
    assert [label.get_text() for label in axes.get_legend().get_texts()] == ["ours", "PCA"]


def test_bars_draw_every_value(tmp_path):
    def coloured(name, groups):
        plot_bars(tmp_path / name, groups, "R^2", "probe", references={"best": 1})
        return drawn(tmp_path / name)

    _, low = coloured("low.png", {"tilt": {"ours": 0.2}, "gaze": {"ours": 0.2}})
    _, high = coloured("high.png", {"tilt": {"ours": 0.8}, "gaze": {"ours": 0.8}})
    assert high.sum() > 3 * low.sum() > 0
    coloured(
        "gaps.png", {f"factor {i}": ({"ours": 0.5, "PCA": [0.2, 0.3]} if i % 2 else {"PCA": 0.1}) for i in range(9)}
    )
    with pytest.raises(ValueError, match="Received"):
        plot_bars(tmp_path / "none.png", {"a": {}}, "y")


def test_whole_numbers_have_ticks_at_whole_numbers(monkeypatch):
    figures = []
    monkeypatch.setattr(charts, "write_figure", lambda path, figure: figures.append(figure))
    for modes in ([7, 8, 8], [7, 8, 8.5]):
        plot_curves("modes.png", {"modes_found": ([3, 4, 6], modes)}, "step", "modes")
        figures[-1].canvas.draw()
    ticks = [[axis.get_majorticklocs() for axis in (f.axes[0].xaxis, f.axes[0].yaxis)] for f in figures]
    assert all((x == np.round(x)).all() for x, _ in ticks)
    assert (ticks[0][1] == np.round(ticks[0][1])).all() and (ticks[1][1] != np.round(ticks[1][1])).any()
    assert [text.get_text() for text in figures[0].axes[0].get_legend().get_texts()] == ["modes found"]


def test_same_drawing_same_bytes(tmp_path):
    for name in ("a.png", "b.png"):
        plot_curves(tmp_path / name, {"a": [(X, X), (X, X + 1)]}, "x", "y", "t", references={"r": 2})
        plot_bars(tmp_path / f"bars-{name}", {"g": {"a": [1, 2], "b": 3}}, "y")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "bars-a.png").read_bytes() == (tmp_path / "bars-b.png").read_bytes()


@pytest.mark.parametrize("name", ["svg", "pdf"])
def test_figures_are_written_in_a_second_format(tmp_path, name):
    """--format sets it for one call of `main`, and the PNG stays the same."""
    parser = Parser()
    add_format(parser)
    draw = lambda args: plot_curves(tmp_path / f"{args.format}.png", {"a": (X, X)}, "x", "y", "title")
    start = {"svg": b"<?xml", "pdf": b"%PDF"}[name]
    contents = []
    for flags in ([], ["--format", name], ["--format", name]):
        with mock.patch.object(sys, "argv", ["x", *flags]):
            main(draw, parser, backend_needed=False)
        contents += [path.read_bytes() for path in tmp_path.glob(f"{name}.{name}")]
    assert {path.name for path in tmp_path.iterdir()} == {"None.png", f"{name}.png", f"{name}.{name}"}
    assert (tmp_path / "None.png").read_bytes() == (tmp_path / f"{name}.png").read_bytes()
    assert contents[0].startswith(start) and contents[0] == contents[1]


def test_importing_is_light_and_pyplot_stays_out(tmp_path):
    code = (
        "import sys, common.plots.charts as f; assert 'matplotlib' not in sys.modules; "
        "f.plot_curves(sys.argv[1], {'a': ([0, 1], [0, 1])}, 'x', 'y'); assert 'matplotlib.pyplot' not in sys.modules; "
        "assert not {'tensorflow', 'jax', 'torch', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "curves.png")], check=True)
    assert (tmp_path / "curves.png").exists()
