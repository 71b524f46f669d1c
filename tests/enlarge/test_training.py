"""The training of article 8444: its loss, the noise of the copies, and how far they are apart."""

from types import SimpleNamespace

import numpy as np
import pytest

from enlarge import train, transformer
from enlarge.lossless import enlarge
from tests.helpers.arrays import numpy


@pytest.fixture
def decoder():
    return transformer.decoder(7, 5, width=8, depth=2, heads=2)


def test_the_error_is_that_of_the_next_character(decoder):
    _, scorer = train.build(SimpleNamespace(size=5, learning_rate=1e-3), decoder)
    ids = np.random.default_rng(0).integers(0, 7, (6, 6)).astype("int32")
    logits = numpy(decoder(ids[:, :-1])).astype("float64")
    log_p = logits - np.logaddexp.reduce(logits, -1, keepdims=True)
    expected = -np.take_along_axis(log_p, ids[:, 1:, None], -1)[..., 0]
    np.testing.assert_allclose(numpy(scorer(ids)), expected, rtol=1e-4)


def test_the_rate_rises_to_the_flag_and_stays(decoder):
    trainer, _ = train.build(SimpleNamespace(size=5, learning_rate=0.01), decoder)
    rates = [float(trainer.optimizer._learning_rate(step)) for step in (0, train.WARM_UP, 10 * train.WARM_UP)]
    assert rates == pytest.approx([0.01 / train.WARM_UP, 0.01, 0.01], rel=1e-4)


def test_noise_is_a_multiple_of_the_root_mean_square_of_its_array(decoder):
    before = [numpy(w) for w in decoder.trainable_weights]
    train.add_noise(decoder, 0.1, 0)
    large = [(old, numpy(w)) for old, w in zip(before, decoder.trainable_weights, strict=True) if old.size > 200]
    assert len(large) == 4
    for old, new in large:
        assert np.std(new - old) == pytest.approx(0.1 * np.sqrt(np.mean(old**2)), rel=0.15)


def test_the_gap_of_equal_copies_is_0_and_that_of_strangers_the_root_of_two_thirds(decoder):
    wide = enlarge(decoder, 3)
    assert train.gap_of_copies(wide, 3) < 1e-6
    train.add_noise(wide, 1.0, 0)
    # copies w + noise of equal size: of the square, half is common and half is not
    assert train.gap_of_copies(wide, 3) == pytest.approx(np.sqrt((1 - 1 / 3) / 2), rel=0.03)
    for weight in wide.trainable_weights:
        weight.assign(np.random.default_rng(1).normal(size=weight.shape))
    assert train.gap_of_copies(wide, 3) == pytest.approx(np.sqrt(1 - 1 / 3), rel=0.03)
