"""Evaluation of a flow: density, encoder, sampler and figures, on a flow whose map is known."""

import keras
import numpy as np
import pytest

from common.data.images import to_uint8
from flow.layers import Chain, Flatten, Rescale
from flow.layers.likelihood import log_logistic, log_normal
from flow.training import evaluate
from tests.helpers.flows import assert_close, random_array, to_numpy

SHAPE = (2, 2, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, (6, *SHAPE), dtype=np.uint8)


@pytest.fixture(scope="module")
def views():
    """The views of the flow z = 4 x - 2 on images of 2 x 2 pixels."""
    flow = Chain([Flatten(), Rescale(4.0, -2.0)], name="flow")
    flow(keras.Input(SHAPE))
    return evaluate.inference_models(flow, SHAPE)


def test_the_encoder_maps_the_middle_of_a_grey_level(views):
    z = evaluate.predict(views.encoder, IMAGES)
    assert_close(z, 4 * (IMAGES.reshape(6, 4) + 0.5) / 256 - 2, 1e-6)


def test_the_sampler_inverts_the_encoder_and_clips_to_the_range_of_images(views):
    z = evaluate.predict(views.encoder, IMAGES)
    assert_close(evaluate.predict(views.sampler, z), 2 * (IMAGES + 0.5) / 256 - 1, 1e-5)
    far = np.array([[-9, -2, 2, 9]], "float32")
    np.testing.assert_array_equal(evaluate.predict(views.sampler, far).ravel(), [-1, -1, 1, 1])


@pytest.mark.parametrize("log_prior", [log_normal, log_logistic])
def test_the_density_is_that_of_the_dequantised_image(log_prior):
    flow = Chain([Flatten(), Rescale(4.0, -2.0)], name="flow")
    flow(keras.Input(SHAPE))
    density = evaluate.inference_models(flow, SHAPE, log_prior).density
    log_probs = np.stack(to_numpy([density(IMAGES) for _ in range(20)]))
    # the density of both priors rises with z below 0 and falls above it, so it lies between its values at the corners
    corners = [log_prior(4 * (IMAGES.reshape(6, 4) + np.float32(u)) / 256 - 2) + 4 * np.log(4) for u in (0, 1)]
    at_0, at_1 = to_numpy(corners)
    spread = 4 * 4 / 256 * 2  # four pixels, a step of 4 / 256 in z, and a slope of at most 2
    assert (log_probs > np.minimum(at_0, at_1) - spread).all() and (log_probs < np.maximum(at_0, at_1) + spread).all()
    assert (log_probs.std(0) > 0).all(), "u is drawn in every call"


def test_a_single_image_has_no_standard_error(views):
    one, two = (evaluate.likelihood(views.density, IMAGES[:n]) for n in (1, 2))
    assert one.keys() == {"log_likelihood", "bits_per_dim"}
    assert two["bits_per_dim/standard_error"] > 0


def test_interpolations_are_straight_lines_between_the_originals(views):
    left, right = IMAGES[:2], IMAGES[2:4]
    picture = evaluate.interpolations(views.encoder, views.sampler, left, right, steps=3)
    np.testing.assert_array_equal(picture[:, :2], np.concatenate(left))
    np.testing.assert_array_equal(picture[:, -2:], np.concatenate(right))
    as_floats = [2 * (images + 0.5) / 256 - 1 for images in (left, right)]
    steps = [as_floats[0], (as_floats[0] + as_floats[1]) / 2, as_floats[1]]
    decoded = np.concatenate([np.concatenate(to_uint8(step)) for step in steps], axis=1)
    gutter = (picture.shape[1] - decoded.shape[1] - 4) // 2
    middle = picture[:, 2 + gutter : -2 - gutter]
    assert np.abs(middle.astype(int) - decoded.astype(int)).max() <= 1


def test_temperatures_multiply_the_same_z(views):
    z = random_array(4, 4)
    picture = evaluate.temperatures(views.sampler, z, (0.0, 1.0), scale=1, columns=2)
    assert picture.shape == (4 + 4 + 4, 4, 1)
    samples = lambda std: evaluate.sample_grid(views.sampler, np.float32(std) * z, 2, 1)
    np.testing.assert_array_equal(picture[:4], samples(0))
    assert np.ptp(picture[:4]) == 0, "at temperature 0 all samples are the image of z = 0"
    assert (picture[4:8] == 255).all()
    np.testing.assert_array_equal(picture[8:], samples(1))


def test_noise_is_fixed_by_its_seed_and_follows_the_prior():
    np.testing.assert_array_equal(evaluate.noise(3, 4, 7), evaluate.noise(3, 4, 7))
    assert (evaluate.noise(3, 4, 7) != evaluate.noise(3, 4, 8)).all()
    for prior, variance in (("normal", 1), ("logistic", np.pi**2 / 3)):
        z = evaluate.noise(2000, 50, 0, prior)
        assert z.shape == (2000, 50) and z.dtype == "float32"
        assert_close(z.var(), variance, 0.02)
