"""The table of entropy terms, which keep the generator's samples apart (articles 6316, 6331; arXiv 1901.08508).

The entropy of G(z) equals the mutual information I(G(z), z) up to a constant (6331). A second network bounds that
information from below.

Each function takes symbolic latents z (batch, latent_dim), symbolic fakes x_fake = G(z) and the flags. It returns
(term, networks): the term per sample that the generator minimises, (batch,) or (batch, 1), and the list of networks
that are trained together with the generator.
"""

import keras
from keras import layers, ops

from common.losses.correlation import correlation
from common.models.networks import build_critic


def no_entropy(z, x_fake, args):
    """Return no term and no networks."""
    return None, []


def infogan(z, x_fake, args):
    """Return mean (z - E(G(z)))^2 over the components of z, which is low if an encoder E can read z off the fake."""
    encoder = _build_encoder(x_fake, args)
    return ops.mean(ops.square(z - encoder(x_fake)), axis=-1), [encoder]


def negative_correlation(z, x_fake, args):
    """Return -rho(z, E(G(z))), O-GAN's term (6409), which asks for z only up to scale and shift."""
    encoder = _build_encoder(x_fake, args)
    return -correlation(z, encoder(x_fake)), [encoder]


def jsd(z, x_fake, args):
    """Return `joint_vs_product_loss` of a statistics network T(x, z), the term of MEG."""
    encoder = _build_encoder(x_fake, args)
    # T encodes x, appends z and ends in a small head.
    pair = keras.Input((2 * args.latent_dim,))
    h = layers.LeakyReLU(0.2)(layers.Dense(4 * args.width)(pair))
    head = keras.Model(pair, layers.Dense(1, dtype="float32")(h), name="head")
    code = encoder(x_fake)
    score = lambda z: head(ops.concatenate([code, ops.cast(z, code.dtype)], axis=-1))
    return joint_vs_product_loss(score(z), score(ops.roll(z, 1, axis=0))), [encoder, head]


ENTROPIES = {"none": no_entropy, "infogan": infogan, "correlation": negative_correlation, "jsd": jsd}


def _build_encoder(x_fake, args):
    return build_critic(
        x_fake.shape[1:], args.width, args.kernel_size, args.latent_dim, name="encoder",
        negative_slope=args.negative_slope, initializer=args.initializer,
    )  # fmt: skip


def joint_vs_product_loss(joint, product):
    """Return the binary cross-entropy between joint pairs (G(z), z) and shuffled pairs (G(z), z').

    log 2 minus its mean is at most the Jensen-Shannon divergence between the joint distribution and the product of
    its marginals, with equality at T = log(joint/product). If x and z are independent, the best mean is log 2.

    z' is the z of the next sample in the batch. MEG draws a random permutation, which leaves some z in their place.

    Args:
        joint: scores T(G(z), z), (batch, 1).
        product: scores T(G(z), z'), (batch, 1).

    Returns:
        Tensor (batch, 1), the mean of both cross-entropies.
    """
    return (ops.softplus(-joint) + ops.softplus(product)) / 2
