"""Similarity in structure: how alike small neighbourhoods are, at several scales; a loss and a metric."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

WINDOW_PX = 11
SIGMA_PX = 1.5
# Of the scales, the finest first, as people judged them.
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
# Keep quotients of small numbers steady: of luminance, of contrast.
STEADY, STEADY_CONTRAST = 0.01**2, 0.03**2
# Below, a power of less than 1 would have no finite gradient.
LEAST = 1e-4


def ms_ssim(restored: Tensor, clean: Tensor) -> Tensor:
    """MS-SSIM: (B, C, H, W) in [0, 1] twice, at least 11 pixels high and wide, to (B,); 1 for equals.

    Up to five scales, those at which the window fits, with their weights scaled to a sum of 1: small
    patches have fewer. Each channel by itself; the mean of the channels.

    Source: Wang et al., "Multi-scale structural similarity for image quality assessment", 2003.
    """
    count = _scales(min(clean.shape[2:]))
    similarity = restored.new_ones(clean.shape[:2])
    for scale, weight in enumerate(WEIGHTS[:count]):
        luminance, contrast_structure = _similarities(restored, clean)
        last = scale == count - 1
        factor = (luminance * contrast_structure if last else contrast_structure).mean(dim=(2, 3))
        similarity = similarity * factor.clamp(min=LEAST) ** (weight / sum(WEIGHTS[:count]))
        if not last:
            restored, clean = F.avg_pool2d(restored, 2), F.avg_pool2d(clean, 2)
    return similarity.mean(1)


def _scales(side: int) -> int:
    if side < WINDOW_PX:
        msg = f"image side of {side} pixels; MS-SSIM needs at least {WINDOW_PX}"
        raise ValueError(msg)
    return sum(side // 2**scale >= WINDOW_PX for scale in range(len(WEIGHTS)))


def _similarities(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """In luminance, and in contrast and structure, at every place where the window fits."""
    mean, other_mean = _blurred(one), _blurred(other)
    variance, other_variance = _blurred(one * one) - mean**2, _blurred(other * other) - other_mean**2
    covariance = _blurred(one * other) - mean * other_mean
    luminance = (2 * mean * other_mean + STEADY) / (mean**2 + other_mean**2 + STEADY)
    contrast_structure = (2 * covariance + STEADY_CONTRAST) / (variance + other_variance + STEADY_CONTRAST)
    return luminance, contrast_structure


def _blurred(images: Tensor) -> Tensor:
    """Means under a Gaussian window: (B, C, H, W) to (B, C, H - 10, W - 10)."""
    offsets = torch.arange(WINDOW_PX, dtype=images.dtype, device=images.device) - WINDOW_PX // 2
    window = torch.exp(-(offsets**2) / (2 * SIGMA_PX**2))
    window = window / window.sum()
    channels = images.shape[1]
    down = F.conv2d(images, window.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
    return F.conv2d(down, window.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
