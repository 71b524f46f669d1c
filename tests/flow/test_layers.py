"""Checks that every invertible layer must pass: inverse, log-determinant, saving, half precision.

A new layer is tested by one more line in `CASES`.
"""

import inspect
import re
import textwrap
from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import keras
import numpy as np
import pytest
from keras import ops

import flow.layers
from common.models.inference import load_model
from flow.layers import (
    Actnorm,
    AdditiveCoupling,
    AffineCoupling,
    Chain,
    ConditionalActnorm,
    ExpRankOneLinear,
    Flatten,
    InvertibleLayer,
    InvertibleLinear,
    Logit,
    MarginalGaussianization,
    MultiScale,
    Rescale,
    Reverse,
    Scale,
    Shuffle,
    SplineCoupling,
    Squeeze,
)
from flow.layers.base import log_det_per_sample
from flow.layers.likelihood import log_normal
from tests.helpers.autodiff import jacobian
from tests.helpers.flows import (
    DTYPE,
    IMAGE,
    TALL,
    TOLERANCE,
    VECTOR,
    assert_close,
    make_coupling,
    random_array,
    three_level_flow,
    to_numpy,
    with_random_weights,
)
from tests.helpers.scripts import ROOT


class Case(NamedTuple):
    """A layer to test. A new layer usually needs `make` and `shapes` alone."""

    make: Callable  # maps the shape of an example to a new layer
    shapes: list  # shapes of the examples, without the batch axis
    unit_interval: bool = False  # whether the layer takes numbers between 0 and 1 only
    conditional: bool = False  # whether the layer takes a condition beside x
    weight_scale: float = 0.3  # standard deviation of what is added to the weights; lower it if float32 cannot invert


def arcsinh_of_the_docstring():
    """Return the class that the docstring of `InvertibleLayer` defines as an example."""
    docstring = inspect.cleandoc(InvertibleLayer.__doc__)
    code = textwrap.dedent(re.search(r"^ +@keras.*?(?=^\S)", docstring, re.DOTALL | re.MULTILINE).group())
    names = {"keras": keras, "ops": ops, "InvertibleLayer": InvertibleLayer, "log_det_per_sample": log_det_per_sample}
    exec(code, names)
    return names["Arcsinh"]


CASES = {
    "reverse": Case(lambda shape: Reverse(), [VECTOR, IMAGE]),
    "shuffle": Case(lambda shape: Shuffle(3), [VECTOR, IMAGE]),
    "scale": Case(lambda shape: Scale(), [VECTOR, IMAGE]),
    "actnorm": Case(lambda shape: Actnorm(), [VECTOR, IMAGE]),
    "conditional_actnorm": Case(lambda shape: ConditionalActnorm(), [VECTOR, IMAGE], conditional=True),
    "squeeze": Case(lambda shape: Squeeze(), [IMAGE, TALL]),
    "squeeze_by_4": Case(lambda shape: Squeeze(4), [TALL]),
    "flatten": Case(lambda shape: Flatten(), [IMAGE]),
    "rescale": Case(lambda shape: Rescale(0.5, -3), [VECTOR, IMAGE]),
    "logit": Case(lambda shape: Logit(), [VECTOR, IMAGE], unit_interval=True),
    "logit_0.2": Case(lambda shape: Logit(alpha=0.2), [VECTOR], unit_interval=True),
    "gaussianization": Case(lambda shape: MarginalGaussianization(), [VECTOR, IMAGE], unit_interval=True),
    "gaussianization_5_levels": Case(lambda shape: MarginalGaussianization(5, 0.1), [IMAGE], unit_interval=True),
    "linear": Case(lambda shape: InvertibleLinear(), [VECTOR, IMAGE]),
    "exp": Case(lambda shape: ExpRankOneLinear(), [VECTOR, IMAGE]),
    "exp_5_terms": Case(lambda shape: ExpRankOneLinear(5, bound=0.7), [VECTOR]),
    "exp_unbounded": Case(lambda shape: ExpRankOneLinear(2, bound=None), [VECTOR, IMAGE]),
    "docstring_example": Case(lambda shape: arcsinh_of_the_docstring()(), [VECTOR, IMAGE]),
    "spline": Case(lambda shape: make_coupling(SplineCoupling, shape, bins=5, bound=2.0), [VECTOR, IMAGE]),
    "spline_checkerboard_swapped": Case(
        lambda shape: make_coupling(SplineCoupling, shape, "checkerboard", True, bins=3, bound=2.0), [IMAGE]
    ),
    "chain": Case(
        lambda shape: Chain([Scale(), Chain([InvertibleLinear(), make_coupling(AffineCoupling, shape)])]),
        [VECTOR, IMAGE],
    ),
    "logit_chain": Case(lambda shape: Chain([Logit(), Squeeze(), Flatten(), Scale()]), [IMAGE], unit_interval=True),
    "one_level": Case(lambda shape: MultiScale([Chain([Squeeze(), Scale()])]), [IMAGE]),
    "three_levels": Case(lambda shape: three_level_flow(), [TALL], weight_scale=0.1),
    "logit_and_three_levels": Case(
        lambda shape: Chain([Logit(), three_level_flow(InvertibleLinear, AffineCoupling, bound=0.5)]),
        [TALL],
        unit_interval=True,
        weight_scale=0.1,
    ),
}
SPLITS = {"halves": [VECTOR, IMAGE], "interleaved": [VECTOR, IMAGE], "checkerboard": [IMAGE]}
COUPLINGS = {"additive": (AdditiveCoupling, {}), "bounded_affine": (AffineCoupling, {"bound": 1})}


def coupling_case(kind, split, swap):
    """Return the case of a coupling."""
    cls, kwargs = COUPLINGS[kind]
    return Case(lambda shape: make_coupling(cls, shape, split, swap, **kwargs), SPLITS[split])


CASES |= {
    f"{kind}_{split}" + ("_swapped" if swap else ""): coupling_case(kind, split, swap)
    for kind, split, swap in product(COUPLINGS, SPLITS, (False, True))
}

every_layer = pytest.mark.parametrize(
    ("case", "shape"),
    [pytest.param(case, shape, id=f"{name}-{len(shape)}d") for name, case in CASES.items() for shape in case.shapes],
)


def example(case, shape, dtype="float32"):
    """Return a layer with random weights and an input.

    Returns:
        (layer, x, condition): x is (3, *shape), and condition(n) is the list of further arguments for n samples, the
        same for every sample.
    """
    one_condition = random_array(1, *shape[:-1], 3, seed=9, dtype=dtype)
    x = random_array(3, *shape, dtype=dtype)
    if case.unit_interval:
        x = 1 / (1 + np.exp(-x))

    def condition(n):
        return [np.repeat(one_condition, n, axis=0)] if case.conditional else []

    return with_random_weights(case.make(shape), x, *condition(3), scale=case.weight_scale), x, condition


def test_every_layer_has_a_case():
    tested = {type(case.make(case.shapes[0])) for case in CASES.values()}
    exported = {getattr(flow.layers, name) for name in flow.layers.__all__} - {InvertibleLayer}
    subclasses, remaining = set(), [InvertibleLayer]
    while remaining:
        remaining = [subclass for cls in remaining for subclass in cls.__subclasses__()]
        subclasses |= set(remaining)
    registered = {
        cls
        for cls in subclasses
        if cls.__module__.startswith("flow.layers.") and keras.saving.get_registered_name(cls) != cls.__name__
    }
    assert registered == exported, "flow/layers/__init__.py exports every registered layer"
    assert exported <= tested, "CASES has a line for every layer"


@every_layer
def test_inverse_and_log_det(case, shape):
    """Compare the log-determinants of both directions with the Jacobians."""
    keras.config.set_dtype_policy(DTYPE)
    layer, x, condition = example(case, shape, DTYPE)
    y, log_det = to_numpy(layer(x, *condition(3)))
    restored, inverse_log_det = to_numpy(layer.inverse(y, *condition(3)))
    assert log_det.shape == inverse_log_det.shape == (3,)
    assert y.dtype == restored.dtype == log_det.dtype == DTYPE
    assert y.shape != x.shape or np.abs(y - x).max() > 0.05, "the layer under test is not the identity"
    assert_close(restored, x, TOLERANCE)
    assert_close(inverse_log_det, -log_det, TOLERANCE)
    forward_jacobian = jacobian(lambda x: layer(x, *condition(x.shape[0]))[0], x[1])
    inverse_jacobian = jacobian(lambda y: layer.inverse(y, *condition(y.shape[0]))[0], y[1])
    assert_close(np.linalg.slogdet(forward_jacobian)[1], log_det[1], TOLERANCE)
    assert_close(np.linalg.slogdet(inverse_jacobian)[1], inverse_log_det[1], TOLERANCE)
    assert_close(forward_jacobian @ inverse_jacobian, np.eye(x[0].size), 5 * TOLERANCE)
    one_y, one_log_det = to_numpy(layer(x[1:2], *condition(1)))  # a sample does not depend on the others
    assert_close(one_y[0], y[1], TOLERANCE)
    assert_close(one_log_det[0], log_det[1], TOLERANCE)


@every_layer
def test_symbolic_call_saving_and_loading(case, shape, tmp_path):
    layer, x, condition = example(case, shape)
    y, log_det = to_numpy(layer(x, *condition(3)))
    inputs = [keras.Input(array.shape[1:]) for array in (x, *condition(1))]
    outputs = layer(*inputs)
    assert outputs[0].shape == (None, *y.shape[1:]) and outputs[1].shape == (None,)
    assert layer.transformed_shape((3, *shape)) == y.shape
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "flow.keras")
    loaded = keras.saving.load_model(tmp_path / "flow.keras")
    built = case.make(shape)
    built.build(*[symbolic.shape for symbolic in inputs])
    assert len(built.weights) == len(layer.weights), "all weights are made in build"
    codes = [keras.Input(array.shape[1:]) for array in (y, *condition(1))]
    decoded = loaded.layers[-1].inverse(*codes)
    assert decoded[0].shape == (None, *shape) and decoded[1].shape == (None,)
    decoder = keras.Model(codes, decoded)
    for n, function in product((3, 1), (model, loaded)):
        actual, actual_log_det = function([x[:n], *condition(n)])
        assert_close(actual, y[:n])
        assert_close(actual_log_det, log_det[:n])
        restored, inverse_log_det = decoder([y[:n], *condition(n)])
        assert_close(restored, x[:n], 1e-3)
        assert_close(inverse_log_det, -log_det[:n], 1e-3)


@every_layer
def test_half_precision_keeps_log_det_in_float32(case, shape):
    layer, x, condition = example(case, shape)
    y, log_det = to_numpy(layer(x, *condition(3)))
    keras.config.set_dtype_policy("mixed_bfloat16")
    half = case.make(shape)
    half(x, *condition(3))
    half.set_weights(layer.get_weights())
    forward, inverse = half(x, *condition(3)), half.inverse(y, *condition(3))
    for (_, actual), expected in ((forward, log_det), (inverse, -log_det)):
        assert keras.backend.standardize_dtype(actual.dtype) == "float32"
        assert_close(actual, expected, 0.15)
    assert half(*[keras.Input(array.shape[1:]) for array in (x, *condition(1))])[1].dtype == "float32"


def test_a_flow_is_wired_at_another_size_than_it_was_built_for():
    chain = Chain([Squeeze(), Actnorm()])
    chain.build((None, 8, 8, 3))
    assert chain(keras.Input((16, 16, 3)))[0].shape == (None, 8, 8, 12)
    assert chain.inverse(keras.Input((8, 8, 12)))[0].shape == (None, 16, 16, 3)
    with pytest.raises(ValueError):
        chain(keras.Input((8, 8, 5)))


def test_the_inverse_of_a_layer_without_weights_is_refused():
    with pytest.raises(ValueError, match="has no weights yet: call it forward, or build it"):
        Actnorm().inverse(random_array(2, 6))


def test_layers_train_under_fit():
    """Train in graph mode, with a last batch that is smaller.

    W keeps the sign of its determinant, and the log-determinant stays that of W.
    """
    linear, exp = InvertibleLinear(), ExpRankOneLinear()
    chain = Chain([linear, make_coupling(AffineCoupling, VECTOR, bound=1), exp, Actnorm()])
    x, inputs = random_array(40, 6) * 3 + 1, keras.Input(VECTOR)
    model = keras.Model(inputs, chain(inputs))
    before, sign = ops.convert_to_numpy(linear.matrix()), np.linalg.slogdet(linear.matrix())[0]
    assert_close(before @ before.T, np.eye(6), 1e-5)
    assert np.abs(before - np.eye(6)).max() > 0.1 and abs(float(linear(x)[1][0])) < 1e-5
    model.compile(keras.optimizers.Adam(0.03), loss=[lambda _, z: -log_normal(z), lambda _, log_det: -log_det])
    history = model.fit(x, [np.zeros((40, 6)), np.zeros(40)], batch_size=16, epochs=10, verbose=0).history["loss"]
    assert history[-1] < history[0] - 5
    images = random_array(2, 3, 5, 6)
    for layer, expected_sign in ((linear, sign), (exp, 1)):
        matrix = ops.convert_to_numpy(layer.matrix())
        y, log_det = layer(images)
        assert_close(y, images @ matrix)
        assert_close(log_det, np.full(2, 15 * np.linalg.slogdet(matrix)[1]))
        assert np.linalg.slogdet(matrix)[0] == expected_sign
        assert np.abs(matrix @ matrix.T - np.eye(6)).max() > 0.1


def test_a_flow_saved_under_old_class_names_loads_and_gives_the_same_output():
    """Load a file in which the layers are called InvertibleDense and ExpMixing."""
    x = np.random.default_rng(5).normal(size=(3, 4)).astype("float32")
    with np.load(ROOT / "tests/saved/outputs.npz") as outputs:
        y, log_det = load_model(ROOT / "tests/saved/flow.keras")(x)
        np.testing.assert_allclose(ops.convert_to_numpy(y), outputs["flow"], atol=1e-5)
        np.testing.assert_allclose(ops.convert_to_numpy(log_det), outputs["flow_log_det"], atol=1e-5)
