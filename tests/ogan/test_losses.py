"""O-GAN's loss against the article's formulas (6409)."""

import argparse

import numpy as np
import pytest
from keras import ops

from common.losses.adversarial import get_loss
from common.losses.correlation import average
from ogan import train
from tests.helpers.arrays import numpy
from tests.helpers.autodiff import gradient

RNG = np.random.default_rng(0)
B, N = 6, 8
X, X_FAKE = (RNG.uniform(-1, 1, (B, 4, 4, 3)).astype("float32") for _ in range(2))
Z, CODE_REAL, CODE = (RNG.normal(size=(B, N)).astype("float32") for _ in range(3))
CRITIC_INPUTS = ("x", "z", "x_fake_ng", "code_ng", "real", "fake_ng")
GENERATOR_INPUTS = ("z", "code", "fake")


def choices(flag):
    return next(action.choices for action in train.make_parser()._actions if flag in action.option_strings)


def losses(gan="qp", latent_loss="correlation", lam=0.5):
    return train.losses(argparse.Namespace(gan=gan, latent_loss=latent_loss, lam=lam))


def single_loss(tensors, **flags):
    return numpy(losses(**flags)[0](**tensors)["loss"])


def critic_loss(tensors, **flags):
    return losses(**flags)[1](**{name: tensors[name] for name in CRITIC_INPUTS})["loss"]


def generator_loss(tensors, **flags):
    return losses(**flags)[2](**{name: tensors[name] for name in GENERATOR_INPUTS})["loss"]


def tensors(code_real=CODE_REAL, code=CODE, z=Z):
    score = lambda c: -average(c)
    return {
        "x": X, "z": z, "x_fake_ng": X_FAKE, "code": code, "code_ng": code,
        "real": score(code_real), "fake": score(code), "fake_ng": score(code),
    }  # fmt: skip


def qp_critic(gap, mse):
    """Return the critic's loss, without latent loss, if real - fake = `gap` and the images are `mse` apart."""
    x = np.zeros((len(gap), 4, 4, 3), "float32")
    z = np.zeros((len(gap), 3), "float32")
    x_fake = x + np.sqrt(mse).reshape(-1, 1, 1, 1)
    return critic_loss({"x": x, "z": z, "x_fake_ng": x_fake, "code_ng": z, "real": gap, "fake_ng": 0 * gap}, lam=0.0)


def latent_loss(kind, z, code):
    t = tensors(code=code, z=z)
    return numpy(critic_loss(t, latent_loss=kind, lam=1.0) - critic_loss(t, latent_loss=kind, lam=0.0))


def pearson(z, code):
    return np.array([[np.corrcoef(a, b)[0, 1]] for a, b in zip(z, code, strict=True)])


def test_single_loss_is_the_formula_of_the_authors_script():
    """mean(t1 + t2 - lam rho) + mean(.25 t1^2 / mean_pixels (x - G)^2), in energy sign: a = avg E(x), c = avg E(G)."""
    a, c = CODE_REAL.mean(-1, keepdims=True), CODE.mean(-1, keepdims=True)
    mse = ((X - X_FAKE) ** 2).mean((1, 2, 3))[:, None]
    rho = pearson(Z, CODE)
    expected = (a - c) - 0.5 * rho + 0.25 * (a - c) ** 2 / mse
    values = losses(lam=0.5)[0](**tensors())
    np.testing.assert_allclose(numpy(values["loss"]), expected, rtol=1e-4)
    np.testing.assert_allclose(numpy(values["z_corr"]), rho, atol=1e-5)
    np.testing.assert_allclose(numpy(values["critic_gap"]), c - a, atol=1e-6)  # a score is minus an energy


def test_generator_loss_is_the_formula_of_the_article():
    """h = avg E(G(z)) in energy sign, minus lam rho."""
    expected = CODE.mean(-1, keepdims=True) - 0.5 * pearson(Z, CODE)
    np.testing.assert_allclose(numpy(generator_loss(tensors(), lam=0.5)), expected, atol=1e-5)


def test_best_gap_of_the_qp_loss():
    """Over a free gap d the minimum of -d + .25 d^2 / mse is at 2 mse, and is worth -mse."""
    mse = np.array([[0.1], [0.5], [2.0]], "float32")
    d = 2 * mse
    loss = lambda gap: qp_critic(gap, mse)
    np.testing.assert_allclose(numpy(loss(d)), -mse, rtol=1e-5)
    np.testing.assert_allclose(gradient(lambda gap: ops.sum(loss(gap)), d), 0, atol=1e-5)
    assert (numpy(loss(d * 1.1)) > -mse).all()
    assert (numpy(loss(d * 0.9)) > -mse).all()


def test_equal_images_do_not_divide_by_zero():
    value = gradient(lambda gap: ops.sum(qp_critic(gap, np.zeros(3, "float32"))), np.ones((3, 1), "f"))
    # the floor of the mean square is 1e-6: d/dd (-d + .25 d^2 / 1e-6) at d = 1
    np.testing.assert_allclose(value, -1 + 0.5e6, rtol=1e-5)


def test_without_lam_it_is_the_plain_gan():
    plain, none = single_loss(tensors(), lam=0.0), single_loss(tensors(), latent_loss="none", lam=0.5)
    np.testing.assert_allclose(plain, none, atol=1e-6)
    assert np.abs(plain - single_loss(tensors(), lam=0.5)).max() > 1e-2


def test_mse_equals_one_minus_rho_on_standardised_codes():
    standard = lambda v: (v - v.mean(-1, keepdims=True)) / v.std(-1, keepdims=True)
    z, code = standard(Z), standard(CODE)
    np.testing.assert_allclose(latent_loss("mse", z, code), 1 + latent_loss("correlation", z, code), atol=1e-5)


def test_mse_is_half_the_mean_squared_difference_of_other_codes():
    expected = ((Z - CODE) ** 2).mean(-1, keepdims=True) / 2
    np.testing.assert_allclose(latent_loss("mse", Z, CODE), expected, atol=1e-5)


@pytest.mark.parametrize("gan", choices("--gan"))
def test_any_gan_carries_the_correlation(gan):
    """For both players and both at once, the loss is that of the plain GAN minus lam rho."""
    t, rho = tensors(), pearson(Z, CODE)
    for loss in (single_loss, critic_loss, generator_loss):
        plain, full = (numpy(loss(t, gan=gan, latent_loss=kind, lam=0.5)) for kind in ("none", "correlation"))
        np.testing.assert_allclose(full - plain, -0.5 * rho, atol=1e-5)
        assert full.shape == (B, 1)
    np.testing.assert_allclose(single_loss(t, gan=gan), numpy(critic_loss(t, gan=gan)), atol=1e-5)


@pytest.mark.parametrize("gan", [name for name in choices("--gan") if name != "qp"])
def test_a_gan_of_the_registry_is_used_as_it_stands(gan):
    """GAN-QP's distance is that of x and G(z). Its generator loss lacks the real score, which G cannot change."""
    t, loss = tensors(), get_loss(gan)
    distance = np.abs(X - X_FAKE).mean((1, 2, 3)) if gan == "gan_qp" else None
    critic = numpy(loss.critic(t["real"], t["fake_ng"], distance=distance))
    generator = numpy(loss.generator(t["real"], t["fake"])) - (numpy(t["real"]) if gan == "gan_qp" else 0)
    np.testing.assert_allclose(numpy(critic_loss(t, gan=gan, latent_loss="none")), critic, rtol=1e-5)
    np.testing.assert_allclose(numpy(generator_loss(t, gan=gan, latent_loss="none")), generator, rtol=1e-5)
