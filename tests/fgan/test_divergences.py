"""The divergences of f-GAN against their integrals, their conjugates and their closed forms (article 6016)."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from common.errors import UserError
from common.training.single_loss import SingleLoss
from fgan.custom import from_f, numeric_conjugate
from fgan.divergences import DIVERGENCES, f_gan_loss, get_divergence
from tests.helpers.arrays import numpy64 as numpy
from tests.helpers.autodiff import gradient

NAMES = list(DIVERGENCES)
SMOOTH = [name for name in NAMES if name != "total_variation"]
CLOSED = [name for name in NAMES if DIVERGENCES[name].gaussian_closed_form]
ON_FLOAT64 = keras.backend.backend() != "jax"
X = np.linspace(-15, 15, 30001)
U = np.exp(np.linspace(-4, 4, 81))  # ratios p/q; 1 is among them
V = np.linspace(-6, 6, 49)
LOG2 = math.log(2)

# the article's table once more, in its own letters: activation, and conjugate of it, in float64
ACTIVATIONS = {
    "total_variation": lambda v: np.tanh(v) / 2,
    "kl": lambda v: v,
    "reverse_kl": lambda v: -np.exp(v),
    "pearson": lambda v: 1 - np.exp(v),
    "neyman": lambda v: np.exp(v) - 2,
    "hellinger": lambda v: 1 - np.exp(v),
    "jeffrey": lambda v: v,
    "js": lambda v: LOG2 / 2 - np.log(1 + np.exp(-v)) / 2,
    "gan": lambda v: -np.log(1 + np.exp(-v)),
}
# the integrals as the article prints them; the first GAN's is twice JS
INTEGRALS = {
    "total_variation": lambda p, q: np.abs(p - q) / 2,
    "kl": lambda p, q: p * np.log(p / q),
    "reverse_kl": lambda p, q: q * np.log(q / p),
    "pearson": lambda p, q: (q - p) ** 2 / p,
    "neyman": lambda p, q: (p - q) ** 2 / q,
    "hellinger": lambda p, q: (np.sqrt(p) - np.sqrt(q)) ** 2,
    "jeffrey": lambda p, q: (p - q) * np.log(p / q),
    "js": lambda p, q: (p * np.log(2 * p / (p + q)) + q * np.log(2 * q / (p + q))) / 2,
    "gan": lambda p, q: p * np.log(2 * p / (p + q)) + q * np.log(2 * q / (p + q)),
}
EDGES = {  # f(0), f'(0)
    "total_variation": (0.5, -0.5),
    "kl": (0, -np.inf),
    "reverse_kl": (np.inf, -np.inf),
    "pearson": (np.inf, -np.inf),
    "neyman": (1, -2),
    "hellinger": (1, -np.inf),
    "jeffrey": (np.inf, -np.inf),
    "js": (LOG2 / 2, -np.inf),
    "gan": (2 * LOG2, -np.inf),
}
every_row = pytest.mark.parametrize("name", NAMES)


def normal(mean, x=X, std=1.0):
    return np.exp(-(((x - mean) / std) ** 2) / 2) / std / np.sqrt(2 * np.pi)


def float32(x):
    return ops.convert_to_tensor(np.asarray(x, "float32"))


def bound(row, v, p, q, x=X):
    """E_p[T(v)] + E_q[-g(T(v))] by quadrature."""
    return np.trapezoid(p * numpy(row.activation(float32(v))) + q * numpy(row.negative_conjugate(float32(v))), x)


def test_every_row_is_tested():
    assert list(ACTIVATIONS) == list(INTEGRALS) == list(EDGES) == NAMES and len(NAMES) == 9


# f and its conjugate


@every_row
def test_f_is_convex_and_zero_at_one(name):
    row, u = DIVERGENCES[name], np.linspace(0.01, 8, 2000)
    assert row.f(1.0) == pytest.approx(0, abs=1e-15)
    chords = np.diff(row.f(u), 2)
    assert (chords > (-1e-15 if name == "total_variation" else 1e-12)).all() and chords.max() > 1e-6
    assert row.f(u).max() > 0.2


@every_row
def test_f_and_its_slope_at_the_edges(name):
    row = DIVERGENCES[name]
    assert (row.f(0), row.derivative(0)) == pytest.approx(EDGES[name])
    assert row.derivative(0) == row.t_range[0], "the range begins with f'(0)"
    far = row.derivative(1e12)
    assert far <= row.t_range[1]
    if np.isfinite(row.t_range[1]):
        assert far == pytest.approx(row.t_range[1], abs=1e-5), "and ends with f' at infinity"
    else:
        assert far > 20


@every_row
def test_slope_is_the_derivative_of_f(name):
    row, u = DIVERGENCES[name], U[U != 1]
    step = 1e-6 * u
    np.testing.assert_allclose(
        row.derivative(u), (row.f(u + step) - row.f(u - step)) / (2 * step), rtol=1e-6, atol=1e-8
    )


@every_row
def test_the_conjugate_is_the_supremum(name):
    """g(t) = sup_u {t u - f(u)}, found without it."""
    row = DIVERGENCES[name]
    low, high = (-0.49, 0.49) if name == "total_variation" else (row.derivative(1e-6), row.derivative(1e3))
    t = np.linspace(max(low, -8), min(high, 8), 60)
    assert np.ptp(row.conjugate(t)) > 0.5
    np.testing.assert_allclose(row.conjugate(t), numeric_conjugate(row.f, t), rtol=1e-9, atol=1e-9)


@every_row
def test_the_conjugate_of_the_conjugate_is_f(name):
    """f(u) = sup_t {t u - g(t)}, over a grid of t that holds the best ones."""
    row = DIVERGENCES[name]
    t = np.sort(np.append(row.derivative(U), np.linspace(row.derivative(U[0]), row.derivative(U[-1]), 2001)))
    found = (t * U[:, None] - row.conjugate(t)).max(1)
    np.testing.assert_allclose(found, row.f(U), rtol=1e-9, atol=1e-9)


@every_row
def test_the_conjugate_at_the_edges(name):
    row = DIVERGENCES[name]
    low, high = row.t_range
    if np.isfinite(high):
        assert row.conjugate(high + 0.1) == np.inf
        assert row.conjugate(high) == pytest.approx({"total_variation": 0.5, "pearson": 2}.get(name, np.inf))
    if np.isfinite(low):
        assert row.conjugate(low - 3) == row.conjugate(low) == -row.f(0)
    for t in (-300.0, min(high, 300.0) - 1e-3):
        assert np.isfinite(row.conjugate(t)), "nothing overflows on the way"


@pytest.mark.parametrize("t", [-1e6, -700.0, -1.0, 0.0, 1.0, 300.0, 700.0])
def test_jeffreys_lambert_w(t):
    """g' = 1/W, and W + log W = 1 - t; e^(1 - t) itself would overflow from t = -709 on."""
    row, step = DIVERGENCES["jeffrey"], 1e-4 * max(1, abs(t) * 1e-2)
    slope = (row.conjugate(t + step) - row.conjugate(t - step)) / (2 * step)
    assert 1 / slope - np.log(slope) == pytest.approx(1 - t, rel=1e-5, abs=1e-5)


# raw scores


@every_row
def test_activation_and_fake_term_are_the_articles(name):
    row = DIVERGENCES[name]
    t = ACTIVATIONS[name](V)
    np.testing.assert_allclose(numpy(row.activation(float32(V))), t, rtol=2e-6, atol=3e-7)
    np.testing.assert_allclose(numpy(row.negative_conjugate(float32(V))), -row.conjugate(t), rtol=5e-6, atol=1e-6)


@every_row
def test_the_best_score_gives_the_slope(name):
    row = DIVERGENCES[name]
    np.testing.assert_allclose(ACTIVATIONS[name](row.optimal_score(U)), row.derivative(U), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        numpy(row.activation(float32(row.optimal_score(U)))), row.derivative(U), rtol=4e-5, atol=1e-6
    )


@pytest.mark.parametrize("dtype, size", [("float16", 6e4), ("bfloat16", 6e4), ("float32", 6e4), ("float32", 80.0)])
@every_row
def test_extreme_scores_stay_finite_and_in_range(name, dtype, size):
    row = DIVERGENCES[name]
    v = ops.cast(np.array([-size, -size / 2, 0.0, size / 2, size]), dtype)
    pulls = []
    for function in (row.activation, row.negative_conjugate):
        values = function(v)
        assert keras.backend.standardize_dtype(values.dtype) == "float32"
        assert np.isfinite(numpy(values)).all() and abs(numpy(values)).sum() * 1024 < 3e38, "nor does a batch's sum"
        slopes = gradient(lambda v, function=function: ops.sum(function(v)), ops.cast(v, "float32"))
        assert np.isfinite(slopes).all()  # in float16 they would end at 65504
        pulls.append(slopes[-1])
    t = numpy(row.activation(v))
    assert (t >= np.float32(row.t_range[0])).all() and (t <= np.float32(row.t_range[1])).all()
    assert (np.diff(t) * np.diff(numpy(row.negative_conjugate(v))) <= 0).all(), "what one term gains the other loses"
    assert np.ptp(t) > 0.4
    assert any(pulls) or name == "total_variation", "a critic that went too far is called back"


@every_row
def test_beyond_the_plain_scores_it_is_still_a_bound(name):
    """Where e^v goes on as its tangent, T and -g(T) belong together: no critic can gain by running away."""
    row, (p, q) = DIVERGENCES[name], (normal(0.5), normal(0))
    best = bound(row, np.clip(row.optimal_score(p / q), -1e7, 20), p, q)
    for v in (50 * X, 1000 * X, -100 * X, 70 + 0 * X, 4e4 + 0 * X, -4e4 + 0 * X):
        assert bound(row, v, p, q) < best


@pytest.mark.parametrize("side", ["activation", "negative_conjugate"])
@every_row
def test_gradients_match_finite_differences(name, side):
    row = DIVERGENCES[name]
    v, step = np.array([-5.0, -1.3, -0.1, 0.4, 1.7, 4.0]), 1e-5
    value = lambda v: ACTIVATIONS[name](v) if side == "activation" else -row.conjugate(ACTIVATIONS[name](v))
    expected = (value(v + step) - value(v - step)) / (2 * step)
    found = gradient(lambda v: ops.sum(getattr(row, side)(v)), v.astype("float32"))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


# the divergences


@every_row
def test_between_is_the_articles_integral(name):
    row = DIVERGENCES[name]
    for p, q in [(normal(0.5), normal(0)), (normal(0.3, std=1.2), normal(0)), (normal(0, std=1.1), normal(-0.7))]:
        expected = np.trapezoid(INTEGRALS[name](p, q), X)
        assert expected > 0.015
        assert row.from_densities(p, q, X) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("m", [0.5, 1.0, -1.0])
@pytest.mark.parametrize("name", CLOSED)
def test_closed_forms_of_two_gaussians(name, m):
    row = DIVERGENCES[name]
    assert row.from_densities(normal(m), normal(0), X) == pytest.approx(row.gaussian_closed_form(m), abs=2e-7)


def test_the_first_gan_is_twice_js():
    p, q = normal(1), normal(0)
    assert DIVERGENCES["gan"].from_densities(p, q, X) == pytest.approx(
        2 * DIVERGENCES["js"].from_densities(p, q, X), rel=1e-9
    )
    assert 0.1 < DIVERGENCES["js"].from_densities(p, q, X) < LOG2


@every_row
def test_densities_that_do_not_meet(name):
    """f(0) + f'(inf): the largest value of a bounded divergence, infinite for the others."""
    p, q = np.where(X > 1, normal(5), 0), np.where(X < -1, normal(-5), 0)
    most = {"total_variation": 1, "hellinger": 2, "js": LOG2, "gan": 2 * LOG2}
    assert DIVERGENCES[name].from_densities(p, q, X) == pytest.approx(most.get(name, np.inf), abs=1e-4)


@pytest.mark.parametrize(("one", "other"), [("kl", "reverse_kl"), ("pearson", "neyman")])
def test_swapping_p_and_q_swaps_the_rows(one, other):
    p, q = normal(0.5, std=1.2), normal(0)
    forward, back = DIVERGENCES[one].from_densities(p, q, X), DIVERGENCES[other].from_densities(q, p, X)
    assert forward == pytest.approx(back, rel=1e-9)
    assert forward != pytest.approx(DIVERGENCES[one].from_densities(q, p, X), rel=0.01)


@pytest.mark.parametrize("name", ["total_variation", "hellinger", "jeffrey", "js"])
def test_the_symmetric_rows(name):
    p, q = normal(0.5, std=1.2), normal(0)
    assert DIVERGENCES[name].from_densities(p, q, X) == pytest.approx(
        DIVERGENCES[name].from_densities(q, p, X), rel=1e-7
    )


@every_row
def test_no_critic_exceeds_the_divergence_and_the_best_one_reaches_it(name):
    row, rng = DIVERGENCES[name], np.random.default_rng(0)
    p, q = normal(1), normal(0)
    true = row.from_densities(p, q, X)
    best = np.clip(row.optimal_score(p / q), -1e7, 40)
    assert bound(row, best, p, q) == pytest.approx(true, rel=2e-5)
    if name == "total_variation":
        best = best / 20  # so that what is added is seen: tanh has no slope at 40
    for _ in range(20):
        a, b, c = rng.standard_normal(3)
        assert bound(row, best + 0.3 * (a + b * np.sin(2 * X + c)), p, q) < true
        assert bound(row, a + b * X, p, q) < true + 1e-6  # for some rows the best critic is of this form


# losses


@pytest.mark.parametrize("swap", [False, True])
@every_row
def test_losses_estimate_the_divergence(name, swap):
    """At the best critic, of high scores on reals, the critic's loss is -D(p||q), with swapped roles -D(q||p)."""
    row, (p, q) = DIVERGENCES[name], (normal(1, std=1.1), normal(0))
    first, second = (q, p) if swap else (p, q)
    v = np.clip(row.optimal_score(first / second), -1e7, 30)
    score = v if row.increasing != swap else -v
    assert score[np.argmin(abs(X - 3))] > score[np.argmin(abs(X + 3))], "reals lie to the right"
    real, fake = (score[X > -9], score[X > -9])
    loss = f_gan_loss(row, swap)
    # the critic's loss is a sum of a function of each score: taken apart by holding the other one at 0
    zero = float32(np.zeros(1))
    constant = numpy(loss.critic(zero, zero))
    of_real = numpy(loss.critic(float32(real), float32(0 * real))) - constant
    of_fake = numpy(loss.critic(float32(0 * fake), float32(fake))) - constant
    x, p, q = X[X > -9], p[X > -9], q[X > -9]
    total = np.trapezoid(p * of_real + q * of_fake, x) + constant[0]
    first, second = (q, p) if swap else (p, q)
    assert total == pytest.approx(-row.from_densities(first, second, x), rel=1e-4)


@pytest.mark.parametrize("swap", [False, True])
@every_row
def test_signs(name, swap):
    """The critic wants r up and f down, the generator f up, and pulls at the fake as hard as the critic."""
    loss = f_gan_loss(DIVERGENCES[name], swap)
    real, fake = np.array([0.3, -0.2, 1.0], "float32"), np.array([0.1, 0.5, -0.9], "float32")
    of_real = gradient(lambda r: ops.sum(loss.critic(r, float32(fake))), real)
    of_fake = gradient(lambda f: ops.sum(loss.critic(float32(real), f)), fake)
    generator = gradient(lambda f: ops.sum(loss.generator(None, f)), fake)
    assert (of_real < 0).all() and (of_fake > 0).all()
    assert len({*of_real.tolist(), *of_fake.tolist()}) > 2, "they weigh some samples more than others"
    np.testing.assert_allclose(generator, -of_fake, rtol=1e-6)
    assert loss.zero_sum and (generator < 0).all()


def test_losses_by_hand():
    """KL: -r + e^(f - 1), swapped f + e^(-r - 1), as -f is the raw score; Hellinger, whose T falls: e^-r + e^f - 2."""
    real, fake = float32([0.7]), float32([-0.4])
    value = lambda loss: (numpy(loss.critic(real, fake))[0], numpy(loss.generator(None, fake))[0])
    assert value(f_gan_loss(DIVERGENCES["kl"])) == pytest.approx((-0.7 + np.exp(-1.4), -np.exp(-1.4)))
    assert value(f_gan_loss(DIVERGENCES["kl"], True)) == pytest.approx((-0.4 + np.exp(-1.7), 0.4))
    hellinger = (-(1 - np.exp(-0.7)) - (1 - np.exp(-0.4)), 1 - np.exp(-0.4))
    assert value(f_gan_loss(DIVERGENCES["hellinger"])) == pytest.approx(hellinger)
    with pytest.raises(ValueError, match="rank"):
        f_gan_loss(DIVERGENCES["kl"]).critic(float32([[1.0]]), float32([1.0]))


@every_row
def test_symbolic_scores(name):
    real, fake = keras.Input((1,)), keras.Input((1,))
    for loss in (f_gan_loss(DIVERGENCES[name]), f_gan_loss(TRIANGULAR, True)):
        assert loss.critic(real, fake).shape == (None, 1)
        assert loss.generator(real, fake).shape == (None, 1)


@every_row
def test_how_hard_the_generator_is_pulled(name):
    """|d(-g(T(v)))/dv| at the best critic, at fakes that it sees through (u = e^-4), doubts, and takes for real (e^4).

    On digits those learn for which it stays bounded and does not vanish on both sides (`fgan/compare.py`).
    """
    row = DIVERGENCES[name]
    v = np.clip(row.optimal_score(np.exp([-4.0, 0.0, 4.0])), -30, 30).astype("float32")
    pull = np.abs(gradient(lambda v: ops.sum(row.negative_conjugate(v)), v))
    sigmoid = lambda x: 1 / (1 + np.exp(-np.asarray(x)))
    lambert = lambda t: np.array([_lambert(1 - x) for x in t])
    expected = {
        "total_variation": [0, 0.5, 0],
        "kl": np.exp([-4.0, 0, 4]),  # u
        "reverse_kl": [1, 1, 1],
        "pearson": np.exp([4.0, 0, -4]),  # 1/u
        "neyman": 2 * np.exp([-8.0, 0, 8]),  # 2 u^2
        "hellinger": np.exp([-2.0, 0, 2]),  # sqrt u
        "jeffrey": 1 / lambert(v.astype("float64")),
        "js": sigmoid([-4.0, 0, 4]) / 2,
        "gan": sigmoid([-4.0, 0, 4]),
    }[name]
    np.testing.assert_allclose(pull, expected, rtol=1e-3, atol=1e-6)


def _lambert(a):
    """W(e^a) by bisection."""
    low, high = -60.0, 60.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.exp(middle) + middle < a else (low, middle)
    return np.exp(low)


def test_get_divergence():
    assert get_divergence("js") is DIVERGENCES["js"]
    with pytest.raises(UserError) as error:
        get_divergence("wasserstein")
    assert all(name in str(error.value) for name in NAMES) and "\n" not in str(error.value)


# a divergence of one's own

TRIANGULAR = from_f("triangular", lambda u: ops.square(u - 1) / (u + 1))
KNOWN = {
    "kl": lambda u: u * ops.log(u),
    "neyman": lambda u: ops.square(u - 1),
    "hellinger": lambda u: ops.square(ops.sqrt(u) - 1),
    "jeffrey": lambda u: (u - 1) * ops.log(u),
}


def test_a_tenth_divergence():
    """Triangular discrimination, int (p - q)^2 / (p + q): f' = (u - 1)(u + 3) / (u + 1)^2, at most 1."""
    p, q = normal(1), normal(0)
    true = np.trapezoid((p - q) ** 2 / (p + q), X)
    tolerance = 1e-9 if ON_FLOAT64 else 1e-4
    assert TRIANGULAR.from_densities(p, q, X) == pytest.approx(true, rel=tolerance)
    np.testing.assert_allclose(TRIANGULAR.derivative(U), (U - 1) * (U + 3) / (U + 1) ** 2, atol=1e-5, rtol=1e-5)
    assert TRIANGULAR.t_range == pytest.approx((-3, 1)) and TRIANGULAR.increasing
    v = np.clip(np.log(p / q), -25, 25)
    assert bound(TRIANGULAR, v, p, q) == pytest.approx(true, rel=1e-4)
    for other in (v + 0.3, 0.8 * v, v + np.sin(X)):
        assert bound(TRIANGULAR, other, p, q) < true - 1e-3
    if ON_FLOAT64:
        t = np.linspace(-2.9, 0.9, 20)  # g = t u - f at the u with f' = t, u + 1 = 2 / sqrt(1 - t)
        u = 2 / np.sqrt(1 - t) - 1
        np.testing.assert_allclose(TRIANGULAR.conjugate(t), t * u - (u - 1) ** 2 / (u + 1), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", KNOWN)
def test_from_f_on_a_known_divergence_gives_the_same_bound(name):
    row, own = DIVERGENCES[name], from_f(name, KNOWN[name])
    p, q = normal(1), normal(0)
    assert own.from_densities(p, q, X) == pytest.approx(row.from_densities(p, q, X), rel=1e-6 if ON_FLOAT64 else 1e-3)
    v = np.log(U)
    slope = row.derivative(U)
    np.testing.assert_allclose(numpy(own.activation(float32(v))), slope, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(numpy(own.negative_conjugate(float32(v))), -row.conjugate(slope), rtol=1e-4, atol=1e-4)
    step = 1e-6  # and its gradients, which differentiate f twice
    expected = (-row.conjugate(row.derivative(U * np.exp(step))) + row.conjugate(row.derivative(U * np.exp(-step)))) / (
        2 * step
    )
    found = gradient(lambda v: ops.sum(own.negative_conjugate(v)), v.astype("float32"))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    extreme = float32([-6e4, 0, 6e4])
    for function in (own.activation, own.negative_conjugate):
        assert np.isfinite(numpy(function(extreme))).all()
        assert np.isfinite(gradient(lambda v, function=function: ops.sum(function(v)), extreme)).all()


# what a critic learns


def learned(row, m, steps=150, n=20_000):
    """The bound, by quadrature, of a critic trained on samples of N(m, 1) and N(0, 1), in full batches."""
    rng = np.random.default_rng(int(10 * m))
    points = np.stack([rng.standard_normal(n) + m, rng.standard_normal(n)], 1).astype("float32")
    loss = f_gan_loss(row)
    critic = keras.Sequential([keras.layers.Dense(24, "tanh"), keras.layers.Dense(1, kernel_initializer="zeros")])
    x = keras.Input((2,))
    outputs = {"real": critic(x[:, :1]), "fake": critic(x[:, 1:])}
    model = SingleLoss(x, outputs, lambda real, fake: {"loss": loss.critic(real, fake)})
    rate = keras.optimizers.schedules.CosineDecay(0.05, steps)
    model.compile(keras.optimizers.Adam(rate, beta_1=0.8), steps_per_execution=steps)
    data = np.broadcast_to(points, (steps, *points.shape)).reshape(-1, 2)
    model.fit(data, batch_size=n, epochs=1, shuffle=False, verbose=0)
    score = critic(float32(X[:, None]))
    of_real, of_fake = loss.critic(score, 0 * score), loss.critic(0 * score, score)
    constant = numpy(loss.critic(float32([0.0]), float32([0.0])))
    p, q = normal(m), normal(0)
    return -np.trapezoid((p * numpy(of_real)[:, 0] + q * numpy(of_fake)[:, 0]), X) + constant[0]


@pytest.mark.parametrize("m", [0.5, 1.0])
@pytest.mark.parametrize("name", SMOOTH)
def test_a_critic_learns_the_divergence_from_below(name, m):
    row = DIVERGENCES[name]
    true = row.from_densities(normal(m), normal(0), X)
    assert 0.95 * true < learned(row, m) < true
