"""Restoration takes any size and keeps it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from degrain.files import to_array, to_tensor
from degrain.models.dncnn import Dncnn
from degrain.models.unet import Unet
from degrain.restore import Restorer, mirrored
from training_support import CPU, trained_like

GENERATORS = {
    "unet": lambda channels: Unet(channels, widths=[4, 4, 4], blocks=[1, 1, 2]),
    "dncnn": lambda channels: Dncnn(channels, depth=3, width=4),
}
every_generator = pytest.mark.parametrize("name", GENERATORS)
quick = settings(deadline=None, max_examples=25)
sides = st.integers(1, 41)
channel_counts = st.sampled_from([1, 3])


@cache
def restorer(name, channels, *, trained):
    network = GENERATORS[name](channels)
    return Restorer(trained_like(network) if trained else network, channels, CPU)


def image(height, width, channels, seed=0):
    return np.random.default_rng(seed).random((height, width, channels), dtype=np.float32)


@every_generator
@quick
@given(
    height=sides,
    width=sides,
    given_channels=channel_counts,
    channels=channel_counts,
    sigma=st.sampled_from([None, 0.0, 0.2]),
)
@example(height=1, width=1, given_channels=1, channels=3, sigma=None)
@example(height=1, width=1, given_channels=3, channels=1, sigma=None)
def test_every_size_and_colour_keeps_shape_and_type(name, height, width, given_channels, channels, sigma):
    noisy = image(height, width, given_channels)
    before = noisy.copy()
    restored = restorer(name, channels, trained=True)(noisy, sigma)
    assert restored.shape == noisy.shape
    assert restored.dtype == np.float32
    assert np.isfinite(restored).all()
    np.testing.assert_array_equal(noisy, before)
    again = restorer(name, channels, trained=True)(noisy, sigma)
    np.testing.assert_array_equal(again, restored)


@every_generator
@quick
@given(height=sides, width=sides, given_channels=channel_counts, channels=channel_counts)
@example(height=1, width=1, given_channels=3, channels=3)
def test_an_untrained_network_returns_what_it_is_given(name, height, width, given_channels, channels):
    noisy = image(height, width, given_channels)
    restored = restorer(name, channels, trained=False)(noisy, 0.1)
    np.testing.assert_allclose(restored, noisy, atol=1e-6)


@every_generator
@quick
@given(height=sides, width=sides)
def test_padding_is_the_mirror_image_and_cut_off_again(name, height, width):
    noisy = image(height, width, 3)
    padded = noisy[mirrored(height, 4)][:, mirrored(width, 4)]
    network = restorer(name, 3, trained=True).network
    given_padding = padded if name == "unet" else noisy
    with torch.no_grad():
        expected = to_array(network(to_tensor(given_padding), torch.tensor([0.1])))
    restored = restorer(name, 3, trained=True)(noisy, 0.1)
    np.testing.assert_allclose(restored, expected[:height, :width], atol=1e-5)
