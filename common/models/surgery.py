"""Reuse of layers and models as in article 6985: cut a model in the middle, tie a head to an embedding.

The rest of that article is part of Keras: a layer called twice shares its weights, and a model is a layer.
`keras.models.clone_model` copies the architecture without the values; call `set_weights` after it.
"""

import keras
from keras import activations, layers, ops


def submodel(model, start, end=None):
    """Return the part of a functional model between `start` and `end` as a model with shared weights (6985).

    The new model contains only the layers in between, so its parameter count is theirs.

    Args:
        model: a functional or Sequential model, built.
        start: name of a layer whose output becomes the input, or a symbolic tensor of the model, or a list of these
            (then the new model has several inputs).
        end: the output or outputs, given in the same way (default: the outputs of the model).

    Returns:
        `keras.Model` from inputs of the shape of `start` to `end`. Both are lists if there are several.

    Raises:
        ValueError: if `end` needs more than `start`. The message names the skip connection or second input that
            bypasses the cut.

    Example:
        head = submodel(critic, "flatten")
        features = submodel(critic, critic.input, "flatten")
    """
    if not getattr(model, "outputs", None):
        raise ValueError(f"submodel needs a functional model that is built. Received: model={model}")
    starts = [tensor for item in _as_list(start) for tensor in _tensors(model, item)]
    ends = model.outputs if end is None else [tensor for item in _as_list(end) for tensor in _tensors(model, item)]
    _check_cut(starts, ends)
    # `keras.Model(starts, ends)` would mistake later calls of a layer that is called on both sides of the cut for the
    # first one. A Function on new inputs does not.
    function = keras.Function(starts, ends)
    inputs = [keras.Input(batch_shape=t.shape, dtype=t.dtype) for t in starts]
    outputs = function.call(inputs)
    single_or_list = lambda tensors: tensors[0] if len(tensors) == 1 else tensors
    return keras.Model(single_or_list(inputs), single_or_list(outputs))


def _as_list(x):
    return list(x) if isinstance(x, list | tuple) else [x]


def _node(tensor):
    """Return the node (layer call) that produced a symbolic tensor."""
    operation, index, _ = tensor._keras_history
    return operation._inbound_nodes[index]


def _name(tensor):
    return tensor._keras_history.operation.name


def _names(tensors):
    return ", ".join(_name(tensor) for tensor in tensors)


def _tensors(model, item):
    """Return the output tensors that the layer named `item` has in this model, or [item] if it is a tensor."""
    if not isinstance(item, str):
        return [item]
    nodes, queue = {}, [_node(tensor) for tensor in model.outputs]
    while queue:
        node = queue.pop()
        if id(node) not in nodes:
            nodes[id(node)] = node
            queue += [_node(tensor) for tensor in node.input_tensors]
    matches = [node for node in nodes.values() if node.operation.name == item]
    if not matches:
        names = ", ".join(layer.name for layer in model.layers)
        raise ValueError(f"There is no layer of that name; the layers are {names}. Received: {item}")
    if len(matches) > 1:
        raise ValueError(f"The layer is called {len(matches)} times: give one of its output tensors. Received: {item}")
    return list(matches[0].output_tensors)


def _check_cut(starts, ends):
    """Raise ValueError unless the ends can be computed from the starts alone, and need all of them."""
    depends = {id(tensor): True for tensor in starts}  # tensor id -> whether it depends on a start
    used, bypassed = set(), {}

    def visit(tensor):
        if id(tensor) in depends:
            used.add(id(tensor))
        else:
            sources = _node(tensor).input_tensors
            source_depends = [visit(source) for source in sources]
            depends[id(tensor)] = any(source_depends)
            if any(source_depends):
                # a source that does not depend on a start reaches the end around the cut
                bypassed.update({id(s): s for s, d in zip(sources, source_depends, strict=True) if not d})
        return depends[id(tensor)]

    received = f"Received: start={_names(starts)}"
    for tensor in ends:
        if not visit(tensor):
            raise ValueError(f"The end '{_name(tensor)}' does not depend on the start. {received}")
    if bypassed:
        raise ValueError(
            f"The cut leaves out '{_names(bypassed.values())}', which is needed after it: add it to `start`. {received}"
        )
    for tensor in starts:
        if id(tensor) not in used:
            raise ValueError(f"The start '{_name(tensor)}' is not used on the way to the end. {received}")


@keras.saving.register_keras_serializable("kexue")
class TiedDense(layers.Layer):
    """Dense layer that shares its kernel with an embedding: y = activation(x E^T + b) (6985, EmbeddingDense).

    E is the matrix of the embedding. The layer reads it in each call, so the gradient of E sums both uses. The layer
    itself owns only the bias b. A model that contains the embedding too counts E once.
    `keras.layers.ReversibleEmbedding` called with `reverse=True` is the same without bias and activation.

    Args:
        embedding: `keras.layers.Embedding` (vocabulary, dim).
        activation: any Keras activation (default softmax, as the author has it).

    Input shape: (..., dim). Output shape: (..., vocabulary).

    Raises:
        ValueError: if `embedding` is not an Embedding layer.
    """

    def __init__(self, embedding, activation="softmax", **kwargs):
        if not isinstance(embedding, layers.Embedding):
            raise ValueError(f"TiedDense needs an Embedding layer. Received: embedding={embedding}")
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
        """Return the layer that `get_config` describes."""
        embedding = keras.saving.deserialize_keras_object(config.pop("embedding"))
        return cls(embedding, **config)
