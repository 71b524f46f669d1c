"""How far a generator's samples are from the data, on the way and at the end, and which modes they reach."""

from pathlib import Path

import imageio.v3 as iio

from common import figures
from common.distances import frechet_distance, laplacian_wasserstein, mode_coverage
from common.features import predicted_labels, sample_quality, subset
from common.runs import read_json, write_json

MODES = {"mnist": 10, "stacked_mnist": 1000, "stacked_mnist_2": 100}


class Progress:
    """The Frechet distance of `n` samples to as many held-out images, kept in `distances.json` by step.

    Args:
        run: path of the run directory.
        extract: function images -> features, of `common.features.extractor`.
        train, test: uint8 images; `floor` is the distance between n of each.
    """

    def __init__(self, run, extract, train, test, n):
        self.path, self.extract = Path(run) / "distances.json", extract
        self.reference = extract(subset(test, n))
        self.floor = frechet_distance(extract(subset(train, n)), self.reference)
        # what a stopped run measured beyond its last checkpoint is measured again, and comes out the same
        self.at = read_json(self.path) if self.path.exists() else {}

    def __call__(self, step, fakes):
        self.at[str(step)] = frechet_distance(self.extract(fakes), self.reference)
        write_json(self.path, self.at)

    def curve(self):
        """(steps, distances), in order."""
        steps = sorted(map(int, self.at))
        return steps, [self.at[str(step)] for step in steps]


def sample_numbers(fakes, train, test, extract):
    """FID, KID, precision, recall, density, coverage, and the sliced Wasserstein distance at each scale (x 1000)."""
    n = min(len(fakes), len(test), 2000)
    swd = laplacian_wasserstein(subset(test, n), subset(fakes, n))
    return {
        **sample_quality(fakes, train, test, extract),
        **{f"swd_{size}": 1000 * value for size, value in swd.items()},
    }


def modes(args, sample):
    """Modes that 26 samples for each reach, and KL(model || uniform), by the classifier (protocol of MEG, VEEGAN).

    Only for digits: {} elsewhere.

    Args:
        sample: function n -> that many samples, uint8.
    """
    if args.dataset not in MODES:
        return {}
    count = MODES[args.dataset]
    labels = predicted_labels(sample(26 * count), args.dataset, args.size, args.data_dir)
    return mode_coverage(labels, count)


def figures_of_a_run(run, samples, rows, progress, scale):
    """Writes the samples, the curves and the film of a training; returns the paths."""
    folder = Path(run) / "figures"
    figures.save_png(folder / "samples.png", figures.image_grid(samples, 9, scale=scale))
    references = {"between two samples of the data": progress.floor}
    series = {"samples": progress.curve()}
    figures.curves(
        folder / "distance.png", series, "step", "Frechet distance to held-out images", logy=True, references=references
    )
    names = [name for name in ("critic_gap", "critic_loss", "generator_loss", "penalty") if name in rows[-1]]
    series = {name: ([r["step"] for r in rows], [r[name] for r in rows]) for name in names}
    figures.curves(folder / "curves.png", series, "step", "mean over the batch")
    frames = [iio.imread(path) for path in sorted((Path(run) / "samples").glob("step-*.png"))]
    figures.save_gif(folder / "training.gif", frames)
    return [folder / name for name in ("samples.png", "distance.png", "curves.png", "training.gif")]
