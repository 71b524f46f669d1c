"""The training graph of GAN and DCGAN: whose weights each trick reaches, and what it adds to the loss."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from common.cli import apply_preset
from common.data.batches import EndlessBatches
from common.losses.adversarial import get_loss
from common.models.inference import load_model, predict
from common.models.layers import Latent
from dcgan import train
from dcgan.layers import MinibatchDiscrimination, VirtualBatchNormalization
from tests.helpers.arrays import numpy, state_of
from tests.helpers.autodiff import gradient, weight_gradients

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 1), dtype=np.uint8)
X = EndlessBatches(IMAGES, 8)[0]


def build(*flags, shape=(16, 16, 1)):
    """Return what `train.build` makes of flags: (trainer, critic, generator)."""
    args = train.make_parser().parse_args(["--preset", "smoke", *flags])
    apply_preset(args, train.make_parser(), train.PRESETS)
    keras.utils.set_random_seed(1)
    return train.build(args, shape)


def losses(model):
    """Return the tensors and the losses of a step in training, as functions of nothing with the same latents."""
    restore = state_of(model)

    def outputs():
        restore()
        return model(ops.convert_to_tensor(X), training=True)

    return outputs, lambda name: ops.mean(model.loss_function(**outputs())[name])


def largest(gradients):
    return max(np.abs(g).max() for g in gradients)


@pytest.mark.parametrize("name", ["minimax", "non_saturating"])
def test_the_gradient_at_a_fake(name):
    """d/df log(1 - sigma(f)) = -sigma(f) dies where the critic is sure of a fake; that of -log sigma(f) is -1 there."""
    f = np.array([-30.0, -3.0, 0.0, 3.0, 30.0], "float32")
    sigma = 1 / (1 + np.exp(-f.astype("float64")))
    generator = get_loss(train.LOSSES[name]).generator
    slope = gradient(lambda scores: ops.sum(generator(None, scores)), f)
    np.testing.assert_allclose(slope, -sigma if name == "minimax" else sigma - 1, rtol=1e-5, atol=1e-12)
    assert abs(slope[0]) < 1e-12 if name == "minimax" else slope[0] == pytest.approx(-1)


@pytest.mark.parametrize("flags", [[], ["--loss", "minimax"], ["--network", "mlp"]], ids=["", "minimax", "mlp"])
def test_each_player_has_the_gradient_of_its_own_loss(flags):
    model, critic, generator = build(*flags)
    _, loss = losses(model)
    assert len(critic.trainable_variables) + len(generator.trainable_variables) == len(model.trainable_variables)
    for weights, own in ((critic, "critic_loss"), (generator, "generator_loss")):
        weights = weights.trainable_variables
        total, expected = (weight_gradients(lambda name=name: loss(name), weights) for name in ("loss", own))
        if own == "generator_loss":  # as it is logged it takes `fake`, whose gradient stops at the critic
            assert largest(weight_gradients(lambda: loss("generator_loss"), critic.trainable_variables)) == 0
        for a, b in zip(total, expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4 * largest(expected))
        assert largest(expected) > 1e-6


def test_feature_matching():
    """||E phi(x) - E phi(G(z))||^2 of the last features, in inference as in training, and none of it for the critic."""
    model, critic, generator = build("--trick", "feature_matching")
    outputs, loss = losses(model)
    values = {name: numpy(value) for name, value in outputs().items()}
    difference = values["real_features"].mean(0) - values["fake_features"].mean(0)
    assert float(loss("generator_loss")) == pytest.approx(float(np.sum(difference**2)), rel=1e-4)
    assert values["real_features"].shape == (8, 4 * 4 * 32), "the features below the last Dense layer"
    of_critic = weight_gradients(lambda: loss("generator_loss"), critic.trainable_variables)
    assert largest(of_critic) == 0
    assert largest(weight_gradients(lambda: loss("generator_loss"), generator.trainable_variables)) > 1e-6
    total, usual = (
        weight_gradients(lambda name=name: loss(name), critic.trainable_variables) for name in ("loss", "critic_loss")
    )
    for a, b in zip(total, usual, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4 * largest(usual))


def test_the_critic_compares_real_samples_with_real_ones_and_fakes_with_fakes():
    model, critic, generator = build("--trick", "minibatch_discrimination", shape=(2,))
    assert sum(isinstance(layer, MinibatchDiscrimination) for layer in critic.layers) == 1
    x = np.random.default_rng(0).normal(size=(8, 2)).astype("float32")
    restore = state_of(model)
    values = {name: numpy(value) for name, value in model(x).items()}
    restore()
    latent = next(layer for layer in model.layers if isinstance(layer, Latent))
    fakes = generator(latent(x))
    np.testing.assert_allclose(values["real"], critic(x), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(values["fake"], critic(fakes), rtol=1e-4, atol=1e-6)
    together = numpy(critic(ops.concatenate([x, fakes])))[:8]
    assert not np.allclose(values["real"], together, rtol=1e-3), "a score depends on the rest of the batch"


def test_one_sided_labels_change_the_target_of_real_samples_alone():
    """-.9 log sigma(r) - .1 log(1 - sigma(r)) - log(1 - sigma(f)): at a real sample the best score is log 9."""
    model, *_ = build("--trick", "one_sided_labels")
    score = np.array([[2.0], [-1.0]], "float32")
    value = lambda r, f: numpy(model.loss_function(real=r, fake=f, fake_ng=f)["critic_loss"])
    sigma = 1 / (1 + np.exp(-score.astype("float64")))
    expected = -0.9 * np.log(sigma) - 0.1 * np.log(1 - sigma) - np.log(1 - sigma[::-1])
    np.testing.assert_allclose(value(score, score[::-1]), expected, rtol=1e-5)
    slope = lambda r: gradient(lambda r: ops.sum(model.loss_function(real=r, fake=r, fake_ng=0 * r)["critic_loss"]), r)
    np.testing.assert_allclose(slope(np.log(np.array([[9.0]], "float32"))), 0, atol=1e-6)


def test_historical_averaging_holds_both_players_back():
    model, critic, generator = build("--trick", "historical_averaging")
    plain, *_ = build()
    model.run_eagerly = True  # nothing to compile for two steps
    model.fit(EndlessBatches(IMAGES, 8), steps_per_epoch=2, shuffle=False, verbose=0)
    _, loss = losses(model)
    assert float(loss("penalty")) > 0
    assert float(loss("loss") - loss("critic_loss")) == pytest.approx(
        train.HISTORY_WEIGHT * float(loss("penalty")), rel=1e-2, abs=1e-6
    )
    for network in (critic, generator):
        assert largest(weight_gradients(lambda: loss("penalty"), network.trainable_variables)) > 1e-6
    assert len(model.training_state()) > len(plain.training_state()) + len(plain.trainable_variables)


def test_virtual_batch_norm_makes_a_fake_independent_of_the_others(tmp_path):
    _, _, generator = build("--trick", "virtual_batch_norm")
    inner = next(layer for layer in generator.layers if isinstance(layer, keras.Model))
    assert sum(isinstance(layer, VirtualBatchNormalization) for layer in inner.layers) == 2
    assert not any(isinstance(layer, layers.BatchNormalization) for layer in generator._flatten_layers())
    z = np.random.default_rng(0).normal(size=(5, 100)).astype("float32")
    images = numpy(generator(z, training=True))
    assert images.shape == (5, 16, 16, 1) and images.std() > 1e-3
    np.testing.assert_allclose(images[3:], numpy(generator(z[3:])), rtol=1e-3, atol=1e-5)
    generator.save(tmp_path / "generator.keras")
    loaded = load_model(tmp_path / "generator.keras", (100,), (16, 16, 1))
    np.testing.assert_allclose(predict(loaded, z), images, rtol=1e-3, atol=1e-5)


def test_the_recipe_of_dcgan():
    """Strides instead of pooling, batch norm but for G's output and D's input, ReLU, LeakyReLU .2, tanh, N(0, .02)."""
    args = train.make_parser().parse_args(["--preset", "paper"])
    apply_preset(args, train.make_parser(), train.PRESETS)
    assert (args.batch_size, args.latent_dim, args.learning_rate, args.size) == (128, 100, 2e-4, 64)
    args.width = 128  # the paper's 1024 take seconds to draw
    _, critic, generator = train.build(args, (64, 64, 3))
    kinds = lambda network: [type(layer).__name__ for layer in network.layers]
    assert kinds(critic)[1:6] == ["Conv2D", "LeakyReLU", "Conv2D", "BatchNormalization", "LeakyReLU"]
    slopes = [layer.negative_slope for layer in critic.layers if isinstance(layer, layers.LeakyReLU)]
    np.testing.assert_allclose(slopes, [0.2] * 4, rtol=1e-6)
    assert kinds(generator)[1:5] == ["Dense", "BatchNormalization", "ReLU", "Reshape"]
    assert kinds(generator)[-2:] == ["Conv2DTranspose", "Activation"]
    assert kinds(generator).count("BatchNormalization") == 4 and kinds(critic).count("BatchNormalization") == 3
    convolutions = [layer for layer in [*critic.layers, *generator.layers] if hasattr(layer, "strides")]
    assert {layer.strides for layer in convolutions} == {(2, 2)}
    for layer in (generator.layers[1], convolutions[2]):
        assert numpy(layer.kernel).std() == pytest.approx(0.02, rel=0.05)


def test_the_networks_of_2014():
    _, critic, generator = build("--network", "mlp", "--width", "20")
    assert [type(layer).__name__ for layer in critic.layers[2:]] == ["Dropout", "Maxout", "Dropout"] + [
        "Maxout", "Dropout", "Dense",
    ]  # fmt: skip
    assert critic.count_params() == 257 * 20 + 5 * 20 + 5
    assert generator.count_params() == 101 * 20 + 21 * 20 + 21 * 256
