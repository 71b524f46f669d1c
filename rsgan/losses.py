"""Losses of the two players of a method, as functions of the scores in a training graph (article 6110)."""

import keras
from keras import ops

from common.losses.adversarial import get_loss
from common.losses.gradient_penalties import PENALTIES, MovingMean
from common.training.single_loss import value_zero


class Clip(keras.constraints.Constraint):
    """Weight constraint of WGAN (arXiv 1701.07875): clips to [-limit, limit] after each step of the optimiser.

    Args:
        limit: float, at least 0.
    """

    def __init__(self, limit):
        self.limit = limit

    def __call__(self, w):
        return ops.clip(w, -self.limit, self.limit)

    def get_config(self):
        return {"limit": self.limit}


def method_losses(method):
    """Return the method's loss as three functions (single, critic, generator).

    They take scores by name, (batch, 1), and return a dict of tensors with the key "loss":

        critic     critic loss of (real, fake_ng) + penalty                      trains the critic alone
        generator  generator loss of (real_for_generator, fake)                  trains the generator alone
        single     critic's loss + the generator's at value 0                    trains both at once (6387)

    `_ng` means that no gradient reaches the generator; none of `fake` reaches the critic. A zero-sum loss gets no
    `fake` in `single`: there, the critic's loss trains both (`reverse_gradient`). `real_for_generator` equals `real`,
    but for T-GAN, which scores pairs, it depends on the generator too. `penalty` and `distance` are per sample,
    (batch,).

    Args:
        method: a `rsgan.methods.Method`.
    """
    loss = get_loss(method.loss)

    def critic(real, fake_ng, penalty=None, distance=None):
        value = ops.mean(loss.critic(real, fake_ng, distance=distance))
        values = {"loss": value, "critic_gap": real - fake_ng, "critic_loss": value}
        if penalty is not None:
            values["penalty"] = penalty
            values["loss"] += ops.mean(penalty)
        return values

    def generator(fake, real_for_generator=None):
        return {"loss": loss.generator(real_for_generator, fake)}

    def single(real, fake_ng, fake=None, real_for_generator=None, **others):
        values = critic(real, fake_ng, **others)
        if fake is not None:
            values["loss"] += value_zero(ops.mean(generator(fake, real_for_generator)["loss"]))
        return values | {"generator_loss": loss.generator(real, fake_ng)}

    return single, critic, generator


def penalty_of(method, squared_gradient_norm, scores, weight=None):
    """Return the method's penalty per sample, (batch,), or `None` if it has none.

    Args:
        method: a `rsgan.methods.Method`.
        squared_gradient_norm: function of "real", "fake", "between" or "near" that returns ||grad_x D(x)||^2 there,
            (batch,).
        scores: dict of the scores of "real" and "fake", (batch, 1), without a gradient for the generator.
        weight: float that replaces the default weight; `None` keeps that.
    """
    if method.penalty is None:
        return None
    penalty = PENALTIES[method.penalty]
    weight = weight or penalty.weight
    if not penalty.evaluated_at:
        real, fake = scores["real"], scores["fake"]
        return penalty.penalty_fn(real, fake, MovingMean()(real), MovingMean()(fake), weight)
    factor = lambda point: penalty.score_factors[point](scores[point])[:, 0] if penalty.score_factors else 1.0
    terms = [factor(point) * penalty.penalty_fn(squared_gradient_norm(point), weight) for point in penalty.evaluated_at]
    return sum(terms[1:], terms[0])
