"""Draw typical spectra of the four classes with their lines marked (article 5505).

    python spectra/gallery.py       # seconds; trains nothing

Above, three spectra of each class as an instrument sees them, at a signal to noise of 10 (unknown: 1); each is shown
with its lines at their shifted wavelengths. Writes the picture to `<out>/spectra/gallery/`.
"""

from pathlib import Path

from common.cli import figure_parser, main
from common.flag_types import nonnegative_int

COLUMNS = 3  # spectra of each class
DRAWN = 2000  # spectra to choose from
SIGNAL_TO_NOISE = {"star": 10.0, "unknown": 1.0, "galaxy": 10.0, "qso": 10.0}


def make_parser():
    p = figure_parser(__doc__)
    p.add_argument("--seed", type=nonnegative_int, default=0, help="seed of the spectra (default 0)")
    return p


def chosen(spectra):
    """Return the rows of the spectra to draw, {class: list of indices}, from low to high temperature or redshift.

    Of the spectra of a class near the wanted signal to noise, those nearest to three quantiles are taken.
    """
    import numpy as np

    from spectra.simulator import CLASSES, STAR

    rows = {}
    for label, name in enumerate(CLASSES):
        ratio = np.abs(np.log(spectra.signal_to_noise / SIGNAL_TO_NOISE[name]))
        near = np.flatnonzero((spectra.labels == label) & (ratio < 0.4))
        order = spectra.temperature[near] if label == STAR else spectra.redshift[near]
        if name == "unknown":  # one of each kind
            rows[name] = [near[spectra.kinds[near] == kind][0] for kind in np.unique(spectra.kinds)]
        else:
            ranked = near[np.argsort(order, kind="stable")]
            rows[name] = [ranked[int(q * (len(ranked) - 1))] for q in (0.1, 0.5, 0.9)]
    return rows


def lines_of(kind, redshift, temperature):
    """Return the lines of an object in the range, {name: wavelength in angstrom where they are seen}."""
    from spectra import simulator as s

    of_star = {} if temperature > 8000 else dict.fromkeys((3933.7, 4304.0, 5172.7, 5890.0, 8542.1))
    of_star |= {7054.0: None} if temperature < 4000 else {}
    of_star |= dict.fromkeys((4340.5, 4861.3, 6562.8)) if temperature > 5500 else {}
    lines = {
        s.STAR: of_star,
        s.GALAXY: {**s.NARROW, 3933.7: None, 5172.7: None, 5890.0: None},
        s.QSO: {**s.BROAD, **s.OXYGEN},
    }[kind]
    seen = {s.NAMES[line]: line * (1 + redshift) for line in sorted(lines) if line in s.NAMES}
    return {name: place for name, place in seen.items() if s.RANGE[0] < place < s.RANGE[1]}


def title_of(name, spectra, row):
    """Return the title of a spectrum: its class, temperature or redshift, and its signal to noise."""
    from spectra.simulator import CLASSES, STAR

    kind = CLASSES[spectra.kinds[row]]
    is_star = spectra.kinds[row] == STAR
    what = f"{spectra.temperature[row]:,.0f} K" if is_star else f"z = {spectra.redshift[row]:.2f}"
    name = name if name == kind else f"{name} ({kind})"
    return f"{name}, {what}, S/N {spectra.signal_to_noise[row]:.1f}"


def run(args):
    import numpy as np

    from common.plots.charts import COLOURS, blank_figure, write_figure
    from spectra.simulator import draw, wavelengths

    spectra = draw(DRAWN, args.seed)
    grid = wavelengths(spectra.flux.shape[1])
    rows = chosen(spectra)
    figure = blank_figure(13, 9.5)
    panels = figure.subplots(len(rows), COLUMNS, sharex=True)
    for colour, (name, indices), row_of_panels in zip(COLOURS, rows.items(), panels, strict=False):
        for axes, row in zip(row_of_panels, indices, strict=True):
            flux = spectra.flux[row]
            axes.plot(grid, flux, color=colour, linewidth=0.8)
            low, high = np.percentile(flux, (0.3, 99.9))
            axes.set_ylim(low - 0.08 * (high - low), high + 0.3 * (high - low))
            axes.set_title(title_of(name, spectra, row), fontsize=10)
            last = -np.inf
            lines = lines_of(spectra.kinds[row], spectra.redshift[row], spectra.temperature[row])
            for line, place in sorted(lines.items(), key=lambda item: item[1]):
                axes.axvline(place, color="#55555f", linestyle=":", linewidth=0.7)
                if place - last > 130:  # else the names would touch
                    axes.text(place, 0.99, line, rotation=90, fontsize=7, ha="right", va="top",
                              transform=axes.get_xaxis_transform())  # fmt: skip
                    last = place
            axes.spines[["top", "right"]].set_visible(False)
            axes.tick_params(labelsize=8)
    for axes in panels[-1]:
        axes.set_xlabel("wavelength, Å", fontsize=9)
    for axes in panels[:, 0]:
        axes.set_ylabel("flux / median", fontsize=9)
    path = Path(args.out) / "spectra/gallery/figures/spectra.png"
    write_figure(path, figure)
    print(path)


if __name__ == "__main__":
    main(run, make_parser(), backend_needed=False)
