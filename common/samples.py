"""What a GAN learns from and how its samples are shown and judged: images, or points of the plane.

Both kinds have `train` (what `common.training.train` takes), `shape`, `floor`, `modes` (how many the data has; 0 if
that is not known), and the functions `finish`, `show`, `distance`, `modes_of`, `numbers`.
"""

from dataclasses import replace

import numpy as np

from common import data, figures, toys
from common.distances import frechet_distance, laplacian_wasserstein, mode_coverage, sliced_wasserstein
from common.errors import UserError
from common.features import default_kind, extractor, predicted_labels, sample_quality, subset
from common.planes import planes

ON_THE_WAY = 2000  # samples that are measured at each stretch of a training
AT_THE_END = 10_000
MODES = {"mnist": 10, "stacked_mnist": 1000, "stacked_mnist_2": 100}
POINTS = 50_000  # of a toy


class Pictures:
    """Images, measured in the features of `common.features`.

    Args:
        args: flags `dataset`, `size`, `data_dir`, `limit`, `features` (kind, or `None` for the data set's own).
        without: int, class that is left out of the training images; `None`: none.
    """

    axis = "Frechet distance to held-out images"
    columns = 9

    def __init__(self, args, without=None):
        self.args = args
        self.modes = MODES.get(args.dataset, 0)
        args.features = args.features or default_kind(args.dataset)
        self.train = data.load(args.dataset, args.size, "train", args.data_dir, limit=args.limit)
        if without is not None:
            self.train = leave_out(self.train, without)
        self.test = np.asarray(data.load(args.dataset, args.size, "test", args.data_dir, limit=args.limit).array)
        self.shape = self.train.array.shape[1:]
        self.extract = extractor(args.features, args.dataset, args.size, self.train.array, args.data_dir)
        self.n = min(ON_THE_WAY, len(self.test), len(self.train.array))
        self.reference = self.extract(subset(self.test, self.n))
        self.floor = frechet_distance(self.extract(subset(self.train.array, self.n)), self.reference)

    def finish(self, outputs):
        """Images of a network, [-1, 1], as uint8."""
        return data.to_uint8(outputs)

    def show(self, path, samples):
        scale = max(1, 64 // self.args.size)  # small pictures are shown larger
        figures.save_png(path, figures.image_grid(samples[: self.columns**2], self.columns, scale=scale))

    def distance(self, samples):
        """Frechet distance of n samples to as many held-out images; `floor` is that of training images."""
        return frechet_distance(self.extract(samples), self.reference)

    def modes_of(self, samples):
        """`modes` that the samples reach and `mode_kl`, KL(model || uniform), by the classifier."""
        labels = predicted_labels(samples, self.args.dataset, self.args.size, self.args.data_dir)
        return mode_coverage(labels, self.modes)

    def numbers(self, sample):
        """FID, KID, precision, recall, density, coverage, sliced Wasserstein distance at each scale (x 1000); of digits
        also the modes that 26 samples for each reach, and KL(model || uniform), by the classifier.

        Args:
            sample: function (n, stream) -> n samples, uint8.
        """
        fakes = sample(min(AT_THE_END, len(self.test)), 4)
        n = min(ON_THE_WAY, len(fakes))
        swd = laplacian_wasserstein(subset(self.test, n), subset(fakes, n))
        found = {
            **sample_quality(fakes, self.train.array, self.test, self.extract),
            **{f"swd_{size}": 1000 * value for size, value in swd.items()},
        }
        return found | (self.modes_of(sample(26 * self.modes, 5)) if self.modes else {})


def leave_out(images, label):
    """`common.data.Images` without those of a class; `UserError` where there are no classes, or not that one."""
    labels = images.labels
    if labels is None or labels.ndim != 1 or not 0 <= label < len(images.label_names):
        raise UserError(f"{images.name} has no class {label} that could be left out")
    keep = np.flatnonzero(labels != label)
    names = [images.names[i] for i in keep]
    return replace(images, array=images.array[keep], names=names, labels=labels[keep])


class Points:
    """Points of a toy of `common.toys`, measured by the sliced Wasserstein distance.

    Args:
        args: flags `dataset`, `seed`, `limit`.
    """

    axis = "sliced Wasserstein distance to fresh points"
    shape = (2,)

    def __init__(self, args):
        self.args, args.size = args, 2
        self.modes = len(_modes(args.dataset)[0])
        self.train = toys.sample(args.dataset, args.limit or POINTS, [args.seed, 0])
        self.n = ON_THE_WAY
        self.reference, again = (toys.sample(args.dataset, self.n, [args.seed, stream]) for stream in (1, 2))
        self.floor = sliced_wasserstein(again, self.reference)
        side = 1.15 * float(np.abs(self.train).max())
        self.extent = (-side, side, -side, side)

    def finish(self, outputs):
        return np.asarray(outputs)

    def show(self, path, samples):
        planes(path, {"data": self.reference, "samples": samples}, self.extent)

    def distance(self, samples):
        return sliced_wasserstein(samples, self.reference)

    def numbers(self, sample):
        """`swd` and its floor between two samples of the data; of a mixture what `modes_of_points` finds."""
        fakes, real, again = (sample(AT_THE_END, 4), *(self._fresh(stream) for stream in (3, 4)))
        found = {"swd": sliced_wasserstein(fakes, real), "swd_floor": sliced_wasserstein(again, real)}
        return found | self.modes_of(sample(2500, 5))

    def modes_of(self, samples):
        """`modes_of_points`."""
        return modes_of_points(self.args.dataset, samples)

    def _fresh(self, stream):
        return toys.sample(self.args.dataset, AT_THE_END, [self.args.seed, stream])


def modes_of_points(name, points):
    """What points (n, 2) make of a mixture of `common.toys`; {} for a toy that is none.

    Returns:
        `near`, the share of points within three standard deviations of a mode, and, of these, `modes` and `mode_kl`
        of `common.distances.mode_coverage` (the protocol of VEEGAN, arXiv 1705.07761, with 2500 points), and
        `mode_width`: their standard deviation about the mean of their mode's, in the standard deviation of the data.
        Of the data that is 0.974, since the far ones are left out; points that shrink to their centres are all near.
    """
    centres, std = _modes(name)
    if not len(centres):
        return {}
    square = np.sum((points[:, None] - centres) ** 2, -1)
    near = square.min(1) < (3 * std) ** 2
    if not near.any():
        # the worst there is
        return {"near": 0.0, "modes": 0, "mode_kl": float(np.log(len(centres))), "mode_width": 0.0}
    labels, kept = square.argmin(1)[near], points[near]
    own = [kept[labels == label] for label in np.unique(labels)]
    about_mean = np.concatenate([of_mode - of_mode.mean(0) for of_mode in own])
    width = np.sqrt(np.mean(about_mean**2)) / std
    return {"near": float(near.mean()), **mode_coverage(labels, len(centres)), "mode_width": float(width)}


def _modes(name):
    """(centres (n, 2), standard deviation) of a mixture of `common.toys`; of another toy no centres."""
    try:
        return toys.modes(name)
    except UserError:
        return np.zeros((0, 2)), 0.0
