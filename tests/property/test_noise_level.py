"""Laws of the estimated noise level."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from degrain.noise_level import flat_level, joint_level, noise_level

both_channels = pytest.mark.parametrize("channels", [1, 3])


def white(sigma_255, shape, seed=0):
    return np.random.default_rng(seed).normal(0, sigma_255 / 255, shape)


def clipped(image):
    """As an 8-bit file holds it."""
    return (np.rint(np.clip(image, 0, 1) * 255) / 255).astype(np.float32)


@given(
    sigma_255=st.floats(0.5, 100),
    height=st.integers(64, 200),
    width=st.integers(64, 200),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=15, deadline=None)
def test_pure_noise_is_measured_within_10_percent(sigma_255, height, width, channels, seed):
    noisy = (0.5 + white(sigma_255, (height, width, channels), seed)).astype(np.float32)
    assert noise_level(noisy) == pytest.approx(sigma_255 / 255, rel=0.1)


@pytest.mark.parametrize(("channels", "within"), [(1, 0.08), (3, 0.03)])
@pytest.mark.parametrize("sigma_255", [10, 25, 50])
def test_noise_on_a_photograph_is_measured(photo, sigma_255, channels, within):
    noisy = photo[..., :channels] + white(sigma_255, (*photo.shape[:2], channels))
    assert noise_level(noisy.astype(np.float32)) == pytest.approx(sigma_255 / 255, rel=within)


@both_channels
def test_clipped_noise_is_measured_as_it_is_on_the_average(channels):
    """It is weaker in the dark and in the bright, where a part of it was cut off."""
    clean = np.broadcast_to(np.linspace(0, 1, 400)[:, None, None], (400, 300, channels))
    noisy = clipped(clean + white(50, clean.shape))
    rms = float(np.sqrt(np.mean((noisy - clean) ** 2)))
    assert rms < 46 / 255
    assert noise_level(noisy) == pytest.approx(rms, rel=0.05)


def test_grey_noise_in_three_equal_channels_is_measured_as_in_one(photo):
    grey = (photo[..., :1] + white(20, (*photo.shape[:2], 1))).astype(np.float32)
    assert noise_level(grey.repeat(3, axis=2)) == pytest.approx(noise_level(grey), rel=1e-5)


def test_a_constant_channel_hides_no_noise(photo):
    noisy = (photo + white(20, photo.shape)).astype(np.float32)
    noisy[..., 2] = 0
    assert noise_level(noisy) == pytest.approx(20 / 255, rel=0.05)


@both_channels
@given(scale=st.floats(1e-3, 1e3), offset=st.floats(-1, 1))
@settings(max_examples=8, deadline=None)
def test_the_level_scales_with_the_image_and_ignores_an_offset(photo, channels, scale, offset):
    noisy = (photo[..., :channels] + white(10, (*photo.shape[:2], channels))).astype(np.float32)
    level = noise_level(noisy)
    assert noise_level((noisy * np.float32(scale)).astype(np.float32)) == pytest.approx(
        scale * level, rel=1e-3
    )
    assert noise_level((noisy + np.float32(offset)).astype(np.float32)) == pytest.approx(level, rel=1e-3)


@both_channels
@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (15, 2), (64, 64)])
def test_a_constant_image_of_any_size_has_no_noise(channels, value, size):
    assert noise_level(np.full((*size, channels), value, np.float32)) == 0


@given(
    height=st.integers(1, 24),
    width=st.integers(1, 24),
    channels=st.sampled_from([1, 3]),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=40, deadline=None)
def test_small_images_give_a_level_that_is_possible(height, width, channels, seed):
    image = np.random.default_rng(seed).random((height, width, channels), dtype=np.float32)
    assert 0 <= noise_level(image) <= 1


@both_channels
def test_the_smallest_image_that_can_tell(channels):
    """Two pixels that differ by d scatter by d / sqrt(2) in the only high frequency there is."""
    pair = np.zeros((1, 2, channels), np.float32)
    pair[0, 1] = 0.3
    assert noise_level(pair) == pytest.approx(0.3 / 2**0.5, rel=1e-6)
    assert noise_level(pair[:, :1]) == 0


@both_channels
@pytest.mark.parametrize("shape", [(1800, 1800), (3, 400_000), (400_000, 1)])
def test_memory_does_not_grow_with_the_image(channels, shape):
    noisy = np.random.default_rng(0).normal(0.5, 0.1, (*shape, channels)).astype(np.float32)
    tracemalloc.start()
    level = noise_level(noisy)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80e6
    assert level == pytest.approx(0.1, rel=0.1)
    assert noise_level(noisy) == level


def test_both_ways_are_right_on_noise_alone():
    patches = white(25, (4000, 3, 5, 5)).astype(np.float32)
    assert flat_level(patches) == pytest.approx(25 / 255, rel=0.03)
    assert joint_level(patches) == pytest.approx(25 / 255, rel=0.03)


@pytest.mark.parametrize(("shared_255", "expected_255"), [(15, 20), (60, 20 * 10**0.5)])
def test_what_channels_share_is_texture_unless_it_is_most(shared_255, expected_255):
    noisy = 0.5 + white(shared_255, (200, 200, 1), seed=1) + white(20, (200, 200, 3), seed=2)
    assert noise_level(noisy.astype(np.float32)) == pytest.approx(expected_255 / 255, rel=0.05)
