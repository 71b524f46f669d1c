"""Run an O-GAN experiment: load data, train, evaluate, save."""

import numpy as np

from common.data.images import load_images, to_float, to_uint8
from common.data.splits import fixed_random_subset
from common.errors import errors_begin_with
from common.experiments.export import export_samples
from common.experiments.setup import begin_run, prepare
from common.files import atomic_write
from common.metrics.pca import pca_frechet
from common.models.inference import predict
from common.plots.images import image_grid, save_png
from common.streams import stage
from common.training.ema import WeightEMA, measured_network, recalibrate_batch_norm
from common.training.log import images_per_second, last_values, train_seconds
from common.training.loop import train
from common.training.run_dir import write_results
from ogan import evaluate

N_MEASURED = 2000  # number of images that metrics are measured on
N_RECALIBRATION = 2048  # number of images, and of samples, that batch statistics are measured on


def run_ogan(args, article, build, references):
    """Train an O-GAN in its run directory, then measure and draw what its two networks can do.

    Args:
        args: resolved flags of `ogan/train.py`.
        article: str, folder of the run.
        build: function of (args, channels) that returns (trainer, encoder, generator).
        references: published numbers for `results.json`.
    """
    prepare(args, article)

    # data
    images = load_images(args.dataset, args.size, "train", args.data_dir, limit=args.limit, crop=args.crop)
    n = min(N_MEASURED, args.limit or N_MEASURED)
    held_out = load_images(args.dataset, args.size, "test", args.data_dir, limit=n, crop=args.crop)
    run_dir, devices = begin_run(args, article, images)

    # networks; E and G, which are measured and drawn, are the averaged ones if there are averages
    with devices, stage("building the networks"):
        trainer, encoder, generator = build(args, images.array.shape[-1])
        averages = WeightEMA([encoder, generator], args.ema) if args.ema else None
    E, G = averages.models if averages else (encoder, generator)

    # pictures during training, from fixed latents and from fixed images that are never trained on
    z_fixed = evaluate.sample_latents(81, args.latent_dim, args.seed)
    x_calibration = to_float(np.asarray(fixed_random_subset(images.array, N_RECALIBRATION)))
    z_calibration = evaluate.sample_latents(len(x_calibration), args.latent_dim, args.seed + 2)
    eighths = lambda rows: [rows[i::8] for i in range(8)]  # each from all classes, although the images are in order
    scale = max(1, 64 // args.size)  # enlarges small pictures

    def save_pictures(step):
        if averages and args.ema_statistics == "measured":
            recalibrate_batch_norm(G, eighths(z_calibration))
            recalibrate_batch_norm(E, [*eighths(x_calibration), *eighths(predict(G, z_calibration))])
        save_png(run_dir / f"samples/step-{step:07d}.png", image_grid(predict(G, z_fixed), 9, scale=scale))
        shown = np.asarray(fixed_random_subset(held_out.array, evaluate.FIGURE_IMAGES))
        pairs = evaluate.reconstructions(E, G, shown, scale)
        save_png(run_dir / f"reconstructions/step-{step:07d}.png", pairs)

    rows = train(
        trainer, images, run_dir, batch_size=args.batch_size, steps=args.steps, save_every=args.every, seed=args.seed,
        flip=args.flip, on_interval=save_pictures, devices=devices, averages=averages,
    )  # fmt: skip

    with errors_begin_with(f"after step {args.steps}"):
        # networks and the mean image, the baseline of reconstructions
        for model in (E, G):
            atomic_write(run_dir / f"{model.name}.keras", model.save)
        mean_image = to_float(images.array.mean(0))
        atomic_write(run_dir / "mean_image.npy", lambda path: np.save(path, mean_image))

        # metrics
        last_step_metrics = {}  # of the last step's weights, if those measured otherwise are averages
        if averages:
            last_step_metrics |= evaluate.latent_metrics(encoder, generator, args.latent_dim, args.seed, n)
            last_step_metrics |= evaluate.reconstruction_metrics(encoder, generator, held_out.array, mean_image)
            del last_step_metrics["mean_image_mse"]
        train_images = np.asarray(fixed_random_subset(images.array, n))
        train_metrics = evaluate.reconstruction_metrics(E, G, train_images, mean_image)
        with stage(f"drawing {n} samples"):
            fakes = to_uint8(predict(G, evaluate.sample_latents(n, args.latent_dim, args.seed + 3)))
        metrics = {
            **evaluate.latent_metrics(E, G, args.latent_dim, args.seed, n),
            **last_values(rows, "critic_gap"),
            **evaluate.reconstruction_metrics(E, G, held_out.array, mean_image),
            **evaluate.code_metrics(E, G, held_out.array),
            **pca_frechet(fakes, train_images, np.asarray(held_out.array)),
            **(evaluate.probe_metrics(E, images, held_out) if args.dataset == "toy_faces" else {}),
            **{f"{name}/training_images": value for name, value in train_metrics.items()},
            **{f"{name}/without_ema": value for name, value in last_step_metrics.items()},
            "images_per_second": images_per_second(rows, args.batch_size),
            **train_seconds(rows),
            "steps": args.steps,
        }
        write_results(run_dir, metrics, references, network=measured_network(averages))
        print(*(f"{name:40s}{value:.4g}" for name, value in metrics.items()), sep="\n")
        paths = evaluate.save_figures(run_dir, E, G, held_out.array, z_fixed, rows, scale)
        print("pictures:", *paths, sep="\n  ")
        draw = lambda count, stream: predict(G, evaluate.sample_latents(count, args.latent_dim, args.seed + stream))
        export_samples(run_dir, args.export_samples, draw)
