"""The part of a flow's script that is the same for every flow on images: data, training, what came out."""

import math

import keras
import numpy as np

from common import backend, data, figures
from common.batches import Batches
from common.ema import WeightEMA
from common.errors import UserError
from common.metrics import sample_metrics
from common.runs import open_run, write_results, write_whole
from common.training import images_per_second, train
from flow import evaluate
from flow.density import PRIORS
from flow.guard import CollapseGuard

STDS = (0.5, 0.75, 0.8, 0.9, 1.0)


def prepare(args):
    """What the flags say about the whole process."""
    if args.mixed_precision:
        keras.mixed_precision.set_global_policy(f"mixed_{args.mixed_precision}")
    keras.utils.set_random_seed(args.seed)


def image_size(args):
    """--size; without it 28 for digits, where that can be halved as often as there are scales, else 32."""
    small = "mnist" in args.dataset.split(":")[0] and 28 % 2**args.levels == 0
    return args.size or (28 if small else 32)


def run_on_images(args, article, build, references, *, data_start, prior="normal", columns=9):
    """Trains a flow on 8-bit images in its run directory, and measures it on held-out ones.

    Args:
        args: resolved flags; beside the common ones `std`, `every`, `limit`, `ema`, `levels`.
        article: str, folder of the run.
        build: function of (args, image shape) that returns (compiled `SingleLoss`, flow). The flow maps [0, 1]^shape to
            vectors z.
        references: published numbers for `results.json`.
        data_start: bool, let the layers start from the first batch.
        prior: "normal" or "logistic".
        columns: int, of the square of samples.
    """
    prepare(args)

    # data
    args.size = image_size(args)
    images = data.load(args.dataset, args.size, "train", args.data_dir, limit=args.limit)
    held_out = data.load(args.dataset, args.size, "test", args.data_dir, limit=args.limit)
    shape, test = images.array.shape[1:], np.asarray(held_out.array)
    if args.size % 2**args.levels:
        raise UserError(f"{args.size} pixels cannot be halved {args.levels} times: lower --levels or change --size")
    steps = args.steps or args.epochs * (len(images.array) // args.batch_size)
    first = Batches(images, args.batch_size, seed=args.seed, dtype="uint8")[0]
    devices = backend.distribution(args.distribute)
    where = open_run(args, article, len(images.array))

    with devices:
        trainer, flow = build(args, shape)
        if data_start:
            flow.start((first.astype("float32") + 0.5) / 256)
        model = keras.Model(pixels := keras.Input(shape), flow(pixels))  # what is kept: [0, 1]^shape -> z, log_det
        averages = WeightEMA([model], args.ema) if args.ema else None
        model = averages.models[0] if averages else model
        looks = evaluate.looks(model.get_layer("flow"), shape, PRIORS[prior])

    # figures on the way, from fixed noise
    z = evaluate.noise(columns**2, math.prod(shape), args.seed, prior)
    zoom = max(1, 64 // args.size)

    def pictures(step):
        figures.save_png(where / f"samples/step-{step:07d}.png", evaluate.grid(looks.sampler, args.std * z, columns, 1))

    state = lambda: trainer.state() + (averages.variables if averages else [])
    guard = CollapseGuard(where, state, limit=0.0)
    how = {"batch_size": args.batch_size, "steps": steps, "every": args.every, "seed": args.seed, "dtype": "uint8"}
    rows = train(trainer, images, where, pictures=pictures, averages=averages, callbacks=[guard], **how)

    # what came out
    write_whole(where / "flow.keras", model.save)
    seen = evaluate.likelihood(looks.density, images.array[: len(test)])
    n = min(2000, len(test), len(images.array))
    fresh = evaluate.noise(n, math.prod(shape), args.seed + 1, prior)

    def distances(std):
        fakes = data.to_uint8(evaluate.predict(looks.sampler, np.float32(std) * fresh))
        return sample_metrics(fakes, np.asarray(images.array[:n]), test[:n])

    found = {std: distances(std) for std in {args.std, *STDS}}
    last = {k: v for k, v in rows[-1].items() if k not in ("step", "seconds")}
    metrics = {
        **evaluate.likelihood(looks.density, test),
        **{f"{name}/training_images": value for name, value in seen.items()},
        **{f"{name}/last_stretch": value for name, value in last.items()},
        **{f"{name}/test_last_step": value for name, value in evaluate.losses(trainer, test).items()},
        **found[args.std],
        **{f"pca_frechet/std_{std}": found[std]["pca_frechet"] for std in STDS},
        "rescues": len(guard.rescues),
        "parameters": flow.count_params(),
        "images_per_second": images_per_second(rows, args.batch_size),
        "train_seconds": rows[-1]["seconds"],
        "steps": steps,
    }
    paths = evaluate.figures_of_a_run(where, looks, test, z, STDS, args.std, zoom, rows)
    write_results(where, metrics, references)
    print(*(f"{name:45s}{value:.6g}" for name, value in metrics.items()), sep="\n")
    print("pictures:", *paths, sep="\n  ")
