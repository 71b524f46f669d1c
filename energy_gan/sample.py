"""Improve the samples of a trained GAN by MALA on its latents (article 6331, https://kexue.fm/archives/6331; MEG).

    z' = z - step_size/2 grad E(z) + sqrt(step_size) a,    a ~ N(0, I)
    E(z) = beta U(G(z)) + ||z||^2/2,    U = -critic

python energy_gan/sample.py runs/energy_gan/25gaussians-2-quick-s0
python energy_gan/sample.py RUN --no-prior               # E(z) = beta U(G(z)), as in the article
python energy_gan/sample.py RUN --rule langevin          # without MALA's acceptance

Chains start from z ~ N(0, I) and tend to N(0, I) e^{-beta U(G(z))}: G's own samples, weighted by e^{-beta U}. If the
critic is the exact logit of SGAN and beta = 1, that is the distribution of the data (arXiv 2003.06060). Without the
prior nothing bounds z, and it wanders to regions where G was never trained.

The script measures and draws the samples before and after, and writes to `<RUN>/<rule>/` (`<rule>-no-prior/`). MEG is
arXiv 1901.08508.
"""

import argparse
import functools
from pathlib import Path

from common.cli import Parser, add_format, float_in, main, nonnegative_int
from common.data.toy_2d import TOYS
from common.errors import UserError
from common.flag_types import IntRange, batch_int, data_folder, trained_run
from common.streams import stage

FRAMES = 25  # number of frames of the animation after the first
TIMELINE_COLUMNS = 8
GRID_SIDE = 8  # rows and columns of a grid of images


def make_parser():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    add = p.add_argument
    add(
        "run", type=trained_run, metavar="RUN",
        help="run directory of energy_gan/train.py, or name of an entry of pretrained/",
    )  # fmt: skip
    add("--steps", type=IntRange(1, 1_000_000), default=200, help="number of steps of every chain (default 200)")
    add("--step-size", type=float_in(1e-9, 100), default=0.1, help="variance of the noise (default 0.1)")
    add("--beta", type=float_in(1e-6, 1e6), default=1.0, help="inverse temperature, MEG's `temp` (default 1)")
    add("--rule", choices=["mala", "langevin"], default="mala", help="acceptance rule (default mala)")
    add("--prior", action=argparse.BooleanOptionalAction, default=True, help="add z's prior N(0, I) to E (default yes)")
    add(
        "--chains", type=batch_int, default=1000,
        help="number of chains to draw; of images, also the number to measure (default 1000)",
    )  # fmt: skip
    add("--seed", type=nonnegative_int, default=0, help="seed of the chains (default 0)")
    add("--data-dir", type=data_folder, help="folder of the run's data set, if it has moved")
    add_format(p)
    return p


def energy_of(critic, generator, beta, prior):
    """Return the energy of latents as a model, (n, latent_dim) -> (n, 1).

    Args:
        critic: model -U, samples -> (n, 1).
        generator: model, (n, latent_dim) -> samples.
        beta: float, inverse temperature.
        prior: bool. True: beta U(G(z)) + ||z||^2/2; False: beta U(G(z)).
    """
    import keras
    from keras import ops

    z = keras.Input(generator.input_shape[1:])
    energy = -beta * critic(generator(z, training=False), training=False)
    if prior:
        energy += ops.sum(ops.square(z), -1, keepdims=True) / 2
    return keras.Model(z, energy, name="energy")


@stage("drawing the figures")
def draw(folder, sample_space, frames, saved_steps, u, u_data):
    """Draw the energy over the steps, the samples before and after, a timeline and an animation.

    Args:
        folder: path of the folder for the pictures.
        sample_space: `ImageSpace` or `PlaneSpace` of the run's data.
        frames: samples (m, chains, ...) after `saved_steps` steps.
        saved_steps: array (m,).
        u: energies U of the frames, (m, chains).
        u_data: float, mean of U over held-out data.
    """
    import imageio.v3 as iio
    import numpy as np

    from common.plots.animation import caption_of_step, caption_width, with_caption
    from common.plots.charts import plot_curves
    from common.plots.images import WHITE, image_grid, save_gif
    from common.plots.labels import save_labelled
    from common.plots.planes import plot_panels_2d
    from common.plots.words import in_words

    low, high = np.quantile(u, [0.1, 0.9], axis=1)
    lines = {"nine of ten chains are below": high, "mean": u.mean(1), "one of ten is below": low}
    series = {name: (saved_steps, line) for name, line in lines.items()}
    title = f"Energy of the samples along the chains, {in_words(sample_space.args.dataset)}"
    plot_curves(folder / "energy.png", series, "step", "energy U", title, references={"mean over the data": u_data})

    columns = np.linspace(0, len(saved_steps) - 1, TIMELINE_COLUMNS).round().astype(int)
    before_after, timeline = "Samples before and after the chains", "Chains over their steps"
    if frames.ndim == 3:
        panels = {"data": sample_space.reference, "before": frames[0], "after": frames[-1]}
        plot_panels_2d(folder / "before-after.png", panels, sample_space.extent, before_after)
        panels = {f"step {saved_steps[i]}": frames[i] for i in columns}
        plot_panels_2d(folder / "timeline.png", panels, sample_space.extent, timeline)
    else:
        scale = max(1, 64 // sample_space.args.size)
        before, after = (image_grid(images[: GRID_SIDE**2], GRID_SIDE, scale=scale) for images in frames[[0, -1]])
        white = np.full((len(before), 32, before.shape[2]), WHITE, "uint8")
        both = np.concatenate([before, white, after], 1)
        save_labelled(folder / "before-after.png", both, before_after, ["before", "after"])
        by_chain = frames[columns, :GRID_SIDE].swapaxes(0, 1)  # (chains, columns, ...): one row per chain
        images = by_chain.reshape(-1, *by_chain.shape[2:])
        steps = [caption_of_step(saved_steps[i]) for i in columns]
        save_labelled(folder / "timeline.png", image_grid(images, TIMELINE_COLUMNS, scale=scale), timeline, steps)

    captions = [caption_of_step(step) for step in saved_steps]
    width = max(map(caption_width, captions))
    pictures = []
    for samples, caption in zip(frames, captions, strict=True):
        sample_space.show(folder / "frame.png", samples)
        pictures.append(with_caption(iio.imread(folder / "frame.png", mode="RGB"), caption, width))
    (folder / "frame.png").unlink()
    save_gif(folder / "chain.gif", pictures)


def run(args):
    import numpy as np

    from common.data.images import to_float
    from common.experiments.sample_space import ImageSpace, PlaneSpace
    from common.files import write_json
    from common.models.inference import load_model, predict
    from common.models.pretrained import output_dir as output_dir_of
    from common.training.run_dir import provenance, write_results
    from common.training.run_files import read_flags
    from energy_gan.diagnostics import chain_metrics
    from energy_gan.langevin import sample_chain

    run_dir = Path(args.run)
    run_flags = read_flags(run_dir, "dataset", "size", "seed", "limit", "data_dir", "crop", "features")
    toy = run_flags.dataset in TOYS
    sample_shape = (2,) if toy else (run_flags.size, run_flags.size, None)
    generator = load_model(run_dir / "generator.keras", (None,), sample_shape)
    critic = load_model(run_dir / "critic.keras", generator.output_shape[1:], (1,))  # one score is minus the energy
    run_flags.data_dir = args.data_dir or run_flags.data_dir
    if not toy:  # as many images of the data as there are chains
        run_flags.limit = min(args.chains, run_flags.limit or args.chains)
    sample_space = PlaneSpace(run_flags) if toy else ImageSpace(run_flags)
    if sample_space.shape != critic.input_shape[1:]:
        raise UserError(
            f"{run_flags.dataset} is not the data of {run_dir}, whose samples are of shape {critic.input_shape[1:]}, "
            f"not {sample_space.shape}: restore that data"
        )

    # the chains
    energy = energy_of(critic, generator, args.beta, args.prior)

    @functools.cache
    def run_chains(n, seed_stream):
        z = np.random.default_rng([args.seed, seed_stream]).standard_normal((n, *generator.input_shape[1:]), "float32")
        every = -(-args.steps // FRAMES)
        return sample_chain(energy, z, args.steps, args.step_size, args.rule, args.seed, every=every, verbose=1)

    decode = lambda z: sample_space.postprocess(predict(generator, z))
    chain = run_chains(args.chains, 4)  # images: `evaluate` below asks for the same chains
    saved_steps, trajectory = chain["saved_steps"], chain["trajectory"]
    u = (chain["energies"][saved_steps] - args.prior * np.sum(trajectory**2, -1) / 2) / args.beta
    data = sample_space.reference if toy else to_float(sample_space.test)
    u_data = -float(predict(critic, data).mean())

    # metrics
    metrics = {
        "acceptance": chain["acceptance"].mean(),
        **chain_metrics(chain["energies"][args.steps // 2 :]),
        "u/data": u_data,
    }
    for name, i in (("before", 0), ("after", -1)):
        quality = sample_space.evaluate(lambda n, stream, i=i: decode(run_chains(n, stream)["trajectory"][i]))
        rms = float(np.sqrt(np.mean(trajectory[i] ** 2)))  # of a component of z, 1 under the prior
        metrics |= {f"{key}/{name}": value for key, value in {"u": u[i].mean(), "z": rms, **quality}.items()}
    output_dir = output_dir_of(run_dir) / (args.rule if args.prior else f"{args.rule}-no-prior")
    frames = np.stack([decode(z) for z in trajectory])
    draw(output_dir / "figures", sample_space, frames, saved_steps, u, u_data)
    write_json(output_dir / "config.json", provenance(args) | {"trained": str(run_dir)})
    write_results(output_dir, metrics)

    texts = {
        "energy": "mean energy {:.4g}",
        "energy/standard_error": "its standard error {:.2g}",
        "r_hat": "R-hat {:.3f}",
        "ess": "a chain is worth {:.1f} independent draws",
    }
    measured = ", ".join(text.format(metrics[name]) for name, text in texts.items() if name in metrics)
    print(f"acceptance {metrics['acceptance']:.3f}; in the second half: {measured}")
    print(f"{'':16s}{'before':>10s}{'after':>10s}")
    for key in [key.removesuffix("/before") for key in metrics if key.endswith("/before")]:
        print(f"{key:16s}{metrics[f'{key}/before']:10.4g}{metrics[f'{key}/after']:10.4g}")
    print("pictures:", *sorted((output_dir / "figures").iterdir()), sep="\n  ")


if __name__ == "__main__":
    main(run, make_parser())
