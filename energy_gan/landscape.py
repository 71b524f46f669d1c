"""Draw the energy view of GANs, and count what momentum costs (article 6316, https://kexue.fm/archives/6316).

    python energy_gan/landscape.py                              # seconds on one CPU core

The script draws five landscapes U(x) in one dimension with real dynamics on them. The D step digs pits under the reals
x_1, x_2, ...; the G step lets the fakes roll down. Then it counts how many different pits the fakes reach with and
without momentum. Last it solves the Dirac GANs of article 6583 (https://kexue.fm/archives/6583), which show why a
gradient penalty should be centred at zero. A table of both, pictures and animations go to
`<out>/energy_gan/landscape/`.

With momentum, the trail of a fake is drawn at the height of its total energy, U(x) + v^2 / (2 rate), which friction
lowers. The fake can cross every barrier below its trail. It stays in a pit for good once the trail is below the rim.
"""

from pathlib import Path

import numpy as np

from common.cli import figure_parser, main
from common.losses.dirac import START
from common.streams import stage
from energy_gan.toy_dynamics import DIRAC, assign_to_pit, critic_step, energy, heavy_ball, late_radii, slope

X_LIMITS, Y_LIMITS = (-4.0, 4.0), (-1.6, 0.45)  # of every landscape that is drawn
FRAMES = 40  # number of frames of an animation

# The landscape of the count has eight reals, some close together and some far apart.
PLACES = [-4.1, -3.1, -1.6, -0.6, 0.4, 1.9, 2.8, 4.3]
DEPTHS = [0.8, 0.6, 1.0, 0.7, 0.9, 0.6, 1.0, 0.8]
EIGHT_PITS = np.stack([PLACES, DEPTHS, np.full(8, 0.3)], 1)
MOMENTA, RATES = (0.0, 0.5, 0.9), (0.01, 0.03, 0.1, 0.3, 0.5)  # plain steps converge below 2 / max U'' = 0.18
DRAWS, STEPS = 100, 1000


def make_parser():
    return figure_parser(__doc__)


# The five landscapes. Each function returns (panels, frames): the list of panels of a picture, each a dict of keyword
# arguments for `draw`, and a list of such lists, one per frame of an animation.


def roll(pits, start, rate=0.02, momentum=0.0, steps=130):
    """Return the path of fakes that roll on a landscape, (steps + 1, n)."""
    return heavy_ball(lambda x: slope(x, pits), start, rate, momentum, steps)


def frames_of(path, n=FRAMES):
    """Return n beginnings of a path, the last of which is the whole path."""
    return [path[: last + 1] for last in np.linspace(0, len(path) - 1, n).astype(int)]


def digging():
    """Return the scene of the D step."""
    pits, fakes = three_pits()
    panel = {"title": "D step: dig a pit under every real; the fakes are left on the slopes", "pits": pits}
    shallower = [pits * (1, factor, 1) for factor in (0, 0.5)]
    return [panel | {"reals": pits[:, 0], "path": [fakes], "before": shallower}], []


def rolling():
    """Return the scene of the G step."""
    pits, fakes = three_pits()
    panel = {"title": "G step: U is fixed, the fakes roll down", "pits": pits, "reals": pits[:, 0]}
    path = roll(pits, fakes)
    return [panel | {"path": path}], [[panel | {"path": part}] for part in frames_of(path)]


def three_pits():
    """Return the landscape of `digging` and `rolling`, and three fakes on its slopes."""
    return np.array([(-2.6, 0.85, 0.55), (0.1, 1.1, 0.55), (2.5, 0.95, 0.5)]), [-3.35, 0.85, 1.65]


def spurious_pit():
    """Return the scene of a fake that stops in a pit without a real, until the next D step fills that pit."""
    reals, deepen, width = [-2.3, 2.3], 0.5, 0.5
    pits = np.array([(-2.3, 0.8, 0.6), (2.3, 0.8, 0.6), (0.7, 0.35, 0.4)])
    first = roll(pits, [-1.5, 0.1])
    after_d_step = lambda rate: critic_step(pits, reals, first[-1], rate, width)
    second = roll(after_d_step(deepen), first[-1], steps=250)
    g_step = {"reals": reals, "title": "G step: a fake stops in a pit without a real", "pits": pits}
    d_step = {"reals": reals, "title": "D step: the pit is filled up", "path": first[-1:], "before": [pits]}
    both_steps = {
        "reals": reals,
        "title": "D step fills that pit up, G step: the fake rolls on",
        "pits": after_d_step(deepen),
    }
    frames = [[g_step | {"path": part}] for part in frames_of(first, 20)]
    frames += [[d_step | {"pits": after_d_step(rate)}] for rate in np.linspace(0, deepen, 10)]
    frames += [[both_steps | {"path": part}] for part in frames_of(second, 25)]
    return [g_step | {"path": first}, both_steps | {"path": second, "before": [pits]}], frames


def momentum():
    """Return the scene of the same fakes without and with momentum."""
    pits = np.array([(-1.6, 1.2, 0.6), (0.2, 0.6, 0.5), (2.6, 0.9, 0.5)])
    panels, frames_of_panels = [], []
    titles = {
        0.0: "without momentum: into the nearest pit",
        0.9: r"momentum 0.9: $\hat x_2$ skips $x_2$, ends at $x_1$",
    }
    for beta, title in titles.items():
        path = roll(pits, [-2.9, 1.05, 3.4], 0.1, beta, steps=65)
        panel = {"title": title, "pits": pits, "reals": pits[:, 0], "rate": 0.1 if beta else None}
        panels.append(panel | {"path": path})
        frames_of_panels.append([panel | {"path": part} for part in frames_of(path)])
    return panels, list(zip(*frames_of_panels, strict=True))


def collapse():
    """Return the scene of fakes that all begin near one pit."""
    pits = np.array([(-2.7, 0.8, 0.45), (-0.6, 0.9, 0.5), (2.1, 1.2, 0.6)])
    panel = {"title": "collapse: all fakes began near one pit, and end in it", "pits": pits, "reals": pits[:, 0]}
    path = roll(pits, [0.95, 1.35, 2.9, 3.3])
    return [panel | {"path": path}], [[panel | {"path": part}] for part in frames_of(path)]


# drawing


def draw(axes, title, pits, reals, path, before=(), rate=None):
    """Draw a landscape with its reals and its fakes: hollow at the start of their trails, filled at the end.

    Args:
        axes: matplotlib axes.
        title: str.
        pits: landscape (k, 3).
        reals: places (m,) of x_1 to x_m.
        path: positions of the fakes, (steps + 1, n).
        before: landscapes from before a D step, drawn as dashed lines.
        rate: learning rate of a descent with momentum, whose trails are raised by the kinetic energy. `None` without
            momentum.
    """
    from common.plots.charts import COLOURS

    real, fake, ground = COLOURS[0], COLOURS[1], COLOURS[6]
    x, path = np.linspace(*X_LIMITS, 400), np.asarray(path)
    axes.fill_between(x, energy(x, pits), Y_LIMITS[0], color="#ededf1")
    axes.plot(x, energy(x, pits), color=ground, linewidth=1.6)
    for pits_before in before:
        axes.plot(x, energy(x, pits_before), color=ground, linewidth=0.8, linestyle="--", alpha=0.6)
    for k, place in enumerate(reals, 1):
        bottom = energy(place, pits)
        axes.plot(place, bottom, "o", color=real, markersize=11)
        axes.annotate(f"$x_{k}$", (place, bottom), (0, -18), textcoords="offset points", ha="center", color=real)
    now, trail = energy(path[-1], pits), energy(path, pits)
    if rate and len(path) > 2:
        trail[1:] += np.gradient(path, axis=0)[1:] ** 2 / (2 * rate)
    axes.plot(path, trail, color=fake, linewidth=1.6)
    axes.vlines(path[-1], now, trail[-1], color=fake, linewidth=1, linestyle=":")
    axes.plot(path[0], trail[0], "o", color=fake, markerfacecolor="white", markersize=7)
    axes.plot(path[-1], now, "o", color=fake, markersize=7)
    for k, (place, height) in enumerate(zip(path[0], trail[0], strict=True), 1):
        offset = (-11 * np.tanh(5 * slope(place, pits)), 8)  # towards the open side of the slope
        axes.annotate(rf"$\hat x_{k}$", (place, height), offset, textcoords="offset points", ha="center", color=fake)
    axes.set(xlim=X_LIMITS, ylim=Y_LIMITS, xticks=[], yticks=[], xlabel="x", ylabel="U(x)")
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)


def save_panels(path, panels):
    """Draw panels side by side into a PNG."""
    from common.plots.charts import blank_figure, write_figure

    figure = blank_figure(5.2 * len(panels), 3.0)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        draw(axes, **panel)
    write_figure(path, figure)


def save_animation(path, frames):
    """Draw lists of panels, one list per frame, into a GIF."""
    from common.plots.charts import blank_figure
    from common.plots.images import save_gif

    figure, images = blank_figure(3.7 * len(frames[0]), 2.3), []
    all_axes = figure.subplots(1, len(frames[0]), squeeze=False)[0]
    for panels in frames:
        for axes, panel in zip(all_axes, panels, strict=True):
            for artist in (*axes.lines, *axes.collections, *axes.texts):  # faster than `axes.clear()`
                artist.remove()
            draw(axes, **panel)
            step = f"step {len(panel['path']) - 1}"
            axes.text(0.99, 0.03, step, transform=axes.transAxes, ha="right", va="bottom", fontsize=8)
        figure.canvas.draw()
        # Later frames keep the layout of the first: the axes stay in place, and drawing is faster.
        figure.set_layout_engine("none")
        images.append(np.asarray(figure.canvas.buffer_rgba())[..., :3].copy())
    save_gif(path, images, seconds_per_frame=0.08)


def portraits(path, games):
    """Draw the path of theta in every game into a PNG, its last quarter in ochre.

    Args:
        path: path of the PNG.
        games: dict name -> ((lowest, highest) late |theta|, path (n, 2)), see `late_radii`.
    """
    from common.plots.charts import COLOURS, blank_figure, write_figure

    figure = blank_figure(7.2, 5.6)
    figure.suptitle("Dirac GANs: the fake (line) and the real sample (red)", fontsize=11)
    for axes, (name, ((lowest, highest), theta)) in zip(figure.subplots(2, 3).flat, games.items(), strict=True):
        axes.plot(*theta.T, color=COLOURS[0], linewidth=0.8)
        axes.plot(*theta[3 * len(theta) // 4 :].T, color=COLOURS[4], linewidth=1.4)
        axes.plot(*START[1], "o", color=COLOURS[6], markerfacecolor="white", markersize=6)
        axes.plot(0, 0, "o", color="red", markersize=6)
        axes.set(aspect="equal", adjustable="datalim")
        axes.set_title(f"{name}\n" + rf"late $|\theta|$: {lowest:.3f} to {highest:.3f}", fontsize=9)
        axes.tick_params(labelsize=7)
        axes.set_xlabel(r"$\theta_1$", fontsize=8)
        axes.set_ylabel(r"$\theta_2$", fontsize=8)
    write_figure(path, figure)


# counting


def barriers(pits):
    """Return where the n basins of a landscape end, (n + 1,).

    These are the maxima of U between the pits, and a point 0.6 beyond each of the outermost pits.
    """
    x = np.linspace(pits[0, 0], pits[-1, 0], 10001)
    u = energy(x, pits)
    inner = x[1:-1][(u[1:-1] > u[:-2]) & (u[1:-1] > u[2:])]
    return np.array([x[0] - 0.6, *inner, x[-1] + 0.6])


@stage("counting the pits that fakes reach")
def distinct_pits(momentum, rate, draws=DRAWS):
    """Count in how many of the eight pits eight fakes end; one fake starts in every basin, at a random place.

    A fake ends in a pit if it ends within its width. A fake that is thrown out of all pits does not count.

    Args:
        momentum: float from 0 to 1.
        rate: float, learning rate.
        draws: int, number of random starts (default 100).

    Returns:
        Integer array (draws,).
    """
    ends = barriers(EIGHT_PITS)
    fraction = np.random.default_rng(0).uniform(0.02, 0.98, (draws, len(EIGHT_PITS)))  # 0 and 1 are on a barrier
    start = ends[:-1] + fraction * np.diff(ends)
    last = heavy_ball(lambda x: slope(x, EIGHT_PITS), start, rate, momentum, STEPS)[-1]
    pits = assign_to_pit(last, EIGHT_PITS[:, 0], EIGHT_PITS[:, 2])
    return np.array([len(set(row) - {-1}) for row in pits])


def run(args):
    from common.experiments.tables import table
    from common.files import atomic_write, write_json
    from common.training.run_dir import provenance, write_results

    output_dir = Path(args.out) / "energy_gan/landscape"
    write_json(output_dir / "config.json", provenance(args))

    # pictures
    for scene in (digging, rolling, spurious_pit, momentum, collapse):
        panels, frames = scene()
        path = output_dir / "figures" / scene.__name__.replace("_", "-")
        save_panels(path.with_suffix(".png"), panels)
        if frames:
            save_animation(path.with_suffix(".gif"), frames)
        print(path.with_suffix(".png"))
    games = {name: late_radii(name) for name in DIRAC}
    portraits(output_dir / "figures/dirac.png", games)
    print(output_dir / "figures/dirac.png")

    # tables
    counts = {f"{beta:g}": {f"rate {rate:g}": distinct_pits(beta, rate).tolist() for rate in RATES} for beta in MOMENTA}
    radii = {name: {"from": [lowest], "to": [highest]} for name, ((lowest, highest), _) in games.items()}
    text = f"Different pits that {len(EIGHT_PITS)} fakes reach, mean and range of {DRAWS} draws:\n\n"
    text += table("momentum", counts) + "\n|theta| in the last quarter of the time, from 0.224:\n\n"
    text += table("game", radii)
    atomic_write(output_dir / "table.md", lambda path: path.write_text(text))
    metrics = {f"pits/{beta}/{rate}": np.mean(n) for beta, row in counts.items() for rate, n in row.items()}
    metrics |= {f"theta/{name}/{end}": v[0] for name, row in radii.items() for end, v in row.items()}
    write_results(output_dir, metrics)
    print("\n" + text)


if __name__ == "__main__":
    main(run, make_parser(), backend_needed=False)
