"""Every figure says what it shows: a title, and a name at every axis, unless words stand at its ticks."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.ticker import FixedLocator

from common.experiments import compare_gans
from common.plots import charts, planes
from dcgan import saturation
from dynamics import decay, escape, games
from energy_gan import acceptance_rules, landscape, toy_dynamics
from fgan import best_gaussian, bounds, conjugates, gaussian
from fgan.divergences import DIVERGENCES
from rnn import bounds as step_bounds
from rnn import norms
from word_vectors import draw, library, sne, soft_library

CURVE = [[0, 0.0], [10, 0.1], [20, 0.2]]
POINTS, VALUES = np.zeros((9, 2)), np.eye(4)
BRIGHT = np.full((40, 40, 3), 200, "uint8")
RULES = {rule: {"variance": np.ones(5)} for rule in acceptance_rules.RULE_LABELS}
PATHS = {(name, m): [CURVE] for name in bounds.PANEL_ORDER for m in bounds.SHIFTS}


def draw_fits(path):
    exact = {"js": best_gaussian.optimum("js")}
    gaussian.draw_fits(path, exact, {"js": [{"mu": 0.0, "sigma": 1.0}]})


def draw_portraits(path):
    landscape.portraits(path, {name: toy_dynamics.late_radii(name) for name in toy_dynamics.DIRAC})


DRAWINGS = {
    "a line chart": lambda path: charts.plot_curves(path, {"a": ([0, 1], [0, 1])}, "step", "loss", "Training"),
    "a bar chart": lambda path: charts.plot_bars(path, {"a": {"b": 1}}, "value", "Runs"),
    "panels of the plane": lambda path: planes.plot_panels_2d(path, {"p": POINTS, "v": VALUES}, (-1, 1, -1, 1), "T"),
    "a frame of the plane": lambda path: planes.plot_panels_2d(path, {"p": POINTS, "v": VALUES}, (-1, 1, -1, 1)),
    "f and g": lambda path: conjugates.draw_f_and_g(path, list(DIVERGENCES.values())),
    "tangents": lambda path: conjugates.draw_tangents(path, [DIVERGENCES[n] for n in conjugates.TANGENT_NAMES]),
    "bounds": lambda path: bounds.draw(path, dict.fromkeys(PATHS, 0.2), PATHS),
    "fits": draw_fits,
    "rules": lambda path: acceptance_rules.draw(path, dict.fromkeys(acceptance_rules.STEPS, RULES)),
    "a landscape": lambda path: landscape.save_panels(path, landscape.digging()[0]),
    "Dirac GANs": draw_portraits,
    "an escape": lambda path: escape.draw_escape(path, np.linspace(4, 0, 9)),
    "shares": lambda path: escape.draw_shares(path, {1.0: np.zeros(11)}, {2.0: np.ones(11)}),
    "decays": lambda path: decay.draw_decay(path, {"Polyak": np.full(3001, 2.0)}),
    "rest": lambda path: decay.draw_rest(path, dict.fromkeys([(0, 0, 1), (0, 0, 2)], np.ones(50))),
    "games": games.draw_games,
    "saturation": saturation.draw,
    "a library": lambda path: library.draw_layouts(path, {"a": np.arange(60), "b": np.arange(60)}, np.arange(60) % 6),
    "books": lambda path: soft_library.draw_books(path, np.zeros((60, 2)), np.arange(60) % 6),
    "clusters": lambda path: sne.draw_maps(path, {"a": POINTS, "b": POINTS}, np.arange(9) % 8),
    "inner products": lambda path: draw.draw_products(path, np.arange(9.0), np.arange(9.0), "log p(j|i)"),
    "step bounds": step_bounds.draw,
    "curves of norms": lambda path: norms.draw_curves(path, {panel: {"tanh": POINTS} for panel in norms.PANELS}),
    "sweeps of norms": lambda path: norms.draw_sweeps(
        path, {bias: {"tanh": POINTS[:7]} for bias in (0.0, 1.0)}, {"gru": POINTS}
    ),
}


@pytest.fixture
def figure_of(monkeypatch, tmp_path):
    """Return a function that returns the matplotlib figure that a drawing function would write."""

    def figure_of(draw):
        figures = []
        monkeypatch.setattr(charts, "save_figure", lambda path, figure, file_format: figures.append(figure))
        draw(tmp_path / "a.png")
        (figure,) = figures
        return figure

    return figure_of


def names_of(figure, axis):
    """Return for each axes whether a figure names its x or y axis, itself or by one name for all."""
    shared = figure.get_supxlabel() if axis == "x" else figure.get_supylabel()
    for axes in figure.axes:
        one = getattr(axes, f"{axis}axis")
        words = isinstance(one.get_major_locator(), FixedLocator) and any(t.get_text() for t in one.get_ticklabels())
        yield bool(shared or one.get_label_text() or words)


@pytest.mark.parametrize("name", DRAWINGS)
def test_every_axis_has_a_name_and_every_figure_a_title(figure_of, name):
    figure = figure_of(DRAWINGS[name])
    assert all(names_of(figure, "x")) and all(names_of(figure, "y"))
    assert any(axes.get_title() for axes in figure.axes) or figure.get_suptitle()


def test_references_are_named_in_the_legend_alone(figure_of):
    references = {"published": 1, "floor": 0.5}
    figure = figure_of(lambda path: charts.plot_curves(path, {"a": ([0, 1], [0, 1])}, "x", "y", references=references))
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", *references] and not axes.texts
    assert len({line.get_linestyle() for line in axes.lines}) == 3


@pytest.mark.parametrize("n", [2, 4, 6])
def test_long_names_of_groups_do_not_touch(figure_of, n):
    groups = {f"{i}, the correlation of WWW and its own code": {"a": 1} for i in range(n)}
    figure = figure_of(lambda path: charts.plot_bars(path, groups, "value", "Runs"))
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
    shown = [label.get_text().replace("\n", " ") for label in figure.axes[0].get_xticklabels()]
    assert shown == list(groups), "no word is lost"


def test_a_panel_of_values_names_the_ends_of_its_colour_scale(figure_of):
    panels = {"a": np.eye(4) * 20 + 1e-90, "b": np.eye(4) - 3}
    figure = figure_of(lambda path: planes.plot_panels_2d(path, panels, (-1, 1, -1, 1), "T"))
    scales = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert scales == ["dark 0, bright 20", "dark -3, bright -2"]


def test_the_grid_of_a_comparison_in_the_plane_names_its_axes_once(figure_of):
    pictures = {kind: {compare_gans.DATA_COLUMN: BRIGHT, 10: BRIGHT} for kind in ("sgan", "rsgan_gp")}
    figure = figure_of(lambda path: compare_gans._draw_grid(path, pictures, "Samples"))
    upper_left, upper_right, lower_left, lower_right = figure.axes
    assert [axes.get_xlabel() for axes in figure.axes] == ["", "", *2 * planes.AXIS_NAMES[:1]]
    assert (upper_left.get_ylabel(), lower_left.get_ylabel()) == ("SGAN", "RSGAN-GP")
    assert upper_right.get_ylabel() == lower_right.get_ylabel() == planes.AXIS_NAMES[1]


def test_the_grid_of_images_has_no_axis_names(figure_of):
    figure = figure_of(lambda path: compare_gans._draw_grid(path, {"sgan": {10: BRIGHT, 20: BRIGHT}}, "Samples"))
    assert [axes.get_xlabel() for axes in figure.axes] == ["", ""]
