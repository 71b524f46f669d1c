"""Gradients that `keras.ops` does not offer."""

from common.backend.name import backend_name

SMALLEST_SEED = 2.0**-50  # of a backward pass, as a share of the greatest, and where that is 0


def input_gradient(fn, x):
    """Return the gradient of sum(fn(x)) with respect to x; see `score_and_input_gradient`."""
    return score_and_input_gradient(fn, x)[1]


def score_and_input_gradient(fn, x):
    """Return fn(x) and the gradient of sum(fn(x)) with respect to x, with one pass of fn.

    The gradient can be differentiated again (for gradient penalties).

    Args:
        fn: function of a tensor that returns one score per sample, (batch,) or (batch, 1).
        x: tensor, (batch, ...).

    Returns:
        Tuple (scores, gradient). The gradient has the shape of x. Its row i is the gradient of fn(x)[i], provided that
        fn does not mix samples (no batch normalisation).

    Raises:
        NotImplementedError: on any other backend.
    """
    from keras import ops

    if backend_name() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            x = tf.convert_to_tensor(x)
            tape.watch(x)
            scores = fn(x)
            total = ops.sum(scores)
        return scores, tape.gradient(total, x)
    if backend_name() == "jax":
        import jax

        def total_and_scores(x):
            scores = fn(x)
            return ops.sum(scores), scores

        gradient, scores = jax.grad(total_and_scores, has_aux=True)(x)
        return scores, gradient
    if backend_name() == "torch":
        import torch

        with torch.enable_grad():
            if not x.requires_grad:
                x = x.detach().requires_grad_(True)
            scores = fn(x)
            return scores, torch.autograd.grad(ops.sum(scores), x, create_graph=True)[0]
    raise NotImplementedError(f"input_gradient needs tensorflow, jax or torch. Received: backend={backend_name()}")


def split_gradient(network, x, training=None, *, one_backward_pass=False):
    """Return the outputs of one forward pass twice: first for the network that made x, then for this network.

    Both are network(x). A gradient that arrives at the first flows back to x and stops at the weights; one that arrives
    at the second flows to the weights and stops at x. So it gives the gradients of the two passes network(x) and
    network(stop_gradient(x)) of article 6387, with one forward pass less, and no weight gradient that would cancel.

    With `one_backward_pass` both gradients come from one pass backward too. Let s_i be the score of sample i, and a_i
    and b_i the derivatives of the two losses by it. The weights need sum_i a_i ds_i/dw, and x_i needs b_i ds_i/dx_i. So
    the pass begins with a_i, and what arrives at x_i is multiplied by b_i/a_i. Where a_i is 0, as it often is for the
    hinge loss, the pass begins with 2^-50 of the greatest |a|, which changes the sum by less than float32 shows.

    It can be differentiated once: use `input_gradient` in a gradient penalty.

    Args:
        network: built `keras.Model`. Its state (batch norm, spectral norm) is updated once.
        x: tensor, (batch, ...), or a list of tensors for a network with several inputs.
        training: bool, of the call.
        one_backward_pass: bool. It is right only if the network returns one number per sample, (batch, 1), and that
            depends on no other sample, as under batch norm in training.

    Returns:
        Tuple (for_input, for_weights) of outputs, each with the structure that the network returns.

    Raises:
        NotImplementedError: on any other backend.
    """
    import keras

    split = {"tensorflow": _split_tensorflow, "jax": _split_jax, "torch": _split_torch}.get(backend_name())
    if split is None:
        raise NotImplementedError(f"split_gradient needs tensorflow, jax or torch. Received: backend={backend_name()}")
    structure = None

    def forward(inputs, weights, state):
        """Return (flat list of the outputs, new state), without a side effect."""
        nonlocal structure
        inputs = keras.tree.pack_sequence_as(x, inputs)
        structure, new_state = network.stateless_call(weights, state, inputs, training=training)
        return keras.tree.flatten(structure), new_state

    weights, state = ([v.value for v in vs] for vs in (network.trainable_variables, network.non_trainable_variables))
    inputs = keras.tree.flatten(x)
    for_input, for_weights, new_state = split(forward, inputs, weights, state, one_backward_pass)
    for variable, value in zip(network.non_trainable_variables, new_state, strict=True):
        variable.assign(value)
    pack = lambda outputs: keras.tree.pack_sequence_as(structure, list(outputs))
    return pack(for_input), pack(for_weights)


def _both_gradients(pull_back, n, for_input, for_weights):
    """Return the gradients at the inputs and at the weights, from one pass backward of one score per sample.

    Args:
        pull_back: function of the gradient at the score, (batch, 1), that returns the gradients at inputs and weights.
        n: int, number of inputs.
        for_input: tensor (batch, 1), gradient of the loss of the inputs at the score.
        for_weights: the same of the loss of the weights.
    """
    from keras import ops

    greatest = ops.max(ops.abs(for_weights))
    floor = ops.maximum(SMALLEST_SEED * ops.where(greatest > 0, greatest, 1.0), 1e-30)
    seed = ops.where(ops.abs(for_weights) < floor, floor, for_weights)
    ratio, gradients = for_input / seed, pull_back(seed)

    def scaled(gradient):
        if gradient is None:  # PyTorch's, of an input that the network does not use
            return None
        return gradient * ops.cast(ops.reshape(ratio, (-1,) + (1,) * (len(gradient.shape) - 1)), gradient.dtype)

    return [*map(scaled, gradients[:n]), *gradients[n:]]


def _split_tensorflow(forward, inputs, weights, state, one_backward_pass):
    import tensorflow as tf

    inputs, weights, state = ([tf.convert_to_tensor(value) for value in values] for values in (inputs, weights, state))
    n, new_state = len(inputs), None

    @tf.custom_gradient
    def run(*tensors):
        nonlocal new_state
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(tensors)
            outputs, new_state = forward(list(tensors[:n]), list(tensors[n:]), state)

        def gradient(*upstream):
            k = len(outputs)
            backward = lambda sources, grads: tape.gradient(outputs, sources, grads, tf.UnconnectedGradients.ZERO)
            if one_backward_pass:
                return _both_gradients(lambda seed: backward(tensors, [seed]), n, *upstream)
            return *backward(tensors[:n], list(upstream[:k])), *backward(tensors[n:], list(upstream[k:]))

        return (*outputs, *map(tf.identity, outputs)), gradient

    outputs = run(*inputs, *weights)
    return outputs[: len(outputs) // 2], outputs[len(outputs) // 2 :], new_state


def _split_jax(forward, inputs, weights, state, one_backward_pass):
    import jax

    @jax.custom_vjp
    def run(inputs, weights, state):
        outputs, new_state = forward(inputs, weights, state)
        return outputs, outputs, new_state

    def run_forward(inputs, weights, state):
        outputs, pull_back, new_state = jax.vjp(lambda *args: forward(*args, state), inputs, weights, has_aux=True)
        return (outputs, outputs, new_state), pull_back

    def run_backward(pull_back, upstream):
        for_input, for_weights, _ = upstream
        if one_backward_pass:
            flat = lambda seed: [gradient for part in pull_back([seed]) for gradient in part]
            both = _both_gradients(flat, len(inputs), *for_input, *for_weights)
            return both[: len(inputs)], both[len(inputs) :], None
        return pull_back(for_input)[0], pull_back(for_weights)[1], None

    run.defvjp(run_forward, run_backward)
    return run(inputs, weights, state)


def _split_torch(forward, inputs, weights, state, one_backward_pass):
    import torch

    n, new_state = len(inputs), None

    class Run(torch.autograd.Function):
        @staticmethod
        def forward(context, *tensors):
            nonlocal new_state
            with torch.enable_grad():
                tensors = [tensor.detach().requires_grad_() for tensor in tensors]
                outputs, new_state = forward(tensors[:n], tensors[n:], state)
            new_state = [value.detach() for value in new_state]
            context.tensors, context.outputs = tensors, outputs
            return (*(y.detach() for y in outputs), *(y.detach().clone() for y in outputs))

        @staticmethod
        def backward(context, *upstream):
            outputs, tensors, k = context.outputs, context.tensors, len(context.outputs)
            backward = lambda sources, grads: torch.autograd.grad(
                outputs, sources, grads, retain_graph=True, allow_unused=True
            )
            if one_backward_pass:
                return tuple(_both_gradients(lambda seed: backward(tensors, [seed]), n, *upstream))
            return *backward(tensors[:n], upstream[:k]), *backward(tensors[n:], upstream[k:])

    outputs = Run.apply(*inputs, *weights)
    return outputs[: len(outputs) // 2], outputs[len(outputs) // 2 :], new_state
