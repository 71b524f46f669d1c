"""The methods of article 6110: their table, their losses, and the graphs that `train.build` makes of them."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers, ops

from common.cli import apply_preset
from common.data.batches import EndlessBatches
from common.losses.adversarial import LOSSES, get_loss
from common.losses.gradient_penalties import PENALTIES, consistency_penalty
from common.models.spectral_norm import SpectralNormalized
from rsgan import train
from rsgan.losses import Clip, method_losses
from rsgan.methods import METHODS
from tests.helpers.arrays import numpy, state_of
from tests.helpers.autodiff import weight_gradients
from tests.rsgan.helpers import IMAGES, build, latent_of


def head_of(model):
    """Return T-GAN's network that scores a pair, `None` if there is none."""
    return next((layer for layer in model._flatten_layers() if layer.name == "head"), None)


def test_every_loss_and_penalty_has_a_method():
    assert {method.loss for method in METHODS.values()} == set(LOSSES)
    assert {method.penalty for method in METHODS.values()} == {None, *PENALTIES}


def test_the_table_of_methods_says_what_the_papers_do():
    """Loss, penalty, spectral norm, limit of the weights, steps of both players in a round."""
    table = {
        "sgan": ("sgan", None, False, None, (1, 2)),
        "sngan": ("sgan", None, True, None, (1, 2)),
        "lsgan": ("lsgan", None, False, None, (1, 1)),
        "hinge": ("hinge", None, False, None, (1, 1)),
        "wgan": ("wgan", None, False, 0.01, (5, 1)),
        "wgan_sn": ("wgan", None, True, None, (5, 1)),
        "wgan_gp": ("wgan", "gp", False, None, (5, 1)),
        "wgan_div": ("wgan", "div", False, None, (1, 1)),
        "rsgan": ("rsgan", None, False, None, (1, 1)),
        "rsgan_sn": ("rsgan", None, True, None, (1, 2)),
        "rsgan_gp": ("rsgan", "gp", False, None, (1, 1)),
        "tsgan": ("tsgan", None, True, None, (1, 2)),
        "twgan": ("twgan", None, True, None, (1, 2)),
        "r3gan": ("rsgan", "r1_r2", False, None, (1, 1)),
        "sgan_r1": ("sgan", "r1", False, None, (1, 1)),
        "dragan": ("sgan", "dragan", False, None, (1, 1)),
    }
    for name, row in table.items():
        m = METHODS[name]
        assert (m.loss, m.penalty, m.spectral_norm, m.clip, m.steps_per_round) == row, name
    assert METHODS["ct_gan"].consistency == 2.0


def test_method_losses_by_hand():
    """WGAN-GP: -(r - f) + penalty for the critic; a single loss has its value, the generator's part is worth 0."""
    real, fake = np.array([[3.0], [1.0]], "float32"), np.array([[1.0], [-2.0]], "float32")
    penalty = np.array([10.0, 4.0], "float32")
    single, critic, generator = method_losses(METHODS["wgan_gp"])
    values = critic(real, fake, penalty=penalty)
    assert float(values["loss"]) == pytest.approx(-2.5 + 7)
    assert float(values["critic_loss"]) == pytest.approx(-2.5)
    np.testing.assert_allclose(values["critic_gap"], [[2.0], [3.0]])
    assert float(np.mean(numpy(generator(fake)["loss"]))) == pytest.approx(0.5)
    both = single(real, fake, fake, real, penalty=penalty)
    assert float(both["loss"]) == pytest.approx(4.5)
    assert float(np.mean(numpy(both["generator_loss"]))) == pytest.approx(0.5)


@pytest.mark.parametrize("name", ["rasgan", "tsgan", "gan_qp_l2", "wgan_div", "wgan_gp"])
def test_the_single_loss_has_the_gradients_of_both_players(name):
    """In the critic's weights that of the critic's loss, in the generator's that of the generator's loss (6387)."""
    model, critic, generator = build(name)
    restore, head = state_of(model), head_of(model)
    _, critic_loss, generator_loss = method_losses(METHODS[name])
    x = ops.convert_to_tensor(EndlessBatches(IMAGES, 8)[0])

    def outputs():  # with the same latents each time
        restore()
        return model(x, training=True)

    def loss_of_critic():
        return critic_loss(**{k: v for k, v in outputs().items() if k not in ("fake", "real_for_generator")})["loss"]

    def loss_of_generator():
        values = outputs()
        if "fake" not in values:  # a zero-sum loss: the gradient is reversed on its way to the generator
            restore()
            fake = critic(generator(latent_of(model)(x), training=True), training=True)
            return ops.mean(generator_loss(fake, values["real"])["loss"])
        return ops.mean(generator_loss(values["fake"], values["real_for_generator"])["loss"])

    def single_loss():
        return model.loss_function(**outputs())["loss"]

    assert bool(head) == get_loss(METHODS[name].loss).pairwise_critic
    critic_weights = [*critic.trainable_variables, *(head.trainable_variables if head else [])]
    generator_weights = generator.trainable_variables
    assert len(critic_weights) + len(generator_weights) == len(model.trainable_variables)
    for weights, loss in ((critic_weights, loss_of_critic), (generator_weights, loss_of_generator)):
        expected, actual = weight_gradients(loss, weights), weight_gradients(single_loss, weights)
        scale = largest(expected)
        assert scale > 1e-5
        for a, b in zip(actual, expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4 * scale)
    if METHODS[name].penalty:  # its gradient is added to that of the scores
        total = weight_gradients(single_loss, critic_weights)
        scores = weight_gradients(lambda: model.loss_function(**outputs())["critic_loss"], critic_weights)
        penalty = weight_gradients(lambda: ops.mean(outputs()["penalty"]), critic_weights)
        assert largest(penalty) > 1e-6
        for a, b, c in zip(total, scores, penalty, strict=True):
            np.testing.assert_allclose(a, b + c, atol=1e-4 * largest(total))


def largest(gradients):
    return max(np.abs(g).max() for g in gradients)


@pytest.mark.parametrize("shape", [(32, 32, 1), (2,)])
def test_consistency_compares_two_passes_with_other_units_dropped(shape, monkeypatch):
    x, penalties = np.random.default_rng(0).normal(size=(8, *shape)).astype("float32"), []
    for weight in (2.0, 5.0):
        monkeypatch.setitem(METHODS, "ct_gan", dataclasses.replace(METHODS["ct_gan"], consistency=weight))
        model, critic, _ = build("ct_gan", shape=shape)
        restore = state_of(model)
        penalties.append(numpy(model(x, training=True)["penalty"]))
    restore()
    passes = next(layer for layer in model.layers if len(getattr(layer, "outputs", [])) == 2)
    (score, features), (other_score, other_features) = [[numpy(y) for y in passes(x, training=True)] for _ in range(2)]
    assert np.abs(score - other_score).min() > 0
    np.testing.assert_allclose(score, features @ numpy(critic.layers[-1].kernel), atol=1e-5)
    expected = consistency_penalty(score, other_score, features, other_features, 3.0)
    np.testing.assert_allclose(penalties[1] - penalties[0], expected, rtol=1e-4, atol=1e-5)


def test_tgan_scores_pairs_in_both_orders():
    model, critic, generator = build("tsgan")
    restore, x = state_of(model), EndlessBatches(IMAGES, 8)[0]
    values = {name: numpy(value) for name, value in model(x).items()}
    assert critic(x).shape == (8, 32), "an encoding, not a score"
    restore()
    difference = critic(x) - critic(generator(latent_of(model)(x)))
    head = head_of(model)
    np.testing.assert_allclose(values["real"], head(difference), atol=1e-5)
    np.testing.assert_allclose(values["fake_ng"], head(-difference), atol=1e-5)
    np.testing.assert_allclose(values["fake"], values["fake_ng"])
    np.testing.assert_allclose(values["real_for_generator"], values["real"])
    assert not np.allclose(values["real"], -values["fake_ng"], atol=1e-6), "the head is not an odd function"
    np.testing.assert_allclose(head(np.zeros((1, 32), "f")), 0, atol=1e-7)  # no bias: equal samples score 0


def test_alternating_players_train_their_own_networks_in_rounds_of_their_authors():
    trainer, critic, generator = build("sgan", "--trainer", "alternating")
    assert (trainer.n_d, trainer.n_g) == METHODS["sgan"].steps_per_round == (1, 2)
    assert len(trainer.generator.outputs) == 1, "SGAN's generator needs no pass over real images"
    trainer.critic.run_eagerly = trainer.generator.run_eagerly = True  # nothing to compile for one step
    for player, own, other in ((trainer.critic, critic, generator), (trainer.generator, generator, critic)):
        before = [[numpy(v) for v in network.trainable_variables] for network in (own, other)]
        player.train_on_batch(EndlessBatches(IMAGES, 8)[0])
        own_moved, other_moved = (
            [not np.array_equal(numpy(v), old) for v, old in zip(network.trainable_variables, olds, strict=True)]
            for network, olds in zip((own, other), before, strict=True)
        )
        assert all(own_moved) and not any(other_moved)
    relativistic, *_ = build("rsgan", "--trainer", "alternating", "--n-d", "3")
    assert (relativistic.n_d, relativistic.n_g) == (3, 1)
    assert len(relativistic.generator.outputs) == 2


@pytest.mark.parametrize("trainer", ["single", "alternating"])
def test_each_player_has_its_own_learning_rate(trainer):
    """The first step of Adam moves every weight that has a gradient by the learning rate."""
    flags = ["--learning-rate", "1e-3", "--generator-learning-rate", "3e-5", "--trainer", trainer]
    model, critic, generator = build("hinge", *flags)
    players = [model] if trainer == "single" else [model.critic, model.generator]
    before = [[numpy(v) for v in network.trainable_variables] for network in (critic, generator)]
    for player in players:
        player.run_eagerly = True  # nothing to compile for one step
        player.train_on_batch(EndlessBatches(IMAGES, 8)[0])
    for network, olds, rate in zip((critic, generator), before, (1e-3, 3e-5), strict=True):
        moves = [np.abs(numpy(v) - old).max() for v, old in zip(network.trainable_variables, olds, strict=True)]
        assert max(moves) == pytest.approx(rate, rel=0.01)


def test_clipping_keeps_the_weights_of_the_critic_alone_inside_the_limit():
    model, critic, generator = build("wgan")
    model.run_eagerly = True  # nothing to compile for two steps
    model.fit(EndlessBatches(IMAGES, 8), steps_per_epoch=2, shuffle=False, verbose=0)
    assert max(np.abs(numpy(v)).max() for v in critic.trainable_variables) == pytest.approx(0.01)
    assert max(np.abs(numpy(v)).max() for v in generator.trainable_variables) > 0.05
    np.testing.assert_allclose(Clip(0.5)(np.array([-2.0, 0.3, 1.0], "f")), [-0.5, 0.3, 0.5])


def test_a_penalised_critic_has_no_batch_norm():
    norms = lambda model: [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert norms(build("rsgan", "--batch-norm")[1])
    assert not norms(build("r3gan", "--batch-norm")[1])
    assert not norms(build("rsgan")[1])


def test_the_checkpoint_holds_the_random_streams():
    streams = lambda name: sum("seed_generator" in v.path for v in build(name)[0].training_state())
    assert streams("sgan") == 1  # of the latents
    assert streams("wgan_gp") == 2  # and of the interpolations


def layers_with_kernel(network):
    """Return (normalised, plain): the layers of a network with a kernel, with and without spectral norm."""
    wrapped = [layer.layer for layer in network.layers if isinstance(layer, SpectralNormalized)]
    return wrapped, [layer for layer in network.layers if isinstance(layer, layers.Conv2D | layers.Dense)]


@pytest.mark.parametrize(
    ("method", "flags", "normalised"),
    [
        ("lsgan", ["--spectral-norm"], True),
        ("lsgan", [], False),
        ("rsgan_sn", [], True),
        ("sngan", [], True),
        ("rsgan_sn", ["--no-spectral-norm"], False),
        ("tsgan", [], True),
        ("tsgan", ["--no-spectral-norm"], False),
    ],
)
def test_spectral_norm_is_on_every_kernel_of_the_critic_or_on_none(method, flags, normalised):
    model, critic, generator = build(method, *flags)
    head = head_of(model)
    assert not layers_with_kernel(generator)[0]
    counts = [(critic, 3 if head else 4)] + ([(head, 2)] if head else [])  # 3 convolutions at 32 px, and Dense layers
    for network, count in counts:
        wrapped, plain = layers_with_kernel(network)
        assert (len(wrapped), len(plain)) == ((count, 0) if normalised else (0, count))


@pytest.mark.parametrize("name", ["tsgan", "wgan_gp", "rsgan_sn"])
def test_a_step_on_points_of_the_plane_trains_every_weight_that_the_loss_sees(name):
    model, critic, generator = build(name, "--width", "16", shape=(2,))
    head = head_of(model)
    weights = [v for network in (critic, head, generator) if network for v in network.trainable_variables]
    before = [numpy(v) for v in weights]
    model.run_eagerly = True  # nothing to compile for one step
    points = np.random.default_rng(0).normal(size=(40, 2)).astype("float32")
    model.fit(EndlessBatches(points, 8), steps_per_epoch=1, shuffle=False, verbose=0)
    still = [v.path for v, old in zip(weights, before, strict=True) if np.array_equal(numpy(v), old)]
    last_bias = critic.trainable_variables[-1].path  # adds the same to both sides of a difference
    assert still in ([], [last_bias])
    assert generator(np.zeros((3, 100), "f")).shape == (3, 2)


def test_paper_networks_have_the_authors_parameters():
    """DCGAN at 64 px: 4 convolutions and a Dense layer; the generator's first batch norm has 8192 units."""
    args = train.make_parser().parse_args(["--preset", "paper", "--loss", "rsgan_sn", "--no-spectral-norm"])
    apply_preset(args, train.make_parser(), train.PRESETS)
    _, critic, generator = train.build(args, (64, 64, 3))
    kernels = sum(25 * a * b + b for a, b in ((3, 64), (64, 128), (128, 256), (256, 512)))
    assert critic.count_params() == kernels + 4 * (128 + 256 + 512) + 8192 + 1
    kernels = sum(25 * a * b + b for a, b in ((512, 256), (256, 128), (128, 64), (64, 3)))
    assert generator.count_params() == 101 * 8192 + kernels + 4 * (8192 + 256 + 128 + 64)
