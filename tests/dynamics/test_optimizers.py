"""Keras's optimizers are the flows of article 6261 in steps of one size; and Polyak's step size as an optimizer."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from common.ode import alternating_euler, euler, solve
from dynamics import flows
from dynamics.polyak import PolyakSGD
from tests.helpers.arrays import numpy
from tests.helpers.autodiff import gradient as autodiff

h, STEPS = 0.01, 40
START = np.array([1.0, -2.0, 0.5], "float32")
gradient = lambda x: np.array([1.0, 3.0, 10.0]) * x + x**3
optimizers = keras.optimizers

# name: (optimizer, flow, step size, scheme, number of rows that remember)
PAIRS = {
    "SGD": (optimizers.SGD(h), flows.gradient_flow(gradient), h, euler, 0),
    "momentum": (
        optimizers.SGD(h, momentum=0.9), flows.momentum_flow(gradient, np.sqrt(h), 0.9), np.sqrt(h),
        alternating_euler, 1,
    ),
    "RMSprop": (optimizers.RMSprop(h, 0.9, epsilon=1e-4), flows.rmsprop_flow(gradient, h, 0.9, 1e-4), h,
        alternating_euler, 1),
    "Adam": (optimizers.Adam(h, 0.8, 0.99, 1e-4), flows.adam_flow(gradient, h, 0.8, 0.99, 1e-4), h,
        alternating_euler, 4),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_an_optimizer_of_keras_takes_the_steps_of_its_flow(name):
    optimizer, field, step, scheme, rows = PAIRS[name]
    expected = solve(field, flows.with_memory(START, rows), STEPS * step, step, scheme)
    variable, path = keras.Variable(START), [START]
    for _ in range(STEPS):
        optimizer.apply([ops.convert_to_tensor(gradient(path[-1]), "float32")], [variable])
        path.append(numpy(variable))
    np.testing.assert_allclose(path, expected[:, -1], rtol=2e-4, atol=2e-6)
    assert abs(path[-1] - START).max() > 0.1, "they moved"


# Polyak

EIGENVALUES = np.array([1.0, 10.0, 100.0], "float32")
loss = lambda x: ops.sum(EIGENVALUES * x * x) / 2 + 3.0
numpy_loss = lambda x: (EIGENVALUES * x * x).sum(-1, keepdims=True) / 2 + 3.0


@pytest.mark.parametrize("cap", [None, 0.2])
def test_polyak_takes_the_steps_of_its_flow(cap):
    """The loss falls as e^-t above its lowest value; with a cap no step is longer than learning rate x cap."""
    optimizer = PolyakSGD(0.05, lowest=3.0, cap=cap)
    variables = [keras.Variable(START[:2]), keras.Variable(START[2:])]  # one norm for all variables
    path = [START]
    for _ in range(STEPS):
        grads = autodiff(lambda x: optimizer.scale_loss(loss(x)), path[-1])
        optimizer.apply([ops.convert_to_tensor(g) for g in (grads[:2], grads[2:])], variables)
        path.append(np.concatenate([numpy(v) for v in variables]))
    polyak = flows.polyak_flow(numpy_loss, lambda x: EIGENVALUES * x, lowest=3.0)

    def capped(x):
        speed = np.linalg.norm(polyak(x))
        return polyak(x) * min(1, (cap or np.inf) / speed)

    np.testing.assert_allclose(path, solve(capped, START, STEPS * 0.05, 0.05, euler), rtol=2e-3, atol=1e-4)
    lengths = np.linalg.norm(np.diff(path, axis=0), axis=1)
    assert (lengths.max() <= 0.01 * 1.001) == (cap is not None)


def regression():
    """Return a model and data that it can fit exactly."""
    x = np.random.default_rng(0).normal(size=(64, 3)).astype("float32")
    return keras.Sequential([keras.Input((3,)), layers.Dense(1)]), x, x @ np.ones((3, 1), "float32")


def test_under_fit_the_loss_halves_in_the_time_of_a_pure_exponential():
    model, x, y = regression()
    model.compile(PolyakSGD(0.1), "mse")
    losses = np.array(model.fit(x, y, batch_size=64, epochs=30, verbose=0).history["loss"])
    assert np.log(losses[0] / losses[-1]) == pytest.approx(29 * 0.1, rel=0.1)


def test_it_rests_at_the_lowest_loss_and_where_the_gradient_is_zero():
    for lowest, value in ((3.0, np.zeros(3)), (1e6, START)):  # the second loss is below its `lowest`
        optimizer, variable = PolyakSGD(1.0, lowest), keras.Variable(value.astype("float32"))
        grads = autodiff(lambda x, optimizer=optimizer: optimizer.scale_loss(loss(x)), value.astype("float32"))
        optimizer.apply([ops.convert_to_tensor(grads)], [variable])
        np.testing.assert_array_equal(numpy(variable), value)


def test_a_saved_model_keeps_its_optimizer(tmp_path):
    model, x, y = regression()
    model.compile(PolyakSGD(0.05, lowest=0.1, cap=2.0), "mse")
    model.fit(x, y, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    optimizer = keras.models.load_model(tmp_path / "model.keras").optimizer
    assert isinstance(optimizer, PolyakSGD) and (optimizer.lowest, optimizer.cap) == (0.1, 2.0)
    assert float(optimizer.learning_rate) == pytest.approx(0.05) and int(optimizer.iterations) == 2


def test_gradients_of_the_loss_itself_are_refused():
    with pytest.raises(RuntimeError, match=r"take the gradients of optimizer\.scale_loss\(loss\)"):
        PolyakSGD().apply([ops.ones(3)], [keras.Variable(START)])
    for setting in ({"cap": 0}, {"cap": -1.0}, {"loss_scale_factor": 2.0}, {"gradient_accumulation_steps": 2}):
        with pytest.raises(ValueError, match="Received"):
            PolyakSGD(**setting)
