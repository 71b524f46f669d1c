"""S = H + KL, its bounds and its gradient (article 6191)."""

import numpy as np
import pytest
from keras import ops

from common import backend
from word_vectors import cost as c

N = 12


def problem(seed=0, n=N):
    """Return p(i), p(j|i) with some zeros, and vectors (n, 3)."""
    rng = np.random.default_rng(seed)
    next_ = rng.random((n, n)) ** 3 * (rng.random((n, n)) > 0.3)
    np.fill_diagonal(next_, 0)
    first = rng.random(n)
    return first / first.sum(), next_ / next_.sum(1, keepdims=True), rng.normal(size=(n, 3))


@pytest.mark.parametrize("kernel", [*c.KERNELS, "inner product"])
def test_the_cost_is_entropy_plus_divergence(kernel):
    first, next_, v = problem()
    log_q = c.log_softmax(v @ v.T) if kernel == "inner product" else c.log_q(v, kernel)
    assert np.exp(log_q).sum(1) == pytest.approx(np.ones(N)) and np.exp(np.diag(log_q)) == pytest.approx(np.zeros(N))
    s, h, kl = c.cost(first, next_, log_q), c.entropy(first, next_), c.divergence(first, next_, log_q)
    assert s == pytest.approx(h + kl, abs=1e-14)
    assert kl > 0.1, "so S is above H"
    by_hand = -sum(first[i] * next_[i, j] * log_q[i, j] for i in range(N) for j in range(N) if j != i)
    assert s == pytest.approx(by_hand)


def test_the_cost_is_the_entropy_exactly_if_q_is_p():
    first, _, v = problem()
    log_q = c.log_q(v, "gaussian")
    assert c.cost(first, np.exp(log_q), log_q) == pytest.approx(c.entropy(first, np.exp(log_q)), abs=1e-14)
    assert c.divergence(first, np.exp(log_q), log_q) == pytest.approx(0, abs=1e-14)


@pytest.mark.parametrize("kernel", c.KERNELS)
def test_equal_vectors_cost_the_logarithm_of_the_number_of_others(kernel):
    first, next_, v = problem()
    assert c.cost(first, next_, c.log_q(0 * v + 1, kernel)) == pytest.approx(np.log(N - 1), abs=1e-14)


@pytest.mark.parametrize("kernel", c.KERNELS)
def test_gradient_against_differences(kernel):
    first, next_, v = problem()
    slope = c.gradient(v, first, next_, c.log_q(v, kernel), kernel)
    for i, k in ((0, 0), (3, 2), (N - 1, 1)):
        step = np.zeros_like(v)
        step[i, k] = 1e-6
        up, down = (c.cost(first, next_, c.log_q(v + sign * step, kernel)) for sign in (1, -1))
        assert slope[i, k] == pytest.approx((up - down) / 2e-6, rel=1e-6)
    assert slope.sum(0) == pytest.approx(np.zeros(3)), "a shift of all vectors changes nothing"


@pytest.mark.parametrize("kernel", c.KERNELS)
def test_gradient_against_automatic_differentiation(kernel):
    first, next_, v = problem()

    def cost_of(x):
        d2 = ops.sum((x[:, None] - x) ** 2, -1)
        scores = (-d2 if kernel == "gaussian" else -ops.log(1 + d2)) - 1e9 * ops.eye(N)
        joint = ops.convert_to_tensor((first[:, None] * next_).astype("float32"))
        return -ops.sum(joint * ops.log_softmax(scores, -1))

    slope = backend.input_gradient(cost_of, ops.convert_to_tensor(v.astype("float32")))
    assert ops.convert_to_numpy(slope) == pytest.approx(
        c.gradient(v, first, next_, c.log_q(v, kernel), kernel), abs=1e-5
    )


@pytest.mark.parametrize("kernel", c.KERNELS)
def test_descent_finds_vectors_that_made_the_probabilities(kernel):
    first, _, v = problem()
    q = np.exp(c.log_q(v, kernel))
    start = 0.1 * np.random.default_rng(1).normal(size=v.shape)
    last, costs = c.descend(start, first, q, kernel, 1500, 2.0)
    assert costs[0] > c.entropy(first, q) + 0.1
    assert costs[-1] == pytest.approx(c.entropy(first, q), abs=2e-3)
    assert c.cost(first, q, c.log_q(last, kernel)) == min(costs) < costs[0]
    assert len(costs) == 1501
