"""Codes on the sphere: GLO's projection, the descent to the code of a new image, and the map from noise to codes."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import ops

from common.data.batches import EndlessBatches
from common.errors import UserError
from glann import glo, train
from glann.codes import find_codes, first_codes, gaussian_codes, unit
from glann.representation import l2
from tests.helpers.arrays import numpy
from tests.helpers.autodiff import gradient

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (40, 16, 16, 1)).astype("uint8")
ARGS = SimpleNamespace(
    seed=0, latent_dim=6, width=16, kernel_size=4, learning_rate=1e-3, code_learning_rate=5.0, batch_size=8,
    distance="l2", vgg_weights=None,
)  # fmt: skip


def test_codes_have_norm_1_after_every_step_and_only_those_of_the_batch_move():
    space = SimpleNamespace(train=SimpleNamespace(array=PIXELS), shape=(16, 16, 1))
    trainer, _, codes, _ = glo.build(ARGS, space, first_codes(PIXELS, 6))
    batches = EndlessBatches(PIXELS, 8, with_rows=True)
    before = numpy(codes.embeddings)
    np.testing.assert_allclose(np.linalg.norm(before, axis=1), 1, rtol=1e-5)
    for step in range(2):
        trainer.train_on_batch(batches[step])
        after = numpy(codes.embeddings)
        np.testing.assert_allclose(np.linalg.norm(after, axis=1), 1, rtol=1e-5)
        moved = np.flatnonzero(np.abs(after - before).max(1) > 1e-5)
        np.testing.assert_array_equal(moved, np.sort(batches[step]["rows"]))
        before = after


def test_a_step_moves_a_code_by_its_rate_times_the_gradient_of_its_own_image():
    """The loss is a mean over the batch, the rate that of one image: so a step follows the gradient of the sum."""
    space = SimpleNamespace(train=SimpleNamespace(array=PIXELS), shape=(16, 16, 1))
    args = SimpleNamespace(**vars(ARGS) | {"learning_rate": 0.0, "code_learning_rate": 5.0})
    trainer, generator, codes, _ = glo.build(args, space, first_codes(PIXELS, 6))
    batch = EndlessBatches(PIXELS, 8, with_rows=True)[0]
    before = numpy(codes.embeddings)[batch["rows"]]
    moments = [numpy(w) for w in generator.weights]
    loss = lambda c: ops.sum(ops.mean(ops.square(batch["x"] - generator(c, training=True)), (1, 2, 3)))
    stepped = before - 5.0 * gradient(loss, before)
    generator.set_weights(moments)
    trainer.train_on_batch(batch)
    assert np.abs(unit(stepped) - before).max() > 0.05
    np.testing.assert_allclose(numpy(codes.embeddings)[batch["rows"]], unit(stepped), atol=1e-3)


def test_the_first_codes_are_whitened_components():
    coefficients = RNG.normal(size=(40, 3)) * [60, 20, 7]
    patterns = np.linalg.qr(RNG.normal(size=(256, 3)))[0].T * 12
    images = np.clip(128 + coefficients @ patterns, 0, 255).astype("uint8").reshape(40, 16, 16, 1)
    flat = images.reshape(40, -1) - images.reshape(40, -1).mean(0)
    expected, codes = unit(np.linalg.svd(flat, full_matrices=False)[0][:, :3]), first_codes(images, 3)
    np.testing.assert_allclose(codes, expected * np.sign((expected * codes).sum(0)), atol=0.02)


@pytest.mark.parametrize("candidates", [1, 5])
def test_a_code_seeks_the_nearest_of_all_candidates(candidates):
    codes = unit(RNG.normal(size=(7, 3))).astype("float32")
    args = SimpleNamespace(seed=0, noise_dim=3, map_width=16, candidates=candidates, map_learning_rate=5e-3)
    trainer, T = train.build_map(args, 3)
    latent = next(layer for layer in trainer.layers if "latent" in layer.name)
    state = latent.seed_generator.state.numpy().copy()
    mapped = numpy(trainer(codes, training=True)["mapped"])
    latent.seed_generator.state.assign(state)
    drawn = numpy(T(latent(np.zeros((7 * candidates, 3), "float32"))))
    nearest = np.square(codes[:, None] - drawn).sum(-1).argmin(1)
    assert len(drawn) == 7 * candidates and (candidates == 1 or nearest.max() >= 7)
    np.testing.assert_allclose(mapped, drawn[nearest], atol=1e-5)


def test_the_first_codes_tell_images_apart_by_their_components():
    codes = first_codes(PIXELS, 6)
    np.testing.assert_allclose(np.linalg.norm(codes, axis=1), 1, rtol=1e-5)
    same = first_codes(np.concatenate([PIXELS, PIXELS[:3]]), 6)
    np.testing.assert_allclose(same[:3], same[-3:], atol=1e-5)
    with pytest.raises(UserError, match="--latent-dim is at most 40"):
        first_codes(PIXELS, 41)


def test_drawn_codes_have_the_mean_of_the_learned_ones():
    codes = unit(RNG.normal(size=(500, 4)) * [0.1, 0.2, 0.3, 0.1] + [1, 0, 0, 0])
    drawn = gaussian_codes(codes, 4000, np.random.default_rng(1))
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(drawn.mean(0), codes.mean(0), atol=0.02)
    np.testing.assert_allclose(drawn.std(0), codes.std(0), atol=0.02)


def test_the_descent_finds_the_code_of_an_image_that_was_not_trained_on():
    code = keras.Input((5,))
    image = keras.layers.Reshape((16, 16, 1))(keras.layers.Dense(256, activation="tanh")(code))
    generator = keras.Model(code, keras.layers.BatchNormalization(momentum=0.5)(image))
    weights = generator.get_weights()
    truth = unit(RNG.normal(size=(4, 5))).astype("float32")
    images = np.clip(np.rint((numpy(generator(truth)) + 1) * 127.5), 0, 255).astype("uint8")
    start = unit(RNG.normal(size=(4, 5))).astype("float32")
    found = find_codes(generator, l2((16, 16, 1)), images, start, steps=200)
    assert np.abs(start - truth).max() > 0.5
    np.testing.assert_allclose(found, truth, atol=0.02)
    for before, after in zip(weights, generator.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_the_map_recovers_a_mixture_of_codes():
    """Of five clusters on the sphere, none is missed, and most T(z) lie in them."""
    centres = unit(np.random.default_rng(5).normal(size=(5, 3)))
    codes = unit(np.repeat(centres, 100, 0) + 0.05 * RNG.normal(size=(500, 3))).astype("float32")
    args = SimpleNamespace(seed=0, noise_dim=3, map_width=32, candidates=1, map_learning_rate=5e-3)
    trainer, T = train.build_map(args, 3)
    trainer.fit(EndlessBatches(codes, 100), steps_per_epoch=300, shuffle=False, verbose=0)
    mapped = numpy(T(np.random.default_rng(1).standard_normal((1000, 3)).astype("float32")))
    np.testing.assert_allclose(np.linalg.norm(mapped, axis=1), 1, rtol=1e-4)
    distances = np.linalg.norm(mapped[:, None] - centres, axis=-1)
    near = distances.min(1) < 0.3
    share = np.bincount(distances.argmin(1)[near], minlength=5) / near.sum()
    assert near.mean() > 4 * 5 * 0.3**2 / 4, "four times as many as of random codes: a cap has the area pi r^2 of 4 pi"
    assert share.min() > 0.1, share
