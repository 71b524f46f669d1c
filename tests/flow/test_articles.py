"""What articles 5776 and 5807 say about the layers of NICE, RealNVP and Glow, and known densities."""

from itertools import product
from statistics import NormalDist

import keras
import numpy as np
import pytest
from keras import ops

from flow.layers import (
    Actnorm,
    AdditiveCoupling,
    AffineCoupling,
    Chain,
    ConditionalActnorm,
    InvertibleLinear,
    Logit,
    MarginalGaussianization,
    Reverse,
    Scale,
    Shuffle,
    Squeeze,
)
from flow.layers.likelihood import bits_per_dim, log_logistic, log_normal
from tests.helpers.autodiff import jacobian, weight_gradients
from tests.helpers.flows import (
    TALL,
    VECTOR,
    assert_close,
    make_coupling,
    random_array,
    three_level_flow,
    to_numpy,
    with_random_weights,
)

# NICE


def crossed_couplings():
    """Return NICE without its scale: four times a reversal and an additive coupling."""
    steps = []
    for _ in range(4):
        steps += [Reverse(), make_coupling(AdditiveCoupling, VECTOR, "interleaved")]
    return Chain(steps)


def test_loss_of_nice():
    x = random_array(5, 6)
    couplings, scale = with_random_weights(crossed_couplings(), x), with_random_weights(Scale(), x)
    nice, k = Chain([couplings, scale]), ops.convert_to_numpy(scale.trainable_weights[0])
    assert_close(nice.inverse(nice(x)[0])[0], x, 1e-5)
    assert_close(nice(nice.inverse(x)[0])[0], x, 1e-5)
    z, log_det = to_numpy(nice(x))
    assert_close(np.linalg.slogdet(jacobian(lambda x: nice(x)[0], x[0]))[1], k.sum())
    loss = np.sum(z**2, axis=1) / 2 - k.sum()  # the article's, without the constant
    assert_close(-log_normal(z) - log_det - 3 * np.log(2 * np.pi), loss)


def test_one_part_never_changes_unless_the_order_is_reversed():
    x = random_array(5, 6)
    crossed = with_random_weights(crossed_couplings(), x)
    fixed_order = Chain(crossed.layers[1::2])  # the same couplings without the reversals
    fixed_y, crossed_y = to_numpy(fixed_order(x))[0], to_numpy(crossed(x))[0]
    np.testing.assert_array_equal(fixed_y[:, ::2], x[:, ::2])
    assert np.abs(fixed_y - x)[:, 1::2].min() > 1e-4
    assert np.abs(crossed_y - x).min() > 1e-4
    reversed_x = to_numpy(Reverse()(x))[0]
    np.testing.assert_array_equal(reversed_x[:, ::2], x[:, 1::2][:, ::-1])
    np.testing.assert_array_equal(reversed_x[:, 1::2], x[:, ::2][:, ::-1])


def test_the_scale_learns_variance_one():
    x = random_array(50, 6) * np.arange(1, 7, dtype="float32")
    scale = with_random_weights(Scale(), x)
    (k,) = scale.trainable_weights
    loss = lambda: ops.mean(-log_normal(scale(x)[0]) - scale(x)[1])
    gradient = weight_gradients(loss, [k])[0].ravel()
    assert_close(gradient, np.mean(to_numpy(scale(x))[0] ** 2, axis=0) - 1)
    k.assign(np.reshape(-np.log(np.mean(x**2, axis=0)) / 2, k.shape))
    assert_close(weight_gradients(loss, [k])[0], np.zeros(k.shape))
    assert_close(Scale("ones")(x)[0], np.e * x)


# RealNVP and Glow


def test_a_shuffle_is_a_permutation_that_is_saved_with_the_weights(tmp_path):
    x = np.arange(1000, dtype="float32")[None] % 256
    shuffle, y = Shuffle(5), to_numpy(Shuffle(5)(x))[0]
    model = keras.Sequential([keras.Input((1000,)), shuffle])
    (permutation,) = (weight.astype(int) for weight in shuffle.get_weights())
    assert not shuffle.trainable_weights and np.mean(permutation == np.arange(1000)) < 0.02
    assert (np.sort(permutation) == np.arange(1000)).all() and (to_numpy(Shuffle(6)(x))[0] != y).any()
    np.testing.assert_array_equal(y, x[:, permutation])
    shuffle.set_weights([np.roll(permutation, 1)])  # not the one of the seed
    model.save(tmp_path / "shuffle.keras")
    loaded = keras.saving.load_model(tmp_path / "shuffle.keras").layers[-1]
    np.testing.assert_array_equal(to_numpy(loaded(x))[0], x[:, np.roll(permutation, 1)])
    keras.config.set_dtype_policy("mixed_bfloat16")  # bfloat16 cannot count to 1000
    np.testing.assert_array_equal(to_numpy([ops.cast(Shuffle(5)(x)[0], "float32")])[0], y)


@pytest.mark.parametrize("factor", [2, 3])
def test_squeeze_turns_blocks_into_channels(factor):
    x = random_array(2, 6, 12, 3)
    y = to_numpy(Squeeze(factor)(x))[0]
    assert y.shape == (2, 6 // factor, 12 // factor, 3 * factor * factor)
    for i, j, dy, dx in product(range(6 // factor), range(12 // factor), range(factor), range(factor)):
        channel = (dy * factor + dx) * 3
        np.testing.assert_array_equal(y[:, i, j, channel : channel + 3], x[:, factor * i + dy, factor * j + dx])


def test_a_whole_flow_starts_as_a_permutation_or_a_rotation():
    x = random_array(3, *TALL)
    flat_x = x.reshape(3, -1)
    z, log_det = to_numpy(three_level_flow(last_layer_kwargs={"kernel_initializer": "zeros"})(x))
    np.testing.assert_array_equal(np.sort(z), np.sort(flat_x))
    np.testing.assert_array_equal(log_det, 0)
    assert np.abs(z - flat_x).max() > 0.1
    z, log_det = to_numpy(three_level_flow(InvertibleLinear, last_layer_kwargs={"kernel_initializer": "zeros"})(x))
    assert_close(np.sum(z**2, axis=1), np.sum(flat_x**2, axis=1))
    assert_close(log_det, np.zeros(3), 1e-5)
    assert np.abs(np.sort(z) - np.sort(flat_x)).max() > 0.1


def test_conditional_actnorm_is_a_conditional_normal_density():
    x, condition = np.linspace(-40, 40, 8001, dtype="float32")[:, None], random_array(3, 3)
    layer = ConditionalActnorm()
    np.testing.assert_array_equal(to_numpy(layer(x, random_array(8001, 3)))[0], x)
    with_random_weights(layer, x, random_array(8001, 3))
    at_0, at_1 = (to_numpy(layer(np.full((3, 1), value, "float32"), condition))[0] for value in (0, 1))
    mean, std = -at_0 / (at_1 - at_0), 1 / (at_1 - at_0)
    assert np.ptp(mean) > 0.1 and np.ptp(std) > 0.1
    for i in range(3):
        y, log_det = layer(x, np.repeat(condition[i : i + 1], 8001, axis=0))
        density = np.exp(log_normal(y) + log_det)
        assert_close(density, np.exp(-(((x - mean[i]) / std[i])[:, 0] ** 2) / 2) / (std[i] * np.sqrt(2 * np.pi)))
        assert_close(density.sum() * 0.01, 1)


def test_conditional_actnorm_of_images_reads_a_3x3_neighbourhood():
    image, condition = random_array(1, 5, 5, 2), random_array(1, 5, 5, 3)
    layer, other_condition = with_random_weights(ConditionalActnorm(), image, condition), condition.copy()
    other_condition[0, 1, 1] += 1
    y, other_y = to_numpy([layer(image, condition)[0], layer(image, other_condition)[0]])
    changed = np.abs(other_y - y)[0].max(-1) > 1e-6
    np.testing.assert_array_equal(changed, np.outer([1, 1, 1, 0, 0], [1, 1, 1, 0, 0]))


def test_logit_at_its_ends():
    y, log_det = to_numpy(Logit()(np.array([[0, 1, 0.5]], "float32")))
    assert_close(y, [[-np.log(19), np.log(19), 0]])
    assert_close(log_det, [3 * np.log(0.9) - 2 * np.log(0.05 * 0.95) - np.log(0.25)])
    y, log_det = to_numpy(Logit(alpha=1e-6)(np.array([[0, 1]], "float32")))  # the least that glow.py takes
    assert np.isfinite(log_det).all() and abs(y) == pytest.approx(np.log(1e6), abs=0.1)
    logit = Logit()
    logit.build((None, 2))
    assert_close(logit.inverse(np.array([[-40, 40]], "float32"))[1], [-80 - 2 * np.log(0.9)])


def test_gaussianization_of_three_grey_levels():
    """Levels of the shares 1/2, 0 and 1/2: x = 1/6 is the quantile 1/4, and the densities are those of F and Phi."""
    layer = MarginalGaussianization(levels=3, alpha=1e-3)
    layer.initialize_from_data(np.array([[0.1, 0.2], [0.9, 1.0]], "float32"))
    assert_close(ops.softmax(layer.logits), [0.5 + 0.01 / 3, 0.01 / 3, 0.5 + 0.01 / 3] / np.float64(1.01))
    share, normal = (1 - 1e-4) * (0.5 + 0.01 / 3) / 1.01 + 1e-4 / 3, NormalDist()
    y, log_det = to_numpy(layer(np.array([[0], [1 / 6], [0.5], [1]], "float32")))
    cdf = np.array([1e-3, 1e-3 + 0.998 * share / 2, 0.5, 1 - 1e-3])
    expected = np.array([normal.inv_cdf(p) for p in cdf])
    assert_close(y[:, 0], expected)
    slopes = 0.998 * 3 * np.array([share, share, 1 - 2 * share, share])
    assert_close(log_det, np.log(slopes / [normal.pdf(v) for v in expected]))


def test_grey_levels_that_hardly_occur_can_be_inverted():
    layer = MarginalGaussianization()
    layer.build((None, 1))
    layer.logits.assign(np.where(np.arange(256) % 2, 0, -16))
    x = np.linspace(0, 1, 2001, dtype="float32")[:, None]
    np.testing.assert_allclose(ops.convert_to_numpy(layer.inverse(layer(x)[0])[0]), x, atol=0.7 / 256)
    y = np.random.default_rng(0).normal(size=(100_000, 1)).astype("float32")
    drawn = ops.convert_to_numpy(layer.inverse(y)[0])
    assert drawn.min() >= 0 and drawn.max() <= 1 and np.mean(np.floor(256 * drawn) % 2) > 0.999


def test_gaussianized_digits_are_normal():
    """Of 3 grey levels with noise, with shares of 0.8, 0.1, 0.1, each of the quantiles is that of N(0, 1)."""
    rng = np.random.default_rng(0)
    x = ((rng.choice(3, 40_000, p=[0.8, 0.1, 0.1]) + rng.uniform(size=40_000)) / 3).astype("float32")[:, None]
    layer = MarginalGaussianization(levels=3)
    y = np.sort(np.ravel(to_numpy(layer.initialize_from_data(x))))
    for p in (0.01, 0.25, 0.5, 0.75, 0.99):
        assert y[int(p * y.size)] == pytest.approx(NormalDist().inv_cdf(p), abs=0.06)  # 4 standard errors at the ends


# data-dependent initialisation


@pytest.mark.parametrize("shape", [(64, 3), (8, 4, 5, 3)])
def test_actnorm_initialised_from_data_standardises_them(shape):
    x = (random_array(*shape) * [3, 0, 0.01] + [-5, 7, 1]).astype("float32")  # the second channel is constant
    for layer in (Actnorm(), with_random_weights(Actnorm(), x)):
        y = ops.convert_to_numpy(layer.initialize_from_data(x))
        assert_close(y, to_numpy(layer(x))[0], 1e-6)
        axes = tuple(range(len(shape) - 1))
        assert_close(y.mean(axes), np.zeros(3), 2e-3)
        assert_close(y.std(axes), [1, 0, 1], 2e-3)
        assert all(np.isfinite(weight).all() for weight in layer.get_weights())


def test_initialisation_reaches_every_actnorm_and_half_of_the_channels_leave_each_level():
    x = random_array(16, *TALL) * 3 + 5
    flow, parts_of_z = three_level_flow(), []
    z = ops.convert_to_numpy(flow.initialize_from_data(x))
    assert_close(z, to_numpy(flow(x))[0], 1e-6)
    for i, level in enumerate(flow.layers):
        for layer in level.layers:
            x = to_numpy(layer(x))[0]
            if isinstance(layer, Actnorm):
                assert_close(x.mean((0, 1, 2)), np.zeros(x.shape[-1]), 1e-3)
                assert_close(x.std((0, 1, 2)), np.ones(x.shape[-1]), 1e-3)
        x, part = np.split(x, 2, axis=-1) if i < 2 else (None, x)
        parts_of_z.append(part.reshape(16, -1))
    assert_close(z, np.concatenate(parts_of_z, axis=1), 1e-5)  # the conditional priors are still the identity


def test_a_layer_without_such_weights_keeps_them():
    x = random_array(4, 6)
    coupling = with_random_weights(make_coupling(AffineCoupling, VECTOR), x)
    before = coupling.get_weights()
    assert_close(coupling.initialize_from_data(x), to_numpy(coupling(x))[0])
    assert all((a == b).all() for a, b in zip(before, coupling.get_weights(), strict=True))


# densities


def test_the_density_of_a_flow_integrates_to_one():
    step = lambda: [make_coupling(AffineCoupling, (2,), bound=0.5), InvertibleLinear(), Actnorm()]
    line = np.linspace(-20, 20, 401, dtype="float32")
    x = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    z, log_det = with_random_weights(Chain([*step(), *step()]), x)(x)
    density = np.exp(log_normal(z) + log_det)
    assert_close(density.sum() * 0.1**2, 1, 1e-3)
    assert np.abs(density - np.exp(log_normal(x))).max() > 0.05, "it is not the density of the prior"
    assert density.reshape(401, 401)[[0, -1]].max() < 1e-6


def test_priors_and_bits_per_dim():
    z = random_array(3, 2, 4, 5)
    assert_close(log_normal(z), [sum(-v * v / 2 - np.log(2 * np.pi) / 2 for v in sample.ravel()) for sample in z])
    # the logistic density is that of its distribution function: sigmoid(z) (1 - sigmoid(z))
    sigmoid = 1 / (1 + np.exp(-z.astype("float64")))
    assert_close(log_logistic(z), np.log(sigmoid * (1 - sigmoid)).sum((1, 2, 3)))
    for log_prior in (log_normal, log_logistic):
        assert log_prior(ops.convert_to_tensor(z)).shape == (3,)
    for levels, bits in ((256, 8), (32, 5)):  # the uniform density on [0, 1]^12
        np.testing.assert_array_equal(bits_per_dim(np.zeros(2), 12, levels), bits)
    # N(0.5, 0.1^2) at its centre: log2(0.1 sqrt(2 pi)) = -1.99618
    log_prob = -12 * np.log(0.1 * np.sqrt(2 * np.pi)) * np.ones(2)
    assert_close(bits_per_dim(log_prob, 12), np.full(2, 8 - 1.99618), 1e-5)
