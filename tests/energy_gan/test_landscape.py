"""The energy landscapes, the balls on them, and the Dirac games."""

import json

import imageio.v3 as iio
import numpy as np
import pytest

from energy_gan import landscape
from energy_gan.landscape import EIGHT_PITS, barriers, distinct_pits
from energy_gan.toy_dynamics import DIRAC, START, assign_to_pit, critic_step, energy, heavy_ball, late_radii, rk4, slope
from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import run_script

HILLY = np.array([(-1.0, 0.8, 0.5), (0.7, -0.4, 0.3), (1.5, 1.1, 0.7)])


def central(function, x, step=1e-5):
    """Gradient (n,) of a function of an array (n,) by central differences."""
    return np.array([function(x + a) - function(x - a) for a in step * np.eye(len(x))]) / (2 * step)


# landscapes


def test_a_pit_has_its_depth_and_its_width():
    pit = [(2.0, 3.0, 0.5)]
    np.testing.assert_allclose(energy([2.0, 2.5, 1.5], pit), [-3, -3 * np.exp(-0.5), -3 * np.exp(-0.5)])
    assert energy(0.1, np.concatenate([pit, HILLY])) == pytest.approx(energy(0.1, pit) + energy(0.1, HILLY))


def test_the_slope_is_the_derivative_of_the_energy():
    x = np.linspace(-3, 3, 60).reshape(3, 20)
    assert slope(x, HILLY).shape == energy(x, HILLY).shape == (3, 20)
    differences = (energy(x + 1e-6, HILLY) - energy(x - 1e-6, HILLY)) / 2e-6
    np.testing.assert_allclose(slope(x, HILLY), differences, atol=1e-8)


def test_a_d_step_digs_at_the_reals_and_fills_up_under_the_fakes():
    real, fake = [-1.0, 1.5], [0.2]
    dug = critic_step(HILLY, real, fake, 0.3, 0.4)
    near = lambda x, point: 0.3 * np.exp(-((x - point) ** 2) / (2 * 0.4**2))
    x = np.linspace(-3, 3, 50)
    np.testing.assert_allclose(energy(x, dug) - energy(x, HILLY), near(x, 0.2) - near(x, -1.0) - near(x, 1.5))
    alike = critic_step(HILLY, real, real, 0.3, 0.4)
    np.testing.assert_allclose(energy(x, alike), energy(x, HILLY), atol=1e-12, err_msg="fakes on the reals: at rest")


def test_the_nearest_pit_unless_it_is_too_far():
    assert assign_to_pit([[-1.1, 0.2], [0.9, 5.0]], [-1.0, 0.0, 1.0], [0.2, 0.1, 0.2]).tolist() == [[0, -1], [2, -1]]


# balls


def test_the_velocity_is_kept_in_part():
    path = heavy_ball(lambda x: 2 * x, [1.0, -2.0], 0.1, 0.9, 3)
    v1 = -0.1 * 2 * path[0]
    v2 = 0.9 * v1 - 0.1 * 2 * (path[0] + v1)
    v3 = 0.9 * v2 - 0.1 * 2 * (path[0] + v1 + v2)
    np.testing.assert_allclose(path[1:], path[0] + np.cumsum([v1, v2, v3], 0))
    assert path[0].tolist() == [1.0, -2.0]


def test_plain_small_steps_go_downhill_to_the_pit_of_their_basin():
    ends = barriers(EIGHT_PITS)
    begun = np.random.default_rng(1).uniform(ends[0] + 0.01, ends[-1] - 0.01, 300)
    begun = begun[abs(begun[:, None] - ends).min(1) > 0.01]
    path = heavy_ball(lambda x: slope(x, EIGHT_PITS), begun, 0.03, 0.0, 1000)
    assert (np.diff(energy(path, EIGHT_PITS), axis=0) < 1e-12).all()
    basins = np.searchsorted(ends, begun) - 1
    assert (assign_to_pit(path[-1], *EIGHT_PITS[:, [0, 2]].T) == basins).all() and set(basins) == set(range(8))
    assert abs(slope(path[-1], EIGHT_PITS)).max() < 1e-6


def test_barriers_are_where_the_energy_is_flat_and_high():
    ends = barriers(EIGHT_PITS)
    assert len(ends) == 9 and (np.diff(ends) > 0).all()
    assert ((ends[:-1] < EIGHT_PITS[:, 0]) & (EIGHT_PITS[:, 0] < ends[1:])).all(), "a real in every basin"
    inner = ends[1:-1]
    assert abs(slope(inner, EIGHT_PITS)).max() < 0.01
    assert (
        energy(inner, EIGHT_PITS) > np.maximum(energy(inner - 0.05, EIGHT_PITS), energy(inner + 0.05, EIGHT_PITS))
    ).all()


def test_momentum_carries_a_ball_over_a_barrier():
    pits = np.array([(-1.6, 1.2, 0.6), (0.2, 0.6, 0.5)])
    plain, heavy = (heavy_ball(lambda x: slope(x, pits), [1.05], 0.1, beta, 300)[-1, 0] for beta in (0.0, 0.9))
    assert plain == pytest.approx(0.17, abs=0.05), "the pit on whose slope it began"
    assert heavy == pytest.approx(-1.6, abs=0.05), "the deeper one behind the barrier"


def test_momentum_and_large_steps_cost_diversity():
    pairs = [(beta, rate) for beta in (0, 0.9) for rate in (0.01, 0.1, 0.5)]
    counts = {pair: distinct_pits(*pair, draws=30).mean() for pair in pairs}
    assert counts[0, 0.01] == counts[0, 0.1] == counts[0.9, 0.01] == 8
    assert counts[0.9, 0.1] < 7.5
    assert counts[0.9, 0.5] < counts[0, 0.5] < 5


def test_fakes_that_are_thrown_out_of_the_pits_reach_none():
    assert distinct_pits(0.9, 20.0, draws=20).max() == 0


def test_a_linear_energy_is_unbounded_but_for_a_penalty_on_its_slope():
    """U(x) = w x: mean U(real) - mean U(fake) is linear in w, and w grows by the same step for ever."""
    real, fake = np.array([-1.0, 0.5]), np.array([1.0, 2.5])
    loss = lambda w: (w * real).mean() - (w * fake).mean()
    free = heavy_ball(lambda w: central(loss, w), [0.0], 0.1, 0.0, 2000)[:, 0]
    np.testing.assert_allclose(free, 0.2 * np.arange(2001), rtol=1e-6)
    held = heavy_ball(lambda w: central(lambda w: loss(w) + 0.5 * w**2, w)[0], [0.0], 0.1, 0.0, 2000)[:, 0]
    assert held[-1] == pytest.approx(2.0, rel=1e-6), "the gap of the means, 2, by twice the weight"


# scenes: what their titles say


def test_the_scenes_show_what_they_are_called():
    end = lambda panel: np.sort(panel["path"][-1])
    (panel,), _ = landscape.rolling()
    np.testing.assert_allclose(end(panel), panel["reals"], atol=0.05)

    (stops, goes), _ = landscape.spurious_pit()
    assert abs(stops["path"][-1][1] - np.array(stops["reals"])).min() > 1, "held where there is no real"
    np.testing.assert_allclose(end(goes), goes["reals"], atol=0.05)

    (plain, heavy), film = landscape.momentum()
    np.testing.assert_allclose(end(plain), plain["reals"], atol=0.08)
    np.testing.assert_allclose(end(heavy), heavy["reals"][[0, 0, 2]], atol=0.08)
    for panel, last in zip((plain, heavy), film[-1], strict=True):
        np.testing.assert_array_equal(last["path"], panel["path"], "a film ends as the picture does")

    (panel,), _ = landscape.collapse()
    np.testing.assert_allclose(end(panel), panel["reals"][2], atol=0.05)


# games

log_sigmoid = lambda x: -np.log1p(np.exp(-x))
norm = np.linalg.norm
qp = lambda phi, theta: -phi @ theta - (phi @ theta) ** 2 / (2 * norm(theta))
OBJECTIVES = {  # what the critic climbs in phi, and what the generator climbs in theta: the real is 0
    "vanilla": (lambda phi, theta: log_sigmoid(-phi @ theta), lambda phi, theta: log_sigmoid(phi @ theta)),
    "WGAN": (lambda phi, theta: -phi @ theta / norm(phi), lambda phi, theta: phi @ theta / norm(phi)),
    "WGAN-GP, c = 0": (lambda phi, theta: -phi @ theta - 0.1 * norm(phi) ** 2, np.dot),
    "WGAN-GP, c = 1": (lambda phi, theta: -phi @ theta - 0.1 * (norm(phi) - 1) ** 2, np.dot),
    "GAN-QP": (qp, np.dot),
    "GAN-QP + L2": (lambda phi, theta: qp(phi, theta) - 0.05 * norm(phi) ** 2, np.dot),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_field_is_the_gradient_of_what_the_players_climb(name):
    critic, generator = OBJECTIVES[name]
    for phi, theta in np.random.default_rng(0).normal(size=(5, 2, 2)):
        velocity = DIRAC[name][0](np.stack([phi, theta]))
        np.testing.assert_allclose(velocity[0], central(lambda p: critic(p, theta), phi), atol=1e-7)  # noqa: B023
        np.testing.assert_allclose(velocity[1], central(lambda t: generator(phi, t), theta), atol=1e-7)  # noqa: B023


def test_the_games_are_six():
    assert list(DIRAC) == list(OBJECTIVES)
    np.testing.assert_allclose(START, [(0.1, 0.2), (0.2, 0.1)])


def test_runge_kutta_is_of_order_four():
    turn = lambda y: np.array([-y[1], y[0]])
    error = lambda h: norm(rk4(turn, [1.0, 0.0], 2.0, h)[-1] - [np.cos(2), np.sin(2)])
    assert error(0.2) / error(0.1) == pytest.approx(16, rel=0.1)
    assert error(0.01) < 1e-9
    assert rk4(turn, [1.0, 0.0], 2.0, 0.1).shape == (21, 2)


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [
        ("vanilla", "0.131", "0.231"),
        ("WGAN", "0.088", "0.399"),
        ("WGAN-GP, c = 0", "0.002", "0.012"),
        ("WGAN-GP, c = 1", "0.930", "1.005"),
        ("GAN-QP", "0.167", "0.179"),
        ("GAN-QP + L2", "0.005", "0.013"),
    ],
)
def test_how_near_a_game_comes_to_its_target(name, lowest, highest):
    radii, theta = late_radii(name)
    assert [f"{radius:.3f}" for radius in radii] == [lowest, highest]
    _, T, h = DIRAC[name]
    assert theta.shape == (round(T / h) + 1, 2) and theta[0].tolist() == list(START[1])


# the script


def test_the_landscapes_are_drawn_and_the_pits_counted(home, tmp_path):
    done = run_script(home, "tensorflow", "energy_gan/landscape.py", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert not done.stderr.strip(), "nothing but the run's own words"
    where = tmp_path / "energy_gan/landscape"
    for name in ("digging", "rolling", "spurious-pit", "momentum", "collapse", "dirac"):
        assert_not_blank(where / f"figures/{name}.png", least=10)
    for name in ("rolling", "spurious-pit", "momentum", "collapse"):
        film = where / f"figures/{name}.gif"
        assert len(iio.imread(film)) > 20 and film.stat().st_size < 400_000
    metrics = json.loads((where / "results.json").read_text())["metrics"]
    assert metrics["pits/0/rate 0.1"] == 8 > metrics["pits/0.9/rate 0.1"]
    assert all(metrics[f"pits/0/rate {r}"] >= metrics[f"pits/0.9/rate {r}"] for r in (0.01, 0.03, 0.1, 0.3, 0.5))
    assert metrics["theta/WGAN-GP, c = 0/to"] < 0.02 < 0.9 < metrics["theta/WGAN-GP, c = 1/from"]
    text = (where / "table.md").read_text()
    assert text in done.stdout and "| GAN-QP | 0.167 | 0.179 |" in text
