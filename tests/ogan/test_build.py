"""The graph that O-GAN's `train.build` makes: where gradients go, and what a training step does."""

import keras
import numpy as np
import pytest
from keras import ops

from common.cli import apply_preset
from common.losses.correlation import correlation
from ogan import train
from tests.helpers.arrays import numpy, numpy64, state_of
from tests.helpers.autodiff import weight_gradients

RNG = np.random.default_rng(0)
LEARNING_RATE = 1e-4  # of the preset `smoke`


def images(channels=3):
    return RNG.uniform(-1, 1, (8, 16, 16, channels)).astype("float32")


def resolve(*flags):
    parser = train.make_parser()
    return apply_preset(parser.parse_args(["--preset", "smoke", "--size", "16", *flags]), parser, train.PRESETS)


def head_of(model):
    """Return the weights of the network between code and score, [] if there is none."""
    heads = {id(layer): layer for layer in model._flatten_layers() if layer.name == "head"}
    return [v for layer in heads.values() for v in layer.trainable_variables]


def largest(gradients):
    return max(np.abs(g).max() for g in gradients)


@pytest.mark.parametrize(
    ("part", "trains_encoder", "trains_generator"),
    [
        (lambda t: ops.mean(t["real"] - t["fake_ng"]), True, False),
        (lambda t: ops.mean(-t["fake"]), False, True),
        (lambda t: ops.mean(-correlation(t["z"], t["code"])), False, True),
        (lambda t: ops.mean(-correlation(t["z"], t["code_ng"])), True, False),
    ],
    ids=["gap", "generator", "correlation-generator", "correlation-encoder"],
)
def test_each_part_of_the_loss_trains_the_networks_that_the_article_says(part, trains_encoder, trains_generator):
    model, encoder, generator = train.build(resolve(), 3)
    x = images()
    gradients = weight_gradients(
        lambda: part(model(x, training=True)), encoder.trainable_variables + generator.trainable_variables
    )
    n = len(encoder.trainable_variables)
    assert (largest(gradients[:n]) > 1e-5) == trains_encoder
    assert (largest(gradients[n:]) > 1e-5) == trains_generator


@pytest.mark.parametrize("kind", ["correlation", "mse", "none"])
@pytest.mark.parametrize("critic", ["mean", "head"])
def test_the_single_loss_has_the_gradients_of_both_players(kind, critic):
    """In the critic's weights that of the critic's loss, in the generator's that of the generator's loss (6387)."""
    flags = ["--latent-loss", kind, "--critic", critic, "--self-modulated", "--spectral-norm", "--gan", "hinge"]
    args = resolve(*flags)
    model, encoder, generator = train.build(args, 1)
    _, critic_loss, generator_loss = train.losses(args)
    x, head, restore = images(1), head_of(model), state_of(model)
    assert bool(head) == (critic == "head")

    def outputs():  # with the same latents each time
        restore()
        return model(x, training=True)

    def loss_of_critic():
        inputs = ("x", "z", "x_fake_ng", "code_ng", "real", "fake_ng")
        return ops.mean(critic_loss(**{k: v for k, v in outputs().items() if k in inputs})["loss"])

    def loss_of_generator():
        return ops.mean(generator_loss(**{k: v for k, v in outputs().items() if k in ("z", "code", "fake")})["loss"])

    def single_loss():
        return ops.mean(model.loss_function(**outputs())["loss"])

    critic_weights, generator_weights = [*encoder.trainable_variables, *head], generator.trainable_variables
    assert len(critic_weights) + len(generator_weights) == len(model.trainable_variables)
    for weights, loss in ((critic_weights, loss_of_critic), (generator_weights, loss_of_generator)):
        expected, actual = weight_gradients(loss, weights), weight_gradients(single_loss, weights)
        scale = largest(expected)
        assert scale > 1e-5
        for a, b in zip(actual, expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4 * scale)


@pytest.mark.parametrize("critic", ["mean", "head"])
def test_a_step_moves_every_weight_as_the_authors_rmsprop_does(critic):
    """The first step of Keras 2's RMSprop, rho .99 and epsilon 1e-7, moves by lr g / (.1 |g| + 1e-7)."""
    model, encoder, generator = train.build(resolve("--critic", critic, "--self-modulated"), 1)
    x, weights, restore = images(1), model.trainable_variables, state_of(model)
    assert len(weights) == len(encoder.trainable_variables + generator.trainable_variables + head_of(model))
    gradients = weight_gradients(lambda: ops.mean(model.loss_function(**model(x, training=True))["loss"]), weights)
    restore()
    values = model.loss_function(**model(x, training=True))
    restore()  # the step below draws the same latents
    before = [numpy(v) for v in weights]
    model.run_eagerly = True  # nothing to compile for one step
    logs = model.fit(x, batch_size=8, shuffle=False, verbose=0).history
    assert {"loss", "critic_gap", "z_corr"} <= logs.keys()
    for name, value in values.items():
        assert logs[name][0] == pytest.approx(float(np.mean(numpy(value))), rel=1e-3, abs=1e-5)
    for variable, old, g in zip(weights, before, gradients, strict=True):
        clear = np.abs(g) > 1e-4  # a bias before a batch norm has rounding errors in place of a gradient
        step = LEARNING_RATE * g / (0.1 * np.abs(g) + 1e-7)
        np.testing.assert_allclose((numpy(variable) - old)[clear], -step[clear], rtol=0.01, atol=1e-7)
        assert clear.any() or variable.name != "kernel", f"{variable.path} has no gradient"


def test_alternating_players_train_their_own_networks():
    flags = ["--trainer", "alternating", "--critic", "head", "--n-d", "2", "--n-g", "3"]
    trainer, encoder, generator = train.build(resolve(*flags), 1)
    ids = lambda weights: {id(v) for v in weights}
    assert ids(trainer.critic.trainable_variables) == ids(encoder.trainable_variables + head_of(trainer.critic))
    assert ids(trainer.generator.trainable_variables) == ids(generator.trainable_variables)
    assert (trainer.n_d, trainer.n_g) == (2, 3)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_keeps_losses_and_codes_in_float32(policy):
    """The loss is that of float64 from the same codes and images, up to the rounding of float32."""
    keras.mixed_precision.set_global_policy(policy)
    model, encoder, generator = train.build(resolve(), 3)
    assert encoder.compute_dtype == policy.removeprefix("mixed_")
    assert encoder.output.dtype == generator.output.dtype == "float32"
    x = images()
    outputs = model(x, training=True)
    t = {name: numpy64(value) for name, value in outputs.items()}
    mse = np.mean((t["x"] - t["x_fake_ng"]) ** 2, axis=(1, 2, 3))[:, None]
    rho = np.array([[np.corrcoef(z, code)[0, 1]] for z, code in zip(t["z"], t["code"], strict=True)])
    gap = t["real"] - t["fake_ng"]
    values = model.loss_function(**outputs)
    np.testing.assert_allclose(numpy(values["loss"]), -gap + gap**2 / (4 * mse) - 0.5 * rho, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(numpy(values["z_corr"]), rho, atol=1e-6)
    assert values["loss"].dtype == "float32"
    logs = model.fit(x, batch_size=8, verbose=0).history
    assert all(np.isfinite(value[0]) for value in logs.values())
