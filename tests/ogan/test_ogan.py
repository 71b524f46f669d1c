"""O-GAN's loss against the article's formulas (6409), and the graph that train.py builds."""

import argparse

import keras
import numpy as np
import pytest
from keras import ops

from common.cli import apply_preset
from common.losses.correlation import average, correlation
from ogan import evaluate, train
from tests.helpers.arrays import numpy
from tests.helpers.autodiff import gradient, weight_gradients

RNG = np.random.default_rng(0)
B, N = 6, 8
X, X_FAKE = (RNG.uniform(-1, 1, (B, 4, 4, 3)).astype("float32") for _ in range(2))
Z, CODE_REAL, CODE = (RNG.normal(size=(B, N)).astype("float32") for _ in range(3))


def choices(flag):
    return next(action.choices for action in train.make_parser()._actions if flag in action.option_strings)


def losses(gan="qp", latent_loss="correlation", lam=0.5):
    return train.losses(argparse.Namespace(gan=gan, latent_loss=latent_loss, lam=lam))


def critic_loss(t, **kwargs):
    """The loss of the critic alone, of a dict of tensors."""
    return losses(**kwargs)[1](**{k: t[k] for k in ("x", "z", "x_fake_ng", "code_ng", "real", "fake_ng")})["loss"]


def qp_critic(gap, mse):
    """The loss of `gap` = real - fake for images that lie a mean square of `mse` apart, with no latent loss."""
    x = np.zeros((len(gap), 4, 4, 3), "float32")
    z = np.zeros((len(gap), 3), "float32")
    x_fake = x + np.sqrt(mse).reshape(-1, 1, 1, 1)
    return critic_loss({"x": x, "z": z, "x_fake_ng": x_fake, "code_ng": z, "real": gap, "fake_ng": 0 * gap}, lam=0.0)


def latent_loss(kind, z, code):
    t = tensors(code=code) | {"z": z}
    return critic_loss(t, latent_loss=kind, lam=1.0) - critic_loss(t, latent_loss=kind, lam=0.0)


def tensors(code_real=CODE_REAL, code=CODE):
    score = lambda c: -average(c)
    return {
        "x": X, "z": Z, "x_fake_ng": X_FAKE, "code": code, "code_ng": code,
        "real": score(code_real), "fake": score(code), "fake_ng": score(code),
    }  # fmt: skip


def test_single_loss_is_the_formula_of_the_authors_script():
    """mean(t1 + t2 - lam rho) + mean(.25 t1^2 / mean_pixels (x - G)^2), in energy sign: a = avg E(x), c = avg E(G)."""
    a, c = CODE_REAL.mean(-1, keepdims=True), CODE.mean(-1, keepdims=True)
    mse = ((X - X_FAKE) ** 2).mean((1, 2, 3))[:, None]
    rho = np.array([[np.corrcoef(z, y)[0, 1]] for z, y in zip(Z, CODE, strict=True)])
    expected = (a - c) - 0.5 * rho + 0.25 * (a - c) ** 2 / mse
    single, _, _ = losses(lam=0.5)
    values = single(**tensors())
    np.testing.assert_allclose(numpy(values["loss"]), expected, rtol=1e-4)
    np.testing.assert_allclose(numpy(values["z_corr"]), rho, atol=1e-5)
    np.testing.assert_allclose(numpy(values["critic_gap"]), c - a, atol=1e-6)  # in score sign


def test_best_gap_of_the_qp_loss():
    """T5: over a free gap t = -d the minimum of t + .25 t^2 / mse is at -2 mse, and is worth -mse."""
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
    plain, with_lam = losses(lam=0.0)[0](**tensors()), losses(latent_loss="none", lam=0.5)[0](**tensors())
    np.testing.assert_allclose(numpy(plain["loss"]), numpy(with_lam["loss"]), atol=1e-6)
    assert np.abs(numpy(plain["loss"]) - numpy(losses(lam=0.5)[0](**tensors())["loss"])).max() > 1e-2


def test_mse_equals_one_minus_rho_on_standardised_codes():
    standard = lambda v: (v - v.mean(-1, keepdims=True)) / v.std(-1, keepdims=True)
    z, code = standard(Z), standard(CODE)
    np.testing.assert_allclose(
        numpy(latent_loss("mse", z, code)), 1 + numpy(latent_loss("correlation", z, code)), atol=1e-5
    )


def arguments(*words):
    parser = train.make_parser()
    return apply_preset(parser.parse_args(["--preset", "smoke", "--size", "16", *words]), parser, train.PRESETS)


@pytest.mark.parametrize(
    ("part", "critic_moves", "generator_moves"),
    [
        (lambda t: ops.mean(critic_loss(t, lam=0.0)), True, False),
        (lambda t: ops.mean(t["fake_ng"] - t["fake"]), False, True),
        (lambda t: ops.mean(-correlation(t["z"], t["code"])), True, True),
    ],
)
def test_gradients_of_the_graph_go_where_the_article_says(part, critic_moves, generator_moves):
    """T4: t1 and qp train E, t2 trains G, and rho, with no gradient stopped, trains both."""
    model, encoder, generator = train.build(arguments(), 3)
    x = RNG.uniform(-1, 1, (8, 16, 16, 3)).astype("float32")
    both = encoder.trainable_variables + generator.trainable_variables
    grads = weight_gradients(lambda: part(model(x, training=True)), both)
    of_critic, of_generator = grads[: len(encoder.trainable_variables)], grads[len(encoder.trainable_variables) :]
    size = lambda values: max(np.abs(v).max() for v in values)
    assert (size(of_critic) > 1e-5) == critic_moves
    assert (size(of_generator) > 1e-5) == generator_moves


@pytest.mark.parametrize("gan", choices("--gan"))
def test_any_gan_of_the_registry_carries_the_correlation(gan):
    single, critic, generator = losses(gan, "correlation", 0.5)
    bare = losses(gan, "none", 0.5)[0](**tensors())
    full = single(**tensors())
    rho = numpy(full["z_corr"])
    np.testing.assert_allclose(numpy(full["loss"]) - numpy(bare["loss"]), -0.5 * rho, atol=1e-5)
    t = tensors()
    d = critic(**{k: t[k] for k in ("x", "z", "x_fake_ng", "code_ng", "real", "fake_ng")})["loss"]
    np.testing.assert_allclose(numpy(d), numpy(full["loss"]), atol=1e-5)
    g = generator(**{k: t[k] for k in ("z", "code", "fake")})["loss"]
    assert g.shape == (B, 1)


@pytest.mark.parametrize("kind", choices("--latent-loss"))
@pytest.mark.parametrize("critic", ["mean", "head"])
def test_every_form_trains_a_step(kind, critic):
    args = arguments("--latent-loss", kind, "--critic", critic, "--self-modulated", "--spectral-norm", "--gan", "hinge")
    trainer, encoder, generator = train.build(args, 1)
    before = [numpy(ops.convert_to_tensor(n.trainable_variables[0])) for n in (encoder, generator)]
    logs = trainer.fit(RNG.uniform(-1, 1, (8, 16, 16, 1)).astype("float32"), batch_size=8, verbose=0).history
    after = [numpy(ops.convert_to_tensor(n.trainable_variables[0])) for n in (encoder, generator)]
    assert all(np.any(a != b) for a, b in zip(before, after, strict=True))
    assert all(np.isfinite(value[0]) for value in logs.values())
    names = {layer.name for layer in trainer.layers}
    assert ("head" in names) == (critic == "head")


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_keeps_losses_and_codes_in_float32(policy):
    keras.mixed_precision.set_global_policy(policy)
    trainer, encoder, generator = train.build(arguments(), 3)
    assert encoder.compute_dtype != "float32"
    assert encoder.output.dtype == generator.output.dtype == "float32"
    logs = trainer.fit(RNG.uniform(-1, 1, (8, 16, 16, 3)).astype("float32"), batch_size=8, verbose=0).history
    assert all(np.isfinite(value[0]) for value in logs.values())


class Linear:
    """Stands for a network in `evaluate`: a matrix."""

    def __init__(self, matrix, shape):
        self.matrix, self.shape = matrix, shape

    def predict(self, x, batch_size, verbose):
        return (np.reshape(x, (len(x), -1)) @ self.matrix).reshape(len(x), *self.shape)


def test_reconstruction_uses_the_standardised_and_shrunk_code():
    """An encoder that returns 5 y + 3 must decode like one that returns y: N takes both away. The shrink is .9."""
    images = RNG.integers(0, 256, (7, 2, 2, 3), dtype=np.uint8)
    matrix = RNG.normal(size=(12, 12)).astype("float32")
    flat = np.concatenate([matrix], 0)
    plain, scaled = Linear(flat, (12,)), Linear(5 * flat, (12,))
    codes = evaluate.encode(plain, images)
    np.testing.assert_allclose(codes.mean(-1), 0, atol=1e-5)
    np.testing.assert_allclose(codes.std(-1), 1, atol=1e-4)
    np.testing.assert_allclose(evaluate.encode(scaled, images), codes, atol=1e-4)
    identity = Linear(np.eye(12, dtype="float32"), (2, 2, 3))
    np.testing.assert_allclose(evaluate.decode(identity, codes).reshape(7, -1), 0.9 * codes, atol=1e-6)


def test_metrics_of_a_perfect_pair_and_of_a_blind_encoder():
    n = 12
    generator, encoder = Linear(np.eye(n, dtype="float32"), (2, 2, 3)), Linear(np.eye(n, dtype="float32"), (n,))
    to_float = evaluate.to_float
    evaluate_codes = evaluate.latent_metrics(generator=generator, encoder=Codes(n), latent_dim=n, seed=0, n=50)
    assert evaluate_codes["z_corr"] == pytest.approx(1, abs=1e-4)
    images = RNG.integers(0, 256, (40, 2, 2, 3), dtype=np.uint8)
    mean = to_float(images).mean(0)
    numbers = evaluate.reconstruction_metrics(encoder, generator, images, mean)
    assert numbers["mean_image_mse"] == pytest.approx(to_float(images).var(0).mean(), rel=1e-3)
    assert numbers["reconstruction_mse"] != pytest.approx(numbers["mean_image_mse"], rel=1e-2)


class Codes(Linear):
    """An encoder that reads the code off an image that is the code itself."""

    def __init__(self, n):
        super().__init__(np.eye(n, dtype="float32"), (n,))


def test_linear_probe_is_only_for_known_factors():
    images = argparse.Namespace(
        array=RNG.integers(0, 256, (300, 2, 2, 3), dtype=np.uint8), labels=None, label_names=("first", "last")
    )
    images.labels = evaluate.to_float(images.array).reshape(300, -1)[:, [0, -1]]
    metrics = evaluate.probe_metrics(Linear(np.eye(12, dtype="float32"), (12,)), images, images)
    assert {"probe_r2_mean", "probe_r2/first", "pca_r2_mean", "pca_r2/last"} <= metrics.keys()
    assert metrics["pca_r2_mean"] == pytest.approx(1, abs=1e-2)  # 12 components are all of it
    assert metrics["probe_r2_mean"] > 0.5


def test_interpolation_ends_on_the_originals_and_its_middle_is_decoded():
    images = RNG.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    encoder = Linear(RNG.normal(size=(192, 12)).astype("float32"), (12,))
    generator = Linear(RNG.normal(size=(12, 192)).astype("float32") * 0.01, (8, 8, 3))
    picture = evaluate.interpolations(encoder, generator, images[:1], images[1:], steps=3)
    np.testing.assert_array_equal(picture[:8, :8], images[0])
    np.testing.assert_array_equal(picture[:8, -8:], images[1])
    assert evaluate.interpolation_endpoints(images[:1])[1] is not None
    assert [len(half) for half in evaluate.interpolation_endpoints(np.zeros((5, 1)))] == [2, 2]
