"""Spline couplings: a monotone curve with many pieces in place of an affine map (arXiv 1906.04032)."""

import math

import keras
from keras import ops

from flow.layers.base import PACKAGE, log_det_per_sample
from flow.layers.coupling import Coupling

MIN_SHARE = 1e-4  # least share of a bin in the range of the curve
MIN_SLOPE = 1e-3
SLOPE_OFFSET = math.log(math.expm1(1 - MIN_SLOPE))  # so that a net that returns 0 makes every slope 1


@keras.saving.register_keras_serializable(PACKAGE)
class SplineCoupling(Coupling):
    """Coupling y1 = x1, y2 = g(x2), in which the net of x1 draws the curve g (neural spline flows, arXiv 1906.04032).

    Every entry of x2 has its own curve. It rises from (-bound, -bound) to (bound, bound) through `bins - 1` knots.
    Between two knots it is a quotient of two quadratic polynomials (Gregory and Delbourgo 1982), and its slope is
    continuous. Outside it is the identity. So it can bend as often as it has bins; an affine map cannot bend.

    The net returns 3 bins - 1 numbers per entry of x2, one entry after the other along the last axis: for the widths
    and the heights of the bins, and for the slopes at the knots. If they are all 0, the coupling is the identity.

    Args:
        net: see `Coupling`.
        split: see `Coupling`.
        swap: see `Coupling`.
        bins: int, number of pieces, at least 2.
        bound: float, half the side of the square in which the curve bends.

    Raises:
        ValueError: if there are too few bins or `bound` is not positive.
    """

    def __init__(self, net, split="halves", swap=False, bins=16, bound=4.0, **kwargs):
        super().__init__(net, split, swap, **kwargs)
        if bins < 2 or not bound > 0:
            raise ValueError(f"A spline needs 2 bins or more and a positive bound. Received: {bins=}, {bound=}")
        self.bins, self.bound, self.params_per_dim = bins, bound, 3 * bins - 1

    def _bins_of(self, values, x1, axis):
        """Return the bins of all entries of x2 (axis 0) or y2 (axis 1), which are clipped to the bound.

        Args:
            values: tensor, (n,).
            x1: tensor, input of the net.
            axis: int.

        Returns:
            Three tensors, (n, 2): (x, y) of the lower knot; (width, height); slopes at the lower and the upper knot.
        """
        bins, raw = self.bins, ops.reshape(self._net_output(x1), (-1, self.params_per_dim))
        shares = ops.softmax(ops.reshape(raw[:, : 2 * bins], (-1, 2, bins)))
        sizes = 2 * self.bound * (MIN_SHARE + (1 - bins * MIN_SHARE) * shares)

        # 1 for every knot but the first that lies at or below the value
        knots = ops.cumsum(ops.stop_gradient(sizes[:, axis, :-1]), axis=-1) - self.bound
        reached = ops.cast(values[:, None] >= knots, raw.dtype)
        below = ops.pad(reached, [(0, 0), (0, 1)])
        is_bin = ops.pad(reached, [(0, 0), (1, 0)], constant_values=1) - below

        lower = ops.sum(below[:, None] * sizes, axis=-1) - self.bound
        size = ops.sum(is_bin[:, None] * sizes, axis=-1)
        slopes = raw[:, 2 * bins :]  # of the knots between two bins; the ends have slope 1
        slopes = [ops.sum(is_bin[:, 1:] * slopes, axis=-1), ops.sum(is_bin[:, :-1] * slopes, axis=-1)]
        return lower, size, MIN_SLOPE + ops.softplus(ops.stack(slopes, axis=-1) + SLOPE_OFFSET)

    def _forward(self, x):
        x1, x2 = self.split_input(x)
        inside = ops.reshape(ops.clip(x2, -self.bound, self.bound), (-1,))
        lower, size, slopes = self._bins_of(inside, x1, 0)
        t = ops.clip((inside - lower[:, 0]) / size[:, 0], 0, 1)
        curve, log_slope = _rational_quadratic(t, size, slopes)
        return self._moved(x1, x2, lower[:, 1] + curve, log_slope)

    def _inverse(self, y):
        y1, y2 = self.split_input(y)
        inside = ops.reshape(ops.clip(y2, -self.bound, self.bound), (-1,))
        lower, size, slopes = self._bins_of(inside, y1, 1)
        rise, height, mean_slope = inside - lower[:, 1], size[:, 1], size[:, 1] / size[:, 0]
        excess = slopes[:, 0] + slopes[:, 1] - 2 * mean_slope
        # t solves a t^2 + b t = c; this form of the root loses no digits
        a = height * (mean_slope - slopes[:, 0]) + rise * excess
        b = height * slopes[:, 0] - rise * excess
        c = mean_slope * rise
        t = ops.clip(2 * c / (b + ops.sqrt(ops.maximum(b * b + 4 * a * c, 0.0))), 0, 1)
        _, log_slope = _rational_quadratic(t, size, slopes)
        return self._moved(y1, y2, lower[:, 0] + t * size[:, 0], -log_slope)

    def _moved(self, x1, x2, y2, log_slope):
        """Return (y, log_det), in which x2 stays as it is outside the bound and at the positions of x1."""

        def where_curved(tensor):
            tensor = ops.reshape(tensor, (-1, *x2.shape[1:]))
            return self._at_x2(ops.where(ops.abs(x2) < self.bound, tensor, ops.zeros_like(tensor)))

        change = y2 - ops.reshape(x2, (-1,))
        return self.merge(x1, x2 + where_curved(change)), log_det_per_sample(x2, where_curved(log_slope))

    def get_config(self):
        return {**super().get_config(), "bins": self.bins, "bound": self.bound}


def _rational_quadratic(t, size, slopes):
    """Return (rise of the curve above the lower knot of its bin, log of its slope), (n,) each.

    Args:
        t: tensor between 0 and 1, (n,): share of the bin to the left of the point.
        size: tensor, (n, 2): width and height of the bin.
        slopes: tensor, (n, 2): at its lower and its upper knot.
    """
    (width, height), (first, last) = ops.unstack(size, 2, axis=-1), ops.unstack(slopes, 2, axis=-1)
    mean_slope, mixed = height / width, t * (1 - t)
    denominator = mean_slope + (first + last - 2 * mean_slope) * mixed
    rise = height * (mean_slope * t * t + first * mixed) / denominator
    numerator = last * t * t + 2 * mean_slope * mixed + first * (1 - t) * (1 - t)
    return rise, 2 * ops.log(mean_slope / denominator) + ops.log(numerator)
