from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.signal import convolve2d

from degrain.metrics.gradient import gmsd
from perceptual_support import sharper


def as_its_authors(restored, clean):
    """Their MATLAB code step by step, on grey images from 0 to 255, with the edge carried on outwards."""

    def gradient(image):
        half = convolve2d(image, np.full((2, 2), 0.25), mode="full")[1::2, 1::2]
        kernel = np.outer([1, 1, 1], [1, 0, -1]) / 3
        around = np.pad(half, 1, mode="edge")
        across, down = (convolve2d(around, one, mode="valid") for one in (kernel, kernel.T))
        return np.sqrt(across**2 + down**2)

    ours, theirs = gradient(restored), gradient(clean)
    quality = (2 * ours * theirs + 170) / (ours**2 + theirs**2 + 170)
    return np.sqrt(np.mean((quality - quality.mean()) ** 2))


def noisy(photo, sigma):
    return photo + np.random.default_rng(0).normal(0, sigma, photo.shape).astype(np.float32)


def test_equals_the_published_code(photo):
    clean = photo[..., 1] * 255.0
    restored = gaussian_filter(clean, 1.5)
    expected = as_its_authors(restored, clean)
    assert gmsd(restored[..., None], clean[..., None], data_range=255) == pytest.approx(expected, rel=1e-5)


def test_identical_images_do_not_differ(photo):
    assert gmsd(photo, photo, data_range=1.0) == 0


@pytest.mark.parametrize("channels", [1, 3])
def test_more_noise_blur_and_sharpening_are_further_away(photo, channels):
    clean = photo[..., :channels]
    noises = [gmsd(noisy(clean, sigma), clean, data_range=1.0) for sigma in (0.02, 0.05, 0.1, 0.2)]
    blurs = [gmsd(gaussian_filter(clean, (px, px, 0)), clean, data_range=1.0) for px in (0.5, 1.0, 2.0)]
    sharpenings = [gmsd(sharper(clean, amount), clean, data_range=1.0) for amount in (0.3, 1.0, 3.0)]
    assert noises == sorted(noises)
    assert blurs == sorted(blurs)
    assert sharpenings == sorted(sharpenings)
    assert sharpenings[0] > 0
    assert 0 < noises[0] < 0.1 < noises[-1] < 0.5


def test_distance_is_symmetric_and_blind_to_the_scale(photo):
    other = noisy(photo, 0.1)
    distance = gmsd(other, photo, data_range=1.0)
    assert gmsd(photo, other, data_range=1.0) == pytest.approx(distance)
    assert gmsd(other * 255, photo * 255, data_range=255) == pytest.approx(distance)


def test_odd_sizes_are_taken(photo):
    assert 0 < gmsd(noisy(photo, 0.1)[:37, :51], photo[:37, :51], data_range=1.0) < 0.5


@pytest.mark.parametrize("shape", [(128, 160), (128, 160, 1), (128, 159, 3)])
def test_other_shapes_are_refused(photo, shape):
    with pytest.raises(ValueError, match="expected the same"):
        gmsd(np.zeros(shape, np.float32), photo, data_range=1.0)


def test_too_small_is_refused():
    tiny = np.zeros((5, 9, 3), np.float32)
    with pytest.raises(ValueError, match="9 x 5 pixels; GMSD needs at least 6 x 6"):
        gmsd(tiny, tiny, data_range=1.0)
