"""The endless sequence of batches that `fit` trains on."""

import numpy as np
import pytest

from common.data.batches import EndlessBatches
from common.data.images import Images, to_float
from common.errors import UserError


@pytest.fixture(scope="module")
def pixels():
    """Return 23 random images; the first value of each is its number."""
    images = np.random.default_rng(0).integers(0, 256, (23, 6, 5, 3)).astype(np.uint8)
    images[:, 0, 0, 0] = np.arange(23)
    return images


def numbers(batch):
    return batch[:, 0, 0, 0].tolist()


def test_batches_are_slices_of_one_permutation_per_epoch(pixels):
    batches = EndlessBatches(pixels, 5, seed=3, dtype="uint8")
    assert batches.steps_per_epoch == 4 and batches.num_batches is None
    for epoch in range(3):
        order = np.random.default_rng([3, epoch]).permutation(23)
        for position in range(4):
            expected = order[5 * position : 5 * position + 5].tolist()
            batch = batches[4 * epoch + position]
            assert numbers(batch) == expected and batch.dtype == np.uint8
            np.testing.assert_array_equal(batch, pixels[expected])
    assert len({tuple(numbers(batches[i])) for i in range(12)}) == 12
    assert numbers(EndlessBatches(pixels, 5, seed=4, dtype="uint8")[0]) != numbers(batches[0])


def test_batches_are_floats_between_minus_one_and_one(pixels):
    images = Images("x", pixels, [], None, (), [])
    batch = EndlessBatches(images, 7)[1]
    assert batch.dtype == np.float32 and batch.shape == (7, 6, 5, 3) and batch.min() >= -1 and batch.max() <= 1
    np.testing.assert_array_equal(batch, to_float(EndlessBatches(pixels, 7, dtype="uint8")[1]))


def test_batches_with_rows_name_the_place_of_each_image(pixels):
    batch = EndlessBatches(pixels, 5, seed=3, dtype="uint8", with_rows=True)[7]
    assert batch["rows"].dtype == np.int32 and batch["rows"].tolist() == numbers(batch["x"])
    np.testing.assert_array_equal(batch["x"], EndlessBatches(pixels, 5, seed=3, dtype="uint8")[7])


@pytest.mark.parametrize("flip", [False, True])
def test_start_continues_the_sequence_in_any_order_of_access(pixels, flip):
    whole = EndlessBatches(pixels, 5, seed=1, flip=flip)
    rest = EndlessBatches(pixels, 5, seed=1, start=11, flip=flip)
    for i in reversed(range(9)):
        np.testing.assert_array_equal(rest[i], whole[11 + i])


def mirrored_images(pixels, **kwargs):
    """Return which images `flip` mirrors, bool (50, 20), and check that it does nothing else to them."""
    plain, flipped = (EndlessBatches(pixels, 20, dtype="uint8", flip=flip, **kwargs) for flip in (False, True))
    mirrored = np.zeros((50, 20), bool)
    for i in range(50):
        for j, (a, b) in enumerate(zip(plain[i], flipped[i], strict=True)):
            mirrored[i, j] = (a != b).any()
            np.testing.assert_array_equal(b, a[:, ::-1] if mirrored[i, j] else a)
    return mirrored


def test_flip_mirrors_half_of_the_images(pixels):
    before = pixels.copy()
    assert 420 < mirrored_images(pixels).sum() < 580
    np.testing.assert_array_equal(pixels, before)


def test_flips_do_not_share_random_numbers_with_the_permutations(pixels):
    words = lambda *seed: np.random.SeedSequence(seed).generate_state(4).tolist()
    assert words(5, 1) == words(5, 1, 0)  # why two words would not do
    assert words(5, 7, 1) not in [words(5, epoch) for epoch in range(2000)]
    expected = [np.random.default_rng([5, 30 + i, 1]).random(20) < 0.5 for i in range(50)]
    np.testing.assert_array_equal(mirrored_images(pixels, seed=5, start=30), expected)


def test_wrong_arguments_are_refused(pixels):
    with pytest.raises(UserError, match="only 23 images: lower --batch-size from 24"):
        EndlessBatches(pixels, 24)
    with pytest.raises(UserError, match="at least 1"):
        EndlessBatches(pixels, 0)
    for wrong in (pixels.astype("float64"), pixels[..., 0], np.zeros(30, "float32")):
        with pytest.raises(ValueError, match="uint8 images"):
            EndlessBatches(wrong, 4)
    with pytest.raises(ValueError, match="dtype"):
        EndlessBatches(pixels, 4, dtype="float16")


def test_points_are_passed_on_unchanged():
    points = np.random.default_rng(0).normal(size=(23, 2)).astype("float32")
    epoch = np.concatenate([EndlessBatches(points, 5, seed=1)[i] for i in range(4)])
    assert epoch.dtype == np.float32
    assert len({tuple(row) for row in epoch}) == 20
    np.testing.assert_array_equal(epoch, points[np.random.default_rng([1, 0]).permutation(23)[:20]])


def test_fit_trains_on_the_sequence_in_order(pixels):
    import keras

    class Recorder(keras.Model):
        """Record the number of every image that it is trained on, in the order in which they come."""

        def __init__(self):
            super().__init__()
            self.factor = self.add_weight(shape=(), initializer="ones")
            self.step = self.add_weight(shape=(), initializer="zeros", dtype="int32", trainable=False)
            self.numbers = self.add_weight(shape=(9, 5), initializer="zeros", trainable=False)

        def call(self, x):
            self.numbers.assign_add(keras.ops.one_hot(self.step, 9)[:, None] * x[None, :, 0, 0, 0])
            self.step.assign_add(1)
            return x * self.factor

        def compute_loss(self, x, y, y_pred, sample_weight, training=True):
            return keras.ops.mean(y_pred)

    model = Recorder()
    model.compile("sgd")
    model.fit(EndlessBatches(pixels, 5), steps_per_epoch=3, shuffle=False, epochs=2, verbose=0)
    model.fit(EndlessBatches(pixels, 5, start=6), steps_per_epoch=3, shuffle=False, verbose=0)
    recorded = keras.ops.convert_to_numpy(model.numbers)
    expected = EndlessBatches(pixels, 5)
    for i in range(9):
        np.testing.assert_array_equal(recorded[i], expected[i][:, 0, 0, 0])
