"""What unsharing does, from the formulas of article 7187: the function stays, the gradient is divided."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from albert.encoder import block_variables, build_encoder, build_mlm_head, make_block, visible_positions
from albert.unshare import unshare
from tests.helpers.arrays import numpy, numpy64
from tests.helpers.autodiff import weight_gradients

L = 3
SHAPE = {"vocabulary": 11, "length": 6, "width": 8, "depth": L, "heads": 2, "embedding": 4}
IDS = np.random.default_rng(0).integers(1, 11, (5, 6)).astype("int32")


@pytest.fixture(params=["float32", "float64"])
def precision(request):
    """Name of the dtype of all layers that are built in the test."""
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


def both(seed=0):
    """Return an encoder with random weights, biases too, and the same unshared."""
    encoder, rng = build_encoder(**SHAPE), np.random.default_rng(seed)
    for weight in encoder.weights:
        weight.assign((weight.path.endswith("gamma")) + 0.3 * rng.normal(size=weight.shape))
    return encoder, unshare(encoder)


def outputs(encoder, ids=IDS):
    ids = ops.convert_to_tensor(ids)
    return encoder([ids, visible_positions(ids)])


def loss(encoder):
    target = np.random.default_rng(1).normal(size=(5, 6, 8))
    return lambda: ops.mean((outputs(encoder) - ops.cast(target, encoder.outputs[0].dtype)) ** 2)


def copies(unshared, variable):
    """Return the variables of an unshared encoder that began as `variable`, one per block."""
    layer, rest = variable.path.split("/", 1)
    names = [layer, *(f"{layer}_copy{i}" for i in range(2, L + 1))]
    return [v for name in names for v in unshared.get_layer(name).weights if v.path == f"{name}/{rest}"]


def test_it_computes_the_same_function(precision):
    encoder, unshared = both()
    before, after = numpy(outputs(encoder)), numpy(outputs(unshared))
    assert before.dtype == precision and np.array_equal(before, after) and before.std() > 0.3
    names = [v.path for v in block_variables(encoder)]
    assert len(names) == 16 and len(block_variables(unshared)) == L * 16
    assert all(len(copies(unshared, v)) == L for v in block_variables(encoder))
    unshared.get_layer("block_up_copy2").kernel.assign(0 * unshared.get_layer("block_up_copy2").kernel)
    assert abs(numpy(outputs(unshared)) - before).max() > 0.1
    assert np.array_equal(numpy(outputs(encoder)), before), "the original is not touched"


def test_the_gradient_of_the_shared_layer_is_the_sum(precision):
    encoder, unshared = both()
    variables = block_variables(encoder)
    of_copies = [copies(unshared, v) for v in variables]
    shared = weight_gradients(loss(encoder), variables)
    apart = iter(weight_gradients(loss(unshared), [v for vs in of_copies for v in vs]))
    for gradient in shared:
        parts = np.stack([next(apart) for _ in range(L)])
        assert abs(gradient - parts.sum(0)).max() < {"float32": 1e-6, "float64": 1e-15}[precision]
        assert abs(parts[0] - parts[1]).max() > 1e-4 * abs(parts).max(), "the parts differ"
    embedding = [model.get_layer("tokens").embeddings for model in (encoder, unshared)]
    a, b = (weight_gradients(loss(m), [e])[0] for m, e in zip((encoder, unshared), embedding, strict=True))
    assert abs(a - b).max() < 1e-6 < abs(a).max(), "what is called once has the same gradient"


def test_a_step_of_sgd_moves_the_copies_by_their_own_part(precision):
    encoder, unshared = both()
    target = np.random.default_rng(1).normal(size=(5, 6, 8))
    inputs = [IDS, np.ones((5, 6, 6), bool)]
    start = [numpy64(v) for v in block_variables(encoder)]
    for model in (encoder, unshared):
        model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
        model.train_on_batch(inputs, target)
    for before, variable in zip(start, block_variables(encoder), strict=True):
        moved = numpy64(variable) - before
        of_copies = np.stack([numpy64(v) - before for v in copies(unshared, variable)])
        assert abs(moved - of_copies.sum(0)).max() < {"float32": 1e-6, "float64": 1e-15}[precision]
        assert abs(moved / L - of_copies.mean(0)).max() < {"float32": 1e-6, "float64": 1e-15}[precision]
        # the copies are no longer equal, but for the bias of the keys, which no attention depends on
        assert abs(of_copies[0] - of_copies[1]).max() > 1e-5 or variable.path.endswith("key/bias")


def test_sizes():
    """The numbers of the article: the embedding from 15 M to a sixth, and 12 blocks of 7.1 M."""
    V, H, E = 21128, 768, 128
    assert V * H == 16_226_304 and V * E + E * H == 2_802_688 and round((V * E + E * H) / (V * H), 3) == 0.173
    small = build_encoder(**SHAPE)
    assert (
        small.get_layer("tokens").count_params() == 11 * 4 and small.get_layer("to_width").count_params() == 4 * 8 + 8
    )
    block = make_block(H, 12, "block_")
    x = keras.Input((2, H))
    block[0](x, x), block[1](x), block[3](block[2](x)), block[4](x)
    assert sum(layer.count_params() for layer in block) == 12 * H * H + 13 * H == 7_087_872
    assert 12 * 7_087_872 == 85_054_464
    of_block = 12 * 8 * 8 + 13 * 8
    unshared, other = unshare(small), build_encoder(**SHAPE, shared=False)
    assert unshared.count_params() - small.count_params() == (L - 1) * of_block
    assert other.count_params() == unshared.count_params()
    a, b = (numpy(other.get_layer(f"block_{i}_up").kernel) for i in (1, 2))
    assert a.std() > 0.1 and abs(a - b).max() > 0.1, "random blocks are not copies"


def test_the_mask_of_unilm():
    ids = ops.convert_to_tensor(np.array([[2, 7, 8, 3, 7, 8, 0]], "int32"))
    seen = numpy(visible_positions(ids, source=4))[0]
    assert seen[:4].tolist() == [[1, 1, 1, 1, 0, 0, 0]] * 4
    assert seen[4].tolist() == [1] * 5 + [0, 0] and seen[5].tolist() == [1] * 6 + [0]
    assert numpy(visible_positions(ids))[0].tolist() == [[1] * 6 + [0]] * 7
    encoder, _ = both()
    a, b = (IDS.copy() for _ in range(2))
    b[:, 4] = b[:, 4] % 10 + 1
    look = lambda x: numpy(encoder([ops.convert_to_tensor(x), visible_positions(ops.convert_to_tensor(x), 3)]))
    assert abs(look(a) - look(b))[:, :4].max() < 1e-6 < abs(look(a) - look(b))[:, 4:].min(), "no look at what comes"


def test_a_tied_embedding_stays_one_and_models_inside_are_unshared():
    x = keras.Input((6,), dtype="int32")
    tied, dense = layers.ReversibleEmbedding(11, 8, name="tied"), layers.Dense(8, "tanh", name="dense")
    inner = keras.Sequential([keras.Input((6, 8)), layers.Dense(8, name="deep")], name="inner")
    y = tied(x)
    model = keras.Model(x, tied(inner(inner(dense(dense(y)))), reverse=True))
    unshared = unshare(model)
    assert np.allclose(numpy(model(IDS)), numpy(unshared(IDS)))
    assert unshared.count_params() == 11 * 8 + 2 * 72 + 2 * 72 and model.count_params() == 11 * 8 + 2 * 72
    nested = keras.Model(z := keras.Input((6,), dtype="int32"), layers.Dense(2)(model(z)))
    assert unshare(nested).count_params() == unshared.count_params() + 24


def test_what_cannot_be_unshared():
    with pytest.raises(ValueError, match="needs a functional model"):
        unshare(keras.layers.Dense(3))
    with pytest.raises(ValueError, match="called twice"):
        unshare(build_encoder(**SHAPE | {"depth": 1}))
    with pytest.raises(ValueError, match="called twice"):
        unshare(unshare(build_encoder(**SHAPE)))


def test_an_unshared_encoder_is_saved_as_any_model(tmp_path):
    _, unshared = both()
    unshared.save(tmp_path / "encoder.keras")
    loaded = keras.models.load_model(tmp_path / "encoder.keras", compile=False)
    assert np.array_equal(numpy(outputs(unshared)), numpy(outputs(loaded)))


def test_masked_tokens_are_predicted_with_the_embedding():
    encoder, _ = both()
    head = build_mlm_head(encoder)
    logits = numpy(head(outputs(encoder)))
    assert logits.shape == (5, 6, 11)
    assert head.count_params() == 8 * 4 + 4 + 2 * 4 + 11 * 4 + 11
