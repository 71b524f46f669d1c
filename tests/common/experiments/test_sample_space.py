"""How samples are judged: modes of points, and what becomes of a network's outputs."""

import argparse

import numpy as np
import pytest

from common.data import toy_2d
from common.experiments.sample_space import ImageSpace, PlaneSpace
from common.metrics.modes import modes_of_points


def test_the_modes_of_points():
    centres, std = toy_2d.modes("8gaussians")
    drawn = modes_of_points("8gaussians", toy_2d.sample("8gaussians", 20_000, 3))
    assert drawn["near"] == pytest.approx(1 - np.exp(-4.5), abs=0.002)  # of a round normal in the plane, 3 deviations
    assert drawn["modes"] == 8 and drawn["mode_kl"] < 2e-3
    inside = (1 - 5.5 * np.exp(-4.5)) / (1 - np.exp(-4.5))  # variance of those that are near
    assert drawn["mode_width"] == pytest.approx(np.sqrt(inside), abs=0.01)
    assert np.sqrt(inside) == pytest.approx(0.974, abs=5e-4)
    points = toy_2d.sample("8gaussians", 2000, 3)
    nearest = centres[np.square(points[:, None] - centres).sum(-1).argmin(1)]
    narrow = nearest + 0.3 * (points - nearest)
    assert modes_of_points("8gaussians", narrow + [std / 2, 0])["mode_width"] == pytest.approx(0.3, abs=0.01)
    # half of the points on one mode, a quarter on another, a quarter just outside of a third's three deviations
    points = centres[[0, 0, 1, 2]] + np.array([[0, 0], [0, 2.9 * std], [0, 0], [3.1 * std, 0]])
    assert modes_of_points("8gaussians", points) == {
        "near": 0.75,
        "modes": 2,
        "mode_kl": pytest.approx(np.log(8) + 2 / 3 * np.log(2 / 3) + 1 / 3 * np.log(1 / 3)),
        "mode_width": pytest.approx(1.45 / np.sqrt(3)),  # two points 2.9 apart and one alone, over two axes
    }
    nowhere = modes_of_points("8gaussians", np.full((5, 2), 100.0))
    assert nowhere == {"near": 0.0, "modes": 0, "mode_kl": pytest.approx(np.log(8)), "mode_width": 0.0}
    assert modes_of_points("two_moons", points) == {}, "its modes are no points"


def test_points_near_the_data_have_a_small_distance():
    space = PlaneSpace(argparse.Namespace(dataset="8gaussians", seed=0, limit=None))
    fresh = toy_2d.sample("8gaussians", space.n, 77)
    assert space.distance(fresh) == pytest.approx(space.noise_floor, rel=0.8)
    moved = space.reference + np.array([0.5, 0], "float32")
    assert space.distance(moved) == pytest.approx(0.5 * 2 / np.pi, rel=0.1)  # |shift| times the mean of |cos|
    numbers = space.evaluate(lambda n, stream: toy_2d.sample("8gaussians", n, [9, stream]))
    assert numbers["swd"] < 3 * numbers["swd_floor"] and numbers["modes"] == 8


def test_pictures_are_measured_against_images_that_were_never_trained_on(tmp_path):
    args = argparse.Namespace(dataset="toy_faces", size=32, data_dir=None, limit=150, features=None)
    space = ImageSpace(args)
    assert args.features == "pixels" and space.n == 150 and space.shape == (32, 32, 3)
    assert 0 < space.noise_floor < space.distance(255 - space.test[:150]) / 10
    assert space.distance(space.test[:150]) == pytest.approx(0, abs=1e-3 * space.noise_floor)
    numbers = space.evaluate(lambda n, stream: np.asarray(space.train.array[:n]))
    assert numbers["fid"] == pytest.approx(numbers["fid_floor"]) and numbers["recall"] > 0.5
    assert set(numbers) >= {"kid", "coverage", "swd_32", "swd_16"} and "modes" not in numbers
    np.testing.assert_array_equal(space.postprocess(np.array([-1.0, 0, 1.2])), [0, 128, 255])
    space.show(tmp_path / "grid.png", space.test[:100])
    assert (tmp_path / "grid.png").stat().st_size > 1000
