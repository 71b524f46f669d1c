"""Principal components against the SVD, and the distance over them."""

import numpy as np
import pytest

from common.metrics.distances import frechet_distance
from common.metrics.pca import pca_codes, pca_frechet

SETS = ((300, 1, 12), (300, 2, 0), (300, 3, 0))  # images, seed, shift: samples, training and held-out images


def rng(seed=0):
    return np.random.default_rng(seed)


def images(n, seed):
    """Return noise with a falling spectrum about an uneven mean, as images (n, 6, 5, 2)."""
    mixing = np.linalg.qr(rng(9).standard_normal((60, 60)))[0] * 0.8 ** np.arange(60)
    return (rng(seed).standard_normal((n, 60)) @ mixing.T + np.arange(60)).reshape(n, 6, 5, 2)


@pytest.mark.parametrize("components", [1, 7, 60])
def test_pca_against_svd(components):
    train, test = images(400, 10), images(50, 11)
    flat, flat_test = train.reshape(400, -1), test.reshape(50, -1)
    v = np.linalg.svd(flat - flat.mean(0), full_matrices=False)[2][:components].T
    v *= np.sign(v[np.abs(v).argmax(0), np.arange(components)])
    codes, test_codes = pca_codes(train, test, components, chunk=64)
    assert codes.shape == (400, components)
    assert codes.dtype == test_codes.dtype == np.float32
    np.testing.assert_allclose(codes, (flat - flat.mean(0)) @ v, atol=2e-3)
    np.testing.assert_allclose(test_codes, (flat_test - flat.mean(0)) @ v, atol=2e-3)


def test_pca_of_bytes_explains_as_much_as_svd():
    """The spectrum falls slowly, so the power iteration is not exact, but it must lose less than 0.1 %."""
    n, size, components = 300, 1200, 20
    x = rng(12).standard_normal((n, size)) * (1 + np.arange(size)) ** -0.5
    x = np.clip(128 + 60 * x, 0, 255).astype("uint8")
    values = np.linalg.svd(x - x.mean(0), compute_uv=False)
    codes, _ = pca_codes(x, x[:3], components)
    assert np.sum(codes.astype("float64") ** 2) > 0.999 * np.sum(values[:components] ** 2)
    np.testing.assert_array_equal(codes, pca_codes(x, x[:3], components)[0])


def test_pca_refuses_too_many_components_and_other_shapes():
    with pytest.raises(ValueError, match=r"1 to 5 for 5 images\. Received: 6"):
        pca_codes(np.zeros((5, 9)), np.zeros((5, 9)), 6)
    with pytest.raises(ValueError, match="one shape"):
        pca_codes(np.zeros((5, 9)), np.zeros((5, 8)), 2)


def test_frechet_distance_is_that_of_codes_of_the_svd():
    shapes = [np.clip(4 * images(n, seed) + shift, 0, 255).astype("uint8") for n, seed, shift in SETS]
    fakes, train, test = shapes
    flat = lambda x: x.reshape(len(x), -1) / 127.5
    components = np.linalg.svd(flat(train) - flat(train).mean(0), full_matrices=False)[2][:8].T
    codes = lambda x: (flat(x) - flat(train).mean(0)) @ components
    expected = {
        "pca_frechet": frechet_distance(codes(fakes), codes(test)),
        "pca_frechet_floor": frechet_distance(codes(train), codes(test)),
    }
    assert expected["pca_frechet"] > 2 * expected["pca_frechet_floor"]
    assert pca_frechet(fakes, train, test, 8) == pytest.approx(expected, rel=0.02)


def test_frechet_distance_over_components_tells_the_data_from_a_constant():
    random = rng()
    base = random.integers(0, 256, (1, 8, 8, 1))

    def draw(n):
        brightness, noise = random.normal(0, 30, (n, 1, 1, 1)), random.normal(0, 10, (n, 8, 8, 1))
        return np.clip(base + brightness + noise, 0, 255).astype("uint8")

    train, test = draw(300), draw(300)
    same = pca_frechet(draw(300), train, test, components=8)
    constant = pca_frechet(np.broadcast_to(base, train.shape).astype("uint8"), train, test, components=8)
    assert same["pca_frechet_floor"] == constant["pca_frechet_floor"] > 0
    assert same["pca_frechet"] < 3 * same["pca_frechet_floor"]
    assert constant["pca_frechet"] > 10 * same["pca_frechet"]
