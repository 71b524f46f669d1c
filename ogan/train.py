"""O-GAN: a discriminator that is an encoder (article 6409, https://kexue.fm/archives/6409; arXiv 1903.01931).

python ogan/train.py --dataset celeba                  # finds CelebA under --data-dir, or downloads it
python ogan/train.py --dataset lfw --preset quick      # faces in a quarter of an hour on two CPU cores
python ogan/train.py                                   # the embedded cartoon faces, nothing to download
"""

import argparse

from common.cli import main, parser, positive_int, real_in, resolve
from common.errors import UserError

ARTICLE = "ogan"
COMMON = {"batch_size": 64, "latent_dim": 128, "lam": 0.5, "kernel_size": 5, "learning_rate": 1e-4, "ema": 0.999}
PRESETS = {
    "smoke": COMMON | {"size": 32, "batch_size": 8, "latent_dim": 16, "steps": 6, "every": 3, "limit": 200},
    "quick": COMMON | {"size": 32, "kernel_size": 4, "learning_rate": 2e-4, "ema": 0.998, "steps": 4000, "every": 200},
    "paper": COMMON | {"size": 128, "steps": 100_000, "every": 1000},
}
REFERENCES = {"figures": "https://kexue.fm/archives/6409"}  # the article shows pictures and claims no number


def flags():
    p = parser(__doc__, PRESETS)
    p.add_argument("--latent-dim", type=positive_int, help="length of z and of the code, at least 3")
    p.add_argument("--latent-loss", choices=["correlation", "mse", "none"], default="correlation")
    p.add_argument("--lam", type=real_in(0, 1000), help="weight of the latent loss (author: .5 at 128 px, 1 at 256)")
    p.add_argument("--gan", choices=["qp", "sgan", "lsgan", "wgan", "hinge", "gan_qp"], default="qp")
    p.add_argument("--critic", choices=["mean", "head"], default="mean", help="the code's mean, or a network on it")
    p.add_argument("--kernel-size", type=int, choices=[4, 5], help="of all convolutions")
    p.add_argument("--self-modulated", action="store_true", help="batch norm of the generator modulated by z")
    p.add_argument("--spectral-norm", action="store_true", help="on every kernel of the critic")
    p.add_argument("--ema", type=real_in(0, 0.99999), help="momentum of the averaged weights; 0: none")
    p.add_argument(
        "--ema-statistics", choices=["measured", "averaged"], default="measured",
        help="batch statistics of the averaged networks: measured on data, or averaged too (the author's)",
    )  # fmt: skip
    p.add_argument("--flip", action=argparse.BooleanOptionalAction, help="mirror images at random (not digits)")
    p.add_argument("--learning-rate", type=real_in(1e-8, 1), help="of RMSprop, both players")
    p.add_argument("--trainer", choices=["single", "alternating"], default="single")
    p.add_argument("--n-d", type=positive_int, default=1, help="critic steps in a round (alternating)")
    p.add_argument("--n-g", type=positive_int, default=1, help="generator steps in a round (alternating)")
    p.add_argument("--every", type=positive_int, help="steps between pictures and checkpoints")
    p.add_argument("--limit", type=positive_int, help="use only the first images of the data set")
    return p


def build(args, channels):
    """The networks, their wiring and the loss: returns (trainer, encoder, generator)."""
    import keras
    from keras import ops

    from common.alternating import Alternating
    from common.correlation import average
    from common.layers import Latent
    from common.networks import dcgan_encoder, dcgan_generator, score_head
    from common.single_loss import SingleLoss
    from ogan.losses import ogan_losses

    # networks
    how = {"image_size": args.size, "channels": channels, "kernel_size": args.kernel_size}
    encoder = dcgan_encoder(outputs=args.latent_dim, spectral_norm=args.spectral_norm, **how)
    generator = dcgan_generator(latent_dim=args.latent_dim, self_modulated=args.self_modulated, **how)
    # the mean of the code is an energy, low on real images; scores are high there
    score = score_head(args.latent_dim) if args.critic == "head" else lambda code: -average(code)

    # wiring
    x = keras.Input((args.size, args.size, channels))
    z = Latent(args.latent_dim, seed=args.seed)(x)
    x_fake = generator(z)
    x_fake_ng = ops.stop_gradient(x_fake)
    code_real, code, code_ng = encoder(x), encoder(x_fake), encoder(x_fake_ng)
    real, fake, fake_ng = score(code_real), score(code), score(code_ng)

    # loss
    single, critic_loss, generator_loss = ogan_losses(args.gan, args.latent_loss, args.lam)
    seen_by_critic = {"x": x, "z": z, "x_fake_ng": x_fake_ng, "code_ng": code_ng, "real": real, "fake_ng": fake_ng}
    seen_by_generator = {"z": z, "code": code, "fake": fake}

    def compiled(tensors, loss, trains=None):
        model = SingleLoss(x, tensors, loss, trains)
        # the author's Keras 2 added 1e-7 outside the square root, Keras 3 adds it inside
        model.compile(keras.optimizers.RMSprop(args.learning_rate, rho=0.99, epsilon=1e-14))
        return model

    if args.trainer == "single":
        return compiled(seen_by_critic | seen_by_generator, single), encoder, generator
    judges = [encoder, score] if args.critic == "head" else [encoder]
    critic = compiled(seen_by_critic, critic_loss, judges)
    painter = compiled(seen_by_generator, generator_loss, [generator])
    return Alternating(critic, painter, args.n_d, args.n_g), encoder, generator


def run(args):
    import keras
    import numpy as np

    from common import backend, data, figures
    from common.ema import WeightEMA, refresh_batch_statistics
    from common.metrics import sample_metrics
    from common.runs import open_run, write_results, write_whole
    from common.training import images_per_second, train
    from ogan import evaluate

    resolve(args, flags(), PRESETS)
    if args.latent_dim < 3:
        raise UserError("--latent-dim must be at least 3: with 2 the standardised code can only be +-(1, -1)")
    if args.mixed_precision:
        keras.mixed_precision.set_global_policy(f"mixed_{args.mixed_precision}")
    if args.flip is None:
        args.flip = "mnist" not in args.dataset.split(":")[0]  # nor in the path of a folder
    keras.utils.set_random_seed(args.seed)

    # data
    images = data.load(args.dataset, args.size, "train", args.data_dir, limit=args.limit)
    n = min(2000, args.limit or 2000)  # of what is measured
    held_out = data.load(args.dataset, args.size, "test", args.data_dir, limit=n)
    if len(images.array) < args.batch_size:  # said before a run directory is made
        raise UserError(f"there are only {len(images.array)} images: lower --batch-size from {args.batch_size}")
    steps = args.steps or args.epochs * (len(images.array) // args.batch_size)
    devices = backend.distribution(args.distribute)
    where = open_run(args, ARTICLE, len(images.array))

    with devices:
        trainer, encoder, generator = build(args, images.array.shape[-1])
        averages = WeightEMA([encoder, generator], args.ema) if args.ema else None
    E, G = averages.models if averages else (encoder, generator)

    # figures on the way, from fixed latents and from fixed images that are never trained on
    z_fixed = evaluate.random_codes(81, args.latent_dim, args.seed)
    x_many = data.to_float(np.asarray(images.array[:2048]))
    z_many = evaluate.random_codes(len(x_many), args.latent_dim, args.seed + 2)
    zoom = max(1, 64 // args.size)  # small pictures are shown larger

    def pictures(step):
        if averages and args.ema_statistics == "measured":
            refresh_batch_statistics(G, np.array_split(z_many, 8))
            refresh_batch_statistics(E, np.array_split(np.concatenate([x_many, evaluate.predict(G, z_many)]), 16))
        grid = figures.image_grid(evaluate.predict(G, z_fixed), 9, scale=zoom)
        figures.save_png(where / f"samples/step-{step:07d}.png", grid)
        pairs = evaluate.reconstructions(E, G, np.asarray(held_out.array[:32]), zoom)
        figures.save_png(where / f"reconstructions/step-{step:07d}.png", pairs)

    how = {"batch_size": args.batch_size, "steps": steps, "every": args.every, "seed": args.seed, "flip": args.flip}
    rows = train(trainer, images, where, pictures=pictures, averages=averages, **how)

    # what came out
    for model in (E, G):
        write_whole(where / f"{model.name}.keras", model.save)
    mean_image = data.to_float(images.array.mean(0))
    write_whole(where / "mean_image.npy", lambda path: np.save(path, mean_image))
    raw = {}  # the networks of the last step, where those measured are averages of them
    if averages:
        raw |= evaluate.latent_metrics(encoder, generator, args.latent_dim, args.seed, n)
        raw |= evaluate.reconstruction_metrics(encoder, generator, held_out.array, mean_image)
    seen = evaluate.reconstruction_metrics(E, G, images.array[:n], mean_image)
    fakes = data.to_uint8(evaluate.predict(G, evaluate.random_codes(n, args.latent_dim, args.seed + 3)))
    metrics = {
        **evaluate.latent_metrics(E, G, args.latent_dim, args.seed, n),
        "critic_gap": rows[-1]["critic_gap"],
        **evaluate.reconstruction_metrics(E, G, held_out.array, mean_image),
        **evaluate.code_metrics(E, G, held_out.array),
        **sample_metrics(fakes, np.asarray(images.array[:n]), np.asarray(held_out.array)),
        **(evaluate.probe_metrics(E, images, held_out) if args.dataset == "toy_faces" else {}),
        **{f"{name}/training_images": value for name, value in seen.items()},
        **{f"{name}/without_ema": value for name, value in raw.items() if name != "mean_image_mse"},
        "images_per_second": images_per_second(rows, args.batch_size),
        "train_seconds": rows[-1]["seconds"],
        "steps": steps,
    }
    paths = evaluate.figures_of_a_run(where, E, G, held_out.array, z_fixed, rows, zoom)
    write_results(where, metrics, REFERENCES)
    print(*(f"{name:40s}{value:.4g}" for name, value in metrics.items()), sep="\n")
    print("pictures:", *paths, sep="\n  ")


if __name__ == "__main__":
    main(run, flags())
