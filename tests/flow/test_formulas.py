"""The statements of articles 5776, 5807 and 6407 about their layers, and densities that are known."""

from decimal import Decimal, localcontext
from itertools import product

import keras
import numpy as np
import pytest
from keras import ops

from flow.layers.actnorm import Actnorm, ConditionalActnorm, Scale
from flow.layers.composite import Chain
from flow.layers.coupling import AdditiveCoupling, AffineCoupling
from flow.layers.likelihood import bits_per_dim, log_normal
from flow.layers.linear import ExpRankOneLinear, InvertibleLinear, exp_outer, phi
from flow.layers.permutations import Reverse, Shuffle
from flow.layers.preprocessing import Logit, Squeeze
from tests.helpers.autodiff import gradient, jacobian, weight_gradients
from tests.helpers.flows import CLOSE, PRECISE, TALL, VECTOR, array, arrays, close, coupling, perturbed, tower

# NICE


def nice():
    return Chain([f() for _ in range(4) for f in (Reverse, lambda: coupling(AdditiveCoupling, VECTOR, "interleaved"))])


def test_nice():
    x = array(5, 6)
    flow, scale = perturbed(nice(), x), perturbed(Scale(), x)
    flow, k = Chain([flow, scale]), ops.convert_to_numpy(scale.trainable_weights[0])
    close(flow.inverse(flow(x)[0])[0], x, 1e-5)
    close(flow(flow.inverse(x)[0])[0], x, 1e-5)
    z, log_det = arrays(flow(x))
    close(np.linalg.slogdet(jacobian(lambda x: flow(x)[0], x[0]))[1], k.sum())
    loss = np.sum(z**2, axis=1) / 2 - k.sum()  # the article's, without the constant
    close(-log_normal(z) - log_det - 3 * np.log(2 * np.pi), loss)


def test_one_part_stays_unless_reversed():
    x = array(5, 6)
    crossed = perturbed(nice(), x)
    kept = Chain(crossed.layers[1::2])
    np.testing.assert_array_equal(arrays(kept(x))[0][:, ::2], x[:, ::2])
    assert np.abs(arrays(kept(x))[0] - x)[:, 1::2].min() > 1e-4 and np.abs(arrays(crossed(x))[0] - x).min() > 1e-4
    y = arrays(Reverse()(x))[0]
    np.testing.assert_array_equal(y[:, ::2], x[:, 1::2][:, ::-1])
    np.testing.assert_array_equal(y[:, 1::2], x[:, ::2][:, ::-1])


def test_scale_is_stationary_where_every_dimension_has_variance_one():
    x = array(50, 6) * np.arange(1, 7, dtype="float32")
    scale = perturbed(Scale(), x)
    (k,) = scale.trainable_weights
    loss = lambda: ops.mean(-log_normal(scale(x)[0]) - scale(x)[1])
    close(weight_gradients(loss, [k])[0].ravel(), np.mean(arrays(scale(x))[0] ** 2, axis=0) - 1)
    k.assign(np.reshape(-np.log(np.mean(x**2, axis=0)) / 2, k.shape))
    close(weight_gradients(loss, [k])[0], np.zeros(k.shape))
    close(Scale("ones")(x)[0], np.e * x)


# RealNVP and Glow


def test_shuffle_is_a_permutation_kept_with_the_weights(tmp_path):
    x = np.arange(1000, dtype="float32")[None] % 256
    shuffle, y = Shuffle(5), arrays(Shuffle(5)(x))[0]
    model = keras.Sequential([keras.Input((1000,)), shuffle])
    (order,) = (w.astype(int) for w in shuffle.get_weights())
    assert not shuffle.trainable_weights and np.mean(order == np.arange(1000)) < 0.02
    assert (np.sort(order) == np.arange(1000)).all() and (arrays(Shuffle(6)(x))[0] != y).any()
    np.testing.assert_array_equal(y, x[:, order])
    shuffle.set_weights([np.roll(order, 1)])  # no longer the seed's
    model.save(tmp_path / "shuffle.keras")
    again = keras.saving.load_model(tmp_path / "shuffle.keras").layers[-1]
    np.testing.assert_array_equal(arrays(again(x))[0], x[:, np.roll(order, 1)])
    keras.config.set_dtype_policy("mixed_bfloat16")  # which cannot count to 1000
    np.testing.assert_array_equal(arrays([ops.cast(Shuffle(5)(x)[0], "float32")])[0], y)


@pytest.mark.parametrize("f", [2, 3])
def test_squeeze_keeps_blocks_together(f):
    x = array(2, 6, 12, 3)
    y = arrays(Squeeze(f)(x))[0]
    assert y.shape == (2, 6 // f, 12 // f, 3 * f * f)
    for i, j, dy, dx in product(range(6 // f), range(12 // f), range(f), range(f)):
        channel = (dy * f + dx) * 3
        np.testing.assert_array_equal(y[:, i, j, channel : channel + 3], x[:, f * i + dy, f * j + dx])


def test_whole_model_starts_as_a_permutation():
    x = array(3, *TALL)
    flat = x.reshape(3, -1)
    z, log_det = arrays(tower(last={"kernel_initializer": "zeros"})(x))
    np.testing.assert_array_equal(np.sort(z), np.sort(flat))
    np.testing.assert_array_equal(log_det, 0)
    assert np.abs(z - flat).max() > 0.1
    z, log_det = arrays(tower(InvertibleLinear, last={"kernel_initializer": "zeros"})(x))
    close(np.sum(z**2, axis=1), np.sum(flat**2, axis=1))
    close(log_det, np.zeros(3), 1e-5)
    assert np.abs(np.sort(z) - np.sort(flat)).max() > 0.1


def test_conditional_actnorm_is_a_conditional_normal_density():
    x, c = np.linspace(-40, 40, 8001, dtype="float32")[:, None], array(3, 3)
    layer = ConditionalActnorm()
    np.testing.assert_array_equal(arrays(layer(x, array(8001, 3)))[0], x)
    perturbed(layer, x, array(8001, 3))
    start, step = (arrays(layer(np.full((3, 1), v, "float32"), c))[0] for v in (0, 1))
    mean, std = -start / (step - start), 1 / (step - start)
    assert np.ptp(mean) > 0.1 and np.ptp(std) > 0.1
    for i in range(3):
        y, log_det = layer(x, np.repeat(c[i : i + 1], 8001, axis=0))
        density = np.exp(log_normal(y) + log_det)
        close(density, np.exp(-(((x - mean[i]) / std[i])[:, 0] ** 2) / 2) / (std[i] * np.sqrt(2 * np.pi)))
        close(density.sum() * 0.01, 1)
    image, condition = array(1, 5, 5, 2), array(1, 5, 5, 3)
    layer, moved = perturbed(ConditionalActnorm(), image, condition), condition.copy()
    moved[0, 1, 1] += 1
    change = np.abs(arrays(layer(image, moved))[0] - arrays(layer(image, condition))[0])[0].max(-1) > 1e-6
    np.testing.assert_array_equal(change, np.outer([1, 1, 1, 0, 0], [1, 1, 1, 0, 0]))


def test_logit_at_its_ends():
    y, log_det = arrays(Logit()(np.array([[0, 1, 0.5]], "float32")))
    close(y, [[-np.log(19), np.log(19), 0]])
    close(log_det, [3 * np.log(0.9) - 2 * np.log(0.05 * 0.95) - np.log(0.25)])
    logit = Logit()
    logit.build((None, 2))
    close(logit.inverse(np.array([[-40, 40]], "float32"))[1], [-80 - 2 * np.log(0.9)])


# the start from data


@pytest.mark.parametrize("shape", [(64, 3), (8, 4, 5, 3)])
def test_start_standardises(shape):
    x = array(*shape) * [3, 0, 0.01] + [-5, 7, 1]
    actnorm = perturbed(Actnorm(), x.astype("float32"))
    for layer in (Actnorm(), actnorm):
        y = ops.convert_to_numpy(layer.initialize_from_data(x.astype("float32")))
        close(y, arrays(layer(x.astype("float32")))[0], 1e-6)
        axes = tuple(range(len(shape) - 1))
        close(y.mean(axes), np.zeros(3), 2e-3)
        close(y.std(axes), [1, 0, 1], 2e-3)
        assert all(np.isfinite(w).all() for w in layer.get_weights())


def test_start_reaches_every_actnorm_and_half_is_emitted_after_each_level():
    x = array(16, *TALL) * 3 + 5
    flow, pieces = tower(), []
    z = ops.convert_to_numpy(flow.initialize_from_data(x))
    close(z, arrays(flow(x))[0], 1e-6)
    for i, level in enumerate(flow.layers):
        for layer in level.layers:
            x = arrays(layer(x))[0]
            if isinstance(layer, Actnorm):
                close(x.mean((0, 1, 2)), np.zeros(x.shape[-1]), 1e-3)
                close(x.std((0, 1, 2)), np.ones(x.shape[-1]), 1e-3)
        x, piece = np.split(x, 2, axis=-1) if i < 2 else (None, x)
        pieces.append(piece.reshape(16, -1))
    close(z, np.concatenate(pieces, axis=1), 1e-5)  # the conditional priors still are the identity
    coupled = perturbed(coupling(AffineCoupling, VECTOR), array(4, 6))
    before = coupled.get_weights()
    close(coupled.initialize_from_data(array(4, 6)), arrays(coupled(array(4, 6)))[0])
    assert all((a == b).all() for a, b in zip(before, coupled.get_weights(), strict=True))


# densities


def test_flow_density_integrates_to_one():
    step = lambda: [coupling(AffineCoupling, (2,), bound=0.5), InvertibleLinear(), Actnorm()]
    line = np.linspace(-20, 20, 401, dtype="float32")
    x = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    z, log_det = perturbed(Chain([*step(), *step()]), x)(x)
    density = np.exp(log_normal(z) + log_det)
    close(density.sum() * 0.1**2, 1, 1e-3)
    assert np.abs(density - np.exp(log_normal(x))).max() > 0.05 and density.reshape(401, 401)[[0, -1]].max() < 1e-6


def test_log_normal_and_bits_per_dim():
    z = array(3, 2, 4, 5)
    close(log_normal(z), [sum(-v * v / 2 - np.log(2 * np.pi) / 2 for v in example.ravel()) for example in z])
    assert log_normal(ops.convert_to_tensor(z)).shape == (3,)
    for levels, bits in ((256, 8), (32, 5)):  # uniform on [0, 1]^12
        np.testing.assert_array_equal(bits_per_dim(np.zeros(2), 12, levels), bits)
    # N(0.5, 0.1^2) at its centre: log2(0.1 sqrt(2 pi)) = -1.99618
    close(bits_per_dim(-12 * np.log(0.1 * np.sqrt(2 * np.pi)) * np.ones(2), 12), np.full(2, 8 - 1.99618), 1e-5)


# exp(x y^T)


def expm(a):
    """The exponential series of a / 1024, squared ten times."""
    term = total = np.eye(len(a))
    for i in range(1, 15):
        term = term @ a / 1024 / i
        total = total + term
    return np.linalg.matrix_power(total, 1024)


def test_exp_outer_is_the_matrix_exponential():
    x, y = array(5, dtype=PRECISE), array(5, seed=1, dtype=PRECISE)
    shear = y - x * (x @ y) / (x @ x)
    for u, v in ((x, y), (3 * x, y), (x, shear)):
        matrix, back = arrays((exp_outer(u, v), exp_outer(-u, v)))
        close(matrix, expm(np.outer(u, v).astype("float64")), CLOSE)
        close(matrix @ back, np.eye(5), CLOSE)
        close(np.linalg.slogdet(matrix), (1, u @ v), CLOSE)
    close(matrix, np.eye(5) + np.outer(x, shear), CLOSE)


@pytest.mark.parametrize("s", [0] + [a * b for a in (1e-30, 1e-8, 1e-4, 1e-3, 0.3, 1, 20, 80) for b in (1, -1)])
def test_phi_and_exp_outer_in_value_and_gradient(s):
    s = np.float32(s)
    with localcontext(prec=150):
        d, e = Decimal(float(s)), Decimal(float(s)).exp()
        value, slope = (float((e - 1) / d), float((e * (d - 1) + 1) / d**2)) if s else (1, 0.5)
    relative = lambda got, expected: np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-35)
    np.testing.assert_allclose(ops.convert_to_numpy(phi(ops.convert_to_tensor(s))), value, rtol=1e-6 * (1 + abs(s)))
    relative(gradient(phi, s), slope)
    y, g = np.array([1, 2, 0], "float32"), np.ones((3, 3), "float32") + np.arange(3, dtype="float32")[:, None]
    x = s * np.array([0.5, 0.25, 0.5], "float32")  # <x, y> = s exactly
    relative(exp_outer(ops.convert_to_tensor(x), ops.convert_to_tensor(y)), np.eye(3) + value * np.outer(x, y))
    wide = value * (g @ y) + slope * (x.astype("float64") @ g @ y) * y
    relative(gradient(lambda x: ops.sum(g * exp_outer(x, ops.convert_to_tensor(y))), x), wide)
    wide = value * (x @ g).astype("float64") + slope * (x.astype("float64") @ g @ y) * x
    relative(gradient(lambda y: ops.sum(g * exp_outer(ops.convert_to_tensor(x), y)), y), wide)


@pytest.mark.parametrize("bound", [None, 5.0, 0.5])
@pytest.mark.parametrize("terms", [1, 3, 4])
def test_exp_mixing_written_out(terms, bound):
    h, layer = array(2, 3, 5, 6), ExpRankOneLinear(terms, bound=bound)
    layer(h)
    layer.set_weights([array(terms, 6, seed=1) * 0.7, array(terms, 6, seed=2) * 0.7])
    x, y = layer.get_weights()
    s = np.sum(x * y, axis=1)
    a = np.ones(terms) if bound is None else bound * np.tanh(s / bound) / s
    factors = [expm(a[i] * np.outer(x[i], y[i])) for i in range(terms)]
    expected = np.linalg.multi_dot([np.eye(6), *factors, np.eye(6)])
    close(layer.matrix(), expected)
    got, log_det = layer(h)
    close(got, h @ expected)
    close(log_det, np.full(2, 15 * np.sum(a * s)))
    if terms == 1:  # O(n): h + phi(s) <h, x> y and back
        t, u = a[0] * s[0], a[0] * x[0]
        close(got, h + (np.expm1(t) / t) * (h @ u)[..., None] * y[0])
        close(layer.inverse(h)[0], h + (np.expm1(-t) / t) * (h @ u)[..., None] * y[0])


def test_exp_mixing_at_zero_and_far_out():
    layer, g = ExpRankOneLinear(), array(6, 6)
    layer(array(2, 6))
    assert [w.shape for w in layer.trainable_weights] == [(3, 6)] * 2
    y = array(3, 6)
    layer.set_weights([np.zeros((3, 6)), y])
    slopes = lambda: weight_gradients(lambda: ops.sum(g * layer.matrix()), layer.trainable_weights)
    close(layer.matrix(), np.eye(6), 1e-6)
    close(slopes()[0], y @ g.T)
    close(slopes()[1], np.zeros((3, 6)))
    for sign in (1, -1):
        layer.set_weights([np.full((3, 6), 100.0), np.full((3, 6), sign * 100.0)])
        close(layer(array(2, 6))[1], np.full(2, sign * 15))
        assert all(np.isfinite(v).all() for v in (*arrays(layer(array(2, 6))), *slopes()))
