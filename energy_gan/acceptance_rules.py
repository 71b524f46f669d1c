"""Which rules of acceptance keep the law that they are to keep (article 6331, https://kexue.fm/archives/6331)?

    python energy_gan/acceptance_rules.py                       # half a minute on one CPU core

Chains start from the law itself, the normal distribution of the plane, E(z) = ||z||^2/2, and their variance should stay
1. It does under MALA, and under no acceptance at all up to the size of the steps; not under the article's formula as
printed, nor under either sampler of the code of MEG (arXiv 1901.08508). Writes a table and a figure to
`<out>/energy_gan/rules/`.
"""

from pathlib import Path

from common.cli import Parser, main, nonnegative_int, positive_int

STEPS = {0.02: 400, 1.0: 60}  # step size -> steps
RULE_LABELS = {
    "mala": "MALA",
    "langevin": "Langevin, no acceptance",
    "article": "the article's q: twice the drift",
    "meg": "MEG: the norm not squared",
    "meg_plain": "MEG: without q",
}


def make_parser():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("--chains", type=positive_int, default=20_000, help="of each (default 20000)")
    p.add_argument("--seed", type=nonnegative_int, default=0)
    p.add_argument("--out", default="runs", help="folder that holds the run directories (default runs)")
    return p


def energy(z):
    """||z||^2/2, (n, d) -> (n, 1)."""
    from keras import ops

    return ops.sum(ops.square(z), -1, keepdims=True) / 2


def stationary_variance(rule, step_size):
    """The variance that a chain on `energy` tends to; `None` for the norm that is not squared, which has no formula.

    The move alone, z' = (1 - s/2) z + sqrt(s) a, keeps N(0, 1/(1 - s/4)). Accepted by e^{F(z) - F(z')} it keeps that
    law times e^{-F}; without q F is the energy, and of the article's formula (s - 1) times the energy is left.
    """
    kept = 1 - step_size / 4  # inverse variance
    extra = {"mala": step_size / 4, "langevin": 0.0, "article": step_size - 1, "meg_plain": 1.0}
    return 1 / (kept + extra[rule]) if rule in extra else None


def table(found):
    """Markdown table of found[step size][rule] = dict(acceptance, variance)."""
    columns = [f"{name}, step size {size:g}" for size in found for name in ("accepted", "variance", "in the end")]
    lines = [f"| rule | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for rule, title in RULE_LABELS.items():
        cells = [title]
        for step_size, of_rules in found.items():
            theory = stationary_variance(rule, step_size)
            cells += [f"{of_rules[rule]['acceptance']:.3f}", f"{of_rules[rule]['variance'][-1]:.3f}"]
            cells.append(f"{theory:.3f}" if theory else "?")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw(path, found):
    """Variance over the steps, a panel for each step size; dotted where each rule ends."""
    from common.plots.charts import COLOURS, blank_figure, write_figure

    figure = blank_figure(9.6, 4.4)
    panels = figure.subplots(1, len(found))
    for axes, (step_size, of_rules) in zip(panels, found.items(), strict=True):
        for colour, (rule, title) in zip(COLOURS, RULE_LABELS.items(), strict=False):
            # lines that lie on each other, MALA's and Langevin's on the left, Langevin's and the article's on the right
            how = {"linestyle": "--" if rule == "article" else "-", "linewidth": 3.4 if rule == "mala" else 1.6}
            axes.plot(of_rules[rule]["variance"], color=colour, label=title, **how)
            if theory := stationary_variance(rule, step_size):
                axes.axhline(theory, color=colour, linestyle=":", linewidth=1)
        axes.set(title=f"step size {step_size:g}", xlabel="step", ylabel="variance of a component")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylim(0, 9)  # the article's end is far above
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    write_figure(path, figure)


def run(args):
    import numpy as np

    from common.files import atomic_write, write_json
    from common.training.run_dir import provenance, write_results
    from energy_gan.langevin import sample_chain

    where = Path(args.out) / "energy_gan/rules"
    write_json(where / "config.json", provenance(args))
    start = np.random.default_rng(args.seed).standard_normal((args.chains, 2), "float32")
    found, metrics = {}, {}
    for step_size, steps in STEPS.items():
        found[step_size] = {}
        for rule in RULE_LABELS:
            how = {"seed": args.seed, "batch_size": args.chains}
            chain = sample_chain(energy, start, steps, step_size, rule, **how)
            # under every rule the mean stays 0 by symmetry, so the variance of a component is the mean energy
            row = {"acceptance": chain["acceptance"].mean(), "variance": chain["energies"].mean(1)}
            found[step_size][rule] = row
            numbers = {"acceptance": row["acceptance"], "variance": row["variance"][-1]}
            metrics |= {f"{name}/{rule}/{step_size:g}": value for name, value in numbers.items()}

    text = table(found)
    atomic_write(where / "table.md", lambda path: path.write_text(text))
    draw(where / "figures/rules.png", found)
    write_results(where, metrics)
    print(text, where / "figures/rules.png", sep="\n")


if __name__ == "__main__":
    main(run, make_parser())
