"""Polyak's step size as an optimizer of Keras (article 6261, https://kexue.fm/archives/6261)."""

import keras
from keras import ops

TINY = 1e-30  # a loss nearer than this to the lowest one counts as the lowest


@keras.saving.register_keras_serializable("kexue")
class PolyakSGD(keras.optimizers.Optimizer):
    """Gradient descent with Polyak's step size: theta <- theta - h (L - lowest) / |grad L|^2 grad L.

    With small steps h the loss falls by the factor e^-h per step above its lowest value, whatever its shape. The norm
    is that of the gradients of all variables together.

    An optimizer of Keras sees gradients, and never the loss. But it may scale the loss before the gradients are taken,
    and `fit` lets it do so on every backend. This one takes the logarithm: G = grad log(L - lowest) is
    grad L / (L - lowest), so Polyak's step is h G / |G|^2. In a loop of your own take the gradients of
    `optimizer.scale_loss(loss)`, not of the loss.

    Args:
        learning_rate: float or schedule, the step size h in time (default 1, Polyak's own).
        lowest: float, the lowest value of the loss, f* (default 0). At a loss below it the optimizer rests.
        cap: float, greatest speed: no step is longer than `learning_rate * cap`, in the units of theta (default:
            none). The article's cap M of 1 / |grad L| is the speed M L; the loss alone makes the difference.
        **kwargs: further arguments of `keras.optimizers.Optimizer`.

    Raises:
        ValueError: for a cap that is not positive, loss scaling or accumulated gradients, which need the loss itself.
        RuntimeError: on `apply`, if the gradients are not those of `scale_loss`; so also with float16.
    """

    def __init__(self, learning_rate=1.0, lowest=0.0, cap=None, name="polyak_sgd", **kwargs):
        for setting in ("loss_scale_factor", "gradient_accumulation_steps"):
            if kwargs.get(setting) is not None:
                raise ValueError(f"PolyakSGD has no {setting}: leave it out. Received: {kwargs[setting]}")
        if cap is not None and not cap > 0:
            raise ValueError(f"cap must be positive, or None. Received: {cap}")
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.lowest, self.cap = lowest, cap
        self._has_scaled = False

    def scale_loss(self, loss):
        """Return log(L - lowest), whose gradient `apply` needs."""
        self._has_scaled = True
        return ops.log(ops.maximum(loss - self.lowest, TINY))

    def apply(self, grads, trainable_variables=None):
        """Move the variables by -h G / |G|^2, where G are the gradients of `scale_loss`."""
        if not self._has_scaled:
            raise RuntimeError(
                "PolyakSGD needs the loss: take the gradients of optimizer.scale_loss(loss), in bfloat16 or float32"
            )
        norm = ops.sqrt(sum(ops.sum(ops.square(ops.cast(g, "float32"))) for g in grads if g is not None))
        speed = 1 / ops.maximum(norm, TINY)
        if self.cap is not None:
            speed = ops.minimum(speed, self.cap)
        factor = ops.where(norm > 0, speed / ops.maximum(norm, TINY), 0.0)
        super().apply([g if g is None else g * ops.cast(factor, g.dtype) for g in grads], trainable_variables)

    def update_step(self, gradient, variable, learning_rate):
        """Move one variable against its scaled gradient."""
        step = ops.cast(learning_rate, variable.dtype) * ops.cast(gradient, variable.dtype)
        self.assign_sub(variable, step)

    def get_config(self):
        return super().get_config() | {"lowest": self.lowest, "cap": self.cap}
