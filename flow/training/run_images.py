"""Shared experiment runner for flows on images: load data, train, evaluate, save."""

import math

import keras
import numpy as np

from common.data.batches import EndlessBatches
from common.data.catalog import is_digit_like
from common.data.images import load_images, to_uint8
from common.data.splits import fixed_random_subset
from common.errors import UserError, errors_begin_with
from common.experiments.export import export_samples
from common.experiments.setup import begin_run, prepare
from common.files import atomic_write
from common.metrics.pca import pca_frechet
from common.metrics.sample_size import is_enough
from common.plots.images import save_png
from common.streams import stage
from common.training.ema import WeightEMA, measured_network
from common.training.log import images_per_second, train_seconds
from common.training.loop import train
from common.training.run_dir import write_results
from flow.layers.likelihood import PRIORS
from flow.training import evaluate
from flow.training.collapse_guard import CollapseGuard
from flow.training.schedule import fixed_flags

PATIENCE = 5000  # steps until a loss above 0 counts as a collapse; in the author's script 10 epochs
STDS = (0.5, 0.75, 0.8, 0.9, 1.0)


def default_size(args):
    """Return the default of --size: 28 for digits if `--levels` can halve that, else 32."""
    return 28 if is_digit_like(args.dataset) and 28 % 2**args.levels == 0 else 32


def run_on_images(args, article, build, references, *, data_dependent_init, prior="normal", columns=9):
    """Train a flow on 8-bit images, evaluate it on held-out ones and save all in its run directory.

    Args:
        args: flags with the preset applied: those of `common.cli.parser`, and `std`, `every`, `limit`, `ema`, `levels`.
        article: str, folder of the run.
        build: function of (args, image shape) that returns (compiled `SingleLoss`, flow). The flow maps [0, 1]^shape to
            vectors z.
        references: dict of published numbers for `results.json`.
        data_dependent_init: bool, whether layers start from the first batch (`initialize_from_data`).
        prior: "normal" or "logistic".
        columns: int, side of the square of samples.

    Raises:
        UserError: if the size of the images cannot be halved `levels` times, or if `begin_run` or `train` raises it.
    """
    prepare(args, article)

    # data
    images = load_images(args.dataset, args.size, "train", args.data_dir, limit=args.limit, crop=args.crop)
    held_out = load_images(args.dataset, args.size, "test", args.data_dir, limit=args.limit, crop=args.crop)
    shape, test = images.array.shape[1:], np.asarray(held_out.array)
    if args.size % 2**args.levels:
        raise UserError(f"{args.size} pixels cannot be halved {args.levels} times: lower --levels or change --size")
    run_dir, devices = begin_run(args, article, images, fixed_flags(args))

    with devices, stage("building the networks"):
        trainer, flow = build(args, shape)
        if data_dependent_init:
            first_batch = EndlessBatches(images, args.batch_size, seed=args.seed, dtype="uint8")[0]
            flow.initialize_from_data((first_batch.astype("float32") + 0.5) / 256)
        pixels = keras.Input(shape)
        model = keras.Model(pixels, flow(pixels))  # saved as flow.keras: [0, 1]^shape -> z, log_det
        averages = WeightEMA([model], args.ema) if args.ema else None
        model = averages.models[0] if averages else model
        views = evaluate.inference_models(model.get_layer("flow"), shape, PRIORS[prior])

    # samples during training, from fixed noise
    z = evaluate.noise(columns**2, math.prod(shape), args.seed, prior)
    scale = max(1, 64 // args.size)

    def save_pictures(step):
        grid = evaluate.sample_grid(views.sampler, args.std * z, columns, 1)
        save_png(run_dir / f"samples/step-{step:07d}.png", grid)

    variables = lambda: trainer.training_state() + (averages.variables if averages else [])
    guard = CollapseGuard(run_dir, variables, limit=0.0, patience=-(-PATIENCE // args.every))
    rows = train(
        trainer, images, run_dir, batch_size=args.batch_size, steps=args.steps, save_every=args.every, seed=args.seed,
        dtype="uint8", on_interval=save_pictures, devices=devices, averages=averages, callbacks=[guard],
        stateful={"guard": guard},
    )  # fmt: skip

    with errors_begin_with(f"after step {args.steps}"):
        # evaluation
        atomic_write(run_dir / "flow.keras", model.save)
        train_metrics = evaluate.likelihood(views.density, fixed_random_subset(images.array, len(test)))
        n = min(2000, len(test), len(images.array))
        new_z = evaluate.noise(n, math.prod(shape), args.seed + 1, prior)

        train_subset, test_subset = (np.asarray(fixed_random_subset(x, n)) for x in (images.array, test))

        def distance(std):
            try:
                with stage(f"drawing {n} samples at temperature {std:g}"):
                    samples = evaluate.predict(views.sampler, np.float32(std) * new_z)
            except UserError as error:
                print(f"not measured: pca_frechet/std_{std} ({error})", flush=True)
                return {}
            return pca_frechet(to_uint8(samples), train_subset, test_subset)

        is_enough("bits_per_dim/standard_error", 2, {"held-out images": len(test)})
        has_distance = is_enough("pca_frechet", 2, {"training images": len(images.array), "held-out images": len(test)})
        distances = {std: distance(std) if has_distance else {} for std in {args.std, *STDS}}
        last_interval = {
            name: value for row in rows[-1:] for name, value in row.items() if name not in ("step", "seconds")
        }
        metrics = {
            **evaluate.likelihood(views.density, test),
            **{f"{name}/training_images": value for name, value in train_metrics.items()},
            **{f"{name}/last_stretch": value for name, value in last_interval.items()},
            **{f"{name}/test_last_step": value for name, value in evaluate.losses(trainer, test).items()},
            **distances[args.std],
            **{f"pca_frechet/std_{std}": distances[std]["pca_frechet"] for std in STDS if distances[std]},
            "rescues": len(guard.rescues),
            "parameters": flow.count_params(),
            "images_per_second": images_per_second(rows, args.batch_size),
            **train_seconds(rows),
            "steps": args.steps,
        }
        write_results(run_dir, metrics, references, network=measured_network(averages))
        print(*(f"{name:45s}{value:.6g}" for name, value in metrics.items()), sep="\n")
        paths = evaluate.save_figures(run_dir, views, test, z, STDS, args.std, scale, rows)
        print("pictures:", *paths, sep="\n  ")
        new_noise = lambda count, stream: evaluate.noise(count, math.prod(shape), args.seed + stream, prior)
        draw = lambda count, stream: evaluate.predict(views.sampler, np.float32(args.std) * new_noise(count, stream))
        export_samples(run_dir, args.export_samples, draw)
