"""Train a small VAE, to compare IMLE, GLO and GLANN with (article 6394 calls IMLE blurrier than a VAE).

    python glann/vae.py --dataset mnist     # digits in minutes on two CPU cores

The decoder is the generator of the other scripts. The loss is in `vae_loss`, the wiring of the networks in `build`.
"""

from common.cli import apply_preset, main
from glann.flags import IMAGE_PRESETS, image_parser

ARTICLE = "glann/vae"
PRESETS = IMAGE_PRESETS
REFERENCES = {}


def make_parser():
    return image_parser(__doc__, PRESETS)


def vae_loss(x, decoded, mean, log_variance):
    """Return the loss of a VAE and its parts, per sample: -log p(x|z) + KL(q(z|x) || N(0, I)), up to a constant.

    p(x|z) is a Gaussian about the decoded image. Its variance is the best one for the batch, the mean square error
    (arXiv 2006.13202), so no weight has to be chosen.

    Args:
        x: (batch, h, w, c), images.
        decoded: (batch, h, w, c).
        mean: (batch, d), of q(z|x).
        log_variance: (batch, d), of q(z|x).
    """
    from keras import ops

    axes = tuple(range(1, len(x.shape)))
    squares = ops.square(x - decoded)
    variance = ops.stop_gradient(ops.mean(squares)) + 1e-6
    error = ops.sum(squares, axes) / (2 * variance)
    kl = 0.5 * ops.sum(ops.square(mean) + ops.exp(log_variance) - log_variance - 1, -1)
    return {"loss": error + kl, "kl": kl, "mse": ops.mean(squares, axes)}


def build(args, space):
    """Build the networks, wire them up and compile the trainer.

    Args:
        args: resolved flags.
        space: `ImageSpace`.

    Returns:
        Tuple (trainer, encoder, generator). The trainer is a compiled `SingleLoss`.
    """
    import keras
    from keras import ops

    from common.models.layers import Latent
    from common.models.networks import build_critic, build_generator
    from common.training.single_loss import SingleLoss

    # networks
    d = args.latent_dim
    kwargs = {"kernel_size": args.kernel_size}
    encoder = build_critic(space.shape, args.width, outputs=2 * d, batch_norm=True, name="encoder", **kwargs)
    generator = build_generator(space.shape, d, args.width, **kwargs)

    # wiring
    x = keras.Input(space.shape)
    code = encoder(x)
    mean, log_variance = code[:, :d], ops.clip(code[:, d:], -20, 20)
    z = mean + ops.exp(0.5 * log_variance) * Latent(d, seed=args.seed)(x)
    tensors = {"x": x, "decoded": generator(z), "mean": mean, "log_variance": log_variance}

    # loss
    trainer = SingleLoss(x, tensors, vae_loss)
    trainer.compile(keras.optimizers.Adam(args.learning_rate))
    return trainer, encoder, generator


def run(args):
    from common.experiments.setup import begin_run
    from glann.experiment import drawer, finish, load, normal, train_generator

    apply_preset(args, make_parser(), PRESETS)
    space = load(args, ARTICLE)
    run_dir, devices = begin_run(args, ARTICLE, space.train)
    with devices:
        trainer, encoder, generator = build(args, space)
    draw = drawer(space, generator, lambda n, stream: normal(args, n, stream))
    metrics = train_generator(args, space, run_dir, devices, trainer, draw)
    finish(args, run_dir, space, draw, [encoder, generator], metrics, REFERENCES)


if __name__ == "__main__":
    main(run, make_parser())
