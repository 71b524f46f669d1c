"""Experiment runner for flows on 2-D points: draw data, train, evaluate, save."""

import keras
import numpy as np

from common.data import toy_2d
from common.errors import errors_begin_with
from common.experiments.setup import begin_run, prepare
from common.files import atomic_write
from common.plots.planes import grid_points, plot_panels_2d
from common.plots.words import in_words
from common.training.ema import WeightEMA, measured_network
from common.training.log import train_seconds
from common.training.loop import train
from common.training.run_dir import write_results
from flow.layers.likelihood import log_normal
from flow.training import evaluate
from flow.training.schedule import fixed_flags


def run_in_the_plane(args, article, build, references):
    """Train a flow on points of a known density, evaluate it against that density and save all in its run directory.

    Args:
        args: flags of `flow/realnvp.py`, with the preset applied.
        article: str, folder of the run.
        build: function of (args, shape of a point) that returns (compiled `SingleLoss`, flow).
        references: dict of published numbers for `results.json`.

    Raises:
        UserError: if `begin_run` or `train` raises it.
    """
    prepare(args, article)

    # data
    held_out = toy_2d.sample(args.dataset, max(1, args.points // 5), [args.seed, 1])
    points = toy_2d.sample(args.dataset, args.points - len(held_out), [args.seed, 0])
    run_dir, devices = begin_run(args, article, points, fixed_flags(args))

    with devices:
        trainer, flow = build(args, (2,))
        flow.initialize_from_data(points)
        x = keras.Input((2,))
        model = keras.Model(x, flow(x))  # saved as flow.keras: points -> z, log_det
        averages = WeightEMA([model], args.ema) if args.ema else None
    flow = (averages.models[0] if averages else model).get_layer("flow")
    z, log_det = flow(x)
    density = keras.Model(x, log_normal(z) + log_det, name="density")
    sampler = keras.Model(x, flow.inverse(x)[0], name="sampler")

    # pictures during training: the true density, the learned one, and samples from fixed noise
    half_side = 1.05 * float(np.abs(points).max())
    extent = (-half_side, half_side, -half_side, half_side)
    n_side = 300
    grid = grid_points(extent, n_side)
    true_density = np.exp(toy_2d.log_density(args.dataset, grid)).reshape(n_side, n_side)
    noise = evaluate.noise(len(points), 2, args.seed)

    def save_pictures(step, path=None, title=""):
        learned_density = np.exp(evaluate.predict(density, grid)).reshape(n_side, n_side)
        samples = evaluate.predict(sampler, noise)
        panels = {"true density": true_density, "learned density": learned_density, "samples": samples}
        plot_panels_2d(path or run_dir / f"samples/step-{step:07d}.png", panels, extent, title)

    rows = train(
        trainer, points, run_dir, batch_size=args.batch_size, steps=args.steps, save_every=args.every, seed=args.seed,
        on_interval=save_pictures, devices=devices, averages=averages,
    )  # fmt: skip

    with errors_begin_with(f"after step {args.steps}"):
        # evaluation: nats of the training points, of held-out ones, and of many new ones
        atomic_write(run_dir / "flow.keras", model.save)
        fresh = toy_2d.sample(args.dataset, 20_000, [args.seed, 2])
        nats = lambda data: -evaluate.predict(density, data).astype("float64")
        metrics = {
            "nats/training": float(nats(points).mean()),
            "nats/held_out": float(nats(held_out).mean()),
            "nats/fresh": float(nats(fresh).mean()),
            "entropy": toy_2d.entropy(args.dataset),
            # KL(data || flow), with the same draw in both terms
            "kl": float((toy_2d.log_density(args.dataset, fresh) + nats(fresh)).mean()),
            "parameters": flow.count_params(),
            **train_seconds(rows),
            "steps": args.steps,
        }
        title = f"Densities and samples: {in_words(args.dataset)}, {args.steps:,} steps"
        save_pictures(args.steps, run_dir / "figures/density.png", title)
        write_results(run_dir, metrics, references, network=measured_network(averages))
        print(*(f"{name:20s}{value:.6g}" for name, value in metrics.items()), sep="\n")
        print("pictures:", run_dir / "figures/density.png", sep="\n  ")
