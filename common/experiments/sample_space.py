"""Training data plus the plots and metrics for samples: images, or 2-D points.

`ImageSpace` and `PlaneSpace` share their interface:

- `train`: training data, as `common.training.loop.train` takes it;
- `shape`: tuple, shape of a sample;
- `n`: int, number of samples that are measured during training;
- `n_shown`: int, number of samples in a picture;
- `reference`: features of `n` held-out images, or `n` fresh points, that samples are compared with, or None without
  `has_distance`;
- `has_distance`: bool, whether there are enough images for `distance`;
- `noise_floor`: float, the `distance` between two samples of the data, which no generator is expected to go below, or
  None without `has_distance`;
- `modes`: int, number of modes of the data, or 0 if it is unknown;
- `distance_label`: str, name of `distance` for plots;
- the methods `postprocess`, `show`, `distance`, `count_modes` and `evaluate`.

Random streams: `evaluate` draws its samples from the streams 4 and 5; 3 is for samples during training.
"""

from dataclasses import replace

import numpy as np

from common.data import toy_2d
from common.data.images import load_images, to_uint8
from common.data.splits import fixed_random_subset
from common.errors import UserError
from common.metrics.classifier import predicted_labels
from common.metrics.distances import frechet_distance
from common.metrics.features import extractor, sample_quality
from common.metrics.modes import mixture_modes, mode_coverage, modes_of_points
from common.metrics.sample_size import is_enough
from common.metrics.wasserstein import laplacian_wasserstein, sliced_wasserstein
from common.plots.images import SAMPLE_COLUMNS, image_grid, save_png
from common.plots.labels import save_labelled
from common.plots.planes import plot_panels_2d
from common.streams import stage

N_DURING_TRAINING = 2000  # samples measured at every interval of a training
N_FINAL = 10_000  # samples measured at its end
MODES = {"mnist": 10, "stacked_mnist": 1000, "stacked_mnist_2": 100}
SAMPLES_PER_MODE = 26  # for counting modes: 26000 of stacked MNIST's 1000, as in the literature
TOY_POINTS = 50_000  # default size of a toy's training data
TOY_MODE_SAMPLES = 2500  # for counting modes, as in VEEGAN


class ImageSpace:
    """Images, measured in the features of `common.metrics.features`.

    With the features "pixels" no classifier is trained, so no modes are counted.

    Args:
        args: flags `dataset`, `size`, `data_dir`, `limit`, `crop` and `features`.
        without: int, class to leave out of the training images (default: none).
    """

    distance_label = "Frechet distance to held-out images"
    columns = SAMPLE_COLUMNS
    n_shown = columns**2

    def __init__(self, args, without=None):
        self.args = args
        self.modes = 0 if args.features == "pixels" else MODES.get(args.dataset, 0)  # counted by the classifier
        load = lambda split: load_images(
            args.dataset, args.size, split, args.data_dir, limit=args.limit, crop=args.crop
        )
        self.train = load("train")
        if without is not None:
            self.train = leave_out(self.train, without)
        self.test = np.asarray(load("test").array)
        self.shape = self.train.array.shape[1:]
        self.extract = extractor(args.features, args.dataset, args.size, self.train.array, args.data_dir)
        self.n = min(N_DURING_TRAINING, len(self.test), len(self.train.array))
        counts = {"training images": len(self.train.array), "held-out images": len(self.test)}
        self.has_distance = is_enough("the distance during training", 2, counts)
        self.reference = self.noise_floor = None
        if self.has_distance:
            self.reference = self.extract(fixed_random_subset(self.test, self.n))
            train_features = self.extract(fixed_random_subset(self.train.array, self.n))
            self.noise_floor = frechet_distance(train_features, self.reference)

    def postprocess(self, outputs):
        """Return the generator's outputs (n, h, w, c) in [-1, 1] as uint8 images."""
        return to_uint8(outputs)

    def show(self, path, samples, title=""):
        """Draw the first 81 samples into a PNG, 9 x 9, with the title above if there is one.

        Images of less than 64 pixels are enlarged.
        """
        scale = max(1, 64 // self.args.size)
        grid = image_grid(samples[: self.n_shown], self.columns, scale=scale)
        if title:
            save_labelled(path, grid, title)
        else:
            save_png(path, grid)

    def distance(self, samples):
        """Return the Frechet distance of `n` samples, uint8, to as many held-out images."""
        return frechet_distance(self.extract(samples), self.reference)

    def count_modes(self, samples):
        """Return `modes` and `mode_kl` of `mode_coverage`, with the classifier's labels of uint8 images."""
        labels = predicted_labels(samples, self.args.dataset, self.args.size, self.args.data_dir)
        return mode_coverage(labels, self.modes)

    def evaluate(self, sample):
        """Return the metrics of a trained generator.

        Args:
            sample: function (n, seed_stream) -> n samples, uint8. The same stream gives the same samples.

        Returns:
            Dict of numbers: those of `sample_quality` (FID, KID, precision, recall, density, coverage), `swd_<size>`
            (sliced Wasserstein distance at each scale, times 1000) and, where the number of modes is known, those of
            `count_modes` over 26 samples per mode. Metrics that need more images than there are are left out, with a
            printed line.
        """
        n_final = min(N_FINAL, len(self.test))
        with stage(f"drawing {n_final} samples"):
            fakes = sample(n_final, 4)
        n = min(N_DURING_TRAINING, len(fakes))
        swd = laplacian_wasserstein(fixed_random_subset(self.test, n), fixed_random_subset(fakes, n))
        metrics = {
            **sample_quality(fakes, self.train.array, self.test, self.extract),
            **{f"swd_{size}": 1000 * value for size, value in swd.items()},
        }
        return metrics | (self.count_modes(sample(SAMPLES_PER_MODE * self.modes, 5)) if self.modes else {})


def leave_out(images, label):
    """Return `common.data.images.Images` without those of one class.

    Args:
        images: `Images` with one label each.
        label: int, the class to leave out.

    Raises:
        UserError: if the images have no classes, or no such class.
    """
    labels = images.labels
    if labels is None or labels.ndim != 1 or not 0 <= label < len(images.label_names):
        raise UserError(f"{images.name} has no class {label} that could be left out")
    keep = np.flatnonzero(labels != label)
    names = [images.names[i] for i in keep]
    return replace(images, array=images.array[keep], names=names, labels=labels[keep])


class PlaneSpace:
    """Points of a toy distribution of `common.data.toy_2d`, measured by the sliced Wasserstein distance.

    Args:
        args: flags `dataset`, `seed` and `limit` (number of training points, default 50000).
    """

    distance_label = "sliced Wasserstein distance to fresh points"
    shape = (2,)
    n_shown = N_DURING_TRAINING

    def __init__(self, args):
        self.args = args
        self.modes = len(mixture_modes(args.dataset)[0])
        self.train = toy_2d.sample(args.dataset, args.limit or TOY_POINTS, [args.seed, 0])
        self.n, self.has_distance = N_DURING_TRAINING, True
        self.reference, again = (toy_2d.sample(args.dataset, self.n, [args.seed, stream]) for stream in (1, 2))
        self.noise_floor = sliced_wasserstein(again, self.reference)
        side = 1.15 * float(np.abs(self.train).max())
        self.extent = (-side, side, -side, side)

    def postprocess(self, outputs):
        """Return the generator's outputs (n, 2), the points."""
        return outputs

    def show(self, path, samples, title=""):
        """Draw the data and samples (n, 2) side by side into a PNG, with the title above if there is one."""
        plot_panels_2d(path, {"data": self.reference, "samples": samples}, self.extent, title)

    def distance(self, samples):
        """Return the sliced Wasserstein distance of `n` samples (n, 2) to as many fresh points."""
        return sliced_wasserstein(samples, self.reference)

    def count_modes(self, samples):
        """Return the metrics of `modes_of_points`: {} if the toy is not a mixture."""
        return modes_of_points(self.args.dataset, samples)

    def evaluate(self, sample):
        """Return the metrics of a trained generator.

        Args:
            sample: function (n, seed_stream) -> n samples (n, 2). The same stream gives the same samples.

        Returns:
            Dict of numbers: `swd` (sliced Wasserstein distance of 10000 samples to fresh points), `swd_floor` (the
            same between two samples of the data) and those of `count_modes` over 2500 samples.
        """
        fakes = sample(N_FINAL, 4)
        real, again = (toy_2d.sample(self.args.dataset, N_FINAL, [self.args.seed, stream]) for stream in (3, 4))
        metrics = {"swd": sliced_wasserstein(fakes, real), "swd_floor": sliced_wasserstein(again, real)}
        return metrics | self.count_modes(sample(TOY_MODE_SAMPLES, 5))
