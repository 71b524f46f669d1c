"""Sliced Wasserstein distances of points and of image pyramids, against closed forms and plain definitions."""

import math

import numpy as np
import pytest

from common.metrics import wasserstein
from common.metrics.wasserstein import sliced_wasserstein


def rng(seed=0):
    return np.random.default_rng(seed)


def normal(seed, *shape):
    return rng(seed).standard_normal(shape)


def column(*values):
    return np.array(values, "float64")[:, None]


@pytest.mark.parametrize(("d", "dtype"), [(1, "float64"), (2, "float32"), (3, "float64"), (10, "float32")])
def test_sliced_wasserstein_of_a_shift(d, dtype):
    a, shift = normal(24, 64, d).astype(dtype), np.arange(1, d + 1).astype(dtype)
    mean_cosine = math.gamma(d / 2) / math.sqrt(math.pi) / math.gamma((d + 1) / 2)
    expected = pytest.approx(np.linalg.norm(shift) * mean_cosine, rel=0.02 if d > 1 else 1e-12)
    assert sliced_wasserstein(a, a[::-1] + shift, 20_000) == expected


def test_sliced_wasserstein_by_hand():
    """In one dimension, sorted: |0 - 1| + |2 - 1| + |7 - 11| over 3."""
    assert sliced_wasserstein(column(7, 0, 2), column(1, 11, 1), 5) == pytest.approx(2)
    assert sliced_wasserstein(np.uint8([[7], [0], [2]]), np.uint8([[1], [11], [1]]), 5) == pytest.approx(2)


def test_sliced_wasserstein_of_gaussians():
    a, b = 3 * normal(25, 20_000, 4), normal(26, 20_000, 4)
    assert sliced_wasserstein(a, b, 100) == pytest.approx(2 * math.sqrt(2 / math.pi), rel=0.02)
    assert sliced_wasserstein(a, b, 100) == sliced_wasserstein(b, a, 100)


def test_work_in_chunks_gives_the_same_distance(monkeypatch):
    points, images = (normal(27, 100, 3), normal(28, 100, 3)), (scenes(35, 20, 32), scenes(36, 20, 32))
    whole, levels = sliced_wasserstein(*points, 50, seed=1), laplacian(*images)
    assert sliced_wasserstein(*points, 50, seed=2) != pytest.approx(whole, rel=1e-6)
    monkeypatch.setattr(wasserstein, "CHUNK_VALUES", 700)
    assert sliced_wasserstein(*points, 50, seed=1) == pytest.approx(whole, rel=1e-12)
    monkeypatch.setattr(wasserstein, "CHUNK_VALUES", 3 * 32 * 32 * 3)
    assert laplacian(*images) == pytest.approx(levels, rel=1e-6)


def test_sliced_wasserstein_refuses_other_sizes():
    for rows, projections, received in ((6, 5, r"shapes \(5, 2\) and \(6, 2\)"), (5, 0, "0")):
        with pytest.raises(ValueError, match=f"Received: {received}"):
            sliced_wasserstein(np.zeros((5, 2)), np.zeros((rows, 2)), projections)


def scenes(seed, n=80, size=64, vertical=False):
    """Return images (n, size, size, 3): a wave along one axis, the coarse part, under fine noise."""
    phase, noise = rng(seed).random((n, 1)), 25 * normal(seed, n, size, size, 3)
    wave = np.sin(2 * math.pi * ((np.arange(size) + 0.5) / size + phase))[:, :, None, None]
    return np.clip(128 + 30 * (wave if vertical else wave.swapaxes(1, 2)) + noise, 0, 255).astype("uint8")


def blurred(images):
    x = images.astype("float64")
    for axis in (1, 2):
        x = (np.roll(x, 1, axis) + 2 * x + np.roll(x, -1, axis)) / 4
    return np.rint(x).astype("uint8")


def laplacian(a, b, seed=0):
    """Return `laplacian_wasserstein` of fewer patches and directions."""
    return wasserstein.laplacian_wasserstein(a, b, seed, patches_per_image=64, projections=64)


def test_laplacian_wasserstein_tells_the_scales_apart():
    a, other = scenes(29), scenes(30)
    floor, blur = laplacian(a, other), laplacian(a, blurred(other))
    turned = laplacian(a, scenes(31, vertical=True))
    assert list(floor) == list(blur) == [64, 32, 16]
    assert blur[64] > 2 * floor[64]
    assert blur[64] - floor[64] > 5 * max(abs(blur[k] - floor[k]) for k in (32, 16))
    assert turned[16] > 4 * floor[16]
    assert turned[16] - floor[16] > 20 * max(abs(turned[k] - floor[k]) for k in (64, 32))


def test_laplacian_wasserstein_of_equal_sets_and_of_other_seeds():
    a, b = scenes(32, 20, 32), scenes(33, 20, 32)
    assert laplacian(a, a) == {32: 0, 16: 0}
    assert laplacian(a, b, seed=1) == laplacian(a, b, seed=1) != laplacian(a, b, seed=2)


def test_laplacian_wasserstein_normalises_each_channel_of_each_set():
    """More contrast in one channel and more brightness in another are not seen, at any level."""
    a = scenes(34, 20, 32) // 4
    assert laplacian(a, a * np.uint8([1, 2, 3]) + np.uint8([50, 0, 20])) == pytest.approx({32: 0, 16: 0}, abs=1e-5)


def test_patches_are_windows_normalised_over_all_positions():
    """In an image of 16 y + x every patch is its corner's value plus 16 i + j; the other channel has the other sign."""
    ramp = np.arange(256, dtype="uint8").reshape(1, 16, 16, 1)
    images = np.concatenate([ramp, 255 - ramp], 3).repeat(5, 0)
    patches, other = (wasserstein._patches(images, 0, 40, seed).reshape(200, 2, 49) for seed in (1, 2))
    assert np.any(patches != other)
    np.testing.assert_allclose([patches.mean((0, 2)), patches.std((0, 2))], [[0, 0], [1, 1]], atol=1e-5)
    unit, steps = patches[0, 0, 1] - patches[0, 0, 0], ramp[0, :7, :7].reshape(1, 49)
    np.testing.assert_allclose(patches[:, 0] - patches[:, 0, :1], unit * steps.repeat(200, 0), atol=1e-4)
    np.testing.assert_allclose(patches[:, 1], -patches[:, 0], atol=1e-4)
    corners = np.rint((patches[:, 0, 0] - patches[:, 0, 0].min()) / unit)
    assert set(corners % 16) == set(corners // 16) == set(range(10))  # to the last row and column
    assert len(set(corners)) > 60


def test_flat_images_have_no_detail():
    """A level of standard deviation 0 stays at 0: a division by it would give noise or NaN."""
    flat = np.broadcast_to(rng(39).integers(0, 256, (30, 1, 1, 3)).astype("uint8"), (30, 32, 32, 3))
    distances = laplacian(flat, np.full_like(flat, 7))
    assert distances == {32: 0, 16: pytest.approx(0.8, abs=0.2)}
    assert laplacian(flat, np.full_like(flat, 7), seed=1)[16] != distances[16]  # by its directions


def test_pyramid_against_the_plain_convolution():
    image, weights = normal(40, 1, 32, 32, 2), np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256

    def convolved(x):
        x = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), "reflect")
        return np.einsum("nhwcij,ij->nhwc", np.lib.stride_tricks.sliding_window_view(x, (5, 5), (1, 2)), weights)

    coarse = convolved(image)[:, ::2, ::2]
    np.testing.assert_allclose(wasserstein._level(image, 1), coarse, atol=1e-12)
    sparse = np.kron(coarse, np.array([[1, 0], [0, 0]])[None, :, :, None])
    np.testing.assert_allclose(wasserstein._level(image, 0), image - 4 * convolved(sparse), atol=1e-12)


def test_laplacian_wasserstein_refuses_other_images():
    shapes = (2, 48, 48, 3), (2, 8, 8, 3), (2, 32, 16, 3), (2, 32, 32), (0, 32, 32, 3)
    a = np.zeros((4, 16, 16, 1), "uint8")
    for pair in ((a, a[:3]), *((np.zeros(shape, "uint8"),) * 2 for shape in shapes)):
        with pytest.raises(ValueError, match=r"one shape.*Received: shapes"):
            laplacian(*pair)
    with pytest.raises(ValueError, match=r"must be uint8.*Received: uint8 and float32"):
        laplacian(a, a.astype("float32"))
    with pytest.raises(ValueError, match="Received: 0"):
        wasserstein.laplacian_wasserstein(a, a, patches_per_image=0)
