"""How samples are judged: modes of points, and what becomes of a network's outputs."""

import argparse

import numpy as np
import pytest

from common import toys
from common.samples import Pictures, Points, modes_of_points


def test_the_modes_of_points():
    centres, std = toys.modes("8gaussians")
    drawn = modes_of_points("8gaussians", toys.sample("8gaussians", 20_000, 3))
    assert drawn["near"] == pytest.approx(1 - np.exp(-4.5), abs=0.002)  # of a round normal in the plane, 3 deviations
    assert drawn["modes"] == 8 and drawn["mode_kl"] < 2e-3
    inside = (1 - 5.5 * np.exp(-4.5)) / (1 - np.exp(-4.5))  # variance of those that are near
    assert drawn["mode_width"] == pytest.approx(np.sqrt(inside), abs=0.01)
    assert np.sqrt(inside) == pytest.approx(0.974, abs=5e-4)
    points = toys.sample("8gaussians", 2000, 3)
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
    subject = Points(argparse.Namespace(dataset="8gaussians", seed=0, limit=None))
    fresh = toys.sample("8gaussians", subject.n, 77)
    assert subject.distance(fresh) == pytest.approx(subject.floor, rel=0.8)
    moved = subject.reference + np.array([0.5, 0], "float32")
    assert subject.distance(moved) == pytest.approx(0.5 * 2 / np.pi, rel=0.1)  # |shift| times the mean of |cos|
    numbers = subject.numbers(lambda n, stream: toys.sample("8gaussians", n, [9, stream]))
    assert numbers["swd"] < 3 * numbers["swd_floor"] and numbers["modes"] == 8


def test_pictures_are_measured_against_images_that_were_never_trained_on(tmp_path):
    args = argparse.Namespace(dataset="toy_faces", size=32, data_dir=None, limit=150, features=None)
    subject = Pictures(args)
    assert args.features == "pixels" and subject.n == 150 and subject.shape == (32, 32, 3)
    assert 0 < subject.floor < subject.distance(255 - subject.test[:150]) / 10
    assert subject.distance(subject.test[:150]) == pytest.approx(0, abs=1e-3 * subject.floor)
    numbers = subject.numbers(lambda n, stream: np.asarray(subject.train.array[:n]))
    assert numbers["fid"] == pytest.approx(numbers["fid_floor"]) and numbers["recall"] > 0.5
    assert set(numbers) >= {"kid", "coverage", "swd_32", "swd_16"} and "modes" not in numbers
    np.testing.assert_array_equal(subject.finish(np.array([-1.0, 0, 1.2])), [0, 128, 255])
    subject.show(tmp_path / "grid.png", subject.test[:100])
    assert (tmp_path / "grid.png").stat().st_size > 1000
