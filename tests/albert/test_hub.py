"""KerasHub's ALBERT, unshared: the same function. Needs the extra `hub`."""

import keras
import numpy as np
import pytest

from albert.unshare import unshare
from tests.helpers.arrays import numpy

keras_hub = pytest.importorskip(
    "keras_hub", reason='keras-hub is not installed: pip install -e ".[hub]"', exc_type=ImportError
)

L = 4
SIZES = {"vocabulary_size": 20, "num_layers": L, "num_heads": 2, "embedding_dim": 4, "hidden_dim": 8}
IDS = np.random.default_rng(0).integers(1, 20, (2, 7))
INPUTS = {"token_ids": IDS, "segment_ids": IDS % 2, "padding_mask": np.array([[1] * 7, [1] * 5 + [0] * 2])}
BLOCK = 4 * 8 * 8 + 2 * 8 * 16 + 9 * 8 + 16  # attention, two dense layers of 16, biases and layer norms


def albert(**more):
    """Return a small ALBERT whose weights are random, biases and layer norms too."""
    model = keras_hub.models.AlbertBackbone(**SIZES, intermediate_dim=16, max_sequence_length=9, **more)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign((weight.name == "gamma") + 0.3 * rng.normal(size=weight.shape))
    return model


def test_the_embedding_of_a_masked_language_model_stays_tied_to_its_head():
    shared = keras_hub.models.AlbertMaskedLM(albert())
    free = unshare(shared)
    inputs = INPUTS | {"mask_positions": np.array([[1, 2], [0, 3]])}
    assert np.array_equal(numpy(shared(inputs)), numpy(free(inputs)))
    assert free.count_params() - shared.count_params() == (L - 1) * BLOCK
    tables = {id(weight) for weight in free.weights if weight.path.startswith("token_embedding")}
    assert len(tables) == 1


@pytest.mark.parametrize("groups", [1, 2])
def test_every_layer_gets_its_own_weights(groups):
    shared = albert(num_groups=groups, num_inner_repetitions=2)
    free = unshare(shared)
    before, after = shared(INPUTS), free(INPUTS)
    for name in ("sequence_output", "pooled_output"):
        assert np.array_equal(numpy(before[name]), numpy(after[name])) and numpy(before[name]).std() > 0.1
    # a group has two layers; all groups together are called L times, so 2 L calls share 2 layers per group
    assert free.count_params() - shared.count_params() == (2 * L - 2 * groups) * BLOCK


def test_a_classifier_trains_apart_in_one_line():
    classifier = keras_hub.models.AlbertTextClassifier(backbone=albert(dropout=0.1), num_classes=2, preprocessor=None)
    free = unshare(classifier)
    assert np.allclose(numpy(classifier(INPUTS)), numpy(free(INPUTS)), atol=1e-6)
    assert free.count_params() - classifier.count_params() == (L - 1) * BLOCK
    free.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    free.train_on_batch(INPUTS, np.array([0, 1]))
    kernels = [numpy(w) for w in free.weights if "feedforward_intermediate_dense/kernel" in w.path]
    assert len(kernels) == L and all(abs(kernels[0] - other).max() > 1e-6 for other in kernels[1:])
