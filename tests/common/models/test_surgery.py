"""Cutting functional models, and the dense layer tied to an embedding (article 6985)."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from common.models.surgery import TiedDense, submodel
from tests.helpers.arrays import numpy
from tests.helpers.autodiff import weight_gradients


def batch(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def residual():
    """Return x -> h1 -> h2, a = h1 + h2, a -> h3. The skip connection from h1 to a bypasses h2."""
    x = keras.Input((4,), name="x")
    h1 = layers.Dense(4, activation="tanh", name="h1")(x)
    h2 = layers.Dense(4, activation="tanh", name="h2")(h1)
    a = layers.Add(name="a")([h1, h2])
    return keras.Model(x, layers.Dense(3, name="h3")(a))


def upper_part(model, *names):
    """Return the model up to the named layers."""
    return keras.Model(model.input, [model.get_layer(name).output for name in names])


def layer_names(model):
    return [layer.name for layer in model.layers if not isinstance(layer, layers.InputLayer)]


# cutting


def test_cut_after_the_skip_connection():
    model = residual()
    cut = submodel(model, "a")
    x = batch(5, 4)
    np.testing.assert_allclose(cut(upper_part(model, "a")(x)), model(x), atol=1e-6)
    assert layer_names(cut) == ["h3"]
    assert cut.count_params() == 4 * 3 + 3
    assert cut.get_layer("h3") is model.get_layer("h3")


def test_cut_model_shares_its_weights_and_trains_them():
    model = residual()
    cut = submodel(model, "a")
    x, a = batch(5, 4), batch(5, 4, seed=1)
    y = batch(5, 3, seed=2)
    h1_kernel, kernel, bias = (numpy(w) for w in [model.get_layer("h1").kernel, *model.get_layer("h3").weights])
    cut.compile(keras.optimizers.SGD(0.1), loss="mse")
    cut.fit(a, y, verbose=0)
    error = 2 * (a @ kernel + bias - y) / y.size  # gradient of the mean squared error at the output
    np.testing.assert_allclose(numpy(model.get_layer("h3").kernel), kernel - 0.1 * a.T @ error, atol=1e-6)
    np.testing.assert_array_equal(numpy(model.get_layer("h1").kernel), h1_kernel)
    np.testing.assert_allclose(numpy(model(x)), numpy(cut(upper_part(model, "a")(x))), atol=1e-6)


def test_cut_with_several_inputs():
    model = residual()
    cut = submodel(model, ["h1", "h2"])
    x = batch(5, 4)
    np.testing.assert_allclose(cut(upper_part(model, "h1", "h2")(x)), model(x), atol=1e-6)
    assert layer_names(cut) == ["a", "h3"]


def test_cut_on_both_sides_and_with_several_outputs():
    model = residual()
    x = batch(5, 4)
    h1, h2, a = upper_part(model, "h1", "h2", "a")(x)
    middle = submodel(model, "h1", "h2")
    assert layer_names(middle) == ["h2"]
    np.testing.assert_allclose(middle(h1), h2, atol=1e-6)
    two_outputs = submodel(model, model.get_layer("h1").output, ["a", model.output])
    for got, expected in zip(two_outputs(h1), [a, model(x)], strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-6)
    front = submodel(model, "x", "h2")
    assert layer_names(front) == ["h1", "h2"]
    np.testing.assert_allclose(front(x), h2, atol=1e-6)


def test_error_names_a_skip_connection_around_the_cut():
    with pytest.raises(ValueError, match=r"leaves out 'h1'.*Received: start=h2"):
        submodel(residual(), "h2")


def test_error_names_a_second_input_after_the_cut():
    x, label = keras.Input((4,), name="x"), keras.Input((2,), name="label")
    h = layers.Dense(3, name="h")(x)
    model = keras.Model([x, label], layers.Concatenate(name="join")([h, label]))
    with pytest.raises(ValueError, match=r"leaves out 'label'.*Received: start=h"):
        submodel(model, "h")
    assert submodel(model, ["h", "label"]).output.shape == (None, 5)


def test_impossible_cuts_are_refused():
    model = residual()
    with pytest.raises(ValueError, match=r"no layer.*x, h1, h2, a, h3.*Received: nope"):
        submodel(model, "nope")
    with pytest.raises(ValueError, match=r"'h1' does not depend on the start.*Received: start=h2"):
        submodel(model, "h2", ["h1", "h3"])
    with pytest.raises(ValueError, match=r"'h2' is not used.*Received: start=h2, a"):
        submodel(model, ["h2", "a"])
    with pytest.raises(ValueError, match=r"functional.*Received"):
        submodel(keras.Sequential([layers.Dense(2)]), "dense")


def test_cut_a_sequential_model():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="one"), layers.Dense(2, name="two")])
    x = batch(5, 4)
    np.testing.assert_allclose(submodel(model, "one")(model.layers[0](x)), model(x), atol=1e-6)


def test_cut_between_two_calls_of_one_layer():
    """The author uses one Dense layer three times. `keras.Model` from an intermediate tensor fails on this graph."""
    dense = layers.Dense(4, activation="tanh", name="dense")
    x = keras.Input((4,))
    h = [dense(x)]
    h.append(dense(h[-1]))
    h.append(dense(h[-1]))
    model = keras.Model(x, h[-1])
    assert model.count_params() == 4 * 4 + 4
    cut = submodel(model, h[0])
    value = batch(5, 4)
    np.testing.assert_allclose(cut(value), dense(dense(value)), atol=1e-6)
    with pytest.raises(ValueError, match=r"called 3 times.*Received: dense"):
        submodel(model, "dense")


def test_layer_name_means_the_call_in_this_model():
    """The attribute `output` of a layer belongs to its first call, which may be in another model."""
    dense = layers.Dense(4, name="dense")
    keras.Model(other := keras.Input((4,)), dense(other))
    x = keras.Input((4,))
    model = keras.Model(x, layers.Activation("tanh", name="end")(dense(x)))
    value = batch(2, 4)
    np.testing.assert_allclose(submodel(model, "dense")(value), np.tanh(value), atol=1e-6)


def test_cutting_does_not_change_the_model_and_can_be_repeated():
    """Calling a layer again adds a node to it, but changes nothing in the old model."""
    model = residual()
    x = batch(5, 4)
    old, old_names, a = numpy(model(x)), layer_names(model), upper_part(model, "a")(x)
    for _ in range(2):
        np.testing.assert_allclose(submodel(model, "a")(a), old, atol=1e-6)
        model.get_layer("h3")(keras.Input((4,)))
    np.testing.assert_array_equal(numpy(model(x)), old)
    assert layer_names(model) == old_names


def test_cut_of_a_cut_and_saving(tmp_path):
    model = residual()
    a = batch(5, 4)
    cut = submodel(submodel(model, ["h1", "h2"]), "a")
    np.testing.assert_allclose(cut(a), model.get_layer("h3")(a), atol=1e-6)
    cut.save(tmp_path / "cut.keras")
    np.testing.assert_array_equal(numpy(keras.saving.load_model(tmp_path / "cut.keras")(a)), numpy(cut(a)))


# what Keras itself offers, as the article explains it


def test_a_model_is_a_layer():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    x = keras.Input((4,))
    outer = keras.Model(x, layers.Dense(1)(inner(x)))
    assert outer.count_params() == 4 * 3 + 3 + 3 + 1
    value = batch(5, 4)
    kernel = outer.layers[-1].kernel
    grad = weight_gradients(lambda: ops.mean(outer(value)), [inner.weights[0]])[0]
    np.testing.assert_allclose(grad, np.outer(value.mean(0), numpy(kernel)[:, 0]), atol=1e-6)


def test_clone_copies_the_architecture_only():
    model = residual()
    clone = keras.models.clone_model(model)
    x = batch(5, 4)
    assert np.abs(numpy(clone(x)) - numpy(model(x))).max() > 1e-2
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(numpy(clone(x)), numpy(model(x)))
    old = numpy(model(x))
    clone.compile(keras.optimizers.SGD(0.1), loss="mse")
    clone.fit(x, batch(5, 3), verbose=0)
    assert np.abs(numpy(clone(x)) - old).max() > 1e-3
    np.testing.assert_array_equal(numpy(model(x)), old)  # the clone has its own weights


# the tied head


def tied(activation="softmax"):
    tokens = keras.Input((), dtype="int32")
    embedding = layers.Embedding(7, 3, embeddings_initializer="normal")
    return keras.Model(tokens, TiedDense(embedding, activation=activation)(embedding(tokens)))


def test_tied_head_formula_and_weights():
    model = tied()
    table, head = model.layers[1], model.layers[2]
    assert [w.shape for w in model.weights] == [(7, 3), (7,)]
    assert model.count_params() == 7 * 3 + 7
    assert len(model.trainable_weights) == 2
    np.testing.assert_array_equal(numpy(head.bias), np.zeros(7))
    head.bias.assign(batch(7))
    h = batch(2, 5, 3, seed=1)
    logits = h @ numpy(table.embeddings).T + batch(7)
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(head(h), expected, atol=1e-6)
    assert head.compute_output_shape((2, 5, 3)) == (2, 5, 7)
    table.embeddings.assign(2 * table.embeddings)  # the head must use the new values
    logits = h @ numpy(table.embeddings).T + batch(7)
    np.testing.assert_allclose(head(h), np.exp(logits) / np.exp(logits).sum(-1, keepdims=True), atol=1e-6)
    assert np.abs(numpy(head(h)) - expected).max() > 1e-3


def test_tied_head_gradient_sums_both_paths():
    model = tied(activation=None)
    tokens, g = np.array([1, 4, 4]), batch(3, 7)
    table = model.layers[1]
    e = numpy(table.embeddings)
    grad = weight_gradients(lambda: ops.sum(g * model(tokens)), [table.embeddings])[0]
    through_head = g.T @ e[tokens]
    through_lookup = np.zeros_like(e)
    np.add.at(through_lookup, tokens, g @ e)
    np.testing.assert_allclose(grad, through_head + through_lookup, atol=1e-6)
    assert np.abs(through_head).max() > 1e-2 and np.abs(through_lookup).max() > 1e-2


def test_tied_head_trains_and_stays_tied_after_loading(tmp_path):
    model = tied()
    model.compile(keras.optimizers.SGD(1.0), loss="sparse_categorical_crossentropy")
    tokens = np.array([1, 4, 4])
    variables = [model.layers[1].embeddings, model.layers[2].bias]
    before = [numpy(v) for v in variables]
    loss = lambda: ops.mean(keras.losses.sparse_categorical_crossentropy(tokens, model(tokens)))
    gradients = weight_gradients(loss, variables)
    model.fit(tokens, tokens, verbose=0)
    for variable, value, gradient in zip(variables, before, gradients, strict=True):
        assert np.abs(gradient).max() > 1e-3
        np.testing.assert_allclose(numpy(variable), value - gradient, atol=1e-6)

    model.save(tmp_path / "tied.keras")
    again = keras.saving.load_model(tmp_path / "tied.keras")
    np.testing.assert_array_equal(numpy(again(tokens)), numpy(model(tokens)))
    assert [w.shape for w in again.weights] == [(7, 3), (7,)]
    assert again.layers[2].embedding is again.layers[1]


def test_tied_head_equals_reversible_embedding():
    """`ReversibleEmbedding` is the same product without the bias and the activation."""
    reversible = layers.ReversibleEmbedding(7, 3)
    h = batch(5, 3)
    reversible.build()
    np.testing.assert_allclose(TiedDense(reversible, activation=None)(h), reversible(h, reverse=True), atol=1e-6)


def test_tied_head_needs_an_embedding():
    with pytest.raises(ValueError, match="Received: embedding=<Dense"):
        TiedDense(layers.Dense(3))
