"""The rules of article 8444: an enlarged Transformer has the logits of the small one, and each rule is needed."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from common.errors import UserError
from common.models import load
from enlarge import exactness
from enlarge.exactness import difference, logits_of, random_model, token_ids
from enlarge.layers import rotary_frequencies
from enlarge.lossless import enlarge, part_of
from enlarge.rules import exponents, repeat, shares, wide_kernel
from enlarge.transformer import decoder, encoder


@pytest.fixture
def _float64():
    keras.config.set_dtype_policy("float64")


def root(k, n):
    return k ** (1 / n)


# factors of (R R kernel, R bias) as the article's table prints them, but for the bias of the second feed-forward layer
ARTICLE = {
    "query": lambda k: (root(k, 4) / k, root(k, 4) / root(k, 2)),
    "key": lambda k: (root(k, 4) / k, root(k, 4) / root(k, 2)),
    "value": lambda k: (1 / k, 1 / root(k, 2)),
    "attention_output": lambda k: (1 / k, 1 / root(k, 2)),
    "feedforward_1": lambda k: (1 / root(k, 2), 1),
    "feedforward_2": lambda k: (1 / k**1.5, 1 / root(k, 2)),
    "head_dense": lambda k: (1 / root(k, 2), 1),
}


@pytest.mark.parametrize("k", [2, 3])
def test_the_weights_are_those_of_the_articles_table(k):
    small = random_model("encoder", 0, depth=1)
    wide = enlarge(small, k)
    for before, after in zip(small.layers, wide.layers, strict=True):
        part, old, new = part_of(before), before.get_weights(), after.get_weights()
        if part in ARTICLE:
            kernel, bias = ARTICLE[part](k)
            expected = [kernel * np.kron(old[0], np.ones((k, k))), bias * np.repeat(old[1], k)]
        elif part == "logits_bias":
            expected = old
        else:  # embeddings, gamma, beta
            expected = [np.repeat(w, k, -1) / np.sqrt(k) for w in old]
        for a, b in zip(new, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)
    assert wide.get_layer("block0_attention_norm").epsilon == pytest.approx(1e-6 / k)
    assert wide.get_layer("head_norm").epsilon == 1e-6  # its input is a pure repetition


def test_unscaled_attention_and_untied_logits_have_their_own_row():
    small = random_model("decoder", 0, depth=1, scaled=False, tied=False)
    wide = enlarge(small, 2)
    query, wide_query = (model.get_layer("block0_query").get_weights() for model in (small, wide))
    np.testing.assert_allclose(wide_query[0], np.kron(query[0], np.ones((2, 2))) / 2, rtol=1e-6)
    np.testing.assert_allclose(wide_query[1], np.repeat(query[1], 2) / 2**0.5, rtol=1e-6)
    logits, wide_logits = (model.get_layer("tokens").get_weights()[1] for model in (small, wide))
    np.testing.assert_allclose(wide_logits, np.repeat(logits, 2, 0) / 2**0.5, rtol=1e-6)


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize(("k", "name"), [*zip((2, 3, 4, 3, 4, 4), exactness.MODELS, strict=True)])
def test_with_uneven_shares_the_logits_are_those_of_the_small_model(k, name):
    kind, options = exactness.MODELS[name]
    small = random_model(kind, 0, depth=1, **options)
    assert logits_of(small, token_ids(0)).std() > 0.3
    wide = enlarge(small, k, 0.4)
    assert difference(small, wide, 0) < 1e-12
    assert wide.get_layer("block0_value").kernel.shape == (12 * k, 12 * k)


@pytest.mark.usefixtures("_float64")
def test_the_vectors_between_the_blocks_are_repeated_and_divided_by_the_root():
    small = random_model("encoder", 0, depth=1)
    wide = enlarge(small, 3)
    for name, exponent in {"block0_feedforward_norm": -0.5, "block0_feedforward_1": 0, "head_dense": 0}.items():
        h, wide_h = (logits_of(keras.Model(m.input, m.get_layer(name).output), token_ids(0)) for m in (small, wide))
        np.testing.assert_allclose(wide_h, 3.0**exponent * np.repeat(h, 3, -1), atol=1e-12)
        assert exponent or abs(np.linalg.norm(h) - np.linalg.norm(wide_h)) > 0.1


@pytest.mark.usefixtures("_float64")
def test_a_further_root_in_the_head_divides_the_logits_but_not_their_bias():
    small = random_model("encoder", 0, depth=1)
    wide = enlarge(small, 2)
    exactness.divide_head_norm_again(wide, 2)
    bias = small.get_layer("logits_bias").get_weights()[0]
    logits = logits_of(small, token_ids(0))
    np.testing.assert_allclose(logits_of(wide, token_ids(0)), (logits - bias) / 2**0.5 + bias, atol=1e-12)


def test_another_exponent_between_the_blocks_needs_no_other_epsilon():
    """With pure repetition there the variance stays, and the last norm alone makes up for the longer sums."""
    rule = exponents(stream=0)
    assert all(rule[part] == (0, 0) for part in ("attention_norm", "value", "feedforward_2"))
    assert rule["final_norm"] == (0, -1) and rule["query"] == (0, -0.25)


def test_shares_sum_to_one_and_have_the_spread_that_is_asked_for():
    rng = np.random.default_rng(0)
    part = shares(300, 50, 3, 0.4, rng)
    np.testing.assert_allclose(part.sum(1), 1)
    assert part.std() == pytest.approx(0.4 / 3, rel=0.02)
    assert (shares(4, 5, 2, 0, rng) == 0.5).all() and (shares(4, 5, 1, 0.4, rng) == 1).all()
    kernel = rng.normal(size=(4, 6))
    wide = wide_kernel(kernel, 2, -0.5, 0, 0.4, rng)
    np.testing.assert_allclose(wide[::2] + wide[1::2], 2**0.5 * np.repeat(kernel, 2, 1))
    assert abs(wide[::2] - wide[1::2]).min() > 0


def test_repeat_takes_components_or_pairs():
    x = np.array([[1, 2, 3, 4]])
    assert repeat(x, 1, 2).tolist() == [[1, 1, 2, 2, 3, 3, 4, 4]]
    assert repeat(x, -1, 2, group=2).tolist() == [[1, 2, 1, 2, 3, 4, 3, 4]]
    assert repeat(x, 0, 3).shape == (3, 4)


def test_every_second_frequency_of_the_usual_table_is_one_of_the_small_head():
    for head_dim in (4, 8, 64):
        np.testing.assert_allclose(rotary_frequencies(2 * head_dim)[::2], rotary_frequencies(head_dim))
        np.testing.assert_array_equal(rotary_frequencies(2 * head_dim, 2), np.repeat(rotary_frequencies(head_dim), 2))


@pytest.mark.usefixtures("_float64")
def test_scores_of_rope_need_pairs_and_frequencies_repeated():
    values = exactness.rotary_differences(0)
    assert values.pop("pairs and frequencies repeated") < 1e-14
    assert values.pop("greatest score") > 1 and min(values.values()) > 0.3 and len(values) == 3


# training


def gap_after_training(spread, steps=3):
    """Return the greatest difference of two copies of a hidden unit's incoming weights, after some steps of SGD."""
    wide = enlarge(random_model("decoder", 0, depth=1), 2, spread)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    wide.compile(keras.optimizers.SGD(0.3), loss, run_eagerly=True)
    x = np.random.default_rng(0).integers(0, 30, (8, 9))
    before = wide.get_layer("block0_feedforward_1").get_weights()[1]
    wide.fit(x, np.roll(x, -1, 1), epochs=steps, batch_size=8, verbose=0)
    bias = wide.get_layer("block0_feedforward_1").get_weights()[1]
    assert abs(bias - before).max() > 1e-3, "it was trained"
    return abs(bias[::2] - bias[1::2]).max()


def test_copies_stay_equal_under_gradient_descent_unless_their_shares_are_uneven():
    assert gap_after_training(0.0) < 1e-6
    assert gap_after_training(0.4) > 1e-3


# use


def test_an_enlarged_model_is_saved_loaded_and_enlarged_again(tmp_path):
    small = random_model("decoder", 0, depth=1, rotary=True)
    enlarge(small, 2).save(tmp_path / "wide.keras")
    wide = load(tmp_path / "wide.keras")
    assert difference(small, wide, 0) < 1e-5 and difference(small, enlarge(wide, 2), 0) < 1e-5
    assert wide.get_layer("block0_attention").rotary == 2


def test_what_has_no_rule_is_refused():
    ids = keras.Input((4,), dtype="int32")
    model = keras.Model(ids, layers.BatchNormalization(name="odd")(layers.Embedding(3, 4, name="tokens")(ids)))
    with pytest.raises(ValueError, match=r"no rule for the layer (odd|tokens)"):
        enlarge(model, 2)
    for k in (0, -2, 1.5):
        with pytest.raises(ValueError, match="whole number of at least 1"):
            enlarge(model, k)
    for options in ({"width": 10, "heads": 4}, {"width": 12, "heads": 4, "rotary": True}):
        with pytest.raises(UserError, match="must be a multiple of"):
            encoder(5, 4, **options)


def test_a_decoder_sees_no_later_tokens_and_an_encoder_does():
    ids = np.arange(6)[None]
    changed = np.where(ids == 4, 0, ids)
    for build, is_causal in ((decoder, True), (encoder, False)):
        for rotary in (False, True):
            model = build(7, 6, 8, 1, 2, rotary=rotary)
            a, b = (ops.convert_to_numpy(model(x))[0] for x in (ids, changed))
            assert (abs(a - b)[:4].max() < 1e-6) == is_causal and abs(a - b)[4:].max() > 1e-3
