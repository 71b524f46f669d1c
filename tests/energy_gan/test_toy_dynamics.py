"""Points that roll on an energy, and the Dirac GANs (articles 6316 and 6583)."""

import numpy as np
import pytest

from common.losses.dirac import START
from energy_gan.toy_dynamics import DIRAC, assign_to_pit, critic_step, energy, heavy_ball, late_radii, slope

HILLY = np.array([(-1.0, 0.8, 0.5), (0.7, -0.4, 0.3), (1.5, 1.1, 0.7)])


def numeric_gradient(function, x, step=1e-5):
    """Return the gradient (n,) of a function of an array (n,) by central differences."""
    return np.array([function(x + a) - function(x - a) for a in step * np.eye(len(x))]) / (2 * step)


# landscapes


def test_a_pit_has_its_depth_and_its_width():
    pit = [(2.0, 3.0, 0.5)]
    np.testing.assert_allclose(energy([2.0, 2.5, 1.5], pit), [-3, -3 * np.exp(-0.5), -3 * np.exp(-0.5)])
    assert energy(0.1, np.concatenate([pit, HILLY])) == pytest.approx(energy(0.1, pit) + energy(0.1, HILLY))


def test_slope_is_the_derivative_of_the_energy():
    x = np.linspace(-3, 3, 60).reshape(3, 20)
    assert slope(x, HILLY).shape == energy(x, HILLY).shape == (3, 20)
    differences = (energy(x + 1e-6, HILLY) - energy(x - 1e-6, HILLY)) / 2e-6
    np.testing.assert_allclose(slope(x, HILLY), differences, atol=1e-8)


def test_critic_step_digs_at_the_reals_and_fills_up_under_the_fakes():
    real, fake = [-1.0, 1.5], [0.2]
    after = critic_step(HILLY, real, fake, 0.3, 0.4)
    kernel = lambda x, point: 0.3 * np.exp(-((x - point) ** 2) / (2 * 0.4**2))
    x = np.linspace(-3, 3, 50)
    expected = kernel(x, 0.2) - kernel(x, -1.0) - kernel(x, 1.5)
    np.testing.assert_allclose(energy(x, after) - energy(x, HILLY), expected)
    equilibrium = critic_step(HILLY, real, real, 0.3, 0.4)
    np.testing.assert_allclose(energy(x, equilibrium), energy(x, HILLY), atol=1e-12, err_msg="fakes on the reals")


def test_assign_to_the_nearest_pit_within_its_width():
    assert assign_to_pit([[-1.1, 0.2], [0.9, 5.0]], [-1.0, 0.0, 1.0], [0.2, 0.1, 0.2]).tolist() == [[0, -1], [2, -1]]


# heavy ball


def test_heavy_ball_by_hand():
    path = heavy_ball(lambda x: 2 * x, [1.0, -2.0], 0.1, 0.9, 3)
    v1 = -0.1 * 2 * path[0]
    v2 = 0.9 * v1 - 0.1 * 2 * (path[0] + v1)
    v3 = 0.9 * v2 - 0.1 * 2 * (path[0] + v1 + v2)
    np.testing.assert_allclose(path[1:], path[0] + np.cumsum([v1, v2, v3], 0))
    assert path[0].tolist() == [1.0, -2.0]


def test_linear_energy_is_unbounded_without_a_penalty_on_its_slope():
    """For U(x) = w x, mean U(real) - mean U(fake) is linear in w, so w grows by the same step for ever."""
    real, fake = np.array([-1.0, 0.5]), np.array([1.0, 2.5])
    loss = lambda w: (w * real).mean() - (w * fake).mean()
    unbounded = heavy_ball(lambda w: numeric_gradient(loss, w), [0.0], 0.1, 0.0, 2000)[:, 0]
    np.testing.assert_allclose(unbounded, 0.2 * np.arange(2001), rtol=1e-6)
    penalised_loss = lambda w: loss(w) + 0.5 * w**2
    with_penalty = heavy_ball(lambda w: numeric_gradient(penalised_loss, w)[0], [0.0], 0.1, 0.0, 2000)[:, 0]
    assert with_penalty[-1] == pytest.approx(2.0, rel=1e-6), "the gap of the means, 2, divided by twice the weight 1/2"


# games

log_sigmoid = lambda x: -np.log1p(np.exp(-x))
norm = np.linalg.norm
qp = lambda phi, theta: -phi @ theta - (phi @ theta) ** 2 / (2 * norm(theta))
# name: (what the critic maximises in phi, what the generator maximises in theta); the real is at 0
OBJECTIVES = {
    "vanilla": (lambda phi, theta: log_sigmoid(-phi @ theta), lambda phi, theta: log_sigmoid(phi @ theta)),
    "WGAN": (lambda phi, theta: -phi @ theta / norm(phi), lambda phi, theta: phi @ theta / norm(phi)),
    "WGAN-GP, c = 0": (lambda phi, theta: -phi @ theta - 0.1 * norm(phi) ** 2, np.dot),
    "WGAN-GP, c = 1": (lambda phi, theta: -phi @ theta - 0.1 * (norm(phi) - 1) ** 2, np.dot),
    "GAN-QP": (qp, np.dot),
    "GAN-QP + L2": (lambda phi, theta: qp(phi, theta) - 0.05 * norm(phi) ** 2, np.dot),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_field_is_the_gradient_of_what_the_players_maximise(name):
    critic, generator = OBJECTIVES[name]
    for phi, theta in np.random.default_rng(0).normal(size=(5, 2, 2)):
        velocity = DIRAC[name][0](np.stack([phi, theta]))
        np.testing.assert_allclose(velocity[0], numeric_gradient(lambda p: critic(p, theta), phi), atol=1e-7)  # noqa: B023
        np.testing.assert_allclose(velocity[1], numeric_gradient(lambda t: generator(phi, t), theta), atol=1e-7)  # noqa: B023


def test_the_games_are_six():
    assert list(DIRAC) == list(OBJECTIVES)
    np.testing.assert_allclose(START, [(0.1, 0.2), (0.2, 0.1)])


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
def test_late_radii(name, lowest, highest):
    radii, theta = late_radii(name)
    assert [f"{radius:.3f}" for radius in radii] == [lowest, highest]
    _, T, h = DIRAC[name]
    assert theta.shape == (round(T / h) + 1, 2) and theta[0].tolist() == list(START[1])
