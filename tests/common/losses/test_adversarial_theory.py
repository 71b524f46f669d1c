"""What article 6110 and the papers claim about the adversarial losses."""

import numpy as np
import pytest
from keras import ops

from common.losses.adversarial import GENERATOR_H, LOSSES, rsgan_critic, sgan_critic
from tests.helpers.arrays import numpy
from tests.helpers.autodiff import gradient

REAL = np.array([-5.0, 1.4, 12.5, 2.7], "float32")
FAKE = np.array([10.0, 4.4, -5.5, 3.6], "float32")
NAMES = sorted(LOSSES)
RELATIVISTIC = {name for name in NAMES if name.startswith(("rs", "ra"))} | {"gan_qp", "gan_qp_l2", "twgan"}


def critic_loss(name, real, fake):
    return LOSSES[name].critic(real, fake, distance=np.ones(len(real), "float32"))


def test_only_the_critic_of_hinge_saturates_beyond_the_margins():
    real, fake = np.array([1.5, 0.5], "float32"), np.array([-1.5, -0.5], "float32")
    grad_r = gradient(lambda r: ops.sum(LOSSES["hinge"].critic(r, ops.convert_to_tensor(fake))), real)
    grad_f = gradient(lambda f: ops.sum(LOSSES["hinge"].critic(ops.convert_to_tensor(real), f)), fake)
    grad_g = gradient(lambda f: ops.sum(LOSSES["hinge"].generator(None, f)), fake)
    np.testing.assert_array_equal(grad_r, [0, -1])
    np.testing.assert_array_equal(grad_f, [0, 1])
    np.testing.assert_array_equal(grad_g, [-1, -1])


def test_only_the_minimax_generator_saturates():
    """At a fake that the critic recognises (t = -30) the slope of h is -1, but 0 for log(1 - sigma(t))."""
    for h, slopes in {"log_sigmoid": [-1, 0], "minimax": [0, -1], "linear": [-1, -1]}.items():
        grad = gradient(lambda t, h=h: ops.sum(GENERATOR_H[h](t)), np.array([-30.0, 30.0], "float32"))
        np.testing.assert_allclose(grad, slopes, atol=1e-6)


@pytest.mark.parametrize(
    ("h", "f"),
    [
        ("log_sigmoid", lambda u: np.log(1 + 1 / u)),
        ("minimax", lambda u: -np.log(1 + u)),
        ("linear", lambda u: -np.log(u)),
    ],
)
def test_divergence_of_each_h(h, f):
    """f(u) = h(log u) is the article's f, and convex, so it defines a divergence."""
    u = np.linspace(0.05, 8, 400)
    values = numpy(GENERATOR_H[h](ops.convert_to_tensor(np.log(u).astype("float32")))).astype("float64")
    np.testing.assert_allclose(values, f(u), atol=2e-6)
    assert (np.diff(f(u), 2) > 0).all()


def test_mean_of_h_at_the_best_critic_is_a_divergence():
    """p = N(0, 1), q = N(1, 1), T = log(p/q) = 1/2 - x: E_q[-T] = KL(q||p) = 1/2."""
    x = np.linspace(-9, 11, 4001)
    q = np.exp(-((x - 1) ** 2) / 2) / np.sqrt(2 * np.pi)
    score = ops.convert_to_tensor((0.5 - x).astype("float32"))
    divergence = np.trapezoid(q * numpy(LOSSES["sgan_linear"].generator(None, score)), x)
    assert divergence == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_only_relativistic_losses_ignore_a_constant_added_to_the_scores(name):
    """WGAN's critic loss ignores it too, says the article; its generator loss does not, but its gradient does."""
    sides = (lambda r, f: critic_loss(name, r, f), LOSSES[name].generator)
    changed = [not np.allclose(fn(REAL + 3, FAKE + 3), fn(REAL, FAKE), atol=1e-5) for fn in sides]
    if name == "wgan":
        assert changed == [False, True]
    else:
        assert any(changed) == (name not in RELATIVISTIC)


@pytest.mark.parametrize(("name", "expected"), [("rsgan", 1), ("sgan", 2), ("rasgan", 2), ("tsgan", 2)])
def test_undecided_critic_has_loss_log_2_per_question(name, expected):
    """T is constant at p = q. RSGAN asks one question; SGAN, RaSGAN and T-GAN ask two."""
    scores = np.full(3, 0.7, "float32") if name in RELATIVISTIC else np.zeros(3, "float32")
    np.testing.assert_allclose(critic_loss(name, scores, scores), expected * np.log(2), rtol=1e-6)


def test_rsgan_generator_loss_is_the_critic_loss_of_the_swapped_pair():
    """That holds for h = -log sigma; h = -t gives r - f."""
    np.testing.assert_allclose(LOSSES["rsgan"].generator(REAL, FAKE), rsgan_critic(FAKE, REAL))
    np.testing.assert_allclose(LOSSES["rsgan_linear"].generator(REAL, FAKE), REAL - FAKE, rtol=1e-6)


@pytest.mark.parametrize("loss_fn", [rsgan_critic, sgan_critic])
def test_best_critic_is_the_log_ratio(loss_fn):
    """T = log(p/q), for RSGAN up to a constant. Scores on a grid, exact expectations, gradient descent from 0."""
    x = np.linspace(-3, 4, 36)
    p, q = (np.exp(-((x - m) ** 2) / 2) for m in (0.0, 1.0))
    p, q = p / p.sum(), q / q.sum()
    weights = ops.convert_to_tensor((p[:, None] * q).ravel().astype("float32"))

    def loss(scores):
        real = ops.reshape(ops.repeat(scores, len(x)), (-1,))  # every pair (real i, fake j), with weight p_i q_j
        fake = ops.tile(scores, len(x))
        return ops.sum(weights * loss_fn(real, fake))

    scores = np.zeros(len(x), "float32")
    for _ in range(60):
        scores -= 6 * gradient(loss, scores) / (p + q).astype("float32")
    error = scores - np.log(p / q)
    assert np.ptp(scores) > 6, "the scores are still near 0"
    assert np.ptp(error) < 1e-3
    if loss_fn is sgan_critic:
        assert np.abs(error).max() < 1e-3, "SGAN's best critic has no free constant"
