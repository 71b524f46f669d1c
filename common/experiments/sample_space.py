"""What a GAN learns from and how its samples are shown and judged: images, or points of the plane.

Both kinds have `train` (what `common.training.loop.train` takes), `shape`, `noise_floor`, `modes` (how many
the data has; 0 if that is not known), and the functions `postprocess`, `show`, `distance`, `count_modes`, `evaluate`.
"""

from dataclasses import replace

import numpy as np

from common.data import toy_2d
from common.data.images import load_images, to_uint8
from common.errors import UserError
from common.metrics.classifier import predicted_labels
from common.metrics.distances import frechet_distance, laplacian_wasserstein, sliced_wasserstein
from common.metrics.features import default_features, extractor, fixed_random_subset, sample_quality
from common.metrics.modes import _modes, mode_coverage, modes_of_points
from common.plots.images import image_grid, save_png
from common.plots.planes import plot_panels_2d

N_DURING_TRAINING = 2000  # samples that are measured at each stretch of a training
N_FINAL = 10_000
MODES = {"mnist": 10, "stacked_mnist": 1000, "stacked_mnist_2": 100}
POINTS = 50_000  # of a toy


class ImageSpace:
    """Images, measured in the features of `common.metrics.features`.

    Args:
        args: flags `dataset`, `size`, `data_dir`, `limit`, `features` (kind, or `None` for the data set's own).
        without: int, class that is left out of the training images; `None`: none.
    """

    distance_label = "Frechet distance to held-out images"
    columns = 9

    def __init__(self, args, without=None):
        self.args = args
        self.modes = MODES.get(args.dataset, 0)
        args.features = args.features or default_features(args.dataset)
        self.train = load_images(args.dataset, args.size, "train", args.data_dir, limit=args.limit)
        if without is not None:
            self.train = leave_out(self.train, without)
        self.test = np.asarray(load_images(args.dataset, args.size, "test", args.data_dir, limit=args.limit).array)
        self.shape = self.train.array.shape[1:]
        self.extract = extractor(args.features, args.dataset, args.size, self.train.array, args.data_dir)
        self.n = min(N_DURING_TRAINING, len(self.test), len(self.train.array))
        self.reference = self.extract(fixed_random_subset(self.test, self.n))
        self.noise_floor = frechet_distance(self.extract(fixed_random_subset(self.train.array, self.n)), self.reference)

    def postprocess(self, outputs):
        """Images of a network, [-1, 1], as uint8."""
        return to_uint8(outputs)

    def show(self, path, samples):
        scale = max(1, 64 // self.args.size)  # small pictures are shown larger
        save_png(path, image_grid(samples[: self.columns**2], self.columns, scale=scale))

    def distance(self, samples):
        """Frechet distance of n samples to as many held-out images; `floor` is that of training images."""
        return frechet_distance(self.extract(samples), self.reference)

    def count_modes(self, samples):
        """`modes` that the samples reach and `mode_kl`, KL(model || uniform), by the classifier."""
        labels = predicted_labels(samples, self.args.dataset, self.args.size, self.args.data_dir)
        return mode_coverage(labels, self.modes)

    def evaluate(self, sample):
        """FID, KID, precision, recall, density, coverage, sliced Wasserstein distance at each scale (x 1000); of digits
        also the modes that 26 samples for each reach, and KL(model || uniform), by the classifier.

        Args:
            sample: function (n, stream) -> n samples, uint8.
        """
        fakes = sample(min(N_FINAL, len(self.test)), 4)
        n = min(N_DURING_TRAINING, len(fakes))
        swd = laplacian_wasserstein(fixed_random_subset(self.test, n), fixed_random_subset(fakes, n))
        found = {
            **sample_quality(fakes, self.train.array, self.test, self.extract),
            **{f"swd_{size}": 1000 * value for size, value in swd.items()},
        }
        return found | (self.count_modes(sample(26 * self.modes, 5)) if self.modes else {})


def leave_out(images, label):
    """`common.data.images.Images` without those of a class; `UserError` where there are no classes, or not that one."""
    labels = images.labels
    if labels is None or labels.ndim != 1 or not 0 <= label < len(images.label_names):
        raise UserError(f"{images.name} has no class {label} that could be left out")
    keep = np.flatnonzero(labels != label)
    names = [images.names[i] for i in keep]
    return replace(images, array=images.array[keep], names=names, labels=labels[keep])


class PlaneSpace:
    """Points of a toy of `common.data.toy_2d`, measured by the sliced Wasserstein distance.

    Args:
        args: flags `dataset`, `seed`, `limit`.
    """

    distance_label = "sliced Wasserstein distance to fresh points"
    shape = (2,)

    def __init__(self, args):
        self.args, args.size = args, 2
        self.modes = len(_modes(args.dataset)[0])
        self.train = toy_2d.sample(args.dataset, args.limit or POINTS, [args.seed, 0])
        self.n = N_DURING_TRAINING
        self.reference, again = (toy_2d.sample(args.dataset, self.n, [args.seed, stream]) for stream in (1, 2))
        self.noise_floor = sliced_wasserstein(again, self.reference)
        side = 1.15 * float(np.abs(self.train).max())
        self.extent = (-side, side, -side, side)

    def postprocess(self, outputs):
        return np.asarray(outputs)

    def show(self, path, samples):
        plot_panels_2d(path, {"data": self.reference, "samples": samples}, self.extent)

    def distance(self, samples):
        return sliced_wasserstein(samples, self.reference)

    def evaluate(self, sample):
        """`swd` and its floor between two samples of the data; of a mixture what `modes_of_points` finds."""
        fakes, real, again = (sample(N_FINAL, 4), *(self._fresh(stream) for stream in (3, 4)))
        found = {"swd": sliced_wasserstein(fakes, real), "swd_floor": sliced_wasserstein(again, real)}
        return found | self.count_modes(sample(2500, 5))

    def count_modes(self, samples):
        """`modes_of_points`."""
        return modes_of_points(self.args.dataset, samples)

    def _fresh(self, stream):
        return toy_2d.sample(self.args.dataset, N_FINAL, [self.args.seed, stream])
