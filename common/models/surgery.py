"""Reuse of layers and models as in article 6985: a model cut in the middle, and a head tied to an embedding.

The rest of that article is Keras itself: a layer called twice shares its weights, a model is a layer,
`keras.models.clone_model` copies the architecture without the values (follow it by `set_weights`).
"""

import keras
from keras import activations, layers, ops


def submodel(model, start, end=None):
    """The part of a functional model between `start` and `end`, on the same weights (6985).

    Only the layers in between belong to it, so its weights and its parameter count are theirs alone.

    Args:
        model: a functional or Sequential model, built.
        start: the layer whose output is fed in place of being computed, by name, or a symbolic tensor of the model,
            or a list of these (the cut then has several inputs).
        end: what is computed, given likewise; by default the outputs of the model.

    Returns:
        `keras.Model` from (a list of) inputs in the shape of `start` to (a list of) `end`.

    Raises:
        ValueError: where `end` cannot be had from `start` alone: a skip connection or a second input that goes around
            the cut is named.

    Example:
        head = submodel(critic, "flatten")
        features = submodel(critic, critic.input, "flatten")
    """
    if not getattr(model, "outputs", None):
        raise ValueError(f"Only a functional model, built, can be cut. Received: model={model}")
    starts = [tensor for item in _listed(start) for tensor in _tensors(model, item)]
    ends = model.outputs if end is None else [tensor for item in _listed(end) for tensor in _tensors(model, item)]
    _check(starts, ends)
    # A Function run on new inputs, because `keras.Model(starts, ends)` takes the later calls of a layer that is called
    # on both sides of the cut for its first one.
    function = keras.Function(starts, ends)
    inputs = [keras.Input(batch_shape=t.shape, dtype=t.dtype) for t in starts]
    outputs = function.call(inputs)
    return keras.Model(*(tensors[0] if len(tensors) == 1 else tensors for tensors in (inputs, outputs)))


def _listed(x):
    return list(x) if isinstance(x, list | tuple) else [x]


def _node(tensor):
    """The call that made a symbolic tensor."""
    operation, index, _ = tensor._keras_history
    return operation._inbound_nodes[index]


def _name(tensor):
    return tensor._keras_history.operation.name


def _names(tensors):
    return ", ".join(_name(tensor) for tensor in tensors)


def _tensors(model, item):
    """Output tensors of the layer called `item` within this model, or `item` itself if it is a tensor."""
    if not isinstance(item, str):
        return [item]
    nodes, queue = {}, [_node(tensor) for tensor in model.outputs]
    while queue:
        node = queue.pop()
        if id(node) not in nodes:
            nodes[id(node)] = node
            queue += [_node(tensor) for tensor in node.input_tensors]
    found = [node for node in nodes.values() if node.operation.name == item]
    if not found:
        names = ", ".join(layer.name for layer in model.layers)
        raise ValueError(f"There is no layer of that name, only {names}. Received: {item}")
    if len(found) > 1:
        raise ValueError(f"The layer is called {len(found)} times: say which by its output tensor. Received: {item}")
    return list(found[0].output_tensors)


def _check(starts, ends):
    """Raises unless every end can be computed from the starts, all of them, and from nothing else."""
    depends = {id(tensor): True for tensor in starts}  # on a start?
    used, bypassed = set(), {}

    def visit(tensor):
        if id(tensor) in depends:
            used.add(id(tensor))
        else:
            sources = _node(tensor).input_tensors
            known = [visit(source) for source in sources]
            depends[id(tensor)] = any(known)
            if any(known):
                bypassed.update({id(s): s for s, is_known in zip(sources, known, strict=True) if not is_known})
        return depends[id(tensor)]

    received = f"Received: start={_names(starts)}"
    for tensor in ends:
        if not visit(tensor):
            raise ValueError(f"The end '{_name(tensor)}' does not depend on the start. {received}")
    if bypassed:
        raise ValueError(f"The cut leaves out '{_names(bypassed.values())}', which is needed after it. {received}")
    for tensor in starts:
        if id(tensor) not in used:
            raise ValueError(f"The start '{_name(tensor)}' is not used on the way to the end. {received}")


@keras.saving.register_keras_serializable("kexue")
class TiedDense(layers.Layer):
    """y = activation(x E^T + b), E the matrix of an embedding layer, shared with it; b its own (6985, EmbeddingDense).

    The kernel is taken from the embedding in each call, so the gradient of E sums both of its uses, and the layer
    owns no matrix: in a model that holds the embedding too, E is counted once.
    `keras.layers.ReversibleEmbedding` called with `reverse=True` is the same without bias and activation.

    Args:
        embedding: `keras.layers.Embedding` (vocabulary, dim).
        activation: softmax, as the author has it, or any Keras activation.

    Input shape: (..., dim). Output shape: (..., vocabulary).
    """

    def __init__(self, embedding, activation="softmax", **kwargs):
        if not isinstance(embedding, layers.Embedding):
            raise ValueError(f"TiedDense is tied to an Embedding layer. Received: embedding={embedding}")
        super().__init__(**kwargs)
        self.embedding = embedding
        self.activation = activations.get(activation)

    def build(self, input_shape):
        if not self.embedding.built:
            self.embedding.build()
        self.bias = self.add_weight(shape=(self.embedding.input_dim,), initializer="zeros", name="bias")

    def call(self, inputs):
        return self.activation(ops.matmul(inputs, ops.transpose(self.embedding.embeddings)) + self.bias)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.embedding.input_dim)

    def get_config(self):
        config = {
            "embedding": keras.saving.serialize_keras_object(self.embedding),
            "activation": activations.serialize(self.activation),
        }
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config):
        embedding = keras.saving.deserialize_keras_object(config.pop("embedding"))
        return cls(embedding, **config)
