"""KerasHub's BERT and GPT-2, enlarged: the same function. Needs the extra `hub`."""

import keras
import numpy as np
import pytest

from enlarge.lossless import enlarge
from tests.helpers.arrays import numpy

keras_hub = pytest.importorskip(
    "keras_hub", reason='keras-hub is not installed: pip install -e ".[hub]"', exc_type=ImportError
)

SIZES = {"vocabulary_size": 20, "num_layers": 1, "num_heads": 3, "hidden_dim": 12, "intermediate_dim": 24}
IDS = np.random.default_rng(0).integers(1, 20, (2, 7))
PADDING = np.array([[1] * 7, [1] * 5 + [0] * 2])


def unrounded(model):
    """Return a backbone whose attention divides by sqrt(head_dim) in float64. Keras rounds the divisor to float32."""
    for layer in model.transformer_layers if model.dtype == "float64" else ():
        attention = layer._self_attention_layer
        attention._inverse_sqrt_key_dim = keras.ops.convert_to_tensor(1 / np.sqrt(attention.key_dim), "float64")
    return model


def random_weights(model, seed=0):
    """Give every weight of a model a random value, biases and layer norms too."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        weight.assign((weight.name == "gamma") + 0.3 * rng.normal(size=weight.shape))
    return model


def bert(dtype):
    return unrounded(random_weights(keras_hub.models.BertBackbone(**SIZES, max_sequence_length=9, dtype=dtype)))


def gpt2(dtype):
    return unrounded(random_weights(keras_hub.models.GPT2Backbone(**SIZES, max_sequence_length=9, dtype=dtype)))


def bert_inputs():
    return {"token_ids": IDS, "segment_ids": IDS % 2, "padding_mask": PADDING}


def gpt2_logits(model):
    return numpy(model.token_embedding(model({"token_ids": IDS, "padding_mask": PADDING}), reverse=True))


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-4), ("float64", 1e-9)])
@pytest.mark.parametrize(("k", "spread"), [(2, 0.0), (3, 0.4), (4, 0.0)])
def test_gpt2_has_the_same_logits(dtype, bound, k, spread):
    small = gpt2(dtype)
    wide = unrounded(enlarge(small, k, spread))
    assert wide.hidden_dim == 12 * k and wide.num_heads == 3
    assert abs(gpt2_logits(small) - gpt2_logits(wide)).max() < bound < gpt2_logits(small).std()


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1e-4), ("float64", 1e-9)])
@pytest.mark.parametrize(("k", "spread"), [(2, 0.4), (3, 0.0), (4, 0.0)])
def test_the_outputs_of_bert_are_repeated(dtype, bound, k, spread):
    small = bert(dtype)
    wide = unrounded(enlarge(small, k, spread))
    before, after = (model(bert_inputs()) for model in (small, wide))
    for name in ("sequence_output", "pooled_output"):
        expected = np.repeat(numpy(before[name]), k, -1)
        assert abs(numpy(after[name]) - expected).max() < bound < expected.std()


def test_the_masked_language_model_has_the_same_logits():
    small = random_weights(keras_hub.models.BertMaskedLM(backbone=bert("float64")))
    wide = enlarge(small, 2, 0.4)
    unrounded(wide.backbone)
    inputs = bert_inputs() | {"mask_positions": np.array([[1, 4], [2, 3]])}
    before, after = (numpy(model(inputs)) for model in (small, wide))
    assert before.shape == (2, 2, 20) and abs(before - after).max() < 1e-9 < before.std()


def test_it_is_saved_and_loaded_as_any_model_of_keras_hub(tmp_path):
    small = keras_hub.models.GPT2CausalLM(backbone=gpt2("float32"), preprocessor=None)
    enlarge(small, 2).save(tmp_path / "wide.keras")
    wide = keras.models.load_model(tmp_path / "wide.keras", compile=False)
    assert abs(gpt2_logits(small.backbone) - gpt2_logits(wide.backbone)).max() < 1e-4
    with pytest.raises(ValueError, match="there are rules for BertBackbone"):
        enlarge(keras_hub.models.BertTextClassifier(backbone=bert("float32"), num_classes=2), 2)
