"""Distances between two images, pixel by pixel."""

from __future__ import annotations

from torch import Tensor


def l1(restored: Tensor, clean: Tensor) -> Tensor:
    """Mean absolute difference: (B, C, H, W) twice, to (B,)."""
    return (restored - clean).abs().flatten(1).mean(1)


def mse(restored: Tensor, clean: Tensor) -> Tensor:
    """Mean squared difference: (B, C, H, W) twice, to (B,)."""
    return (restored - clean).square().flatten(1).mean(1)


def log_mse(restored: Tensor, clean: Tensor, *, epsilon: float = 1e-5) -> Tensor:
    """Logarithm of the mean squared difference + epsilon: (B, C, H, W) twice, to (B,).

    Its mean falls as the mean PSNR rises: an image counts by the share of its error that goes, not by how
    much of it. Source: Chen et al., "HINet: Half Instance Normalization Network for Image Restoration", 2021.

    Parameters
    ----------
    epsilon : below it an error does not count: 50 dB.
    """
    return (mse(restored, clean) + epsilon).log()


def charbonnier(restored: Tensor, clean: Tensor, *, epsilon: float = 1e-3) -> Tensor:
    """Mean of sqrt(difference^2 + epsilon^2): (B, C, H, W) twice, to (B,).

    Quadratic for differences below epsilon, absolute above. Source: Charbonnier et al., "Two
    deterministic half-quadratic regularization algorithms for computed imaging", 1994.
    """
    return ((restored - clean).square() + epsilon**2).sqrt().flatten(1).mean(1)
