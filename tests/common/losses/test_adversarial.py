"""Values, gradients and flags of every adversarial loss."""

import keras
import numpy as np
import pytest
from keras import ops

from common.errors import UserError
from common.losses.adversarial import LOSSES, Loss, get_loss
from tests.helpers.arrays import numpy
from tests.helpers.autodiff import gradient

# The inputs of TF-GAN's loss tests. The golden values are means over the batch, derived again with numpy.
REAL = np.array([-5.0, 1.4, 12.5, 2.7], "float32")
FAKE = np.array([10.0, 4.4, -5.5, 3.6], "float32")
DISTANCE = np.array([0.5, 1.0, 1.5, 2.0], "float32")
D = REAL.astype("float64") - FAKE
R, F = REAL - FAKE.mean(dtype="float64"), FAKE - REAL.mean(dtype="float64")  # relative to the means
softplus = lambda x: np.logaddexp(0, x)
relu = lambda x: np.maximum(x, 0)
GAN_QP = (np.mean(-D + D**2 / (2 * 10 * DISTANCE.astype("float64"))), np.mean(D))
GOLDENS = {  # name: (critic, generator)
    "sgan": (5.8338659, 1.3858209),
    "sgan_minimax": (5.8338659, -4.5108209),
    "sgan_linear": (5.8338659, -3.125),
    "rsgan": (4.8224354, 4.5974354),  # they differ by mean(f - r) = .225
    "rsgan_minimax": (4.8224354, -4.8224354),
    "rsgan_linear": (4.8224354, -0.225),
    "rasgan": (np.mean(softplus(-R) + softplus(F)), np.mean(softplus(R) + softplus(-F))),
    "lsgan": (41.73375, 17.69625),
    "ralsgan": (np.mean((R - 1) ** 2 + (F + 1) ** 2) / 2, np.mean((F - 1) ** 2 + (R + 1) ** 2) / 2),
    "wgan": (0.225, -3.125),
    "hinge": (6.75, -3.125),
    "rahinge": (np.mean(relu(1 - R) + relu(1 + F)), np.mean(relu(1 - F) + relu(1 + R))),
    "gan_qp": GAN_QP,
    "gan_qp_l2": GAN_QP,
    "tsgan": (5.8338659, np.mean(softplus(REAL.astype("float64")) + softplus(-FAKE.astype("float64")))),
    "twgan": (0.225, -0.225),
}
NAMES = sorted(LOSSES)


def critic_loss(name, real, fake, distance=None):
    distance = np.ones(len(real), "float32") if distance is None else distance
    return LOSSES[name].critic(real, fake, distance=distance)


def test_every_loss_has_golden_values():
    assert sorted(GOLDENS) == NAMES


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
@pytest.mark.parametrize("name", NAMES)
def test_golden_values(name, shape):
    real, fake = REAL.reshape(shape), FAKE.reshape(shape)
    d = numpy(critic_loss(name, real, fake, DISTANCE))
    g = numpy(LOSSES[name].generator(real, fake))
    assert d.shape == g.shape == shape  # per sample: nothing broadcasts, not even distance (4,) with scores (4, 1)
    np.testing.assert_allclose([d.mean(dtype="float64"), g.mean(dtype="float64")], GOLDENS[name], atol=5e-6, rtol=0)


def test_rasgan_has_the_golden_values_of_tf_gan():
    """TF-GAN's own inputs and golden values. The loss is the sum of two terms; the authors' code halves it."""
    real = np.array([-2.0, 0.4, 12.5, 2.7], "float32")
    d, g = (numpy(fn(real, FAKE)).mean() for fn in (LOSSES["rasgan"].critic, LOSSES["rasgan"].generator))
    np.testing.assert_allclose([d, g], [4.3901137, 4.9401137], atol=5e-6, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_signs_between_the_targets(name):
    """The critic loss falls with r and rises with f; the generator loss falls with f."""
    real, fake = np.full(3, 0.3, "float32"), np.array([0.1, 0.5, 0.9], "float32")
    assert (gradient(lambda r: ops.sum(critic_loss(name, r, ops.convert_to_tensor(fake))), real) < 0).all()
    assert (gradient(lambda f: ops.sum(critic_loss(name, ops.convert_to_tensor(real), f)), fake) > 0).all()
    assert (gradient(lambda f: ops.sum(LOSSES[name].generator(ops.convert_to_tensor(real), f)), fake) < 0).all()


@pytest.mark.parametrize("side", ["critic", "generator"])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_match_finite_differences(name, side):
    real, fake = np.array([-2.2, 0.4, 1.7], "float32"), np.array([1.3, -0.6, 0.2], "float32")  # off hinge's corners
    distance = np.array([0.2, 0.5, 1.0], "float32")
    loss = getattr(LOSSES[name], side)
    of_real = lambda r: ops.sum(loss(r, ops.convert_to_tensor(fake), distance=distance))
    of_fake = lambda f: ops.sum(loss(ops.convert_to_tensor(real), f, distance=distance))
    step = 1e-2
    for fn, scores in ((of_real, real), (of_fake, fake)):
        steps = step * np.eye(len(scores), dtype="float32")
        differences = [
            float(fn(ops.convert_to_tensor(scores + s)) - fn(ops.convert_to_tensor(scores - s))) for s in steps
        ]
        np.testing.assert_allclose(gradient(fn, scores), np.array(differences) / (2 * step), atol=2e-3)


@pytest.mark.parametrize("name", NAMES)
def test_generator_needs_real_if_and_only_if_its_loss_depends_on_real(name):
    fn = lambda r: ops.sum(LOSSES[name].generator(r, ops.convert_to_tensor(FAKE)))
    if LOSSES[name].generator_needs_real:
        assert (gradient(fn, REAL) != 0).all()
    else:
        assert (gradient(fn, REAL) == 0).all()
        np.testing.assert_array_equal(LOSSES[name].generator(None, FAKE), LOSSES[name].generator(REAL, FAKE))


@pytest.mark.parametrize("name", NAMES)
def test_distance_order_is_set_if_and_only_if_the_critic_needs_a_distance(name):
    if LOSSES[name].distance_order:
        with pytest.raises(TypeError, match="distance"):
            LOSSES[name].critic(REAL, FAKE)
    else:
        np.testing.assert_array_equal(LOSSES[name].critic(REAL, FAKE), critic_loss(name, REAL, FAKE, DISTANCE))


@pytest.mark.parametrize("name", NAMES)
def test_zero_sum_if_and_only_if_the_gradients_at_the_fake_are_opposite(name):
    real = ops.convert_to_tensor(np.zeros(61, "float32"))
    fake = np.linspace(-3, 3, 61, dtype="float32") + 0.013
    d = gradient(lambda f: ops.sum(critic_loss(name, real, f)), fake)
    g = gradient(lambda f: ops.sum(LOSSES[name].generator(real, f)), fake)
    assert np.allclose(g, -d) == LOSSES[name].zero_sum


def test_minus_the_critic_gradient_of_lsgan_is_wrong_for_its_generator():
    """6387, comment: outside (0, 1) the reversed gradient drives the fake score away from its target 1."""
    fake = np.array([-1.0, 2.0], "float32")
    real = ops.convert_to_tensor(np.zeros(2, "float32"))
    reversed_gradient = -gradient(lambda f: ops.sum(LOSSES["lsgan"].critic(real, f)), fake)
    generator_gradient = gradient(lambda f: ops.sum(LOSSES["lsgan"].generator(real, f)), fake)
    np.testing.assert_allclose(generator_gradient, [-2.0, 1.0])
    np.testing.assert_allclose(reversed_gradient, [1.0, -2.0])


@pytest.mark.parametrize("dtype, size", [("float16", 60000.0), ("bfloat16", 60000.0), ("float32", 1e4)])
@pytest.mark.parametrize("name", NAMES)
def test_extreme_scores_give_finite_losses(name, dtype, size):
    """Nothing overflows and no probability is floored: a sample that is wrong by s has a loss that grows with s."""
    real = ops.cast(np.array([-size, size, -size, size]), dtype)
    fake = ops.cast(np.array([size, -size, -size, size]), dtype)
    d, g = critic_loss(name, real, fake), LOSSES[name].generator(real, fake)
    for loss in (d, g):
        assert keras.backend.standardize_dtype(loss.dtype) == "float32"
        assert np.isfinite(numpy(loss)).all()
    assert numpy(d)[0] > 1.9 * size  # the critic is wrong about both samples
    assert numpy(g)[1] == 0 if "minimax" in name else numpy(g)[1] > 0.9 * size  # the critic is right about both
    for fn in (LOSSES[name].generator, lambda r, f: critic_loss(name, r, f)):
        assert np.isfinite(gradient(lambda f, fn=fn: ops.sum(fn(real, f)), fake)).all()


def test_scores_of_different_rank_are_refused():
    with pytest.raises(ValueError, match=r"Received: real \(4, 1\), fake \(4,\)"):
        LOSSES["hinge"].critic(REAL[:, None], FAKE)


@pytest.mark.parametrize("name", NAMES)
def test_symbolic_scores(name):
    """`SingleLoss` calls the loss on symbolic outputs too."""
    real, fake, distance = keras.Input((1,)), keras.Input((1,)), keras.Input(())
    assert LOSSES[name].critic(real, fake, distance=distance).shape == (None, 1)
    assert LOSSES[name].generator(real, fake).shape == (None, 1)


def test_get_loss():
    assert get_loss("hinge") is LOSSES["hinge"]
    assert isinstance(get_loss("wgan"), Loss)
    with pytest.raises(UserError) as error:
        get_loss("hing")
    assert str(error.value).count("\n") == 0
    assert all(name in str(error.value) for name in NAMES) and str(error.value).endswith("Received: 'hing'")
