"""Train critics alone: the f-GAN bound rises to the closed form (article 6016, https://kexue.fm/archives/6016).

    python fgan/bounds.py                       # all divergences, a few minutes on one CPU core
    python fgan/bounds.py --seeds 3

For each divergence the script trains a small critic on samples of N(m, 1) and N(0, 1). The bound

    E_p[T(x)] - E_q[g(T(x))] <= D_f(p||q)

is computed by quadrature, which has no sampling noise. So it lies below the divergence at every step. A table and a
figure go to `<out>/fgan/bounds/` (`bounds-smoke/` for that preset).
"""

import time
from pathlib import Path

import numpy as np

from common.cli import figure_parser, main
from common.flag_types import count_int
from common.streams import stage
from fgan.names import PANEL_ORDER
from fgan.quadrature import bound, normal

SHIFTS = (0.5, 1.0)  # m
X = np.linspace(-15, 15, 3001)
PRESETS = {
    "smoke": {"steps": 120, "every": 40, "batch_size": 256},
    "quick": {"steps": 1000, "every": 10, "batch_size": 1024},
}
LEARNING_RATE = 2e-3  # of Adam (beta_1 .5, beta_2 .99); a cosine lowers it to a fiftieth


def make_parser():
    p = figure_parser(__doc__, PRESETS, "smoke: seconds; quick: a few minutes (default)")
    add = p.add_argument
    add("--seeds", type=count_int, default=1, help="number of seeds, from 0 on (default 1)")
    return p


def build(name, steps):
    """Build a critic for each m, and one trainer for all of them.

    Adam treats every weight on its own, so the critics learn as each would alone, in half the time.

    Args:
        name: name of the divergence.
        steps: int, number of training steps.

    Returns:
        (trainer, {m: critic}); the trainer takes standard normal noise (n, 2).
    """
    import keras
    from keras import layers

    from common.training.single_loss import SingleLoss
    from fgan.divergences import f_gan_loss, get_divergence

    network = lambda: keras.Sequential([layers.Dense(64, "tanh"), layers.Dense(1, kernel_initializer="zeros")])
    loss = f_gan_loss(get_divergence(name))
    critics = {m: network() for m in SHIFTS}
    noise = keras.Input((2,))
    scores = {f"real {m}": critic(noise[:, :1] + m) for m, critic in critics.items()}  # of N(m, 1)
    scores |= {f"fake {m}": critic(noise[:, 1:]) for m, critic in critics.items()}  # of N(0, 1)

    def total_loss(**scores):
        return {"loss": sum(loss.critic(scores[f"real {m}"], scores[f"fake {m}"]) for m in SHIFTS)}

    trainer = SingleLoss(noise, scores, total_loss)
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, steps, alpha=0.02)
    trainer.compile(keras.optimizers.Adam(rate, beta_1=0.5, beta_2=0.99))
    return trainer, critics


@stage("training a critic")
def train(name, seed, steps, every, batch_size):
    """Train the critics of one divergence on batches that never repeat a point.

    Args:
        name: name of the divergence.
        seed: int.
        steps: int, number of training steps.
        every: int, number of steps between two measurements.
        batch_size: int, number of pairs of points per step.

    Returns:
        {m: [[step, bound], ...]}, from step 0 on.
    """
    import keras

    from common import backend
    from common.data.batches import EndlessBatches

    keras.utils.set_random_seed(seed)
    trainer, critics = build(name, steps)
    paths = {m: [] for m in SHIFTS}

    def measure(step):
        for m, critic in critics.items():
            paths[m].append([step, bound(name, critic, normal(X, m, 1), normal(X, 0, 1), X)])

    class Record(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            backend.sync_jax_state(self.model)
            measure((epoch + 1) * every)

    measure(0)
    noise = np.random.default_rng([seed, 0]).standard_normal((steps * batch_size, 2), "float32")
    trainer.fit(
        EndlessBatches(noise, batch_size, seed=seed),
        epochs=steps // every,
        steps_per_epoch=every,
        callbacks=[Record()],
        shuffle=False,
        verbose=0,
    )
    return paths


def draw(path, exact, paths):
    """Draw the bounds over the steps into a PNG, one panel per divergence, with their mean and range over seeds.

    Dashed lines show the divergences.

    Args:
        path: path of the PNG.
        exact: {(name, m): divergence}.
        paths: {(name, m): list of [step, bound] for every seed}.
    """
    from common.plots.charts import COLOURS, blank_figure, write_figure
    from common.plots.words import in_words

    figure = blank_figure(9.6, 7.5)
    figure.suptitle("The bound of each divergence as its critic learns", fontsize=11)
    panels = figure.subplots(3, 3, sharex=True).flat
    for name, axes in zip(PANEL_ORDER, panels, strict=True):
        for m, colour in zip(SHIFTS, COLOURS, strict=False):
            (steps, *_), bounds = np.moveaxis(np.array(paths[name, m]), 2, 0)  # each (seeds, points)
            axes.plot(steps, bounds.mean(0), color=colour, linewidth=1.6, label=f"bound, m = {m:g}")
            axes.fill_between(steps, bounds.min(0), bounds.max(0), color=colour, alpha=0.25, linewidth=0)
            axes.axhline(exact[name, m], color=colour, linestyle="--", linewidth=1.0, label=f"D, m = {m:g}")
        top = exact[name, max(SHIFTS)]
        # kl and neyman start below 0, where T(0) is not f'(1)
        axes.set(title=in_words(name), ylim=(-0.12 * top, 1.12 * top))
        axes.set_xscale("symlog", linthresh=steps[1])  # linear up to the first measurement, to show step 0
        axes.set_xlim(0, steps[-1])
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#e4e4e8", linewidth=0.8)
    figure.supxlabel("step", fontsize=10)
    figure.supylabel("bound of the divergence", fontsize=10)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
    write_figure(path, figure)


def run(args):
    from common.experiments.tables import table
    from common.files import atomic_write, write_json
    from common.training.run_dir import provenance, write_results
    from fgan.divergences import get_divergence

    settings = PRESETS[args.preset]
    output_dir = Path(args.out) / "fgan" / ("bounds" if args.preset == "quick" else f"bounds-{args.preset}")
    write_json(output_dir / "config.json", provenance(args) | {"settings": settings})

    start, exact, paths = time.perf_counter(), {}, {}
    for name in PANEL_ORDER:
        paths_of_seeds = [train(name, seed, **settings) for seed in range(args.seeds)]
        for m in SHIFTS:
            exact[name, m] = get_divergence(name).from_densities(normal(X, m, 1), normal(X, 0, 1), X)
            paths[name, m] = [path[m] for path in paths_of_seeds]
            last_bounds = ", ".join(f"{path[-1][1]:.4f}" for path in paths[name, m])
            print(f"{name:16s} m = {m:g}: D = {exact[name, m]:.4f}, bound {last_bounds}", flush=True)
    seconds = time.perf_counter() - start

    rows, metrics = {name: {} for name in PANEL_ORDER}, {"seconds": seconds}
    for (name, m), divergence in exact.items():
        bounds = [path[-1][1] for path in paths[name, m]]
        rows[name] |= {f"D, m = {m:g}": [divergence], f"bound, m = {m:g}": np.round(bounds, 3).tolist()}
        rows[name][f"%, m = {m:g}"] = [100 * value / divergence for value in bounds]
        metrics[f"{name}/{m:g}/divergence"] = divergence
        metrics |= {f"{name}/{m:g}/bound/{seed}": value for seed, value in enumerate(bounds)}
    text = table("divergence", rows)
    atomic_write(output_dir / "table.md", lambda path: path.write_text(text))
    write_results(output_dir, metrics, paths={f"{name}/{m:g}": path for (name, m), path in paths.items()})
    draw(output_dir / "figures/bounds.png", exact, paths)
    print(text, output_dir / "figures/bounds.png", f"{seconds:.0f} seconds", sep="\n")


if __name__ == "__main__":
    main(run, make_parser())
