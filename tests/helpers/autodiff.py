"""Gradients as numpy arrays, on whichever backend Keras runs."""

import keras
import numpy as np
from keras import ops


def gradient(fn, x):
    """Return the gradient of the scalar fn(x) with respect to an array x, in float32 (numpy has no bfloat16)."""
    return ops.convert_to_numpy(ops.cast(_gradient(fn, ops.convert_to_tensor(x)), "float32"))


def _gradient(fn, x):
    """Return the gradient of the scalar fn(x) with respect to a tensor x, zeros if fn does not use it."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            value = fn(x)
        return tape.gradient(value, x, unconnected_gradients="zero")
    if keras.backend.backend() == "jax":
        import jax

        return jax.grad(fn)(x)
    import torch

    x = x.detach().requires_grad_(True)
    return torch.autograd.grad(fn(x), x, allow_unused=True, materialize_grads=True)[0]


def weight_gradients(fn, variables):
    """Return the gradients of the scalar fn() with respect to Keras variables, zeros where fn does not use one.

    Args:
        fn: function without arguments that returns a scalar tensor.
        variables: list of Keras variables.

    Returns:
        List of numpy arrays in the order of `variables`.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            value = fn()
        grads = tape.gradient(value, [v.value for v in variables], unconnected_gradients="zero")
        grads = [tf.convert_to_tensor(g) for g in grads]  # the gradient of an embedding is an IndexedSlices
    elif keras.backend.backend() == "jax":
        import jax

        def fn_of_values(values):
            with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
                return fn()

        grads = jax.grad(fn_of_values)([v.value for v in variables])
    else:
        import torch

        grads = torch.autograd.grad(fn(), [v.value for v in variables], allow_unused=True, materialize_grads=True)
    return [np.asarray(ops.convert_to_numpy(g)) for g in grads]


def jacobian(fn, x):
    """Return the Jacobian of fn at a single point, in the precision of x.

    It takes one backward pass over as many copies of x as fn(x) has entries: copy i gives row i.

    Args:
        fn: function of batches that does not mix samples.
        x: array, one sample without a batch axis.

    Returns:
        Numpy array (entries of fn(x), entries of x).
    """
    size = int(np.prod(np.shape(fn(np.asarray(x)[None]))))
    copies = ops.convert_to_tensor(np.repeat(np.asarray(x)[None], size, axis=0))

    def diagonal_sum(copies):
        y = ops.reshape(fn(copies), (size, size))
        return ops.sum(y * ops.eye(size, dtype=y.dtype))

    return np.reshape(ops.convert_to_numpy(_gradient(diagonal_sum, copies)), (size, -1))
