"""Smooth blocks of noisy images, and what is taken from them for noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from degrain.noise import Correlated
from degrain.noise.blocks import SmoothRule, coherence, noise_blocks, smooth_level, without_shading
from degrain.seeding import seeded_generator

RULE = SmoothRule(
    side_px=16,
    cell_px=8,
    mean_tolerance=0.1,
    variance_tolerance=0.8,
    most_variance=2.0,
    most_coherence=0.4,
)
RNG = np.random.default_rng(3)
SIDE = 128


def shaded(sigma_255=5.0):
    """Noise on a slope, with an even texture in the right half."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    clean = np.repeat((0.4 + 0.1 * y + 0.05 * x)[..., None], 3, axis=2)
    clean[:, SIDE // 2 :] += 0.1 * np.sign(RNG.random((SIDE, SIDE // 2, 1)) - 0.5)
    return (clean + RNG.normal(0, sigma_255 / 255, clean.shape)).astype(np.float32)


def test_even_texture_is_not_taken_for_noise():
    noisy = shaded()
    assert noise_blocks(noisy, RULE, most=999).level_255[0] == pytest.approx(5, rel=0.06)
    as_in_the_paper = replace(RULE, most_variance=1e9)
    assert noise_blocks(noisy, as_in_the_paper, most=999).level_255[0] > 15


def test_stripes_are_not_taken_for_noise():
    """Where the whole image is striped, and so no part of it is smoother than another."""
    noise = RNG.normal(0, 3 / 255, (SIDE, SIDE, 3))
    striped = (0.5 + 0.03 * np.sin(np.arange(SIDE))[:, None, None] + noise).astype(np.float32)
    assert len(noise_blocks(striped, RULE, most=999)) == 0
    assert len(noise_blocks(striped, replace(RULE, most_coherence=1), most=999)) > 50


def test_an_image_that_is_striped_nearly_everywhere_shows_no_noise():
    """What has no direction there by chance is structure all the same."""
    noise = RNG.normal(0, 3 / 255, (SIDE, SIDE, 3))
    stripes = 0.03 * np.sin(np.arange(SIDE))[:, None, None] * np.ones((1, SIDE, 1))
    for smooth_px, found in ((40, False), (100, True)):
        partly = stripes.copy()
        partly[:, :smooth_px] = 0
        blocks = noise_blocks(
            (0.5 + partly + noise).astype(np.float32), replace(RULE, most_variance=9), most=999
        )
        assert bool(len(blocks)) is found


def test_a_few_smooth_blocks_are_smooth_by_chance():
    tiles = np.kron(RNG.random((32, 32, 1)), np.ones((8, 8, 3)))
    noise = RNG.normal(0, 3 / 255, tiles.shape)
    for smooth_px, found in ((24, False), (96, True)):
        tiles[:smooth_px, :smooth_px] = 0.5
        assert bool(len(noise_blocks((tiles + noise).astype(np.float32), RULE, most=999))) is found


def test_wide_grain_in_one_channel_is_still_noise(default_values):
    rule = SmoothRule(
        **{k: v for k, v in default_values["noise_model"]["blocks"].items() if k != "per_image"}
    )
    clean = torch.full((1, 1, 256, 256), 0.5)
    noisy = Correlated(1.5)(clean, torch.tensor([6.0]), generator=seeded_generator(1))
    assert len(noise_blocks(noisy[0].permute(1, 2, 0).numpy(), rule, most=999)) > 20


def test_coherence_is_that_of_the_slopes():
    """1 for a slope whatever its direction, 0 for noise of any grain and for two crossing waves; no scale."""
    y, x = np.mgrid[:64, :64]
    waves = np.stack([np.sin(0.5 * x + turn * y) for turn in (0.0, 0.3, -1.0)])[:, None].astype(np.float32)
    np.testing.assert_allclose(coherence(waves), 1, atol=0.02)
    np.testing.assert_allclose(coherence(7 * waves), coherence(waves), rtol=1e-5)
    assert coherence(waves[:1] + waves[:1].swapaxes(2, 3)) < 0.05
    white = RNG.normal(0, 1, (40, 3, 64, 64)).astype(np.float32)
    wide = white[..., 1:, 1:] + white[..., :-1, 1:] + white[..., 1:, :-1] + white[..., :-1, :-1]
    assert max(coherence(white).max(), coherence(wide).max()) < 0.1
    assert coherence(np.zeros((1, 1, 8, 8), np.float32)) == 0


def test_shading_is_not_taken_for_noise():
    y, x = np.mgrid[:16, :16]
    slope = (0.3 + 0.01 * y - 0.02 * x).astype(np.float32)[None, None]
    np.testing.assert_allclose(without_shading(slope), 0, atol=1e-6)
    noise = RNG.normal(0, 1, (500, 1, 16, 16)).astype(np.float32)
    # A plane has 3 of the 256 dimensions.
    assert without_shading(noise + slope).var() == pytest.approx(253 / 256, rel=0.01)


def test_blocks_are_where_the_image_is_smooth():
    noisy = shaded(2.0)
    noisy[40:56, 8:24] = RNG.random((16, 16, 3))
    blocks = noise_blocks(noisy, RULE, most=999)
    assert len(blocks) > 20
    assert np.abs(blocks.noise).max() < 6 * 2 / 255
    np.testing.assert_allclose(blocks.noise.mean((2, 3)), 0, atol=1e-6)
    assert 0.39 < blocks.brightness.min() < blocks.brightness.max() < 0.55


def test_an_image_gives_no_more_than_its_share():
    noisy = shaded()
    every, few = (noise_blocks(noisy, RULE, most=most) for most in (999, 7))
    assert len(few) == 7 < len(every)
    assert few.brightness.max() == pytest.approx(every.brightness.max(), abs=0.02)


def test_clipped_noise_is_left_out():
    dark = np.clip(RNG.normal(0.01, 0.02, (SIDE, SIDE, 1)), 0, 1).astype(np.float32)
    assert len(noise_blocks(dark, RULE, most=99)) == 0


@pytest.mark.parametrize("size", [(5, 40), (16, 16), (1, 1)])
def test_small_images_have_few_blocks_or_none(size):
    flat = (0.5 + RNG.normal(0, 0.02, (*size, 1))).astype(np.float32)
    assert len(noise_blocks(flat, RULE, most=99)) <= 1
    assert 0 <= smooth_level(flat, RULE) < 0.05


def test_the_level_of_correlated_noise_is_found():
    white = RNG.normal(0, 1, (SIDE + 1, SIDE + 1, 3))
    correlated = (white[1:, 1:] + white[1:, :-1] + white[:-1, 1:] + white[:-1, :-1]) / 2
    noisy = (0.5 + correlated * 6 / 255).astype(np.float32)
    assert smooth_level(noisy, RULE) * 255 == pytest.approx(6, rel=0.05)


def test_constant_images_have_no_noise():
    assert smooth_level(np.full((64, 64, 3), 0.5, np.float32), RULE) == 0
