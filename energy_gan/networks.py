"""Energies, and what estimates the entropy of a generator (articles 6316 and 6331; arXiv 1901.08508)."""

import keras
from keras import layers, ops

from common.correlation import correlation
from common.networks import critic_for, generator_for


def critic_of(energy, shape, args):
    """-U as a model, samples -> (batch, 1), high at the data: a plain critic; of `ebgan` an autoencoder's error."""
    if energy != "ebgan":
        return critic_for(shape, args.width, args.kernel_size, spectral_norm=args.spectral_norm)
    # EBGAN: U(x) = mean (x - Dec(Enc(x)))^2, sample by sample, so without batch norm
    encoder = critic_for(shape, args.width, args.kernel_size, args.latent_dim, args.spectral_norm, name="encoder")
    decoder = generator_for(shape, args.latent_dim, args.width, args.kernel_size, batch_norm=False, name="decoder")
    x = keras.Input(shape)
    error = ops.square(ops.cast(x, "float32") - ops.cast(decoder(encoder(x)), "float32"))
    return keras.Model(x, -ops.mean(layers.Flatten()(error), axis=-1, keepdims=True), name="critic")


def entropy_term(kind, z, x_fake, args):
    """What the generator minimises so that its fakes stay apart, and the networks that learn with it.

    The entropy of G(z) is I(G(z), z) up to a constant (6331), and that is bounded from below:

        infogan      ||z - E(G(z))||^2, the mean over the entries of z: z can be read off the fake
        correlation  -rho(z, E(G(z))), O-GAN's (6409): read off up to scale and shift
        jsd          `joint_or_not` of a statistics network T(x, z): pairs can be told from non-pairs (MEG)

    Args:
        z, x_fake: symbolic tensors, x_fake = G(z).

    Returns:
        (term, (batch, 1) or (batch,); list of networks); `none`: (None, []).
    """
    shape = x_fake.shape[1:]
    if kind == "none":
        return None, []
    encoder = critic_for(shape, args.width, args.kernel_size, args.latent_dim, name="encoder")
    if kind == "infogan":
        return ops.mean(ops.square(z - encoder(x_fake)), axis=-1), [encoder]
    if kind == "correlation":
        return -correlation(z, encoder(x_fake)), [encoder]
    # T(x, z): a trunk for x, then z beside it
    pair = keras.Input((2 * args.latent_dim,))
    h = layers.LeakyReLU(0.2)(layers.Dense(4 * args.width)(pair))
    head = keras.Model(pair, layers.Dense(1, dtype="float32")(h), name="head")
    code = encoder(x_fake)
    score = lambda z: head(ops.concatenate([code, ops.cast(z, code.dtype)], axis=-1))
    return joint_or_not(score(z), score(ops.roll(z, 1, axis=0))), [encoder, head]


def joint_or_not(joint, product):
    """Cross-entropy of telling pairs (G(z), z) from (G(z), another's z), (batch, 1): the mean over both.

    log 2 minus it is at most the Jensen-Shannon divergence of the joint law and the product of its margins, and equal
    to it at T = log(joint/product). Where x and z have nothing to do with each other it is log 2.

    The other's z is that of the next sample: a random permutation, MEG's, leaves some with their own.
    """
    return (ops.softplus(-joint) + ops.softplus(product)) / 2
