"""O-GAN's loss (article 6409, arXiv 1903.01931): any GAN plus one correlation between z and E(G(z)).

Scores are in score sign, real high and fake low. The article's scripts use energies, avg E(x) low on real images; the
sign is turned where the score is made (`train.py`).
"""

from keras import ops

from common.correlation import correlation
from common.losses import Loss, gan_qp_critic, get_loss, sample_distance, wgan_generator
from common.single_loss import inner_only

LATENT_LOSSES = ("correlation", "mse", "none")
GANS = ("qp", "sgan", "lsgan", "wgan", "hinge", "gan_qp")


def qp_critic(real, fake, *, distance, **context):
    """-d + .25 d^2 / mse(x, G(z)) with d = real - fake, pairwise: the article's variant of GAN-QP.

    `distance` is the root of the mse, `sample_distance(x, x_fake, order=2)`. The article divides by the pixel sum and
    calls the weight lam1; with the mean, as in its scripts, lam1 = .25 n_x. The best free d is 2 mse, worth -mse.
    """
    return gan_qp_critic(real, fake, distance=ops.square(distance), lam=2.0)


def latent_term(kind, z, code):
    """What is added to the GAN, per sample, (batch, 1): -rho(z, E(G(z))), or an ablation of it.

    `mse` is ||z - E(G(z))||^2 / (2 n), which equals 1 - rho where the code is standardised like z: the same weight,
    but the mean and the spread of the code are no longer free.
    """
    if kind == "correlation":
        return -correlation(z, code)
    if kind == "mse":
        return 0.5 * ops.mean(ops.square(ops.cast(z, "float32") - ops.cast(code, "float32")), axis=-1, keepdims=True)
    if kind == "none":
        return 0.0
    raise ValueError(f"latent loss must be one of {LATENT_LOSSES}. Received: {kind!r}")


def ogan_losses(gan="qp", latent_loss="correlation", lam=0.5):
    """O-GAN's loss as functions of a training graph's tensors, each returning a dict with the key "loss".

    single:    critic(real, fake_ng) + [generator(fake) - generator(fake_ng)] + lam * latent(z, code)
    critic:    critic(real, fake_ng) + lam * latent(z, code_ng), to train E alone
    generator: generator(fake) + lam * latent(z, code), to train G alone

    `code` is E(G(z)) and `_ng` means: of the fakes whose gradient is stopped. One SGD step on `single` is one
    simultaneous step on the other two.

    Args:
        gan: "qp" for the article's own loss, or a name of `common.losses`.
        latent_loss: "correlation", "mse" or "none".
        lam: weight of the latent loss.
    """
    loss = Loss(qp_critic, wgan_generator, distance=2) if gan == "qp" else get_loss(gan)

    def critic(x, z, x_fake_ng, code_ng, real, fake_ng):
        context = {}
        if loss.distance:
            context = {"distance": sample_distance(x, x_fake_ng, order=loss.distance)}
        value = loss.critic(real, fake_ng, **context) + lam * latent_term(latent_loss, z, code_ng)
        return {"loss": value, "critic_gap": real - fake_ng, "z_corr": correlation(z, code_ng)}

    def generator(z, code, fake):
        # GAN-QP's generator loss is r - f, and r does not depend on the generator
        return {"loss": loss.generator(ops.zeros_like(fake), fake) + lam * latent_term(latent_loss, z, code)}

    def single(x, z, x_fake_ng, code, code_ng, real, fake, fake_ng):
        values = critic(x, z, x_fake_ng, code, real, fake_ng)  # `code`: the correlation trains both networks
        values["loss"] += inner_only(lambda score: loss.generator(real, score), fake, fake_ng)
        return values

    return single, critic, generator
