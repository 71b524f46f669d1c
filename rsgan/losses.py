"""What a method's two players minimise, as functions of a training graph's tensors (article 6110)."""

import keras
from keras import ops

from common.losses.adversarial import get_loss
from common.losses.gradient_penalties import PENALTIES
from common.training.single_loss import generator_only


class Clip(keras.constraints.Constraint):
    """Every entry of a weight is put back into [-limit, limit] after each step of the optimiser."""

    def __init__(self, limit):
        self.limit = limit

    def __call__(self, w):
        return ops.clip(w, -self.limit, self.limit)

    def get_config(self):
        return {"limit": self.limit}


def method_losses(method):
    """The method's loss as functions of a training graph's tensors, each returning a dict with the key "loss".

    single:    critic(real, fake_ng) + penalty + [generator(real_for_generator, fake) - generator(real, fake_ng)]
    critic:    critic(real, fake_ng) + penalty, to train the critic alone
    generator: generator(real_for_generator, fake), to train the generator alone

    `_ng` means: of the fakes whose gradient is stopped. `real_for_generator` is `real` unless scores are of pairs
    (T-GAN), where it is the same score as a function of the generator too. `penalty` and `distance` are per
    sample, (batch,)."""
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

    def single(real, fake_ng, fake, real_for_generator, **others):
        values = critic(real, fake_ng, **others)
        paired = lambda scores: ops.mean(loss.generator(*scores))
        values["loss"] += generator_only(paired, (real_for_generator, fake), (real, fake_ng))
        return values | {"generator_loss": loss.generator(real, fake_ng)}

    return single, critic, generator


def penalty_of(method, gradient_norms, weight=None):
    """The method's penalty per sample, (batch,), from a function point -> squared slope; `None` if it has none.

    `weight` replaces the published one.
    """
    if method.penalty is None:
        return None
    penalty = PENALTIES[method.penalty]
    return sum(penalty.penalty_fn(gradient_norms(point), weight or penalty.weight) for point in penalty.evaluated_at)
