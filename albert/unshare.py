"""Give every layer its own weights: the article's one line, `model = unshare(model)`."""

import keras


def unshare(model):
    """Return a functional model in which each call of a layer has a copy of that layer to itself (article 7187).

    The copies start with the weights of the original, so both models compute the same function. Training moves them
    apart. Embeddings stay shared, because a tied embedding is not what the article gives up. Models inside the model
    are treated in the same way. It serves the encoder of `albert.encoder`, and KerasHub's `AlbertBackbone` and the
    tasks that contain one.

    Args:
        model: functional `keras.Model`. It is not changed.

    Returns:
        Functional `keras.Model` with the same inputs and outputs. The second copy of the layer "x" is called "x_copy2".

    Raises:
        ValueError: if the model is not functional, or calls no layer with weights twice.

    Example:
        classifier = unshare(keras_hub.models.AlbertTextClassifier.from_preset(preset, num_classes=2))
    """
    if not _is_functional(model):
        raise ValueError(f"unshare needs a functional model. Received: model={model}")
    copies = []  # (layer, its copy)
    unshared = _clone(model, copies, {})
    if len({id(layer) for layer, _ in copies}) == len(copies):
        raise ValueError(f"No layer with weights is called twice, so nothing is shared. Received: model={model}")
    for layer, copy in copies:
        copy.set_weights(layer.get_weights())
    return unshared


def _is_functional(layer):
    return isinstance(layer, keras.Model) and bool(getattr(layer, "operations", None))


def _clone(model, copies, embeddings):
    """Return a clone of a functional model with a new layer for each call.

    Args:
        model: functional model.
        copies: list; (layer, copy) of those with weights is added.
        embeddings: dict id of an embedding -> its copy; added to. A layer that was made with an embedding, such as the
            head of a masked language model, gets that copy.
    """
    calls = {}  # id of the clone of a layer -> [the layer, number of its calls]

    def copy_of(layer, name):
        if _is_functional(layer):
            copy = _clone(layer, copies, embeddings)
            copy.name = name
        elif id(layer) in embeddings:
            copy = embeddings[id(layer)]
        else:
            config = layer.get_config() | {"name": name}
            parts = {key: id(getattr(layer, key, None)) for key in config}
            tied = {key: embeddings[part] for key, part in parts.items() if part in embeddings}
            copy = layer.__class__(**config | tied) if tied else layer.__class__.from_config(config)
            if getattr(layer, "weights", None):
                copies.append((layer, copy))
            if isinstance(layer, keras.layers.Embedding):
                embeddings[id(layer)] = copy
        return copy

    def clone(layer):
        copy = copy_of(layer, layer.name)
        calls[id(copy)] = [layer, 0]
        return copy

    def call(clone, *args, **kwargs):
        layer, count = calls[id(clone)]
        calls[id(clone)][1] = count = count + 1
        has_own = getattr(layer, "weights", None) and not isinstance(layer, keras.layers.Embedding)
        copy = copy_of(layer, f"{layer.name}_copy{count}") if count > 1 and has_own else clone
        return copy(*args, **kwargs)

    return keras.models.clone_model(model, clone_function=clone, call_function=call)
