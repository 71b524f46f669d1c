"""Macro-F1 as a loss: the numbers of the article's formula, and the plateau at log 4."""

import keras
import numpy as np
import pytest
from keras import ops
from sklearn.metrics import confusion_matrix, f1_score

from spectra.f1 import PLATEAU, SoftMacroF1, confusion, f1_scores, soft_macro_f1
from tests.helpers.arrays import numpy

COUNTS = (128, 16, 8, 8)  # of the article's batch


def one_hot(counts):
    return np.repeat(np.eye(4, dtype="float32"), counts, 0)


def both(y, p):
    """Return (score, loss) as floats."""
    p = np.broadcast_to(np.float32(p), y.shape)
    return float(soft_macro_f1(y, p)), float(SoftMacroF1()(y, p))


@pytest.mark.parametrize(
    "counts, p, score, loss",
    [
        ((40, 40, 40, 40), 0.25, 0.25, 1.386294),
        (COUNTS, 0.25, 0.172619, 1.756668),
        (COUNTS, (1, 0, 0, 0), 0.222222, 1.504077),
        (COUNTS, (0.8, 0.1, 0.05, 0.05), 0.25, 1.386294),  # the shares of the classes
        ((40, 40, 40, 40), (1, 0, 0, 0), 0.1, 2.302585),
        ((97, 1, 30, 32), np.array([97, 1, 30, 32]) / 160, 0.25, 1.386294),
    ],
)
def test_what_a_network_without_input_can_have(counts, p, score, loss):
    assert both(one_hot(counts), p) == pytest.approx((score, loss), abs=2e-6)


def test_a_perfect_network():
    assert both(one_hot(COUNTS), one_hot(COUNTS)) == pytest.approx((1, 0), abs=1e-6)


def test_no_constant_passes_a_quarter():
    rng = np.random.default_rng(0)
    for _ in range(50):
        counts, p = rng.multinomial(400, rng.dirichlet(np.ones(4))), rng.dirichlet(np.ones(4))
        assert both(one_hot(counts), p)[0] <= 0.25 + 1e-6
    assert pytest.approx(1.386294, abs=1e-6) == PLATEAU


def test_the_shares_are_a_maximum_over_constants_with_no_gradient():
    y, bias = one_hot(COUNTS).astype("float64"), np.log(np.array(COUNTS) / 160)
    softmax = lambda b: np.broadcast_to(np.exp(b) / np.exp(b).sum(), y.shape)
    loss = lambda b: -np.log(float(soft_macro_f1(y, softmax(b))))
    for direction in np.eye(4):
        up, down = (loss(bias + step * direction) for step in (1e-3, -1e-3))
        assert (up - down) / 2e-3 == pytest.approx(0, abs=1e-6), "flat"
        assert (up + down - 2 * loss(bias)) / 1e-6 > 1e-3, "and higher on both sides"


def test_one_class_for_all_is_flat_too_and_above_the_plateau():
    scores = lambda k: numpy(ops.softmax(np.array([k, 0, 0, 0], "float32")))
    a, b = (both(one_hot(COUNTS), scores(k))[1] for k in (16, 15))
    assert a - b == pytest.approx(0, abs=1e-5) and b > PLATEAU + 0.1


def test_of_hard_predictions_it_is_macro_f1():
    rng = np.random.default_rng(1)
    labels, predicted = rng.integers(0, 4, (2, 200))
    expected = f1_score(labels, predicted, average=None)
    np.testing.assert_allclose(f1_scores(labels, predicted, 4), expected, rtol=1e-12)
    np.testing.assert_array_equal(confusion(labels, predicted, 4), confusion_matrix(labels, predicted))
    y, p = (np.eye(4, dtype="float32")[i] for i in (labels, predicted))
    assert both(y, p)[0] == pytest.approx(expected.mean(), abs=1e-6)
    np.testing.assert_array_equal(f1_scores(np.array([0, 0]), np.array([0, 0]), 3), [1, 0, 0])


def test_the_order_of_a_batch_does_not_matter_but_its_division_does():
    rng = np.random.default_rng(2)
    y, p = one_hot(COUNTS), rng.dirichlet(np.ones(4), 160).astype("float32")
    order = rng.permutation(160)
    whole = both(y, p)[1]
    assert both(y[order], p[order])[1] == pytest.approx(whole, abs=1e-6)
    halves = [both(y[rows], p[rows])[1] for rows in np.split(order, 2)]
    assert abs(np.mean(halves) - whole) > 1e-4


def test_it_is_a_loss_of_keras_with_one_value_a_batch():
    rng = np.random.default_rng(3)
    y, x = one_hot((4, 4, 4, 4)), rng.standard_normal((16, 3)).astype("float32")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, activation="softmax")])
    model.compile("sgd", SoftMacroF1())
    expected = both(y, numpy(model(x)))[1]
    assert model.evaluate(x, y, batch_size=16, verbose=0) == pytest.approx(expected, abs=1e-5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(SoftMacroF1()))
    assert ops.shape(again(y, model(x))) == ()
    with pytest.raises(ValueError, match="takes no weights"):
        SoftMacroF1()(y, y, sample_weight=np.ones(16))
