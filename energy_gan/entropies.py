"""What keeps fakes apart: bounds of the generator's entropy (6316, 6331; arXiv 1901.08508).

The entropy of G(z) is I(G(z), z) up to a constant (6331), and a second network bounds that from below. Each function
takes symbolic z and x_fake = G(z), and returns (term that the generator minimises, (batch, 1) or (batch,); list of
the networks that learn with it).
"""

import keras
from keras import layers, ops

from common.losses.correlation import correlation
from common.models.networks import build_critic


def none(z, x_fake, args):
    """No term."""
    return None, []


def infogan(z, x_fake, args):
    """||z - E(G(z))||^2, the mean over the entries of z: z can be read off the fake."""
    encoder = _encoder(x_fake, args)
    return ops.mean(ops.square(z - encoder(x_fake)), axis=-1), [encoder]


def negative_correlation(z, x_fake, args):
    """-rho(z, E(G(z))), O-GAN's (6409): z can be read off up to scale and shift."""
    encoder = _encoder(x_fake, args)
    return -correlation(z, encoder(x_fake)), [encoder]


def jsd(z, x_fake, args):
    """`joint_vs_product_loss` of a statistics network T(x, z): pairs can be told from non-pairs (MEG)."""
    encoder = _encoder(x_fake, args)
    # T(x, z): a trunk for x, then z beside it
    pair = keras.Input((2 * args.latent_dim,))
    h = layers.LeakyReLU(0.2)(layers.Dense(4 * args.width)(pair))
    head = keras.Model(pair, layers.Dense(1, dtype="float32")(h), name="head")
    code = encoder(x_fake)
    score = lambda z: head(ops.concatenate([code, ops.cast(z, code.dtype)], axis=-1))
    return joint_vs_product_loss(score(z), score(ops.roll(z, 1, axis=0))), [encoder, head]


ENTROPIES = {"none": none, "infogan": infogan, "correlation": negative_correlation, "jsd": jsd}


def _encoder(x_fake, args):
    return build_critic(x_fake.shape[1:], args.width, args.kernel_size, args.latent_dim, name="encoder")


def joint_vs_product_loss(joint, product):
    """Binary cross-entropy between joint pairs (G(z), z) and shuffled pairs (G(z), z'), (batch, 1): the mean over both.

    log 2 minus it is at most the Jensen-Shannon divergence of the joint law and the product of its margins, and equal
    to it at T = log(joint/product). Where x and z are independent it is log 2. z' is the z of the next sample: a random
    permutation, MEG's, leaves some with their own.
    """
    return (ops.softplus(-joint) + ops.softplus(product)) / 2
