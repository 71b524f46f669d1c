"""Gradients for tests, as numpy arrays, on whichever backend Keras runs."""

import keras
import numpy as np
from keras import ops


def gradient(fn, x):
    """Gradient of the scalar fn(x) with respect to the array x: its shape, in float32 (numpy has no bfloat16)."""
    x = ops.convert_to_tensor(x)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            value = fn(x)
        grad = tape.gradient(value, x, unconnected_gradients="zero")
    elif keras.backend.backend() == "jax":
        import jax

        grad = jax.grad(fn)(x)
    else:
        import torch

        x = x.detach().requires_grad_(True)
        (grad,) = torch.autograd.grad(fn(x), x, allow_unused=True, materialize_grads=True)
    return ops.convert_to_numpy(ops.cast(grad, "float32"))


def weight_gradients(fn, variables):
    """Gradients of the scalar fn() with respect to Keras variables: a list in their order, zeros where none reaches."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            value = fn()
        grads = tape.gradient(value, [v.value for v in variables], unconnected_gradients="zero")
        grads = [tf.convert_to_tensor(g) for g in grads]  # an embedding's gradient comes as IndexedSlices
    elif keras.backend.backend() == "jax":
        import jax

        def of_values(values):
            with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
                return fn()

        grads = jax.grad(of_values)([v.value for v in variables])
    else:
        import torch

        grads = torch.autograd.grad(fn(), [v.value for v in variables], allow_unused=True, materialize_grads=True)
    return [np.asarray(ops.convert_to_numpy(g)) for g in grads]


def jacobian(fn, x):
    """Jacobian at the one point x of fn, which maps batches: as many copies of x as fn(x) has entries, one pass back.

    Copy i gives row i, so that the precision of x is kept and nothing is traced. fn must treat examples one by one.
    """
    size = int(np.prod(np.shape(fn(np.asarray(x)[None]))))
    copies = ops.convert_to_tensor(np.repeat(np.asarray(x)[None], size, axis=0))

    def picked(copies):
        y = ops.reshape(fn(copies), (size, size))
        return ops.sum(y * ops.eye(size, dtype=y.dtype))

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(copies)
            value = picked(copies)
        grad = tape.gradient(value, copies, unconnected_gradients="zero")
    elif keras.backend.backend() == "jax":
        import jax

        grad = jax.grad(picked)(copies)
    else:
        import torch

        copies = copies.detach().requires_grad_(True)
        (grad,) = torch.autograd.grad(picked(copies), copies, allow_unused=True, materialize_grads=True)
    return np.reshape(ops.convert_to_numpy(grad), (size, -1))
