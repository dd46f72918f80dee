"""Distances between two images, pixel by pixel."""

from __future__ import annotations

from torch import Tensor


def l1(restored: Tensor, clean: Tensor) -> Tensor:
    """Mean absolute difference: (B, C, H, W) twice, to (B,)."""
    return (restored - clean).abs().flatten(1).mean(1)


def mse(restored: Tensor, clean: Tensor) -> Tensor:
    """Mean squared difference: (B, C, H, W) twice, to (B,)."""
    return (restored - clean).square().flatten(1).mean(1)


def charbonnier(restored: Tensor, clean: Tensor, *, epsilon: float = 1e-3) -> Tensor:
    """Mean of sqrt(difference^2 + epsilon^2): (B, C, H, W) twice, to (B,).

    Quadratic for differences below epsilon, absolute above. Source: Charbonnier et al., "Two
    deterministic half-quadratic regularization algorithms for computed imaging", 1994.
    """
    return ((restored - clean).square() + epsilon**2).sqrt().flatten(1).mean(1)
