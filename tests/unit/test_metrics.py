"""PSNR and SSIM against closed forms and an implementation from the formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import convolve2d

from degrain.metrics import psnr, ssim, to_8_bit


def noisy(image, sigma=0.1):
    return (image + np.random.default_rng(0).normal(0, sigma, image.shape)).astype(np.float32)


def ssim_of_plane(a, b, data_range):
    """Wang et al. 2004, equations 13 to 16, on the windows that fit."""
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    mean_a, mean_b, square_a, square_b, product = (
        convolve2d(plane, window, mode="valid") for plane in (a, b, a * a, b * b, a * b)
    )
    variance_a, variance_b = square_a - mean_a**2, square_b - mean_b**2
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    numerator = (2 * mean_a * mean_b + c1) * (2 * (product - mean_a * mean_b) + c2)
    return np.mean(numerator / ((mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)))


@pytest.mark.parametrize("channels", [1, 3])
def test_ssim_equals_the_formula_and_averages_channels(photo, channels):
    clean = photo[:40, :53, :channels]
    restored = noisy(clean)
    planes = [
        ssim_of_plane(*(image[..., c].astype(np.float64) for image in (restored, clean)), 1.0)
        for c in range(channels)
    ]
    assert ssim(restored, clean, data_range=1.0) == pytest.approx(np.mean(planes), abs=1e-9)


def test_ssim_of_flat_images_compares_their_brightness():
    dark, bright = np.full((11, 11, 3), 0.2, np.float32), np.full((11, 11, 3), 0.6, np.float32)
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert ssim(dark, bright, data_range=1.0) == pytest.approx(expected, abs=1e-6)


def test_ssim_of_an_image_and_itself_is_one(photo):
    assert ssim(photo, photo, data_range=1.0) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("size", [(10, 64), (64, 10), (1, 1)])
def test_ssim_refuses_images_smaller_than_its_window(size):
    small = np.zeros((*size, 3), np.float32)
    with pytest.raises(
        ValueError, match=f"image of {size[1]} x {size[0]} pixels; SSIM needs at least 11 x 11"
    ):
        ssim(small, small, data_range=1.0)


@pytest.mark.parametrize(("step", "decibels"), [(0.1, 20), (0.01, 40), (1 / 255, 48.1308)])
def test_psnr_of_a_constant_difference(step, decibels):
    clean = np.full((5, 7, 3), 0.5)
    assert psnr(clean + step, clean, data_range=1.0) == pytest.approx(decibels, abs=1e-4)


def test_psnr_is_over_all_values_of_all_channels():
    clean = np.zeros((4, 4, 3), np.float32)
    restored = clean.copy()
    restored[..., 2] = 0.3
    assert psnr(restored, clean, data_range=1.0) == pytest.approx(-10 * math.log10(0.3**2 / 3), abs=1e-5)


def test_psnr_of_identical_images_is_as_large_as_any(photo):
    assert psnr(photo, photo, data_range=1.0) == 100


def test_the_scale_does_not_matter_where_the_range_goes_with_it(photo):
    for metric in (psnr, ssim):
        small = metric(noisy(photo), photo, data_range=1.0)
        assert metric(noisy(photo) * 255, photo * 255, data_range=255.0) == pytest.approx(small, abs=1e-5)


def test_more_noise_is_worse(photo):
    for metric in (psnr, ssim):
        values = [metric(noisy(photo, sigma), photo, data_range=1.0) for sigma in (0.01, 0.05, 0.2)]
        assert values == sorted(values, reverse=True)


def test_different_shapes_are_refused(photo):
    for metric in (psnr, ssim):
        with pytest.raises(ValueError, match=r"expected the same \(H, W, C\)"):
            metric(photo[:64], photo[:, :64], data_range=1.0)
        with pytest.raises(ValueError, match=r"expected the same \(H, W, C\)"):
            metric(photo[..., 0], photo[..., 0], data_range=1.0)


def test_8_bit_images_are_what_a_file_would_hold(photo):
    stored = to_8_bit(noisy(photo, 0.5))
    assert stored.dtype == np.float32
    assert stored.min() == 0
    assert stored.max() == 1
    np.testing.assert_array_equal(stored, (stored * 255).round().astype(np.uint8).astype(np.float32) / 255)
    inside = np.clip(noisy(photo, 0.5), 0, 1)
    assert np.abs(stored - inside).max() <= 0.5 / 255 + 1e-7
    np.testing.assert_array_equal(to_8_bit(stored), stored)
