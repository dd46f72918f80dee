"""MS-SSIM and the focal frequency loss against independent computations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity

from degrain.losses.frequency import focal_frequency
from degrain.losses.structure import ms_ssim
from degrain.structure import WEIGHTS

LOSSES = {"ms_ssim": ms_ssim, "focal_frequency": focal_frequency}


def pair(photo, side, sigma=0.1):
    """(restored, clean) of a photograph, (1, 3, side, side) in double precision."""
    clean = photo[:side, :side].astype(np.float64)
    restored = clean + np.random.default_rng(0).normal(0, sigma, clean.shape)
    return tuple(torch.from_numpy(image).permute(2, 0, 1)[None] for image in (restored, clean))


def similarities(one, other):
    """Means of SSIM and of its contrast-structure factor of two planes, by SciPy's Gaussian."""

    def blur(plane):
        return gaussian_filter(plane, 1.5, truncate=3.5)[5:-5, 5:-5]

    a, b = blur(one), blur(other)
    covariance = blur(one * other) - a * b
    variances = blur(one**2) - a**2 + blur(other**2) - b**2
    structure = (2 * covariance + 0.03**2) / (variances + 0.03**2)
    return np.mean(structure * (2 * a * b + 0.01**2) / (a**2 + b**2 + 0.01**2)), np.mean(structure)


def ms_ssim_by_hand(one, other, scales):
    value, weights = 1.0, np.array(WEIGHTS[:scales]) / sum(WEIGHTS[:scales])
    for scale, weight in enumerate(weights):
        whole, structure = similarities(one, other)
        value *= (whole if scale == scales - 1 else structure) ** weight
        height, width = (length // 2 * 2 for length in one.shape)
        one, other = (
            plane[:height, :width].reshape(height // 2, 2, width // 2, 2).mean((1, 3))
            for plane in (one, other)
        )
    return value


@pytest.mark.parametrize(("side", "scales"), [(11, 1), (21, 1), (32, 2), (64, 3), (99, 4), (128, 4)])
def test_ms_ssim_is_the_product_over_the_scales_that_fit(photo, side, scales):
    restored, clean = pair(photo, side)
    planes = zip(restored[0].numpy(), clean[0].numpy(), strict=True)
    expected = 1 - np.mean([ms_ssim_by_hand(*channel, scales) for channel in planes])
    assert ms_ssim(restored, clean).item() == pytest.approx(expected, rel=1e-6)


def test_ms_ssim_of_five_scales(photo):
    """The published weights sum to 1, so the full measure is the published one."""
    large = np.kron(photo[:96, :96], np.ones((2, 2, 1)))
    restored, clean = pair(large, 192)
    expected = 1 - np.mean(
        [ms_ssim_by_hand(*channel, 5) for channel in zip(restored[0].numpy(), clean[0].numpy(), strict=True)]
    )
    assert ms_ssim(restored, clean).item() == pytest.approx(expected, rel=1e-6)
    assert sum(WEIGHTS) == pytest.approx(1, abs=2e-4)


def test_ms_ssim_of_a_small_patch_is_ssim(photo):
    restored, clean = pair(photo, 20)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": 0}
    expected = structural_similarity(clean[0].numpy(), restored[0].numpy(), data_range=1.0, **options)
    assert ms_ssim(restored, clean).item() == pytest.approx(1 - expected, rel=1e-6)


def test_ms_ssim_of_opposites_and_of_too_small_images():
    clean = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    opposite = (1 - clean).requires_grad_()
    loss = ms_ssim(opposite, clean)
    loss.sum().backward()
    assert (loss > 0.9).all()
    assert opposite.grad.isfinite().all()
    with pytest.raises(ValueError, match="image side of 8 pixels; MS-SSIM needs at least 11"):
        ms_ssim(clean[..., :8], clean[..., :8])


def dft(length):
    """Matrix of the unitary Fourier transform."""
    steps = np.arange(length)
    return np.exp(-2j * np.pi * np.outer(steps, steps) / length) / np.sqrt(length)


def test_focal_frequency_follows_its_formula(photo):
    restored, clean = (image[..., :12] for image in pair(photo, 16))
    values = []
    for one, other in zip(restored[0].numpy(), clean[0].numpy(), strict=True):
        distance = np.abs(dft(16) @ one @ dft(12).T - dft(16) @ other @ dft(12).T)
        values.append(np.mean(distance / distance.max() * distance**2))
    assert focal_frequency(restored, clean).item() == pytest.approx(np.mean(values))


def test_focal_frequency_of_one_wave_is_its_energy():
    """A single frequency that is off has weight 1, and Parseval's law gives the mean square."""
    x = torch.arange(32, dtype=torch.float64)
    wave = 0.3 * torch.cos(2 * torch.pi * 5 * x / 32).expand(1, 1, 32, 32)
    assert focal_frequency(wave, torch.zeros_like(wave)).item() == pytest.approx(wave.square().mean().item())


def test_focal_frequency_holds_its_weights_constant(photo):
    restored, clean = pair(photo, 16)
    restored.requires_grad_()
    focal_frequency(restored, clean).sum().backward()
    difference = torch.fft.fft2((restored - clean).detach(), norm="ortho")
    weight = difference.abs() / difference.abs().amax(dim=(2, 3), keepdim=True)
    expected = 2 * torch.fft.ifft2(weight * difference, norm="ortho").real / difference.numel()
    torch.testing.assert_close(restored.grad, expected)


@pytest.mark.parametrize("name", LOSSES)
def test_image_losses_are_0_for_equals_one_value_a_sample_and_grow_with_the_noise(name, photo):
    loss, (restored, clean) = LOSSES[name], pair(photo, 32)
    equal = clean.clone().requires_grad_()
    value = loss(equal, clean)
    value.sum().backward()
    assert value.item() == pytest.approx(0, abs=1e-9)
    assert equal.grad.isfinite().all()
    worse, _ = pair(photo, 32, sigma=0.2)
    one, other = loss(restored, clean), loss(worse, clean)
    assert one < other
    both = loss(torch.cat([restored, worse]), torch.cat([clean, clean]))
    torch.testing.assert_close(both, torch.cat([one, other]))


def test_ms_ssim_has_the_right_gradient(photo):
    restored, clean = pair(photo, 24, sigma=0.05)
    crop = (..., slice(0, 24), slice(0, 24))
    assert torch.autograd.gradcheck(
        lambda image: ms_ssim(image, clean[crop][:, :1]), restored[crop][:, :1].clone().requires_grad_()
    )
