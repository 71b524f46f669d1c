"""The cells of article 7888: against Keras's own, and their Jacobians against automatic differentiation."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from rnn import jacobians
from rnn.cells import GRUCell, LSTMCell, ResetOutputCell, SimpleCell
from tests.helpers.arrays import numpy
from tests.helpers.autodiff import jacobian

CELLS = {
    "tanh": lambda n, **kwargs: SimpleCell(n, "tanh", **kwargs),
    "relu": lambda n, **kwargs: SimpleCell(n, "relu", **kwargs),
    "lstm": LSTMCell,
    "gru": GRUCell,
    "reset_output": ResetOutputCell,
}
TWO_STATES = ("lstm", "reset_output")  # h and c
# Keras computes in float64 on TensorFlow alone: its products of matrices on PyTorch do not, and JAX is set to float32
DTYPE, TOLERANCE = ("float64", 1e-10) if keras.backend.backend() == "tensorflow" else ("float32", 5e-5)
BATCH, INPUTS = 5, 3
for_each_kind = pytest.mark.parametrize("kind", CELLS)


def built_cell(kind, units=4, dtype=DTYPE, **kwargs):
    """Return a cell with random weights, all far from 0, and the same weights as {gate: (W, U, b)}."""
    cell, rng = CELLS[kind](units, dtype=dtype, **kwargs), np.random.default_rng(1)
    cell.build((None, INPUTS))
    for variable in cell.weights:
        variable.assign(rng.normal(size=variable.shape))
    blocks = [np.split(numpy(v), len(cell.gates), -1) for v in (cell.kernel, cell.recurrent_kernel, cell.bias)]
    return cell, dict(zip(cell.gates, zip(*blocks, strict=True), strict=True))


def random_state(kind, units=4, seed=2):
    """Return a state (h,), or (h, c, gate) with h as the cell makes it of the others."""
    rng = np.random.default_rng(seed)
    c, gate = rng.normal(size=(BATCH, units)), rng.uniform(size=(BATCH, units))
    state = {"lstm": (gate * np.tanh(c), c, gate), "reset_output": (gate * c, c, gate)}.get(kind, (c,))
    return tuple(values.astype(DTYPE) for values in state)


def random_input(seed=3):
    return np.random.default_rng(seed).normal(size=(BATCH, INPUTS)).astype(DTYPE)


@for_each_kind
def test_a_step_in_closed_form_is_that_of_the_cell(kind):
    cell, weights = built_cell(kind)
    x, state = random_input(), random_state(kind)
    output, states = cell(ops.convert_to_tensor(x), [ops.convert_to_tensor(s) for s in state[:2]])
    expected, _, _ = jacobians.STEPS[kind](weights, x, state)
    np.testing.assert_array_equal(numpy(output), numpy(states[0]))
    for got, value in zip(states, expected, strict=False):
        np.testing.assert_allclose(numpy(got), value, atol=TOLERANCE)


@pytest.mark.parametrize("units", [1, 4])
@for_each_kind
def test_the_jacobian_of_the_article_against_autodiff(kind, units):
    """Of h by h, or with two states of c by c, where h follows c and its gate stays."""
    cell, weights = built_cell(kind, units)
    x, state = random_input(), random_state(kind, units)
    _, J, _ = jacobians.STEPS[kind](weights, x, state)
    for i in range(BATCH):
        tensor = lambda values, like, i=i: ops.tile(ops.convert_to_tensor(values[i : i + 1]), (ops.shape(like)[0], 1))

        def memory(v, tensor=tensor):
            v = ops.convert_to_tensor(v)
            if kind not in TWO_STATES:
                return cell(tensor(x, v), [v])[1][0]
            h = tensor(state[2], v) * (ops.tanh(v) if kind == "lstm" else v)
            return cell(tensor(x, v), [h, v])[1][1]

        np.testing.assert_allclose(J[i], jacobian(memory, state[len(state) // 2][i]), atol=TOLERANCE)
    assert abs(J).max() > 0.1, "so that zeros do not pass"


@for_each_kind
def test_the_jacobian_of_all_states_against_autodiff_over_three_steps(kind):
    """The product of three, so the steps themselves also fit together."""
    cell, weights = built_cell(kind)
    xs, state = [random_input(seed) for seed in range(3)], random_state(kind)
    product, states = np.eye(4 * cell.state_count), state
    for x in xs:
        states, _, full = jacobians.STEPS[kind](weights, x, states)
        product = full @ product

    def after_three(v):
        v = ops.convert_to_tensor(v)
        now = ops.split(v, cell.state_count, -1)
        for x in xs:
            _, now = cell(ops.tile(ops.convert_to_tensor(x[:1]), (ops.shape(v)[0], 1)), now)
        return ops.concatenate(now, -1)

    start = np.concatenate([s[0] for s in state[: cell.state_count]])
    np.testing.assert_allclose(product[0], jacobian(after_three, start), atol=10 * TOLERANCE)


@pytest.mark.parametrize(("kind", "gate_of_h"), [("lstm", "o"), ("reset_output", "r")])
def test_the_product_of_the_article_leaves_out_the_path_through_the_gate_of_h(kind, gate_of_h):
    """Over two steps of one unit, dc_2/dc_0 has the further path c_0, h_0, gate of h_1, h_1, c_2."""
    _, weights = built_cell(kind, 1)
    weights[gate_of_h] = (weights[gate_of_h][0], weights[gate_of_h][1] + 5, weights[gate_of_h][2])
    state = random_state(kind, 1)
    one, J_1, full_1 = jacobians.STEPS[kind](weights, random_input(3), state)
    _, J_2, full_2 = jacobians.STEPS[kind](weights, random_input(4), one)
    _, c, gate = state
    h_by_c = gate * (1 - np.tanh(c) ** 2) if kind == "lstm" else gate
    exact = (full_2 @ full_1 @ np.stack([h_by_c, np.ones_like(c)], -2))[:, 1, 0]
    product = (J_2 @ J_1)[:, 0, 0]
    h_1, _, gate_1 = (values[:, 0] for values in one)
    h_1_by_h_0 = h_1 / gate_1 * gate_1 * (1 - gate_1) * weights[gate_of_h][1][0, 0]  # through the gate
    np.testing.assert_allclose(exact - product, full_2[:, 1, 0] * h_1_by_h_0 * h_by_c[:, 0], atol=TOLERANCE)
    assert (abs(exact - product) > 0.001 * abs(product)).any()


def test_lstm_is_the_one_of_keras():
    ours, _ = built_cell("lstm", dtype="float32")
    theirs = layers.LSTMCell(4)
    theirs.build((None, INPUTS))
    order = np.r_[4:8, 0:4, 12:16, 8:12]  # Keras has i, f, candidate, o
    for mine, its in zip(ours.weights, theirs.weights, strict=True):
        its.assign(numpy(mine)[..., order])
    assert_same_over_time(ours, theirs)


def test_gru_is_the_one_of_keras_that_resets_before_the_product():
    ours, _ = built_cell("gru", dtype="float32")
    theirs = layers.GRUCell(4, reset_after=False)
    theirs.build((None, INPUTS))
    for mine, its in zip(ours.weights, theirs.weights, strict=True):
        values = numpy(mine)
        values[..., :4] *= -1  # its z is 1 - z
        its.assign(values)
    assert_same_over_time(ours, theirs)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_the_simple_cell_is_the_one_of_keras(activation):
    ours, _ = built_cell(activation, dtype="float32")
    theirs = layers.SimpleRNNCell(4, activation)
    theirs.build((None, INPUTS))
    theirs.set_weights([numpy(v) for v in ours.weights])
    assert_same_over_time(ours, theirs)


def assert_same_over_time(ours, theirs):
    x = np.random.default_rng(0).normal(size=(BATCH, 6, INPUTS)).astype("float32")
    a, b = (numpy(layers.RNN(cell, return_sequences=True)(x)) for cell in (ours, theirs))
    assert a.std() > 0.1
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_the_reset_output_cell_with_open_reset_is_a_gru_with_open_reset():
    """With r = 1 both are h_t = (1 - z) h_{t-1} + z tanh(a(h_{t-1}))."""
    ours, _ = built_cell("reset_output", dtype="float32")
    gru, _ = built_cell("gru", dtype="float32")
    for cell in (ours, gru):
        values = [numpy(v) for v in cell.weights]
        values[0][:, 4:8], values[1][:, 4:8], values[2][4:8] = 0, 0, 50
        cell.set_weights(values)
    assert_same_over_time(ours, gru)


@for_each_kind
def test_first_weights(kind):
    """Each U is orthogonal times the scale; the forget bias is on f, or with the other sign on z, and nowhere else."""
    cell = CELLS[kind](6, forget_bias=1.5, recurrent_scale=2.0)
    cell.build((None, 1))
    first = {"f": 1.5, "z": -1.5}
    for gate, U, b in zip(
        cell.gates, np.split(numpy(cell.recurrent_kernel), len(cell.gates), 1),
        np.split(numpy(cell.bias), len(cell.gates)), strict=True,
    ):  # fmt: skip
        np.testing.assert_allclose(U @ U.T, 4 * np.eye(6), atol=1e-5)
        np.testing.assert_array_equal(b, np.full(6, first.get(gate, 0.0), "float32"))


@pytest.mark.parametrize("kind", ["relu", "reset_output"])
def test_a_saved_network_loads(kind, tmp_path):
    x = keras.Input((5, INPUTS))
    model = keras.Model(x, layers.RNN(CELLS[kind](4, forget_bias=1.0))(x))
    model.save(tmp_path / "model.keras")
    data = np.ones((2, 5, INPUTS), "float32")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(loaded(data)), numpy(model(data)))


def test_no_units_are_refused():
    with pytest.raises(ValueError, match=r"units must be at least 1. Received: units=0"):
        GRUCell(0)
