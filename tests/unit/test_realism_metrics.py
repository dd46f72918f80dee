"""Measures of realism against closed forms, and on images whose order is known."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from degrain.errors import DegrainError
from degrain.losses.structure import ms_ssim as ms_ssim_loss
from degrain.metrics.deep import deep_distances
from degrain.metrics.frechet import Gaussian, Moments, gaussian_frechet
from degrain.metrics.lpips import Lpips
from degrain.metrics.spectrum import radial_power, spectrum_distance
from degrain.metrics.structure import ms_ssim
from degrain.metrics.two_sample import two_sample_accuracy
from perceptual_support import blurred, judge, needs_perceptual, noisy, sharper

RNG = np.random.default_rng(0)
# Each list of changes goes from hardly visible to plain.
WORSE = {
    "blur": [lambda image, s=s: blurred(image, s) for s in (0.4, 0.8, 1.6)],
    "noise": [lambda image, s=s: noisy(image, s) for s in (0.02, 0.06, 0.2)],
    "sharpening": [lambda image, a=a: sharper(image, a) for a in (0.3, 1.0, 3.0)],
}


def deep(restored, clean):
    needs_perceptual()
    return deep_distances([restored], [clean], data_range=1.0, judge=judge())


DISTANCES = {
    "spectrum": lambda restored, clean: spectrum_distance(restored, clean, data_range=1.0),
    "structure": lambda restored, clean: 1 - ms_ssim(restored, clean, data_range=1.0),
    "features": lambda restored, clean: deep(restored, clean).feature_distance,
    "frechet": lambda restored, clean: deep(restored, clean).frechet_distance,
}


@pytest.mark.parametrize("change", WORSE)
@pytest.mark.parametrize("distance", DISTANCES)
def test_more_of_a_change_is_farther_and_none_is_0(photo, distance, change):
    values = [DISTANCES[distance](worsen(photo), photo) for worsen in WORSE[change]]
    assert DISTANCES[distance](photo, photo) == pytest.approx(0, abs=1e-6)
    assert values == sorted(values)
    assert values[0] > 1e-5


def test_spectrum_of_white_noise_is_its_variance():
    power = radial_power(RNG.normal(0, 0.2, (120, 90, 3)))
    assert power.shape == (45,)
    assert power.mean() == pytest.approx(0.04, rel=0.03)
    assert power[5:] == pytest.approx(0.04, rel=0.5)


def test_spectrum_of_a_wave_stands_at_its_frequency():
    wave = np.cos(2 * np.pi * 12 * np.arange(96) / 96)[None, :, None] * np.ones((64, 1, 1))
    # 12 waves over 96 pixels are 8 over the shorter side, which are counted from 1.
    assert radial_power(wave).argmax() == 7


def test_spectrum_distance_of_noise_on_a_flat_image():
    """Noise of variance v against rounding of variance r: 10 log10((v + r) / r)."""
    flat = np.full((128, 128, 1), 0.5)
    rounding = 1 / 255**2 / 12
    expected = 10 * np.log10((0.1**2 + rounding) / rounding)
    assert spectrum_distance(noisy(flat, 0.1), flat, data_range=1.0) == pytest.approx(expected, abs=0.5)


def test_spectrum_distance_of_a_paler_image(photo):
    """Far above rounding, a contrast of one half is 6.02 dB at every frequency."""
    coarse = RNG.normal(0.5, 0.2, (96, 96, 3))
    assert spectrum_distance(coarse / 2, coarse, data_range=1.0) == pytest.approx(20 * np.log10(2), abs=0.01)


def test_spectra_know_no_places(photo):
    noise = RNG.normal(0, 1, (64, 64, 1))
    assert spectrum_distance(noise[::-1], noise, data_range=1.0) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("metric", [spectrum_distance, ms_ssim])
def test_the_scale_does_not_matter_where_the_range_goes_with_it(photo, metric):
    small = metric(noisy(photo, 0.1), photo, data_range=1.0)
    assert metric(noisy(photo, 0.1) * 255, photo * 255, data_range=255.0) == pytest.approx(small, rel=1e-5)


def test_ms_ssim_is_what_the_loss_lacks_to_1(photo):
    restored = noisy(photo, 0.1)
    tensors = [torch.from_numpy(image.transpose(2, 0, 1)[None].astype(float)) for image in (restored, photo)]
    assert ms_ssim(restored, photo, data_range=1.0) == pytest.approx(1 - ms_ssim_loss(*tensors).item())


def gaussian(dimensions):
    """A random one."""
    factor = RNG.normal(size=(dimensions, dimensions))
    return Gaussian(RNG.normal(size=dimensions), factor @ factor.T)


def test_frechet_distance_of_gaussians_on_one_axis():
    """(m1 - m2)^2 + (s1 - s2)^2."""
    one, other = Gaussian(np.array([3.0]), np.array([[4.0]])), Gaussian(np.array([1.0]), np.array([[0.25]]))
    assert gaussian_frechet(one, other) == pytest.approx(2**2 + (2 - 0.5) ** 2)


def test_frechet_distance_follows_its_formula_and_is_symmetric():
    one, other = gaussian(7), gaussian(7)
    root = sqrtm(one.covariance @ other.covariance).real
    expected = ((one.mean - other.mean) ** 2).sum() + np.trace(one.covariance + other.covariance - 2 * root)
    assert gaussian_frechet(one, other) == pytest.approx(expected)
    assert gaussian_frechet(other, one) == pytest.approx(expected)
    assert gaussian_frechet(one, one) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_of_flat_gaussians():
    """Covariances without full rank, as of features that never vary."""
    one, other = (Gaussian(np.zeros(3), np.diag(d)) for d in ([4.0, 0.0, 0.0], [0.0, 9.0, 0.0]))
    assert gaussian_frechet(one, other) == pytest.approx(4 + 9)


def test_moments_in_parts_are_those_of_the_whole():
    vectors = RNG.normal(5, 2, (200, 4)).astype(np.float32)
    moments = Moments()
    for part in np.split(vectors, [3, 90]):
        moments.add(part)
    found = moments.gaussian()
    np.testing.assert_allclose(found.mean, vectors.mean(0), rtol=1e-6)
    np.testing.assert_allclose(found.covariance, np.cov(vectors.T), rtol=1e-5)


def test_deep_distances_follow_the_recipe(photo):
    """Written out once more: grey as three channels, Lite2's stem and blocks 0, 3, 6, 10, 14."""
    needs_perceptual()
    clean = [photo[:64, :80, :1], photo[40:90, 60:110, :1]]
    restored = [noisy(image, 0.1) for image in clean]
    look, layers, pooled = judge(), [], ([], [])
    for pair in zip(restored, clean, strict=True):
        sides = []
        for image, positions in zip(pair, pooled, strict=True):
            shown = (np.repeat(image.clip(0, 1), 3, axis=2) - 0.498) / 0.502
            features = look.stem(torch.from_numpy(shown.transpose(2, 0, 1)[None].astype(np.float32)))
            seen = [features]
            for index, block in enumerate(look.blocks):
                features = block(features)
                if index in (0, 3, 6, 10, 14):
                    seen.append(features)
                if index == 3:
                    positions.append(features[0].flatten(1).T.numpy())
            sides.append([layer[0].flatten(1).numpy() for layer in seen])
        layers.append(
            np.mean(
                [
                    ((a / np.linalg.norm(a, axis=0) - b / np.linalg.norm(b, axis=0)) ** 2).sum(0).mean()
                    for a, b in zip(*sides, strict=True)
                ]
            )
        )
    found = deep_distances(restored, clean, data_range=1.0, judge=look)
    assert found.feature_distance == pytest.approx(np.mean(layers), rel=1e-3)
    fits = [
        Gaussian(p.mean(0), np.cov(p.T)) for p in (np.concatenate(parts).astype(float) for parts in pooled)
    ]
    assert len(fits[0].mean) == 24
    assert found.frechet_distance == pytest.approx(gaussian_frechet(*fits), rel=1e-2)


def test_deep_distances_clamp_and_scale(photo):
    needs_perceptual()
    restored = noisy(photo, 0.3)
    expected = deep(restored.clip(0, 1), photo)
    assert deep_distances([restored], [photo], data_range=1.0, judge=judge()) == expected
    scaled = deep_distances([restored * 255], [photo * 255], data_range=255.0, judge=judge())
    assert scaled == pytest.approx(expected, rel=1e-3)


def test_frechet_distance_asks_for_no_image_to_be_the_right_one(photo):
    """A real photograph in the place of another is far in features, and near in their distribution."""
    turned = photo[::-1, ::-1]
    assert deep(turned, photo).feature_distance > 2 * deep(noisy(photo, 0.05), photo).feature_distance
    assert deep(turned, photo).frechet_distance < deep(noisy(photo, 0.05), photo).frechet_distance


def scenes(photo):
    return [photo[:64, :96], photo[64:, :96]]


def accuracy(change, photo, **options):
    clean = scenes(photo)
    restored = [change(scene, seed) for seed, scene in enumerate(clean)]
    return two_sample_accuracy(restored, clean, **{"data_range": 1.0, "seed": 0, "steps": 30, **options})


def test_two_sample_accuracy_of_identical_images_is_one_half(photo):
    assert accuracy(lambda scene, seed: scene, photo, steps=3) == 0.5


def test_two_sample_accuracy_tells_plain_noise_blur_and_sharpening(photo):
    assert accuracy(lambda scene, seed: noisy(scene, 0.2, seed=seed), photo) > 0.9
    assert accuracy(lambda scene, seed: blurred(scene, 2.0), photo) > 0.8
    assert accuracy(lambda scene, seed: sharper(scene, 3.0), photo) > 0.8


def test_two_sample_accuracy_of_what_cannot_be_told_is_near_one_half(photo):
    """Noise against other noise of the same kind: there is nothing to learn."""
    clean = [noisy(np.full((96, 96, 3), 0.5), 0.1, seed=seed) for seed in range(2)]
    restored = [noisy(np.full((96, 96, 3), 0.5), 0.1, seed=seed) for seed in range(2, 4)]
    value = two_sample_accuracy(restored, clean, data_range=1.0, seed=0, steps=20)
    assert 0.3 < value < 0.7


def test_two_sample_accuracy_depends_on_its_seed_alone(photo):
    def again(**options):
        torch.manual_seed(int(RNG.integers(1000)))
        return accuracy(lambda scene, seed: noisy(scene, 0.01, seed=seed), photo, steps=5, **options)

    first = again()
    assert first == again(seed=0)
    assert any(again(seed=seed) != first for seed in (1, 2, 3))


def test_two_sample_accuracy_scales(photo):
    def change(scene, seed):
        return noisy(scene, 0.02, seed=seed)

    clean = [scene * 2 for scene in scenes(photo)]
    restored = [change(scene, seed) * 2 for seed, scene in enumerate(scenes(photo))]
    doubled = two_sample_accuracy(restored, clean, data_range=2.0, seed=0, steps=5)
    assert doubled == accuracy(change, photo, steps=5)


def test_two_sample_accuracy_needs_two_scenes_and_patches_that_fit(photo):
    with pytest.raises(ValueError, match="1 scene; the two-sample test needs 2 at least"):
        two_sample_accuracy([photo], [photo], data_range=1.0, seed=0)
    with pytest.raises(ValueError, match=r"image of 31 x 64 pixels; .* at least 32 x 32"):
        two_sample_accuracy([photo[:64, :31]] * 2, [photo[:64, :31]] * 2, data_range=1.0, seed=0)


@pytest.mark.parametrize("metric", [spectrum_distance, ms_ssim])
def test_different_shapes_are_refused(photo, metric):
    with pytest.raises(ValueError, match=r"expected the same \(H, W, C\)"):
        metric(photo[:64], photo[:, :64], data_range=1.0)


def test_lpips_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(DegrainError, match=r"LPIPS: .*lpips.*; pip install lpips torchvision; its first use"):
        Lpips()


def test_lpips_says_so_where_nothing_can_be_downloaded(monkeypatch):
    def offline(**options):
        msg = "no route to host"
        raise URLError(msg)

    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=offline))
    with pytest.raises(DegrainError, match=r"no route to host.*its first use downloads AlexNet's weights"):
        Lpips()


def test_lpips_shows_images_as_its_network_wants_them(monkeypatch, photo):
    """Three channels in [-1, 1]."""

    class Network(torch.nn.Module):
        def forward(self, one, other):
            assert one.shape == other.shape == (1, 3, 128, 160)
            return (one - other).abs().mean().view(1, 1, 1, 1)

    monkeypatch.setitem(sys.modules, "lpips", SimpleNamespace(LPIPS=lambda **options: Network()))
    grey = photo[..., :1]
    assert Lpips()(grey * 127.5, grey * 255, data_range=255.0) == pytest.approx(grey.mean(), rel=1e-5)
