"""Check which acceptance rules keep their target distribution (article 6331, https://kexue.fm/archives/6331).

    python energy_gan/acceptance_rules.py                       # half a minute on one CPU core

Chains start from their target, the normal distribution of the plane with E(z) = ||z||^2/2, so their variance should
stay 1. It does under MALA, and without acceptance up to an error that depends on the step size. It does not under the
article's formula as printed, nor under either sampler of MEG's code (arXiv 1901.08508). The script writes a table and
a figure to `<out>/energy_gan/rules/`.
"""

from pathlib import Path

from common.cli import figure_parser, main, nonnegative_int, positive_int

STEPS = {0.02: 400, 1.0: 60}  # step size -> number of steps
RULE_LABELS = {
    "mala": "MALA",
    "langevin": "Langevin, no acceptance",
    "article": "the article's q: twice the drift",
    "meg": "MEG: the norm not squared",
    "meg_plain": "MEG: without q",
}


def make_parser():
    p = figure_parser(__doc__)
    p.add_argument("--chains", type=positive_int, default=20_000, help="number of chains per rule (default 20000)")
    p.add_argument("--seed", type=nonnegative_int, default=0, help="seed of the chains (default 0)")
    return p


def energy(z):
    """Return ||z||^2/2 of points (n, d), (n, 1)."""
    from keras import ops

    return ops.sum(ops.square(z), -1, keepdims=True) / 2


def stationary_variance(rule, step_size):
    """Return the variance that a chain on `energy` tends to.

    The move z' = (1 - s/2) z + sqrt(s) a alone keeps N(0, 1/(1 - s/4)). A rule that accepts with e^{F(z) - F(z')}
    keeps that distribution times e^{-F}. Without q, F is the energy. For the article's formula, F is (s - 1) times the
    energy.

    Args:
        rule: a key of `RULE_LABELS`.
        step_size: float, s.

    Returns:
        float, or `None` for the rule with the unsquared norm, which has no closed form.
    """
    inverse_variance = 1 - step_size / 4  # of the move alone
    added_by_rule = {"mala": step_size / 4, "langevin": 0.0, "article": step_size - 1, "meg_plain": 1.0}
    return 1 / (inverse_variance + added_by_rule[rule]) if rule in added_by_rule else None


def table(results):
    """Return a Markdown table of results[step size][rule] = dict(acceptance, variance)."""
    columns = [f"{name}, step size {size:g}" for size in results for name in ("accepted", "variance", "in the end")]
    lines = [f"| rule | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for rule, label in RULE_LABELS.items():
        cells = [label]
        for step_size, by_rule in results.items():
            theory = stationary_variance(rule, step_size)
            cells += [f"{by_rule[rule]['acceptance']:.3f}", f"{by_rule[rule]['variance'][-1]:.3f}"]
            cells.append(f"{theory:.3f}" if theory else "?")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw(path, results):
    """Draw the variance over the steps into a PNG, one panel per step size; dotted lines show the limits.

    Args:
        path: path of the PNG.
        results: as in `table`, with the variance after every step.
    """
    from common.plots.charts import COLOURS, blank_figure, write_figure

    figure = blank_figure(9.6, 4.7)
    figure.suptitle("Which rule keeps the distribution N(0, 1)?", fontsize=11)
    panels = figure.subplots(1, len(results))
    for axes, (step_size, by_rule) in zip(panels, results.items(), strict=True):
        for colour, (rule, label) in zip(COLOURS, RULE_LABELS.items(), strict=False):
            # Some lines coincide: MALA and Langevin on the left, Langevin and the article on the right.
            line_style = {"linestyle": "--" if rule == "article" else "-", "linewidth": 3.4 if rule == "mala" else 1.6}
            axes.plot(by_rule[rule]["variance"], color=colour, label=label, **line_style)
            if theory := stationary_variance(rule, step_size):
                axes.axhline(theory, color=colour, linestyle=":", linewidth=1)
        axes.set(title=f"step size {step_size:g}", xlabel="step", ylabel="variance of a component")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylim(0, 9)  # the limit of the article's rule, 67, lies far above
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    write_figure(path, figure)


def run(args):
    import numpy as np

    from common.files import atomic_write, write_json
    from common.training.run_dir import provenance, write_results
    from energy_gan.langevin import sample_chain

    output_dir = Path(args.out) / "energy_gan/rules"
    write_json(output_dir / "config.json", provenance(args))
    start = np.random.default_rng(args.seed).standard_normal((args.chains, 2), "float32")
    results, metrics = {}, {}
    for step_size, steps in STEPS.items():
        results[step_size] = {}
        for rule in RULE_LABELS:
            chain = sample_chain(energy, start, steps, step_size, rule, seed=args.seed, batch_size=args.chains)
            # Every rule keeps the mean at 0 by symmetry, so the variance of a component is the mean energy.
            result = {"acceptance": chain["acceptance"].mean(), "variance": chain["energies"].mean(1)}
            results[step_size][rule] = result
            metrics[f"acceptance/{rule}/{step_size:g}"] = result["acceptance"]
            metrics[f"variance/{rule}/{step_size:g}"] = result["variance"][-1]

    text = table(results)
    atomic_write(output_dir / "table.md", lambda path: path.write_text(text))
    draw(output_dir / "figures/rules.png", results)
    write_results(output_dir, metrics)
    print(text, output_dir / "figures/rules.png", sep="\n")


if __name__ == "__main__":
    main(run, make_parser())
