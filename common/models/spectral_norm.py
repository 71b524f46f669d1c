"""Spectral normalisation as in article 6311: a weight constraint that is part of the forward pass.

The author computes sigma anew in every pass, by power iteration from a start of ones, divides the kernel by it, and
lets the gradient flow through the division; the raw weight stays what the optimiser made of it. There is no state, so
a critic called three times in a step answers alike each time, which the single loss (6387) needs.

`keras.layers.SpectralNormalization` is a different thing: it keeps a vector u between calls and makes one iteration,
stops the gradient of u and v, assigns the divided kernel back into the variable at each call in training (so three
calls project three times), and does not normalise at all in inference.
"""

import keras
from keras import layers, ops

TINY = 1e-10


def l2_normalize(v):
    """v / ||v||, and 0 for 0; the floor stands under the root because the slope of the root at 0 is infinite."""
    return v / ops.sqrt(ops.maximum(ops.sum(ops.square(v)), TINY**2))


def spectral_norm(w, power_iterations=5):
    """Estimate of the largest singular value of a weight (6311; Miyato et al., arXiv 1802.05957), in float32.

    w is reshaped to (all axes but the last, last axis). From u = 1: v = unit(u w), u = unit(v w^T), repeated;
    sigma = u w v^T. The gradient flows through all of it.

    The estimate is never above the truth, since u and v are unit vectors; five iterations reach about 95 % of it. For
    a convolution it is the norm of the reshaped kernel, not of the operator; a vector gets its Euclidean norm.

    Args:
        w: tensor, (..., n).
        power_iterations: int, at least 1.

    Returns:
        Scalar tensor.
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
    """w / spectral_norm(w), in float32; a zero weight, which has no direction to keep, is left as it is.

    Scale-free, so the gradient with respect to w is orthogonal to w.
    """
    sigma = spectral_norm(w, power_iterations)
    return ops.cast(w, "float32") / ops.where(sigma > TINY, sigma, 1.0)


@keras.saving.register_keras_serializable("kexue")
class SpectralNormalized(layers.Wrapper):
    """Runs a layer with its kernel divided by its spectral norm, in training and in inference alike (6311).

    Takes any layer whose one matrix is `kernel`: Dense, Conv, Conv transpose. Bias, strides, activation and
    regularisers are the layer's own, and so are all weights; the wrapper adds none and writes none.

    The last axis of the kernel is kept when it is made a matrix, as the author did everywhere. Conv2DTranspose keeps
    its kernel as (height, width, out, in), so there the last axis is the input.

    Args:
        layer: a Keras layer.
        power_iterations: int, at least 1.

    Example:
        critic = keras.Sequential([SpectralNormalized(layers.Conv2D(64, 5)), ...])
    """

    def __init__(self, layer, power_iterations=5, **kwargs):
        # In mixed precision too the wrapper sees the float32 kernel and leaves its input alone: the layer itself casts.
        super().__init__(layer, autocast=False, **{**kwargs, "dtype": "float32"})
        self.power_iterations = power_iterations

    def build(self, input_shape=None):
        super().build(input_shape)
        if not isinstance(getattr(self.layer, "kernel", None), keras.Variable):
            raise ValueError(f"Only a layer with a kernel can be spectrally normalised. Received: layer={self.layer}")

    def call(self, inputs):
        # `kernel` cannot be set on a Keras 3 layer, so the layer is run in a scope where the variable reads as
        # kernel / sigma. The scope hides any outer one (JAX trains inside one), so it must know every variable.
        kernel = self.layer.kernel
        divided = spectral_normalize(kernel, self.power_iterations)
        mapping = [(variable, divided if variable is kernel else variable.value) for variable in self.layer.variables]
        with keras.StatelessScope(mapping, collect_losses=True) as scope:
            outputs = self.layer(inputs)
        for loss in scope.losses:  # an activity regulariser's
            self.add_loss(loss)
        return outputs

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def compute_output_spec(self, inputs):
        return self.layer.compute_output_spec(inputs)  # its dtype, not the wrapper's

    def get_config(self):
        return {**super().get_config(), "power_iterations": self.power_iterations}
