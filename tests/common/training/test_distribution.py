"""`--distribute` on two virtual devices: each computes its half of the batch, and a step is that of one device."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from common import backend
from common.models.layers import Latent
from common.training.alternating import Alternating
from common.training.ema import WeightEMA
from common.training.loop import train
from common.training.single_loss import SingleLoss, generator_only
from tests.helpers.arrays import numpy

BACKEND = keras.backend.backend()
IMAGES = np.random.default_rng(0).integers(0, 256, (50, 4, 4, 1), dtype=np.uint8)
BATCH = 8
pytestmark = pytest.mark.skipif(BACKEND == "torch", reason="PyTorch has no --distribute")


def gan(kind, seen):
    """A GAN without batch norm; the loss notes how many images it sees, as the metric `rows`."""
    keras.utils.set_random_seed(0)
    critic = keras.Sequential([keras.Input((4, 4, 1)), layers.Flatten(), layers.Dense(8, "relu"), layers.Dense(1)])
    generator = keras.Sequential([keras.Input((3,)), layers.Dense(16), layers.Reshape((4, 4, 1))])
    x = keras.Input((4, 4, 1))
    x_fake = generator(Latent(3, seed=1)(x))
    scores = {"real": critic(x), "fake_ng": critic(ops.stop_gradient(x_fake)), "fake": critic(x_fake)}

    def critic_loss(real, fake_ng):
        if BACKEND == "jax" and hasattr(real, "aval"):
            import jax

            jax.debug.inspect_array_sharding(real, callback=lambda s: seen.append(len(s.device_set)))
        rows = ops.sum(ops.ones_like(real))
        return {"loss": ops.square(real - 1) + ops.square(fake_ng), "rows": rows, "gap": real - fake_ng}

    def generator_loss(fake):
        return {"loss": ops.square(fake - 1)}

    def single(real, fake_ng, fake):
        values = critic_loss(real, fake_ng)
        values["loss"] += generator_only(lambda f: ops.square(f - 1), fake, fake_ng)
        return values

    def compiled(loss, names, trainable_layers=None):
        model = SingleLoss(x, {name: scores[name] for name in names}, loss, trainable_layers)
        model.compile(keras.optimizers.SGD(0.1))
        return model

    if kind == "single":
        return compiled(single, scores), [critic, generator]
    players = compiled(critic_loss, ("real", "fake_ng"), [critic]), compiled(generator_loss, ("fake",), [generator])
    return Alternating(*players, n_d=2, n_g=1), [critic, generator]


def fit(run_dir, kind, distribute, steps=6, seen=None):
    devices = backend.distribution(distribute)
    with devices:
        trainer, networks = gan(kind, [] if seen is None else seen)
        averages = WeightEMA(networks, 0.9)
    rows = train(
        trainer, IMAGES, run_dir, batch_size=BATCH, steps=steps, save_every=3, seed=0, on_interval=lambda step: None,
        devices=devices, averages=averages,
    )  # fmt: skip
    return devices, [numpy(v) for v in trainer.training_state()] + [numpy(v) for v in averages.variables], rows


@pytest.fixture(autouse=True)
def no_tensorboard(monkeypatch):
    monkeypatch.setattr("common.backend.tensorboard", lambda log_dir: None)


@pytest.mark.parametrize("kind", ["single", "alternating"])
def test_two_devices_share_a_batch_and_train_as_one(kind, tmp_path):
    seen = []
    devices, shared, rows = fit(tmp_path / "two", kind, True, seen=seen)
    assert devices.count == 2, "the tests start with two virtual devices"
    _, alone, rows_alone = fit(tmp_path / "one", kind, False)
    for a, b in zip(shared, alone, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert rows[-1]["gap"] == pytest.approx(rows_alone[-1]["gap"], abs=1e-5)
    if BACKEND == "tensorflow":
        assert {row["rows"] for row in rows} == {BATCH / 2} and {row["rows"] for row in rows_alone} == {BATCH}
    else:
        assert seen and set(seen) == {2}, "JAX shards the batch of one global program"


@pytest.mark.parametrize("kind", ["single", "alternating"])
def test_a_distributed_run_resumes_on_one_device_and_back(kind, tmp_path):
    _, whole, _ = fit(tmp_path / "whole", kind, True, steps=9)
    for steps, distribute in ((3, True), (6, False), (9, True)):
        _, parts, _ = fit(tmp_path / "parts", kind, distribute, steps=steps)
    for a, b in zip(parts, whole, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def linear_step(halves, distribute, clipnorm=None, wrap=lambda optimizer: optimizer):
    """Make a step of SGD at rate 1 on the mean of w x, whose gradient is the mean of the batch.

    Args:
        halves: list of two points, each of which fills a half of the batch.
        distribute: bool.
        clipnorm: float, largest norm of the gradient, or None.
        wrap: function from the optimiser to the one that is used.

    Returns:
        (w after the step, from 0; optimiser).
    """
    devices = backend.distribution(distribute)
    with devices:
        x = keras.Input((2,))
        score = layers.Dense(1, use_bias=False, kernel_initializer="zeros")(x)
        model = SingleLoss(x, {"score": score}, lambda score: {"loss": score})
        model.compile(wrap(keras.optimizers.SGD(1.0, global_clipnorm=clipnorm)))
    batch = np.repeat(np.array(halves, "float32"), BATCH // 2, axis=0)
    with devices.fitting():
        model.fit(batch, batch_size=BATCH, shuffle=False, verbose=0)
    return numpy(model.trainable_variables[0])[:, 0], model.optimizer


@pytest.mark.parametrize("distribute", [False, True])
def test_the_sum_of_the_gradients_is_clipped(distribute):
    """It is (15, 20), of norm 25. Each device's share, (15, 0) or (0, 20), has another direction."""
    weight, _ = linear_step([[30, 0], [0, 40]], distribute, clipnorm=5.0)
    np.testing.assert_allclose(weight, [-3, -4], rtol=1e-5)


@pytest.mark.parametrize("distribute", [False, True])
def test_the_parts_of_an_optimiser_do_not_sum_the_gradients_again(distribute):
    wrap = lambda sgd: keras.optimizers.MultiOptimizer(lambda variable: sgd)
    weight, _ = linear_step([[3, 0], [0, 4]], distribute, wrap=wrap)
    np.testing.assert_allclose(weight, [-1.5, -2], rtol=1e-5)


def test_a_float16_overflow_on_one_device_skips_the_step_on_all():
    """The initial scale 2^15 times 20 is beyond float16, and on the first device all gradients are 0."""
    keras.config.set_dtype_policy("mixed_float16")
    weight, optimizer = linear_step([[0, 0], [30, 40]], True)
    np.testing.assert_array_equal(weight, 0)
    assert float(numpy(optimizer.dynamic_scale)) == 2**14


@pytest.mark.skipif(BACKEND != "tensorflow", reason="JAX draws in one global program")
def test_replicas_draw_different_noise_that_together_is_one_draw():
    import tensorflow as tf

    from dcgan.semi_supervised_layers import LabelledBatch
    from flow.layers.likelihood import UniformNoise

    class LabelledImages(LabelledBatch):
        def call(self, x):
            return super().call(x)[0]

    images = np.random.default_rng(0).normal(size=(1000, 3)).astype("float32")
    layers_of = {"latent": lambda: Latent(3, seed=5), "noise": lambda: UniformNoise(0.0, 1.0, seed=5)}
    layers_of["labelled images"] = lambda: LabelledImages(images, np.zeros(1000, "int32"), seed=5)
    for name, make in layers_of.items():
        alone = make()
        strategy = tf.distribute.MirroredStrategy([d.name for d in tf.config.list_logical_devices("CPU")])
        with strategy.scope():
            shared = make()
            draws = strategy.experimental_local_results(strategy.run(shared, args=(tf.zeros((4, 3)),)))
        together = np.concatenate([draw.numpy() for draw in draws])
        assert np.abs(together[:4] - together[4:]).min() > 0, name
        np.testing.assert_allclose(together, numpy(alone(np.zeros((8, 3), "float32"))), atol=1e-6, err_msg=name)
