"""Products of many Jacobians: how they are drawn, and the numbers that the README tells."""

import numpy as np
import pytest
from keras import layers, ops

from rnn import norms
from rnn.cells import SimpleCell
from rnn.jacobians import log_norms
from tests.helpers.autodiff import weight_gradients
from tests.rnn.test_cells import DTYPE, TOLERANCE


def test_the_norm_of_a_product_of_known_matrices():
    """A tanh cell at h = 0, without input, has the Jacobian U^T at every step."""
    U = np.array([[0.5, 1.0], [0.0, 2.0]])
    weights = {"h": (np.zeros((1, 2)), np.stack([U, 0 * U]), np.zeros(2))}
    for values in log_norms("tanh", weights, np.zeros((3, 2, 1))):
        expected = [np.log10(np.linalg.svd(np.linalg.matrix_power(U.T, t))[1][0]) for t in (1, 2, 3)]
        np.testing.assert_allclose(values[:, 0], expected)
        assert (values[:, 1] == -np.inf).all()
    (last,), _ = log_norms("tanh", weights, np.zeros((3, 2, 1)), last_only=True)
    np.testing.assert_allclose(last[0], expected[-1])


def test_the_weights_of_a_layer():
    weights = norms.layer_weights("lstm", 200, 2.0, 1.5)
    assert sorted(weights) == ["f", "g", "i", "o"]
    for gate, (W, U, b) in weights.items():
        np.testing.assert_allclose(U @ np.swapaxes(U, 1, 2), np.broadcast_to(4 * np.eye(16), (200, 16, 16)), atol=1e-12)
        assert W.std() == pytest.approx(np.sqrt(2 / 26), rel=0.02) and abs(U.mean()) < 0.01
        np.testing.assert_array_equal(b, np.full(16, 1.5 * (gate == "f")))
    (_, _, b) = norms.layer_weights("gru", 2, 1.0, 1.5)["z"]
    np.testing.assert_array_equal(b, np.full(16, -1.5))
    np.testing.assert_allclose(
        norms.layer_weights("tanh", 2, 0.5, 0)["h"][1], norms.layer_weights("tanh", 3, 1.0, 0)["h"][1][:2] / 2
    )


@pytest.mark.parametrize("kind", ["tanh", "relu"])
def test_the_gradient_by_u_is_the_sum_of_its_terms(kind):
    """dh_T/dU = sum over s of (dh_T/dh_s) (dh_s/dU with h_{s-1} kept), against automatic differentiation."""
    W, U, b = (values[0] if values.ndim > 1 else values for values in norms.layer_weights(kind, 1, 1.2, 0)["h"])
    cell = SimpleCell(norms.UNITS, kind, dtype=DTYPE)
    layer = layers.RNN(cell, dtype=DTYPE)
    x = np.swapaxes(norms.layer_inputs(1), 0, 1).astype(DTYPE)
    layer.build(x.shape)
    cell.set_weights([W, U, b])
    v = np.random.default_rng([0, 4]).normal(size=norms.UNITS)
    v = (v / np.linalg.norm(v)).astype(DTYPE)
    (gradient,) = weight_gradients(lambda: ops.sum(layer(x)[0] * v), [cell.recurrent_kernel])
    terms = norms.gradient_terms(kind, 1.2, 1)
    assert terms.shape == (norms.T, 1, norms.UNITS, norms.UNITS)
    np.testing.assert_allclose(terms.sum(0)[0], gradient, rtol=1e3 * TOLERANCE, atol=TOLERANCE * abs(gradient).max())


@pytest.mark.parametrize(
    ("kind", "scale", "bias", "median"),
    [
        ("tanh", 1, 0, -9.9), ("relu", 1, 0, -10.0), ("lstm", 1, 0, -11.3), ("lstm", 1, 1, -4.5), ("gru", 1, 0, -10.3),
        ("reset_output", 1, 0, -10.7), ("tanh", 2, 0, 1.6), ("relu", 2, 0, 5.8), ("lstm", 2, 0, -6.2),
        ("lstm", 2, 1, -1.7), ("gru", 2, 0, -4.4), ("reset_output", 2, 0, -5.3),
    ],
)  # fmt: skip
def test_the_norm_after_60_steps_of_an_independent_computation_is_in_the_range_of_our_seeds(kind, scale, bias, median):
    """Those medians are of twelve other seeds and of inputs that are not ours in every respect."""
    last = norms.layer_norms(kind, scale, bias, 12, last_only=True)[0, -1]
    assert last.min() - 0.05 <= median <= last.max() and abs(np.median(last) - median) < (8 if kind == "relu" else 1)


def test_how_the_cells_differ_over_60_steps():
    last = lambda kind, scale, bias: np.median(norms.layer_norms(kind, scale, bias, 6, last_only=True)[0, -1])
    assert last("relu", 2, 0) > last("tanh", 2, 0) + 4 > 4, "ReLU explodes more"
    assert all(last(kind, 2, 0) < -3 for kind in norms.GATED), "gates do not explode"
    assert last("lstm", 1, 0) < last("tanh", 1, 0) < -8 < -5 < last("lstm", 1, 1), "it takes a forget bias"
    assert last("gru", 4, 0) > last("reset_output", 4, 0) + 1 > last("lstm", 4, 0) + 1, "large weights"
    task = lambda kind, bias: norms.task_row(kind, bias, 4)["T = 50"][0]
    assert task("lstm", 1.0) > -2 > task("gru", 1.0) > -4 > -6 > task("lstm", 0.0) > task("relu", 0.0) - 3
    assert last("lstm", 1, 6) > 1 > 0 > last("gru", 1, 6) > -0.5, "with open gates the LSTM grows, since c does"


def test_how_often_a_product_of_one_unit_explodes_or_vanishes():
    """Percent of 3 x 4,000 draws, beside those of an independent computation on 20,000."""
    row = lambda kind, s, bias: {k: np.mean(v) for k, v in norms.unit_row(kind, s, bias, 3, 4000).items()}
    assert row("relu", 4.0, 0)["above 1"] == pytest.approx(16.8, abs=1.2)
    assert row("gru", 4.0, 0)["above 1"] == pytest.approx(2.3, abs=0.5)
    for kind, percent in {"tanh": 0.03, "lstm": 0.18, "reset_output": 0.04}.items():
        assert row(kind, 4.0, 0)["above 1"] == pytest.approx(percent, abs=0.12)
    assert row("lstm", 1.0, 0)["below 1e-6"] == pytest.approx(96, abs=0.8)
    assert row("lstm", 1.0, 1)["below 1e-6"] == pytest.approx(71, abs=1.8)
