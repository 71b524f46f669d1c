"""Coupling layers written out in numpy, and the error texts for wrong shapes."""

import numpy as np
import pytest
from keras import Input, layers, ops

from flow.layers import Actnorm, AdditiveCoupling, AffineCoupling, MultiScale, Squeeze
from tests.helpers.flows import (
    IMAGE,
    VECTOR,
    assert_close,
    make_coupling,
    random_array,
    to_numpy,
    with_random_weights,
)

COUPLINGS = {
    "additive": (AdditiveCoupling, {}),
    "affine": (AffineCoupling, {}),
    "bounded": (AffineCoupling, {"bound": 1}),
}
SPLITS = [("halves", VECTOR), ("halves", IMAGE), ("interleaved", VECTOR), ("interleaved", IMAGE)]
SPLITS += [("checkerboard", IMAGE)]


def mask_of_x1(split, shape, swap):
    """Return the positions of x1 in an example, bool."""
    if split == "checkerboard":
        mask = (np.add.outer(np.arange(2), np.arange(4)) % 2 == 0)[..., None]
    elif split == "halves":
        mask = np.arange(shape[-1]) < shape[-1] // 2
    else:
        mask = np.arange(shape[-1]) % 2 == 0
    return np.broadcast_to(mask, shape) ^ swap


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize(("split", "shape"), SPLITS)
@pytest.mark.parametrize("kind", COUPLINGS)
def test_coupling_written_out(kind, split, shape, swap):
    """Compare with y1 = x1, y2 = exp(log_s(x1)) x2 + t(x1); an additive coupling has log_s = 0."""
    x = random_array(3, *shape)
    cls, kwargs = COUPLINGS[kind]
    layer = with_random_weights(make_coupling(cls, shape, split, swap, **kwargs), x)
    mask = mask_of_x1(split, shape, swap)

    # the net sees the whole image on a checkerboard, else only the channels of x1
    x1 = x * mask if split == "checkerboard" else x[:, mask].reshape(3, *shape[:-1], -1)
    *log_s, t = np.split(ops.convert_to_numpy(layer.net(x1)), 1 if kind == "additive" else 2, axis=-1)
    at_x2 = lambda output: output[:, ~mask] if split == "checkerboard" else output.reshape(3, -1)
    log_s = at_x2(log_s[0]) if log_s else np.zeros_like(x[:, ~mask])
    log_s = np.tanh(log_s) if kind == "bounded" else log_s

    y, log_det = to_numpy(layer(x))
    np.testing.assert_array_equal(y[:, mask], x[:, mask])
    assert_close(y[:, ~mask], np.exp(log_s) * x[:, ~mask] + at_x2(t))
    assert_close(log_det, log_s.sum(1))
    assert np.abs(y - x)[:, ~mask].min() > 1e-5
    assert kind == "additive" or np.ptp(log_det) > 0.01


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (lambda: AdditiveCoupling(layers.Dense(2)), (5,), r"must be even.*\(\w+, 5\)"),
        (lambda: AffineCoupling(layers.Dense(4), "interleaved"), (4, 4, 7), r"must be even.*\(\w+, 4, 4, 7\)"),
        (lambda: AdditiveCoupling(layers.Dense(6), "checkerboard"), (6,), r"needs images.*\(\w+, 6\)"),
        (lambda: AdditiveCoupling(layers.Dense(13)), (6,), r"must map .*, 13\)"),
        (lambda: AdditiveCoupling(layers.Dense(1)), (6,), r"must map .*, 1\)"),  # would broadcast
        (lambda: AffineCoupling(layers.Dense(3)), (6,), r"must map .*, 3\)"),
        (lambda: AffineCoupling(layers.Conv2D(8, 3), "checkerboard"), (4, 4, 4), r"must map .*, 2, 2, 8\)"),
        (lambda: AffineCoupling(layers.Dense(4), "checkerboard"), (4, 4, 4), r"must map .*, 4, 4, 4\)"),
        (Squeeze, (5, 4, 2), r"divide by 2.*\(\w+, 5, 4, 2\)"),
        (Squeeze, (4, 7, 2), r"divide by 2.*\(\w+, 4, 7, 2\)"),
        (lambda: MultiScale([Actnorm(), Actnorm()]), (4, 4, 3), r"halves the last axis.*\(\w+, 4, 4, 3\)"),
    ],
)
def test_a_wrong_shape_is_named(make, shape, message, symbolic, monkeypatch):
    # with its filter Keras writes the shapes of all arguments into every message
    monkeypatch.setattr("keras.src.utils.traceback_utils.is_traceback_filtering_enabled", lambda: False)
    with pytest.raises(ValueError, match=message):
        make()(Input(shape) if symbolic else random_array(2, *shape))


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match=r"'halves', 'interleaved' or 'checkerboard'\. Received: split='thirds'"):
        AdditiveCoupling(layers.Dense(3), "thirds")
