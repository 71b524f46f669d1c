import keras
import numpy as np
import pytest
from keras import ops

from common.errors import UserError
from common.losses.adversarial import GENERATOR_H, LOSSES, Loss, get_loss, rsgan_critic, sample_distance, sgan_critic
from tests.helpers.arrays import numpy
from tests.helpers.autodiff import gradient

# The constant inputs of TF-GAN's loss tests; goldens re-derived with numpy. The mean over the batch is compared.
REAL = np.array([-5.0, 1.4, 12.5, 2.7], "float32")
FAKE = np.array([10.0, 4.4, -5.5, 3.6], "float32")
DISTANCE = np.array([0.5, 1.0, 1.5, 2.0], "float32")
D = REAL.astype("float64") - FAKE
R, F = REAL - FAKE.mean(dtype="float64"), FAKE - REAL.mean(dtype="float64")  # of the relativistic averages
softplus = lambda x: np.logaddexp(0, x)
relu = lambda x: np.maximum(x, 0)
GAN_QP = (np.mean(-D + D**2 / (2 * 10 * DISTANCE.astype("float64"))), np.mean(D))
GOLDENS = {
    "sgan": (5.8338659, 1.3858209),
    "sgan_minimax": (5.8338659, -4.5108209),
    "sgan_linear": (5.8338659, -3.125),
    "rsgan": (4.8224354, 4.5974354),  # they differ by mean(f - r) = .225
    "rsgan_minimax": (4.8224354, -4.8224354),
    "rsgan_linear": (4.8224354, -0.225),
    "rasgan": (np.mean(softplus(-R) + softplus(F)), np.mean(softplus(R) + softplus(-F))),
    "lsgan": (41.73375, 17.69625),
    "ralsgan": (np.mean((R - 1) ** 2 + (F + 1) ** 2) / 2, np.mean((F - 1) ** 2 + (R + 1) ** 2) / 2),
    "wgan": (0.225, -3.125),
    "hinge": (6.75, -3.125),
    "rahinge": (np.mean(relu(1 - R) + relu(1 + F)), np.mean(relu(1 - F) + relu(1 + R))),
    "gan_qp": GAN_QP,
    "gan_qp_l2": GAN_QP,
    "tsgan": (5.8338659, np.mean(softplus(REAL.astype("float64")) + softplus(-FAKE.astype("float64")))),
    "twgan": (0.225, -0.225),
}

NAMES = sorted(LOSSES)


def critic(name, real, fake, distance=None):
    distance = np.ones(len(real), "float32") if distance is None else distance
    return LOSSES[name].critic(real, fake, distance=distance)


def test_every_loss_has_a_golden():
    assert sorted(GOLDENS) == NAMES


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
@pytest.mark.parametrize("name", NAMES)
def test_goldens(name, shape):
    real, fake = REAL.reshape(shape), FAKE.reshape(shape)
    d = numpy(critic(name, real, fake, DISTANCE))
    g = numpy(LOSSES[name].generator(real, fake))
    assert d.shape == g.shape == shape  # per sample: nothing broadcast, not even distance (4,) against (4, 1)
    np.testing.assert_allclose([d.mean(dtype="float64"), g.mean(dtype="float64")], GOLDENS[name], atol=5e-6, rtol=0)


def test_the_relativistic_average_of_tf_gan():
    """Its own inputs and goldens, the sum form; the authors' code halves both."""
    real = np.array([-2.0, 0.4, 12.5, 2.7], "float32")
    d, g = (numpy(fn(real, FAKE)).mean() for fn in (LOSSES["rasgan"].critic, LOSSES["rasgan"].generator))
    np.testing.assert_allclose([d, g], [4.3901137, 4.9401137], atol=5e-6, rtol=0)


def test_gan_qp_sample_by_hand():
    # d = 3 - 1 = 2, distance 0.5: -2 + 4 / (2 * 10 * 0.5) = -1.6; the generator minimises d itself
    args = np.array([3.0], "float32"), np.array([1.0], "float32")
    np.testing.assert_allclose(critic("gan_qp", *args, np.array([0.5])), [-1.6], atol=1e-6)
    np.testing.assert_allclose(LOSSES["gan_qp"].generator(*args), [2.0], atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_signs_between_the_targets(name):
    """Score sign: the critic wants r up and f down, the generator wants f up."""
    real, fake = np.full(3, 0.3, "float32"), np.array([0.1, 0.5, 0.9], "float32")
    assert (gradient(lambda r: ops.sum(critic(name, r, ops.convert_to_tensor(fake))), real) < 0).all()
    assert (gradient(lambda f: ops.sum(critic(name, ops.convert_to_tensor(real), f)), fake) > 0).all()
    assert (gradient(lambda f: ops.sum(LOSSES[name].generator(ops.convert_to_tensor(real), f)), fake) < 0).all()


@pytest.mark.parametrize("side", ["critic", "generator"])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_match_finite_differences(name, side):
    real, fake = np.array([-2.2, 0.4, 1.7], "float32"), np.array([1.3, -0.6, 0.2], "float32")  # off hinge's corners
    distance = np.array([0.2, 0.5, 1.0], "float32")
    function = getattr(LOSSES[name], side)
    fr = lambda r: ops.sum(function(r, ops.convert_to_tensor(fake), distance=distance))
    ff = lambda f: ops.sum(function(ops.convert_to_tensor(real), f, distance=distance))
    for fn, at in ((fr, real), (ff, fake)):
        step = 1e-2
        steps = step * np.eye(len(at), dtype="float32")
        expected = [float(fn(ops.convert_to_tensor(at + s)) - fn(ops.convert_to_tensor(at - s))) for s in steps]
        np.testing.assert_allclose(gradient(fn, at), np.array(expected) / (2 * step), atol=2e-3)


@pytest.mark.parametrize("name", NAMES)
def test_generator_needs_real_says_the_truth(name):
    fn = lambda r: ops.sum(LOSSES[name].generator(r, ops.convert_to_tensor(FAKE)))
    if LOSSES[name].generator_needs_real:
        assert (gradient(fn, REAL) != 0).all()
    else:
        assert (gradient(fn, REAL) == 0).all()
        np.testing.assert_array_equal(LOSSES[name].generator(None, FAKE), LOSSES[name].generator(REAL, FAKE))


@pytest.mark.parametrize("name", NAMES)
def test_distance_says_the_truth(name):
    if LOSSES[name].distance_order:
        with pytest.raises(TypeError, match="distance"):
            LOSSES[name].critic(REAL, FAKE)
    else:
        np.testing.assert_array_equal(LOSSES[name].critic(REAL, FAKE), critic(name, REAL, FAKE, DISTANCE))


@pytest.mark.parametrize("name", NAMES)
def test_zero_sum_says_the_truth(name):
    """Zero-sum: the generator's gradient at the fake is the critic's with the sign turned, everywhere."""
    real = ops.convert_to_tensor(np.zeros(61, "float32"))
    fake = np.linspace(-3, 3, 61, dtype="float32") + 0.013
    d = gradient(lambda f: ops.sum(critic(name, real, f)), fake)
    g = gradient(lambda f: ops.sum(LOSSES[name].generator(real, f)), fake)
    assert np.allclose(g, -d) == LOSSES[name].zero_sum


def test_turning_the_sign_of_lsgans_critic_is_wrong_for_its_generator():
    """6387, comment: outside (0, 1) the turned gradient drives the fake score away from its target 1."""
    fake = np.array([-1.0, 2.0], "float32")
    real = ops.convert_to_tensor(np.zeros(2, "float32"))
    turned = -gradient(lambda f: ops.sum(LOSSES["lsgan"].critic(real, f)), fake)
    right = gradient(lambda f: ops.sum(LOSSES["lsgan"].generator(real, f)), fake)
    np.testing.assert_allclose(right, [-2.0, 1.0])
    np.testing.assert_allclose(turned, [1.0, -2.0])


def test_hinge_saturates_beyond_the_margins_for_the_critic_alone():
    real, fake = np.array([1.5, 0.5], "float32"), np.array([-1.5, -0.5], "float32")
    grad_r = gradient(lambda r: ops.sum(LOSSES["hinge"].critic(r, ops.convert_to_tensor(fake))), real)
    grad_f = gradient(lambda f: ops.sum(LOSSES["hinge"].critic(ops.convert_to_tensor(real), f)), fake)
    grad_g = gradient(lambda f: ops.sum(LOSSES["hinge"].generator(None, f)), fake)
    np.testing.assert_array_equal(grad_r, [0, -1])
    np.testing.assert_array_equal(grad_f, [0, 1])
    np.testing.assert_array_equal(grad_g, [-1, -1])


def test_only_the_minimax_generator_saturates():
    """At a fake that is seen through (t = -30) the slope of h is -1, or 0 for log(1 - sigma(t))."""
    for h, slopes in {"log_sigmoid": [-1, 0], "minimax": [0, -1], "linear": [-1, -1]}.items():
        grad = gradient(lambda t, h=h: ops.sum(GENERATOR_H[h](t)), np.array([-30.0, 30.0], "float32"))
        np.testing.assert_allclose(grad, slopes, atol=1e-6)


# What article 6110 claims


@pytest.mark.parametrize(
    ("h", "f"),
    [
        ("log_sigmoid", lambda u: np.log(1 + 1 / u)),
        ("minimax", lambda u: -np.log(1 + u)),
        ("linear", lambda u: -np.log(u)),
    ],
)
def test_the_divergence_of_each_h(h, f):
    """f(u) = h(log u) is the article's, and convex: a divergence comes of it."""
    u = np.linspace(0.05, 8, 400)
    values = numpy(GENERATOR_H[h](ops.convert_to_tensor(np.log(u).astype("float32")))).astype("float64")
    np.testing.assert_allclose(values, f(u), atol=2e-6)
    assert (np.diff(f(u), 2) > 0).all()


def test_the_average_of_h_at_the_best_critic_is_a_divergence():
    """p = N(0, 1), q = N(1, 1), T = log(p/q) = 1/2 - x: E_q[-T] = KL(q||p) = 1/2."""
    x = np.linspace(-9, 11, 4001)
    q = np.exp(-((x - 1) ** 2) / 2) / np.sqrt(2 * np.pi)
    score = ops.convert_to_tensor((0.5 - x).astype("float32"))
    found = np.trapezoid(q * numpy(LOSSES["sgan_linear"].generator(None, score)), x)
    assert found == pytest.approx(0.5, abs=1e-5)


RELATIVISTIC = {n for n in NAMES if n.startswith(("rs", "ra"))} | {"gan_qp", "gan_qp_l2", "twgan"}


@pytest.mark.parametrize("name", NAMES)
def test_a_constant_added_to_the_score_changes_a_relativistic_loss_nowhere(name):
    """WGAN's critic is relativistic already, says the article; its generator's loss moves, its gradient not."""
    sides = (lambda r, f: critic(name, r, f), LOSSES[name].generator)
    moved = [not np.allclose(fn(REAL + 3, FAKE + 3), fn(REAL, FAKE), atol=1e-5) for fn in sides]
    if name == "wgan":
        assert moved == [False, True]
    else:
        assert any(moved) == (name not in RELATIVISTIC)


@pytest.mark.parametrize(("name", "expected"), [("rsgan", 1), ("sgan", 2), ("rasgan", 2), ("tsgan", 2)])
def test_an_undecided_critic_loses_log_2(name, expected):
    """T constant, at p = q. One question asked costs log 2; SGAN and RaSGAN ask two."""
    scores = np.full(3, 0.7, "float32") if name in RELATIVISTIC else np.zeros(3, "float32")
    np.testing.assert_allclose(critic(name, scores, scores), expected * np.log(2), rtol=1e-6)


def test_rsgans_players_ask_the_same_question():
    """With h = -log sigma the generator's loss is the critic's with the pair swapped; h = -t gives r - f."""
    np.testing.assert_allclose(LOSSES["rsgan"].generator(REAL, FAKE), rsgan_critic(FAKE, REAL))
    np.testing.assert_allclose(LOSSES["rsgan_linear"].generator(REAL, FAKE), REAL - FAKE, rtol=1e-6)


@pytest.mark.parametrize("critic_loss", [rsgan_critic, sgan_critic])
def test_the_best_critic_is_the_log_ratio(critic_loss):
    """T = log(p/q), for RSGAN up to a constant. Scores on a grid, expectations by quadrature, descent from 0."""
    x = np.linspace(-3, 4, 36)
    p, q = (np.exp(-((x - m) ** 2) / 2) for m in (0.0, 1.0))
    p, q = p / p.sum(), q / q.sum()
    weights = ops.convert_to_tensor((p[:, None] * q).ravel().astype("float32"))

    def loss(scores):
        real = ops.reshape(ops.repeat(scores, len(x)), (-1,))  # every pair (real i, fake j), weighed by p_i q_j
        fake = ops.tile(scores, len(x))
        return ops.sum(weights * critic_loss(real, fake))

    scores = np.zeros(len(x), "float32")
    for _ in range(200):
        scores -= 4 * gradient(loss, scores) / (p + q).astype("float32")
    error = scores - np.log(p / q)
    assert np.ptp(scores) > 6, "it has to have learned something"
    assert np.ptp(error) < 0.05
    if critic_loss is sgan_critic:
        assert np.abs(error).max() < 0.05, "SGAN's has no free constant"


def test_gan_qp_optimum():
    """For a fixed pair the best difference is d* = lam * distance, worth lam * distance / 2 (GAN-QP)."""
    distance = np.array([0.01, 0.3, 2.0], "float32")
    best = 10 * distance
    fake = ops.zeros(3)
    fn = lambda r: LOSSES["gan_qp"].critic(r, fake, distance=distance)
    np.testing.assert_allclose(gradient(lambda r: ops.sum(fn(r)), best), np.zeros(3), atol=1e-6)
    np.testing.assert_allclose(fn(ops.convert_to_tensor(best)), -best / 2, rtol=1e-6)
    for other in (0.9 * best, 1.1 * best):
        assert (numpy(fn(ops.convert_to_tensor(other))) > -best / 2).all()


def test_gan_qp_of_equal_samples_is_finite():
    distance = sample_distance(np.ones((2, 3)), np.ones((2, 3)))
    d = np.array([0.0, 1.0], "float32")
    fn = lambda r: ops.sum(LOSSES["gan_qp"].critic(r, ops.zeros(2), distance=distance))
    assert np.isfinite(float(fn(ops.convert_to_tensor(d))))
    assert np.isfinite(gradient(fn, d)).all()


@pytest.mark.parametrize("order, expected", [(1, [2.0, 0.0]), (2, [np.sqrt(5.0), 0.0])])
def test_sample_distance(order, expected):
    x = np.array([[[1.0, 2.0]], [[4.0, 4.0]]], "float32")
    y = np.array([[[4.0, 1.0]], [[4.0, 4.0]]], "float32")  # differences 3 and 1, then none
    np.testing.assert_allclose(sample_distance(x, y, order=order), expected, atol=2e-6)
    grad = gradient(lambda v: ops.sum(sample_distance(v, ops.convert_to_tensor(y), order=order)), x)
    assert np.isfinite(grad).all() and (grad[0] != 0).all()


def test_sample_distance_has_two_orders():
    with pytest.raises(ValueError, match="Received: order=3"):
        sample_distance(np.ones((2, 3)), np.ones((2, 3)), order=3)


@pytest.mark.parametrize("dtype, size", [("float16", 60000.0), ("bfloat16", 60000.0), ("float32", 1e4)])
@pytest.mark.parametrize("name", NAMES)
def test_extreme_scores_stay_finite(name, dtype, size):
    """Nothing overflows and no probability is floored: the loss of a sample lost by s grows with s."""
    real = ops.cast(np.array([-size, size, -size, size]), dtype)
    fake = ops.cast(np.array([size, -size, -size, size]), dtype)
    d, g = critic(name, real, fake), LOSSES[name].generator(real, fake)
    for loss in (d, g):
        assert keras.backend.standardize_dtype(loss.dtype) == "float32"
        assert np.isfinite(numpy(loss)).all()
    assert numpy(d)[0] > 1.9 * size  # fooled on both scores
    assert numpy(g)[1] == 0 if "minimax" in name else numpy(g)[1] > 0.9 * size  # caught
    for fn in (LOSSES[name].generator, lambda r, f: critic(name, r, f)):
        assert np.isfinite(gradient(lambda f, fn=fn: ops.sum(fn(real, f)), fake)).all()


def test_scores_that_would_broadcast_are_refused():
    with pytest.raises(ValueError, match=r"Received: real \(4, 1\), fake \(4,\)"):
        LOSSES["hinge"].critic(REAL[:, None], FAKE)


@pytest.mark.parametrize("name", NAMES)
def test_works_on_symbolic_scores(name):
    """A model's loss function is also run on the symbolic outputs."""
    real, fake, distance = keras.Input((1,)), keras.Input((1,)), keras.Input(())
    assert LOSSES[name].critic(real, fake, distance=distance).shape == (None, 1)
    assert LOSSES[name].generator(real, fake).shape == (None, 1)


def test_get_loss():
    assert get_loss("hinge") is LOSSES["hinge"]
    assert isinstance(get_loss("wgan"), Loss)
    with pytest.raises(UserError) as error:
        get_loss("hing")
    assert str(error.value).count("\n") == 0
    assert all(name in str(error.value) for name in NAMES) and str(error.value).endswith("Received: 'hing'")
