"""The losses of both players, and critics that learn a divergence with them (article 6016)."""

import keras
import numpy as np
import pytest
from keras import ops

from common.training.single_loss import SingleLoss
from fgan.divergences import DIVERGENCES, f_gan_loss
from tests.fgan.helpers import SMOOTH, X, every_divergence, float32, normal
from tests.helpers.arrays import numpy64 as numpy
from tests.helpers.autodiff import gradient

both_roles = pytest.mark.parametrize("swap_roles", [False, True])


@both_roles
@every_divergence
def test_the_best_critic_has_minus_the_divergence_as_its_loss(name, swap_roles):
    """Its loss is -D(p||q), with swapped roles -D(q||p), and its scores are high on reals."""
    row, x = DIVERGENCES[name], X[X > -9]
    p, q = normal(1, x, std=1.1), normal(0, x)
    first, second = (q, p) if swap_roles else (p, q)
    v = np.clip(row.optimal_score(first / second), -1e7, 30)
    score = v if row.increasing != swap_roles else -v
    assert score[np.argmin(abs(x - 3))] > score[np.argmin(abs(x + 3))], "reals lie to the right"
    loss = f_gan_loss(row, swap_roles)
    # The loss is a sum of a function of either score. Holding the other score at 0 separates them.
    zero = float32(np.zeros(1))
    constant = numpy(loss.critic(zero, zero))
    real_part = numpy(loss.critic(float32(score), float32(0 * score))) - constant
    fake_part = numpy(loss.critic(float32(0 * score), float32(score))) - constant
    total = np.trapezoid(p * real_part + q * fake_part, x) + constant[0]
    assert total == pytest.approx(-row.from_densities(first, second, x), rel=1e-4)


@both_roles
@every_divergence
def test_signs_of_the_gradients(name, swap_roles):
    """The critic raises r and lowers f; the generator raises f, with the same strength as the critic lowers it."""
    loss = f_gan_loss(DIVERGENCES[name], swap_roles)
    real, fake = np.array([0.3, -0.2, 1.0], "float32"), np.array([0.1, 0.5, -0.9], "float32")
    critic_at_real = gradient(lambda r: ops.sum(loss.critic(r, float32(fake))), real)
    critic_at_fake = gradient(lambda f: ops.sum(loss.critic(float32(real), f)), fake)
    generator = gradient(lambda f: ops.sum(loss.generator(None, f)), fake)
    assert (critic_at_real < 0).all() and (critic_at_fake > 0).all()
    assert len({*critic_at_real.tolist(), *critic_at_fake.tolist()}) > 2, "samples have different weights"
    np.testing.assert_allclose(generator, -critic_at_fake, rtol=1e-6)
    assert loss.zero_sum and (generator < 0).all()


def test_losses_by_hand():
    """KL: -r + e^(f - 1), swapped f + e^(-r - 1), as -f is the raw score; Hellinger, whose T falls: e^-r + e^f - 2."""
    real, fake = float32([0.7]), float32([-0.4])
    values = lambda loss: (numpy(loss.critic(real, fake))[0], numpy(loss.generator(None, fake))[0])
    assert values(f_gan_loss(DIVERGENCES["kl"])) == pytest.approx((-0.7 + np.exp(-1.4), -np.exp(-1.4)))
    assert values(f_gan_loss(DIVERGENCES["kl"], True)) == pytest.approx((-0.4 + np.exp(-1.7), 0.4))
    hellinger = (-(1 - np.exp(-0.7)) - (1 - np.exp(-0.4)), 1 - np.exp(-0.4))
    assert values(f_gan_loss(DIVERGENCES["hellinger"])) == pytest.approx(hellinger)
    with pytest.raises(ValueError, match="rank"):
        f_gan_loss(DIVERGENCES["kl"]).critic(float32([[1.0]]), float32([1.0]))


@every_divergence
def test_symbolic_scores(name):
    real, fake = keras.Input((1,)), keras.Input((1,))
    loss = f_gan_loss(DIVERGENCES[name])
    assert loss.critic(real, fake).shape == (None, 1)
    assert loss.generator(real, fake).shape == (None, 1)


# training


def learned_bounds(row, shifts, steps=150, n=20_000):
    """Return {m: bound by quadrature} of critics that are trained on samples of N(m, 1) and N(0, 1), in full batches.

    One model trains them all; Adam treats every weight on its own.
    """
    loss = f_gan_loss(row)
    critics = {
        m: keras.Sequential([keras.layers.Dense(24, "tanh"), keras.layers.Dense(1, kernel_initializer="zeros")])
        for m in shifts
    }
    points = [np.random.default_rng(int(10 * m)).standard_normal((2, n)) + [[m], [0]] for m in shifts]
    points = np.concatenate(points).T.astype("float32")  # columns: reals and fakes of the first m, of the second, ...
    columns = keras.Input((2 * len(shifts),))
    scores = {}
    for i, (m, critic) in enumerate(critics.items()):
        scores[f"real {m}"] = critic(columns[:, 2 * i : 2 * i + 1])
        scores[f"fake {m}"] = critic(columns[:, 2 * i + 1 : 2 * i + 2])
    total_loss = lambda **scores: {"loss": sum(loss.critic(scores[f"real {m}"], scores[f"fake {m}"]) for m in shifts)}
    model = SingleLoss(columns, scores, total_loss)
    rate = keras.optimizers.schedules.CosineDecay(0.05, steps)
    model.compile(keras.optimizers.Adam(rate, beta_1=0.8), steps_per_execution=steps)
    data = np.broadcast_to(points, (steps, *points.shape)).reshape(-1, points.shape[1])
    model.fit(data, batch_size=n, epochs=1, shuffle=False, verbose=0)

    bounds = {}
    for m, critic in critics.items():
        score = critic(float32(X[:, None]))
        real_part, fake_part = loss.critic(score, 0 * score), loss.critic(0 * score, score)
        constant = numpy(loss.critic(float32([0.0]), float32([0.0])))[0]
        integrand = normal(m) * numpy(real_part)[:, 0] + normal(0) * numpy(fake_part)[:, 0]
        bounds[m] = -np.trapezoid(integrand, X) + constant
    return bounds


@pytest.mark.parametrize("name", SMOOTH)
def test_a_critic_learns_the_divergence_from_below(name):
    row = DIVERGENCES[name]
    for m, bound in learned_bounds(row, (0.5, 1.0)).items():
        divergence = row.from_densities(normal(m), normal(0), X)
        assert 0.95 * divergence < bound < divergence, m
