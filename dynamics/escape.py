"""Let the capped Polyak flow hop out of a local minimum, and count how often it does (article 6261).

    python dynamics/escape.py                       # a minute on one CPU core, nothing is trained
    python dynamics/escape.py --preset smoke        # fewer starts: seconds

The article (https://kexue.fm/archives/6261) starts at x = 4 on a curve with a local minimum at 3 and its minimum at
0.407, and prescribes that the loss falls as dL/dt = -L. Near 3 the slope vanishes, so the steps of size h become large:
up to h M f(3), where M caps 1 / |f'|. One of them may hop over the barrier at 1.843.

The script draws that run as a picture and as an animation. It counts the starts that reach the basin of the minimum,
for several step sizes and caps and for descent with noise. It repeats the article's run with f and f' written in twelve
ways that are equal but for rounding. All goes to `<out>/dynamics/escape/` (`escape-smoke/` for that preset).
"""

from pathlib import Path

import numpy as np

from common.cli import figure_parser, main
from common.ode import euler, solve
from common.streams import stage
from dynamics.flows import BARRIER, LOCAL_MINIMUM, MINIMUM, OFFSET, curve, curve_slope, gradient_flow, polyak_flow

PRESETS = {"smoke": {"starts": 31, "runs": 40}, "quick": {"starts": 301, "runs": 2000}}
START, T, H, CAP = 4.0, 25.0, 0.01, 1000.0  # the article's: 2,500 steps
STARTS_FROM, STARTS_TO = 2.0, 5.0  # all in the basin of the local minimum
STEP_SIZES, CAPS = (0.003, 0.01, 0.03), (10.0, 50.0, 70.0, 80.0, 100.0, 1000.0, 10000.0)
NOISE, NOISY_START = (0.0, 0.5, 1.0, 1.5, 2.0), 3.9
FRAMES = 30  # number of frames of the animation

# equal ways to write f and f', which differ in rounding alone
CURVES = {
    "product": curve,
    "powers": lambda x: x**4 - 7 * x**3 + 15 * x**2 - 9 * x + OFFSET,
    "Horner": lambda x: (((x - 7) * x + 15) * x - 9) * x + OFFSET,
}
SLOPES = {
    "powers": lambda x: 4 * x**3 - 21 * x**2 + 30 * x - 9,
    "Horner": curve_slope,
    "product rule": lambda x: (x - 1) * (x - 3) ** 2 + x * (x - 3) ** 2 + 2 * x * (x - 1) * (x - 3),
    "factors": lambda x: (x - 3) * (4 * x * x - 9 * x + 3),
}


def make_parser():
    return figure_parser(__doc__, PRESETS, "smoke: 31 starts and 40 noisy runs; quick: 301 and 2,000 (default)")


def polyak_path(start, h=H, cap=CAP, f=curve, slope=curve_slope):
    """Return the path (steps + 1, ...) of points under the capped Polyak flow, in Euler steps, to the time T.

    Args:
        start: float or array, x at time 0.
        h: float, step size.
        cap: float, or array that broadcasts with `start`.
        f: function of x.
        slope: its derivative.
    """
    field = polyak_flow(f, slope, np.asarray(cap)[..., None])
    return solve(field, np.asarray(start)[..., None], T, h, euler)[..., 0]


def noisy_path(noise, runs, seed=0):
    """Return the path (steps + 1, runs) of gradient descent with noise, x <- x - h f'(x) + sqrt(h) noise n, n normal.

    Args:
        noise: float, standard deviation of the noise per unit of time.
        runs: int.
        seed: int.
    """
    rng, descent = np.random.default_rng(seed), gradient_flow(curve_slope)
    field = lambda x: descent(x) + noise / np.sqrt(H) * rng.normal(size=x.shape)
    return solve(field, np.full(runs, NOISY_START), T, H, euler)


def escaped(x):
    """Return whether points are in the basin of the minimum, in the shape of x."""
    return x < BARRIER


def cap_needed(h):
    """Return the cap below which no step of size h from near the local minimum reaches the barrier.

    There |f'| < 1 / M, and a step is h M f(3) long.
    """
    return (LOCAL_MINIMUM - BARRIER) / (h * curve(LOCAL_MINIMUM))


# figures


def draw(all_axes, path, last):
    """Draw on two axes the curve with the points that a path has visited up to step `last`, and x over the steps."""
    from common.plots.charts import COLOURS

    x = np.linspace(-0.35, 4.25, 300)
    left, right = all_axes
    left.plot(x, curve(x), color=COLOURS[6], linewidth=1.4)
    left.plot(path[: last + 1], curve(path[: last + 1]), "o", color=COLOURS[0], markersize=3)
    left.plot(path[last], curve(path[last]), "o", color=COLOURS[1], markersize=9)
    left.set(xlabel="x", ylabel="f(x)", title="The curve, and where it was", xlim=(-0.35, 4.25), ylim=(-0.6, 12.5))
    right.plot(path[: last + 1], color=COLOURS[0], linewidth=1)
    right.plot(last, path[last], "o", color=COLOURS[1], markersize=7)
    for place, name in ((LOCAL_MINIMUM, "local minimum"), (BARRIER, "barrier"), (MINIMUM, "minimum")):
        right.axhline(place, color="#55555f", linestyle="--", linewidth=0.8)
        right.text(0.99 * len(path), place, name, ha="right", va="bottom", fontsize=8, color="#55555f")
    right.set(xlabel="step", ylabel="x", title="x over the steps", xlim=(0, len(path)), ylim=(0, 4.25))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.title.set_fontsize(10)


def draw_escape(path, xs):
    """Draw the run `xs` (steps + 1,) into a PNG."""
    from common.plots.charts import blank_figure, write_figure

    figure = blank_figure(8.4, 3.4)
    figure.suptitle("The capped Polyak flow hops out of a local minimum", fontsize=11)
    draw(figure.subplots(1, 2), xs, len(xs) - 1)
    write_figure(path, figure)


def animate_escape(path, xs):
    """Draw the run `xs` (steps + 1,) into a GIF, the step on each frame."""
    from common.plots.animation import caption_of_step
    from common.plots.charts import blank_figure
    from common.plots.images import save_gif

    figure, images = blank_figure(4.8, 2.3), []
    all_axes, fraction = figure.subplots(1, 2), np.linspace(0, 1, FRAMES) ** 2  # most happens early
    for last in (fraction * (len(xs) - 1)).astype(int):
        for axes in all_axes:
            axes.clear()
        figure.suptitle(caption_of_step(last), fontsize=10)
        draw(all_axes, xs, last)
        figure.canvas.draw()
        # Later frames keep the layout of the first: the axes stay in place, and drawing is faster.
        figure.set_layout_engine("none")
        images.append(np.asarray(figure.canvas.buffer_rgba())[..., :3].copy())
    save_gif(path, images, seconds_per_frame=0.12)


def draw_shares(path, polyak, noisy):
    """Draw the share of the points that have escaped over the steps into a PNG.

    Args:
        path: path of the PNG.
        polyak: {cap: share (steps + 1,)}.
        noisy: {noise: share (steps + 1,)}.
    """
    from common.plots.charts import plot_curves

    named = {f"cap {cap:g}": share for cap, share in polyak.items()}
    named |= {f"noise {noise:g}": share for noise, share in noisy.items()}
    series = {name: (np.arange(len(share))[::10], share[::10]) for name, share in named.items()}
    plot_curves(
        path,
        series,
        "step",
        "share in the basin of the minimum",
        title="Who leaves the local minimum: by cap, or by noise",
    )


# counting


@stage("counting escapes by step size and cap")
def count_escapes(starts):
    """Return {h: {cap: share (steps + 1,) of the starts in the basin of the minimum}} and the last x of the article's.

    Args:
        starts: int, number of starts, evenly spaced.
    """
    start, shares = np.tile(np.linspace(STARTS_FROM, STARTS_TO, starts), (len(CAPS), 1)), {}
    for h in STEP_SIZES:
        path = polyak_path(start, h, np.reshape(CAPS, (-1, 1)))
        shares[h] = dict(zip(CAPS, escaped(path).mean(-1).T, strict=True))
        if h == H:
            last = path[-1, CAPS.index(CAP)]
    return shares, last


@stage("repeating the article's run with other roundings")
def rounding_table():
    """Return {f | f': {column: [number]}} of the article's run in twelve ways that are equal but for rounding."""
    rows = {}
    for f_name, f in CURVES.items():
        for slope_name, slope in SLOPES.items():
            path = polyak_path(START, f=f, slope=slope)
            first = int(escaped(path).argmax())
            row = {"escapes at step": [first] if first else [], "last x": [path[-1]], "f there": [curve(path[-1])]}
            rows[f"{f_name}, {slope_name}"] = row
    return rows


def run(args):
    from common.experiments.tables import table
    from common.files import atomic_write, write_json
    from common.training.run_dir import provenance, write_results

    sizes = PRESETS[args.preset]
    output_dir = Path(args.out) / "dynamics" / ("escape" if args.preset == "quick" else f"escape-{args.preset}")
    write_json(output_dir / "config.json", provenance(args) | {"settings": sizes})

    # the article's run
    xs = polyak_path(START)
    draw_escape(output_dir / "figures/escape.png", xs)
    animate_escape(output_dir / "figures/escape.gif", xs)
    plain = solve(gradient_flow(curve_slope), START, T, H, euler)
    metrics = {"article/first step": int(escaped(xs).argmax()), "article/last x": xs[-1], "article/f": curve(xs[-1])}
    metrics |= {"gradient descent/last x": plain[-1], "gradient descent/f": curve(plain[-1])}

    # how often
    shares, last = count_escapes(sizes["starts"])
    noisy = {noise: escaped(noisy_path(noise, sizes["runs"])).mean(1) for noise in NOISE}
    metrics |= {f"share/h {h}/M {cap:g}": s[-1] for h, row in shares.items() for cap, s in row.items()}
    metrics |= {f"share/noise {noise:g}": s[-1] for noise, s in noisy.items()}
    metrics["share within 0.01 of the minimum"] = (abs(last - MINIMUM) < 0.01).mean()
    shown = {cap: shares[H][cap] for cap in (70.0, 80.0, CAP)}
    draw_shares(output_dir / "figures/share.png", shown, {noise: noisy[noise] for noise in NOISE[2:]})

    # tables
    by_step = {
        f"{h:g}": {"M needed": [cap_needed(h)]} | {f"M = {cap:g}": [100 * s[-1]] for cap, s in row.items()}
        for h, row in shares.items()
    }
    by_noise = {"percent": {f"noise {noise:g}": [100 * s[-1]] for noise, s in noisy.items()}}
    roundings = rounding_table()
    metrics["roundings that escape"] = sum(bool(row["escapes at step"]) for row in roundings.values())
    text = f"Percent of {sizes['starts']} starts that end in the basin of the minimum:\n\n" + table(
        "step size", by_step
    )
    text += f"\nGradient descent with noise, {sizes['runs']} runs:\n\n" + table("", by_noise)
    text += "\nThe article's run; how f and f' are written:\n\n" + table("f, f'", roundings)
    atomic_write(output_dir / "table.md", lambda path: path.write_text(text, encoding="utf-8"))
    write_results(output_dir, {name: float(value) for name, value in metrics.items()})
    print(text, *sorted((output_dir / "figures").iterdir()), sep="\n")


if __name__ == "__main__":
    main(run, make_parser(), backend_needed=False)
