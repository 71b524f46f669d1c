"""Spectral normalisation as in article 6311: a weight constraint that is part of the forward pass.

The author computes the spectral norm sigma in every pass, by power iteration from a vector of ones. He divides the
kernel by sigma and lets the gradient flow through the division. The raw weight is changed only by the optimiser. There
is no state, so a critic called three times in one step gives the same scores each time. The single loss (6387) needs
that.

`keras.layers.SpectralNormalization` is different:

- it keeps a vector u between calls, makes one iteration and stops the gradient of u and v;
- in training, each call assigns the divided kernel to the variable, so three calls divide three times;
- in inference it does not normalise.
"""

import keras
from keras import layers, ops

MIN_NORM = 1e-10  # a vector or kernel with a smaller norm counts as zero


def l2_normalize(v):
    """Return v / ||v||, and 0 if v is 0."""
    # The floor is under the root, because the derivative of the root at 0 is infinite.
    return v / ops.sqrt(ops.maximum(ops.sum(ops.square(v)), MIN_NORM**2))


def spectral_norm(w, power_iterations=5):
    """Return an estimate of the largest singular value of a weight (6311; arXiv 1802.05957).

    w is reshaped to (all axes but the last, last axis). Power iteration starts from u = 1 and repeats
    v = l2_normalize(u w), u = l2_normalize(v w^T). Then sigma = u w v^T. The gradient flows through all iterations.

    The estimate never exceeds the true value, because u and v are unit vectors. Five iterations reach about 95 % of it.
    For a convolution it is the norm of the reshaped kernel, not of the operator. For a vector it is the Euclidean norm.

    Args:
        w: tensor, (..., n).
        power_iterations: int, at least 1 (default 5).

    Returns:
        Scalar tensor, float32.

    Raises:
        ValueError: if `power_iterations` is below 1.
    """
    if power_iterations < 1:
        raise ValueError(f"Power iteration needs at least one step. Received: power_iterations={power_iterations}")
    w = ops.cast(w, "float32")
    w = ops.reshape(w, (-1, w.shape[-1]))
    u = ops.ones((1, w.shape[0]))
    for _ in range(power_iterations):
        v = l2_normalize(ops.matmul(u, w))
        u = l2_normalize(ops.matmul(v, ops.transpose(w)))
    return ops.sum(ops.matmul(u, w) * v)


def spectral_normalize(w, power_iterations=5):
    """Return w / spectral_norm(w) in float32, and w itself if it is zero.

    The result does not depend on the scale of w. So the gradient with respect to w is orthogonal to w.

    Args:
        w: tensor, (..., n).
        power_iterations: int, at least 1 (default 5).
    """
    sigma = spectral_norm(w, power_iterations)
    return ops.cast(w, "float32") / ops.where(sigma > MIN_NORM, sigma, 1.0)


@keras.saving.register_keras_serializable("kexue")
class SpectralNormalized(layers.Wrapper):
    """Wrapper that runs a layer with its kernel divided by the kernel's spectral norm (6311).

    It normalises in training and in inference. It works for every layer with a single matrix `kernel`: Dense, Conv,
    Conv transpose. All weights belong to the wrapped layer. The wrapper adds none and changes none.

    The kernel is reshaped to a matrix that keeps the last axis, as the author always did. The kernel of a
    Conv2DTranspose is (height, width, out, in), so there the last axis is the input.

    Args:
        layer: a Keras layer.
        power_iterations: int, at least 1 (default 5).

    Raises:
        ValueError: when it is built, if the layer has no kernel.

    Example:
        critic = keras.Sequential([SpectralNormalized(layers.Conv2D(64, 5)), ...])
    """

    def __init__(self, layer, power_iterations=5, **kwargs):
        # Under mixed precision too, the wrapper sees the float32 kernel and the uncast input; the layer itself casts.
        super().__init__(layer, autocast=False, **{**kwargs, "dtype": "float32"})
        self.power_iterations = power_iterations

    def build(self, input_shape=None):
        super().build(input_shape)
        if not isinstance(getattr(self.layer, "kernel", None), keras.Variable):
            raise ValueError(f"SpectralNormalized needs a layer with a kernel. Received: layer={self.layer}")

    def call(self, inputs):
        # `kernel` cannot be replaced on a Keras 3 layer. So the layer runs in a scope where the variable has the value
        # kernel / sigma. The scope hides any outer one (JAX trains inside one), so it must list every variable.
        kernel = self.layer.kernel
        normalized_kernel = spectral_normalize(kernel, self.power_iterations)
        mapping = [
            (variable, normalized_kernel if variable is kernel else variable.value) for variable in self.layer.variables
        ]
        with keras.StatelessScope(mapping, collect_losses=True) as scope:
            outputs = self.layer(inputs)
        for loss in scope.losses:  # of an activity regulariser
            self.add_loss(loss)
        return outputs

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def compute_output_spec(self, inputs):
        return self.layer.compute_output_spec(inputs)  # the dtype is the layer's, not the wrapper's

    def get_config(self):
        return {**super().get_config(), "power_iterations": self.power_iterations}
