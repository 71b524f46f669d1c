"""The gated block, what a network sees, and how an answer is chosen (article 6270)."""

import keras
import numpy as np
import pytest

from common.models.inference import load_model
from couplet import networks
from couplet.decoding import choose


def values(layer, *inputs):
    return keras.ops.convert_to_numpy(layer([np.asarray(x, "float32") for x in inputs]))


def test_a_gate_keeps_x_or_takes_the_candidate_or_their_mean():
    x, b = np.random.default_rng(0).normal(size=(2, 3, 5, 4))
    mix = lambda a: values(networks.Gate(), x, np.concatenate([np.full_like(x, a), b], -1))
    assert np.array_equal(mix(200.0), x.astype("float32")) and np.array_equal(mix(-200.0), b.astype("float32"))
    assert mix(0.0) == pytest.approx((x + b) / 2, rel=1e-6)
    a = np.random.default_rng(1).normal(size=x.shape)
    expected = x / (1 + np.exp(-a)) + b / (1 + np.exp(a))
    assert values(networks.Gate(), x, np.concatenate([a, b], -1)) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_a_plain_block_is_a_residual_of_either_sign():
    x, ab = np.zeros((1, 1, 2)), np.array([[[3.0, -1.0, 1.0, -5.0]]])
    assert values(networks.SignedReLU(), x, ab).tolist() == [[[2.0, 0.0]]]


def blocks(kind, width, depth):
    tagger = networks.build_tagger(kind, 50, width, depth)
    return sum(layer.count_params() for layer in tagger.layers if layer.name not in ("characters", "logits"))


def test_parameters_of_a_gated_block():
    assert networks.block_parameters(128) == 3 * 128 * 256 + 256
    assert blocks("gated", 32, 3) == blocks("plain", 32, 3) == 3 * (3 * 32 * 64 + 64)


@pytest.mark.parametrize(("kind", "off"), [("bilstm", 0.02), ("transformer", 0.05)])
def test_other_networks_have_about_as_many_parameters(kind, off):
    assert blocks(kind, 128, 6) == pytest.approx(6 * networks.block_parameters(128), rel=off)


@pytest.mark.parametrize("kind", ["gated", "plain"])
@pytest.mark.parametrize("depth", [6, 7])
def test_a_network_sees_as_many_characters_to_each_side_as_it_has_blocks(kind, depth):
    keras.utils.set_random_seed(1)
    tagger = networks.build_tagger(kind, 20, 8, depth)
    line = np.arange(1, 17)[None]
    other = line.copy()
    other[0, 8] = 19
    moved = np.abs(tagger.predict_on_batch(line) - tagger.predict_on_batch(other)).max(-1)[0] > 0
    assert np.flatnonzero(moved).tolist() == list(range(8 - depth, 8 + depth + 1)), "1 + 2 depth positions"


@pytest.mark.parametrize("kind", ["bilstm", "transformer"])
def test_other_networks_see_the_whole_line(kind):
    tagger = networks.build_tagger(kind, 20, 8, 2)
    line = np.arange(1, 17)[None]
    moved = np.abs(tagger.predict_on_batch(line) - tagger.predict_on_batch(np.where(line == 1, 19, line))).max(-1)[0]
    assert (moved > 0).all()


@pytest.mark.parametrize("kind", networks.MODELS)
def test_an_answer_does_not_depend_on_the_other_lines_of_a_batch(kind):
    tagger = networks.build_tagger(kind, 20, 8, 2)
    lines = np.random.default_rng(0).integers(1, 20, (5, 7))
    together = tagger.predict_on_batch(lines)
    assert together[3:4] == pytest.approx(tagger.predict_on_batch(lines[3:4]), abs=1e-5)


def test_a_plain_network_can_be_saved(tmp_path):
    """The scripts' tests save the others."""
    tagger = networks.build_tagger("plain", 20, 8, 2)
    tagger.save(tmp_path / "tagger.keras")
    loaded = load_model(tmp_path / "tagger.keras", (None,), (None, 20))
    line = np.arange(1, 8)[None]
    assert np.array_equal(loaded.predict_on_batch(line), tagger.predict_on_batch(line))


def test_padding_would_change_an_answer():
    """So all lines of a batch have one length."""
    tagger = networks.build_tagger("gated", 20, 8, 2)
    line = np.arange(1, 8)[None]
    padded = np.pad(line, ((0, 0), (0, 3)))
    assert np.abs(tagger.predict_on_batch(padded)[:, :7] - tagger.predict_on_batch(line)).max() > 1e-4


@pytest.mark.parametrize(("temperature", "top_k"), [(0, None), (1.0, None), (5.0, 3)])
def test_no_answer_repeats_the_character_above_or_is_unknown(temperature, top_k):
    rng = np.random.default_rng(0)
    logits, upper = rng.normal(size=(40, 6, 5)), rng.integers(0, 5, (40, 6))
    logits[..., 0] += 3  # the unknown one is the most probable
    answers = choose(logits, upper, temperature, top_k, rng)
    assert answers.shape == (40, 6) and (answers > 0).all() and (answers != upper).all()
    assert set(np.unique(answers)) == {1, 2, 3, 4}


def test_answers_are_drawn_with_their_probabilities():
    logits, rng = np.log([[[0.1, 0.2, 0.3, 0.4, 1e-9]]]).repeat(40_000, 0), np.random.default_rng(0)
    share = lambda *args: np.bincount(choose(logits, np.full((40_000, 1), 4), *args, rng).ravel(), minlength=5) / 40_000
    assert share(1.0, None) == pytest.approx([0, 2 / 9, 3 / 9, 4 / 9, 0], abs=0.01)
    assert share(0.5, None) == pytest.approx([0, 4 / 29, 9 / 29, 16 / 29, 0], abs=0.01)
    assert share(1.0, 2) == pytest.approx([0, 0, 3 / 7, 4 / 7, 0], abs=0.01)
    assert share(1.0, 1) == pytest.approx([0, 0, 0, 1, 0])
    assert share(0.0, 2) == pytest.approx([0, 0, 0, 1, 0])
