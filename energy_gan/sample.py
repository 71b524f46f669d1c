"""Better samples of a trained GAN: latents that move on its energy (article 6331, https://kexue.fm/archives/6331; MEG,
arXiv 1901.08508).

    z' = z - step_size/2 grad E(z) + sqrt(step_size) a,    a ~ N(0, I)
    E(z) = beta U(G(z)) + ||z||^2/2,    U = -critic

python energy_gan/sample.py runs/energy_gan/25gaussians-2-quick-s0
python energy_gan/sample.py RUN --no-prior               # E(z) = beta U(G(z)), as in the article
python energy_gan/sample.py RUN --rule langevin          # without MALA's acceptance

Chains start from z ~ N(0, I) and tend to N(0, I) e^{-beta U(G(z))}: G's own samples, weighted by e^{-beta U}. Where the
critic is the exact logit of SGAN and beta = 1 that is the data (arXiv 2003.06060). Without the prior nothing holds z:
it wanders to where G was never trained. Samples before and after are measured alike and drawn into `<RUN>/<rule>/`
(`<rule>-no-prior/`).
"""

import argparse
import functools
from pathlib import Path

from common.cli import Parser, float_in, main, nonnegative_int, positive_int
from common.data.toy_2d import TOYS
from common.errors import UserError

FRAMES = 25  # of the film, after the first
MOMENTS = 8  # in the timeline
GRID_SIDE = 8  # rows and columns of a grid of images


def make_parser():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    add = p.add_argument
    add("run", metavar="RUN", help="a run directory of energy_gan/train.py")
    add("--steps", type=positive_int, default=200, help="of every chain (default 200)")
    add("--step-size", type=float_in(1e-9, 100), default=0.1, help="variance of the noise (default 0.1)")
    add("--beta", type=float_in(1e-6, 1e6), default=1.0, help="inverse temperature, MEG's `temp` (default 1)")
    add("--rule", choices=["mala", "langevin"], default="mala", help="when a step is taken (default mala)")
    add("--prior", action=argparse.BooleanOptionalAction, default=True, help="hold z by its prior N(0, I) (default)")
    add("--chains", type=positive_int, default=1000, help="that are shown, and of images those measured (default 1000)")
    add("--seed", type=nonnegative_int, default=0, help="of the chains (default 0)")
    add("--data-dir", help="where the run's own data set lies now, if it moved")
    return p


def energy_of(critic, generator, beta, prior):
    """E(z) = beta U(G(z)), + ||z||^2/2 with the prior: `keras.Model`, (n, latent_dim) -> (n, 1)."""
    import keras
    from keras import ops

    z = keras.Input(generator.input_shape[1:])
    energy = -beta * critic(generator(z, training=False), training=False)
    if prior:
        energy += ops.sum(ops.square(z), -1, keepdims=True) / 2
    return keras.Model(z, energy)


def draw(folder, subject, film, moments, u, u_data):
    """The pictures of the chains.

    Args:
        film: samples (m, chains, ...) after `moments` (m,) steps.
        u: their energies U, (m, chains). u_data: the mean of U over held-out data.
    """
    import imageio.v3 as iio
    import numpy as np

    from common.plots.charts import plot_curves
    from common.plots.images import WHITE, image_grid, save_gif, save_png
    from common.plots.planes import plot_panels_2d

    low, high = np.quantile(u, [0.1, 0.9], axis=1)
    lines = {"nine of ten chains are below": high, "mean": u.mean(1), "one of ten is below": low}
    series = {name: (moments, line) for name, line in lines.items()}
    plot_curves(folder / "energy.png", series, "step", "energy U", references={"mean over the data": u_data})

    picked = np.linspace(0, len(moments) - 1, MOMENTS).round().astype(int)
    if film.ndim == 3:
        panels = {"data": subject.reference, "before": film[0], "after": film[-1]}
        plot_panels_2d(folder / "before-after.png", panels, subject.extent)
        plot_panels_2d(folder / "timeline.png", {f"step {moments[i]}": film[i] for i in picked}, subject.extent)
    else:
        how = {"columns": GRID_SIDE, "scale": max(1, 64 // subject.args.size)}
        before, after = (image_grid(images[: GRID_SIDE**2], **how) for images in film[[0, -1]])
        white = np.full((len(before), 32, before.shape[2]), WHITE, "uint8")
        save_png(folder / "before-after.png", np.concatenate([before, white, after], 1))
        rows = film[picked, :GRID_SIDE].swapaxes(0, 1)
        rows = rows.reshape(-1, *rows.shape[2:])
        save_png(folder / "timeline.png", image_grid(rows, MOMENTS, scale=how["scale"]))

    frames = []
    for samples in film:
        subject.show(folder / "frame.png", samples)
        frames.append(iio.imread(folder / "frame.png", mode="RGB"))
    (folder / "frame.png").unlink()
    save_gif(folder / "chain.gif", frames)


def run(args):
    import numpy as np

    from common.data.images import to_float
    from common.experiments.sample_space import ImageSpace, PlaneSpace
    from common.files import read_json, write_json
    from common.models.inference import load_model, predict
    from common.training.run_dir import provenance, write_results
    from energy_gan.langevin import effective_sample_size, sample_chain

    where = Path(args.run)
    trained = argparse.Namespace(**read_json(where / "config.json")["flags"])
    critic, generator = load_model(where / "critic.keras"), load_model(where / "generator.keras")
    if critic.output_shape[1:] != (1,):
        raise UserError(f"{where} has no energy: its critic gives {critic.output_shape[1:]}, not one score")
    toy = trained.dataset in TOYS
    trained.data_dir = args.data_dir or trained.data_dir
    if not toy:  # as many images of the data as there are chains
        trained.limit = min(args.chains, trained.limit or args.chains)
    subject = PlaneSpace(trained) if toy else ImageSpace(trained)

    # the chains
    energy = energy_of(critic, generator, args.beta, args.prior)

    @functools.cache
    def chains(n, stream):
        z = np.random.default_rng([args.seed, stream]).standard_normal((n, *generator.input_shape[1:]), "float32")
        how = {"every": -(-args.steps // FRAMES), "verbose": 1}
        return sample_chain(energy, z, args.steps, args.step_size, args.rule, args.seed, **how)

    decode = lambda z: subject.postprocess(predict(generator, z))
    shown = chains(args.chains, 4)  # of images these are those that are measured, too
    moments, kept = shown["moments"], shown["kept"]
    u = (shown["energies"][moments] - args.prior * np.sum(kept**2, -1) / 2) / args.beta
    data = subject.reference if toy else to_float(subject.test)
    u_data = -float(predict(critic, data).mean())

    # what came of them
    metrics = {
        "acceptance": shown["acceptance"].mean(),
        "ess": effective_sample_size(shown["energies"][args.steps // 2 :]),
        "u/data": u_data,
    }
    for name, i in (("before", 0), ("after", -1)):
        numbers = subject.evaluate(lambda n, stream, i=i: decode(chains(n, stream)["kept"][i]))
        size = float(np.sqrt(np.mean(kept[i] ** 2)))  # of a latent's components: 1 under the prior
        metrics |= {f"{key}/{name}": value for key, value in {"u": u[i].mean(), "z": size, **numbers}.items()}
    folder = where / (args.rule if args.prior else f"{args.rule}-no-prior")
    frames = np.stack([decode(z) for z in kept])
    draw(folder / "figures", subject, frames, moments, u, u_data)
    write_json(folder / "config.json", provenance(args) | {"trained": str(where)})
    write_results(folder, metrics)

    print(f"acceptance {metrics['acceptance']:.3f}; the second half of a chain is worth {metrics['ess']:.1f} draws")
    print(f"{'':16s}{'before':>10s}{'after':>10s}")
    for key in [key.removesuffix("/before") for key in metrics if key.endswith("/before")]:
        print(f"{key:16s}{metrics[f'{key}/before']:10.4g}{metrics[f'{key}/after']:10.4g}")
    print("pictures:", *sorted((folder / "figures").iterdir()), sep="\n  ")


if __name__ == "__main__":
    main(run, make_parser())
