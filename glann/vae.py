"""Train a small VAE, to compare IMLE, GLO and GLANN with (article 6394 calls IMLE blurrier than a VAE).

    python glann/vae.py --dataset mnist                            # digits in minutes on two CPU cores
    python glann/vae.py --dataset mnist --likelihood gaussian      # pixels from a Gaussian of the best variance

The decoder is the generator of the other scripts. The loss is in `vae_loss`, the wiring of the networks in `build`.
"""

from common.cli import apply_preset, main
from glann.flags import IMAGE_PRESETS, image_parser

ARTICLE = "glann/vae"
PRESETS = IMAGE_PRESETS
REFERENCES = {}


def make_parser():
    p = image_parser(__doc__, PRESETS)
    p.add_argument(
        "--likelihood", choices=["cross_entropy", "gaussian"], default="cross_entropy",
        help="-log p(x|z) is the cross entropy of the pixels (default), or that of a Gaussian of the best variance",
    )  # fmt: skip
    return p


def vae_loss(likelihood):
    """Return the loss of a VAE, -log p(x|z) + KL(q(z|x) || N(0, I)), with its parts, per sample and up to a constant.

    It is a function of x (batch, h, w, c) and the decoded images, both in [-1, 1], and of the mean and the logarithm
    of the variance of q(z|x), (batch, d).

    Args:
        likelihood: "cross_entropy", of pixels and decoded pixels that are moved to [0, 1]; or "gaussian", whose
            variance is the best one for the batch, the mean square error (arXiv 2006.13202).
    """
    from keras import ops

    def cross_entropy(x, decoded):
        p = 0.5 + (0.5 - 1e-6) * decoded  # never 0 or 1
        return -((1 + x) * ops.log(p) + (1 - x) * ops.log(1 - p)) / 2

    def gaussian(x, decoded):
        squares = ops.square(x - decoded)
        return squares / (2 * ops.stop_gradient(ops.mean(squares)) + 1e-6)

    per_pixel = cross_entropy if likelihood == "cross_entropy" else gaussian

    def loss(x, decoded, mean, log_variance):
        axes = tuple(range(1, len(x.shape)))
        kl = 0.5 * ops.sum(ops.square(mean) + ops.exp(log_variance) - log_variance - 1, -1)
        mse = ops.mean(ops.square(x - decoded), axes)
        return {"loss": ops.sum(per_pixel(x, decoded), axes) + kl, "kl": kl, "mse": mse}

    return loss


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
    trainer = SingleLoss(x, tensors, vae_loss(args.likelihood))
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
