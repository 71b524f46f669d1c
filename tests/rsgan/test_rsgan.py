"""The methods of article 6110: their table, the graphs that train.py builds, and what a step of each does."""

import keras
import numpy as np
import pytest
from keras import ops

from common.cli import apply_preset
from common.data.batches import EndlessBatches
from common.losses.adversarial import LOSSES, get_loss
from common.losses.gradient_penalties import PENALTIES
from rsgan import train
from rsgan.losses import Clip, method_losses, penalty_of
from rsgan.methods import METHODS
from tests.helpers.arrays import numpy
from tests.helpers.autodiff import weight_gradients

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 1), dtype=np.uint8)


def built(loss, *words, shape=(32, 32, 1)):
    args = train.make_parser().parse_args(["--preset", "smoke", "--loss", loss, *words])
    apply_preset(args, train.make_parser(), train.PRESETS)
    if args.spectral_norm is None:
        args.spectral_norm = METHODS[loss].spectral_norm
    keras.utils.set_random_seed(1)
    return train.build(args, shape)


def test_every_loss_and_penalty_has_a_method():
    assert {method.loss for method in METHODS.values()} == set(LOSSES)
    assert {method.penalty for method in METHODS.values()} == {None, *PENALTIES}


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


def test_penalties_of_all_points_are_added():
    slopes = {"real": np.array([4.0], "float32"), "fake": np.array([9.0], "float32"), "between": np.array([0.25], "f")}
    assert penalty_of(METHODS["sgan"], slopes.get) is None
    for name, expected in {"r3gan": 6.5, "sgan_r1": 2, "wgan_gp": 2.5, "wgan_gp_linear": 0, "wgan_div": 793}.items():
        assert float(penalty_of(METHODS[name], slopes.get)[0]) == pytest.approx(expected, abs=1e-4), name
    assert float(penalty_of(METHODS["r3gan"], slopes.get, 10.0)[0]) == pytest.approx(65)


PARTS = ("rasgan", "tsgan", "gan_qp_l2", "wgan_div", "wgan_gp")


@pytest.mark.parametrize("name", PARTS)
def test_a_single_loss_is_the_two_players_losses_in_one(name):
    """Its gradient in the critic's weights is the critic loss's, in the generator's the generator loss's (6387)."""
    model, critic, generator = built(name)
    start = [numpy(v) for v in model.variables]
    _, critic_loss, generator_loss = method_losses(METHODS[name])
    x = ops.convert_to_tensor(EndlessBatches(IMAGES, 8)[0])

    def outputs():  # from the same state each time: the same latents, the same u
        for variable, value in zip(model.variables, start, strict=True):
            variable.assign(value)
        return model(x, training=True)

    def of_critic():
        return critic_loss(**{k: v for k, v in outputs().items() if k not in ("fake", "real_for_generator")})["loss"]

    def of_generator():
        values = outputs()
        return ops.mean(generator_loss(values["fake"], values["real_for_generator"])["loss"])

    def of_both():
        return model.loss_function(**outputs())["loss"]

    head = [v for v in model.trainable_variables if "head" in v.path]
    judges, painter = [*critic.trainable_variables, *head], generator.trainable_variables
    assert len(judges) + len(painter) == len(model.trainable_variables)
    assert bool(head) == get_loss(METHODS[name].loss).pairwise_critic
    for variables, alone in ((judges, of_critic), (painter, of_generator)):
        expected = weight_gradients(alone, variables)
        found = weight_gradients(of_both, variables)
        scale = max(np.abs(g).max() for g in expected)
        assert scale > 1e-5
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4 * scale)
    if METHODS[name].penalty:
        with_penalty = weight_gradients(of_critic, judges)
        without = weight_gradients(lambda: ops.mean(model.loss_function(**outputs())["critic_loss"]), judges)
        assert max(np.abs(a - b).max() for a, b in zip(with_penalty, without, strict=True)) > 1e-6


def test_pairs_are_judged_in_both_orders():
    model, critic, _ = built("tsgan")
    x = EndlessBatches(IMAGES, 8)[0]
    values = {name: numpy(value) for name, value in model(x).items()}
    head = next(layer for layer in model.layers if layer.name == "head")
    assert critic(x).shape == (8, 32), "an encoding, no score"
    assert not np.allclose(values["real"], -values["fake_ng"], atol=1e-6), "the head is no odd function"
    np.testing.assert_allclose(values["real_for_generator"], values["real"])
    np.testing.assert_allclose(head(np.zeros((1, 32), "f")), 0, atol=1e-7)  # no bias: equal samples, no opinion


def test_alternating_players_move_their_own_networks_in_rounds_of_their_authors():
    trainer, critic, generator = built("sgan", "--trainer", "alternating")
    assert (trainer.n_d, trainer.n_g) == METHODS["sgan"].steps_per_round == (1, 2)
    assert len(trainer.generator.outputs) == 1, "SGAN's generator needs no pass over real images"
    before = [numpy(v) for v in critic.trainable_variables], [numpy(v) for v in generator.trainable_variables]
    trainer.generator.train_on_batch(EndlessBatches(IMAGES, 8)[0])
    moved = [
        [not np.array_equal(numpy(v), old) for v, old in zip(net.trainable_variables, olds, strict=True)]
        for net, olds in zip((critic, generator), before, strict=True)
    ]
    assert not any(moved[0]) and all(moved[1])
    relativistic, *_ = built("rsgan", "--trainer", "alternating", "--n-d", "3")
    assert (relativistic.n_d, relativistic.n_g) == (3, 1)
    assert len(relativistic.generator.outputs) == 2


def test_clipped_weights_stay_inside():
    model, critic, generator = built("wgan")
    model.fit(EndlessBatches(IMAGES, 8), steps_per_epoch=2, shuffle=False, verbose=0)
    assert max(np.abs(numpy(v)).max() for v in critic.trainable_variables) == pytest.approx(0.01)
    assert max(np.abs(numpy(v)).max() for v in generator.trainable_variables) > 0.05
    np.testing.assert_allclose(Clip(0.5)(np.array([-2.0, 0.3, 1.0], "f")), [-0.5, 0.3, 0.5])


def test_a_penalised_critic_has_no_batch_norm():
    norms = lambda model: [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert norms(built("rsgan", "--batch-norm")[1])
    assert not norms(built("r3gan", "--batch-norm")[1])
    assert not norms(built("rsgan")[1])


def test_the_random_streams_are_part_of_the_state_that_is_kept():
    streams = lambda name: sum("seed_generator" in v.path for v in built(name)[0].training_state())
    assert streams("sgan") == 1 and streams("wgan_gp") == 2  # the latents; and the places between


def test_spectral_norm_can_be_had_with_any_loss_and_left_out():
    wrapped = lambda model: [layer for layer in model.layers if layer.name.startswith("spectral")]
    assert wrapped(built("lsgan", "--spectral-norm")[1])
    assert wrapped(built("rsgan_sn")[1])
    assert not wrapped(built("rsgan_sn", "--no-spectral-norm")[1])


@pytest.mark.parametrize("name", ["tsgan", "wgan_gp", "rsgan_sn"])
def test_points_of_the_plane(name):
    model, critic, generator = built(name, "--width", "16", shape=(2,))
    before = [numpy(v) for v in (*critic.trainable_variables, *generator.trainable_variables)]
    points = np.random.default_rng(0).normal(size=(40, 2)).astype("float32")
    model.fit(EndlessBatches(points, 8), steps_per_epoch=1, shuffle=False, verbose=0)
    after = [numpy(v) for v in (*critic.trainable_variables, *generator.trainable_variables)]
    assert [np.array_equal(a, b) for a, b in zip(before, after, strict=True)].count(True) <= 1  # a bias no loss sees
    assert generator(np.zeros((3, 100), "f")).shape == (3, 2)


def test_the_authors_networks():
    """DCGAN at 64 px: 4 convolutions and a Dense layer; the first batch norm of the generator is over 8192 units."""
    args = train.make_parser().parse_args(["--preset", "paper", "--loss", "rsgan_sn", "--no-spectral-norm"])
    apply_preset(args, train.make_parser(), train.PRESETS)
    _, critic, generator = train.build(args, (64, 64, 3))
    kernels = sum(25 * a * b + b for a, b in ((3, 64), (64, 128), (128, 256), (256, 512)))
    assert critic.count_params() == kernels + 4 * (128 + 256 + 512) + 8192 + 1
    kernels = sum(25 * a * b + b for a, b in ((512, 256), (256, 128), (128, 64), (64, 3)))
    assert generator.count_params() == 101 * 8192 + kernels + 4 * (8192 + 256 + 128 + 64)
