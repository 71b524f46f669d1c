"""Every invertible layer: both directions, the log-determinant against the Jacobian, files, precision, wrong shapes."""

from itertools import product

import keras
import numpy as np
import pytest
from keras import layers, ops

from common.models.inference import load_model
from flow.layers.actnorm import Actnorm, ConditionalActnorm, Scale
from flow.layers.composite import Chain, MultiScale
from flow.layers.coupling import AdditiveCoupling, AffineCoupling
from flow.layers.likelihood import log_normal
from flow.layers.linear import ExpRankOneLinear, InvertibleLinear
from flow.layers.permutations import Reverse, Shuffle
from flow.layers.preprocessing import Flatten, Logit, Rescale, Squeeze
from tests.helpers.autodiff import jacobian
from tests.helpers.flows import CLOSE, IMAGE, PRECISE, TALL, VECTOR, array, arrays, close, coupling, perturbed, tower
from tests.helpers.scripts import ROOT

# name: (makes the layer for examples of shape s, shapes); a new layer takes one line
CASES = {
    "reverse": (lambda s: Reverse(), [VECTOR, IMAGE]),
    "shuffle": (lambda s: Shuffle(3), [VECTOR, IMAGE]),
    "scale": (lambda s: Scale(), [VECTOR, IMAGE]),
    "actnorm": (lambda s: Actnorm(), [VECTOR, IMAGE]),
    "conditional": (lambda s: ConditionalActnorm(), [VECTOR, IMAGE]),
    "squeeze": (lambda s: Squeeze(), [IMAGE, TALL]),
    "squeeze_by_4": (lambda s: Squeeze(4), [TALL]),
    "flatten": (lambda s: Flatten(), [IMAGE]),
    "rescale": (lambda s: Rescale(0.5, -3), [VECTOR, IMAGE]),
    "logit": (lambda s: Logit(), [VECTOR, IMAGE]),
    "logit_0.2": (lambda s: Logit(alpha=0.2), [VECTOR]),
    "dense": (lambda s: InvertibleLinear(), [VECTOR, IMAGE]),
    "exp": (lambda s: ExpRankOneLinear(), [VECTOR, IMAGE]),
    "exp_5_terms": (lambda s: ExpRankOneLinear(5, bound=0.7), [VECTOR]),
    "exp_unbounded": (lambda s: ExpRankOneLinear(2, bound=None), [VECTOR, IMAGE]),
    "chain": (lambda s: Chain([Scale(), Chain([InvertibleLinear(), coupling(AffineCoupling, s)])]), [VECTOR, IMAGE]),
    "logit_chain": (lambda s: Chain([Logit(), Squeeze(), Flatten(), Scale()]), [IMAGE]),
    "one_scale": (lambda s: MultiScale([Chain([Squeeze(), Scale()])]), [IMAGE]),
    "tower": (lambda s: tower(), [TALL]),
    "logit_tower": (lambda s: Chain([Logit(), tower(InvertibleLinear, AffineCoupling, bound=0.5)]), [TALL]),
}
KINDS = {"additive": (AdditiveCoupling, {}), "affine": (AffineCoupling, {}), "bounded": (AffineCoupling, {"bound": 1})}
SPLITS = {"halves": [VECTOR, IMAGE], "interleaved": [VECTOR, IMAGE], "checkerboard": [IMAGE]}
for _kind, _split, _swap in product(("additive", "bounded"), SPLITS, (False, True)):
    _make = lambda s, kind=_kind, how=(_split, _swap): coupling(KINDS[kind][0], s, *how, **KINDS[kind][1])
    CASES[f"{_kind}_{_split}" + "_swapped" * _swap] = (_make, SPLITS[_split])

every_layer = pytest.mark.parametrize(
    ("name", "shape"), [pytest.param(n, s, id=f"{n}-{len(s)}d") for n, (_, shapes) in CASES.items() for s in shapes]
)


def example(name, shape, dtype="float32"):
    """The layer with random weights, three examples, and the further arguments it takes for n examples."""
    condition, x = array(1, *shape[:-1], 3, seed=9, dtype=dtype), array(3, *shape, dtype=dtype)
    x = 1 / (1 + np.exp(-x)) if "logit" in name else x
    more = lambda n: [np.repeat(condition, n, axis=0)] if name == "conditional" else []
    scale = 0.1 if "tower" in name else 0.3  # or e^log_scale spans more than float32 can invert
    return perturbed(CASES[name][0](shape), x, *more(3), scale=scale), x, more


# all layers


@every_layer
def test_inverse_and_log_det(name, shape):
    keras.config.set_dtype_policy(PRECISE)
    layer, x, more = example(name, shape, PRECISE)
    y, log_det = arrays(layer(x, *more(3)))
    back, back_log_det = arrays(layer.inverse(y, *more(3)))
    assert log_det.shape == back_log_det.shape == (3,) and y.dtype == back.dtype == log_det.dtype == PRECISE
    assert y.shape != x.shape or np.abs(y - x).max() > 0.05
    close(back, x, CLOSE)
    close(back_log_det, -log_det, CLOSE)
    there = jacobian(lambda x: layer(x, *more(x.shape[0]))[0], x[1])
    again = jacobian(lambda y: layer.inverse(y, *more(y.shape[0]))[0], y[1])
    close(np.linalg.slogdet(there)[1], log_det[1], CLOSE)
    close(np.linalg.slogdet(again)[1], back_log_det[1], CLOSE)
    close(there @ again, np.eye(x[0].size), 5 * CLOSE)
    alone, alone_log_det = arrays(layer(x[1:2], *more(1)))  # no example touches another
    close(alone[0], y[1], CLOSE)
    close(alone_log_det[0], log_det[1], CLOSE)


@every_layer
def test_symbolic_saved_and_loaded(name, shape, tmp_path):
    layer, x, more = example(name, shape)
    y, log_det = arrays(layer(x, *more(3)))
    inputs = [keras.Input(a.shape[1:]) for a in (x, *more(1))]
    outputs = layer(*inputs)
    assert outputs[0].shape == (None, *y.shape[1:]) and outputs[1].shape == (None,)
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "flow.keras")
    loaded = keras.saving.load_model(tmp_path / "flow.keras")
    fresh = CASES[name][0](shape)
    fresh.build(*[i.shape for i in inputs])
    assert len(fresh.weights) == len(layer.weights)  # all of them are made in build
    codes = [keras.Input(a.shape[1:]) for a in (y, *more(1))]
    decoder = keras.Model(codes, loaded.layers[-1].inverse(*codes))
    for n, function in product((3, 1), (model, loaded)):
        got, got_log_det = function([x[:n], *more(n)])
        close(got, y[:n])
        close(got_log_det, log_det[:n])
        back, back_log_det = decoder([y[:n], *more(n)])
        close(back, x[:n], 1e-3)
        close(back_log_det, -log_det[:n], 1e-3)


@every_layer
def test_half_precision_keeps_log_det(name, shape):
    layer, x, more = example(name, shape)
    y, log_det = arrays(layer(x, *more(3)))
    keras.config.set_dtype_policy("mixed_bfloat16")
    half = CASES[name][0](shape)
    half(x, *more(3))
    half.set_weights(layer.get_weights())
    for (_, got), expected in ((half(x, *more(3)), log_det), (half.inverse(y, *more(3)), -log_det)):
        assert keras.backend.standardize_dtype(got.dtype) == "float32"
        close(got, expected, 0.15)
    assert half(*[keras.Input(a.shape[1:]) for a in (x, *more(1))])[1].dtype == "float32"


def test_trains_under_fit():
    """In graph mode, with a last batch that is smaller; W keeps the sign of its determinant and tells its size."""
    dense, exp = InvertibleLinear(), ExpRankOneLinear()
    flow = Chain([dense, coupling(AffineCoupling, VECTOR, bound=1), exp, Actnorm()])
    x, inputs = array(40, 6) * 3 + 1, keras.Input(VECTOR)
    model = keras.Model(inputs, flow(inputs))
    before, sign = ops.convert_to_numpy(dense.matrix()), np.linalg.slogdet(dense.matrix())[0]
    close(before @ before.T, np.eye(6), 1e-5)
    assert np.abs(before - np.eye(6)).max() > 0.1 and abs(float(dense(x)[1][0])) < 1e-5
    model.compile(keras.optimizers.Adam(0.03), loss=[lambda _, z: -log_normal(z), lambda _, log_det: -log_det])
    history = model.fit(x, [np.zeros((40, 6)), np.zeros(40)], batch_size=16, epochs=10, verbose=0).history["loss"]
    assert history[-1] < history[0] - 5
    for layer, expected_sign in ((dense, sign), (exp, 1)):
        matrix = ops.convert_to_numpy(layer.matrix())
        y, log_det = layer(array(2, *(3, 5, 6)))
        close(y, array(2, 3, 5, 6) @ matrix)
        close(log_det, np.full(2, 15 * np.linalg.slogdet(matrix)[1]))
        assert np.linalg.slogdet(matrix)[0] == expected_sign and np.abs(matrix @ matrix.T - np.eye(6)).max() > 0.1


# couplings


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize(("split", "shape"), [(k, s) for k, shapes in SPLITS.items() for s in shapes])
@pytest.mark.parametrize("kind", KINDS)
def test_coupling_written_out(kind, split, shape, swap):
    """An additive coupling is an affine one with log_s = 0."""
    if split == "checkerboard":
        first = np.broadcast_to((np.add.outer(np.arange(2), np.arange(4)) % 2 == 0)[..., None], shape) ^ swap
    else:
        columns = np.arange(shape[-1])
        first = np.broadcast_to(columns < shape[-1] // 2 if split == "halves" else columns % 2 == 0, shape) ^ swap
    x = array(3, *shape)
    layer = perturbed(coupling(KINDS[kind][0], shape, split, swap, **KINDS[kind][1]), x)
    seen = x * first if split == "checkerboard" else x[:, first].reshape(3, *shape[:-1], -1)
    *log_s, t = np.split(ops.convert_to_numpy(layer.net(seen)), 1 + (kind != "additive"), axis=-1)
    on_second = lambda a: a[:, ~first] if split == "checkerboard" else a.reshape(3, -1)
    log_s = on_second(log_s[0]) if log_s else np.zeros_like(x[:, ~first])
    log_s = np.tanh(log_s) if kind == "bounded" else log_s
    y, log_det = arrays(layer(x))
    np.testing.assert_array_equal(y[:, first], x[:, first])
    close(y[:, ~first], np.exp(log_s) * x[:, ~first] + on_second(t))
    close(log_det, log_s.sum(1))
    assert np.abs(y - x)[:, ~first].min() > 1e-5 and (kind == "additive" or np.ptp(log_det) > 0.01)


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize(
    ("make", "shape", "named"),
    [
        (lambda: AdditiveCoupling(layers.Dense(2)), (5,), r"\(\w+, 5\)"),
        (lambda: AffineCoupling(layers.Dense(4), "interleaved"), (4, 4, 7), r"\(\w+, 4, 4, 7\)"),
        (lambda: AdditiveCoupling(layers.Dense(6), "checkerboard"), (6,), r"\(\w+, 6\)"),
        (lambda: AdditiveCoupling(layers.Dense(13)), (6,), r", 13\)"),
        (lambda: AdditiveCoupling(layers.Dense(1)), (6,), r", 1\)"),  # would broadcast
        (lambda: AffineCoupling(layers.Dense(3)), (6,), r", 3\)"),
        (lambda: AffineCoupling(layers.Conv2D(8, 3), "checkerboard"), (4, 4, 4), r", 2, 2, 8\)"),
        (lambda: AffineCoupling(layers.Dense(4), "checkerboard"), (4, 4, 4), r", 4, 4, 4\)"),
        (Squeeze, (5, 4, 2), r"\(\w+, 5, 4, 2\)"),
        (Squeeze, (4, 7, 2), r"\(\w+, 4, 7, 2\)"),
        (lambda: MultiScale([Actnorm(), Actnorm()]), (4, 4, 3), r"\(\w+, 4, 4, 3\)"),
    ],
)
def test_wrong_shapes_are_named(make, shape, named, symbolic, monkeypatch):
    # with its filter Keras writes the shapes of all arguments into any message
    monkeypatch.setattr("keras.src.utils.traceback_utils.is_traceback_filtering_enabled", lambda: False)
    with pytest.raises(ValueError, match=named):
        make()(keras.Input(shape) if symbolic else array(2, *shape))


def test_a_flow_of_the_first_version_loads_and_answers_as_then():
    """Its layers had other names: InvertibleDense and ExpMixing."""
    v = np.random.default_rng(5).normal(size=(3, 4)).astype("float32")
    with np.load(ROOT / "tests/saved/outputs.npz") as outputs:
        y, log_det = load_model(ROOT / "tests/saved/flow.keras")(v)
        np.testing.assert_allclose(ops.convert_to_numpy(y), outputs["flow"], atol=1e-5)
        np.testing.assert_allclose(ops.convert_to_numpy(log_det), outputs["flow_log_det"], atol=1e-5)
