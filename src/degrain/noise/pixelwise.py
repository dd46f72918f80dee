"""Noise that strikes or scales single values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from degrain.noise.model import mean_of_image, per_image, root_mean_square, white


@dataclass(frozen=True)
class SaltPepper:
    """Values stuck at 0 or at 1, half and half; each channel of a pixel is struck by itself.

    Level: amount, the expected share of values struck, in [0, 1].
    """

    level_name: ClassVar[str] = "amount"

    def __call__(self, clean: Tensor, level: Tensor, *, generator: torch.Generator) -> Tensor:
        """Draw a noisy copy; see `NoiseModel`."""
        amount = per_image(level, clean)
        draw = torch.rand(clean.shape, generator=generator, device=clean.device, dtype=clean.dtype)
        struck = torch.where(draw < amount, 1.0, clean)
        return torch.where(draw < amount / 2, 0.0, struck)

    def sigma(self, clean: Tensor, level: Tensor) -> Tensor:
        """(B,) expected root mean square of the noise: sqrt(amount * mean(x^2 + (1 - x)^2) / 2)."""
        step = mean_of_image(clean.square() + (1 - clean).square()) / 2
        return (per_image(level, clean).flatten() * step).sqrt()


@dataclass(frozen=True)
class Speckle:
    """Gaussian noise in proportion to the signal. Level: sigma, relative to the signal."""

    level_name: ClassVar[str] = "sigma"

    def __call__(self, clean: Tensor, level: Tensor, *, generator: torch.Generator) -> Tensor:
        """Draw a noisy copy; see `NoiseModel`."""
        return clean + clean * per_image(level, clean) * white(clean, generator)

    def sigma(self, clean: Tensor, level: Tensor) -> Tensor:
        """(B,) expected root mean square of the noise: sigma * sqrt(mean(x^2))."""
        return per_image(level, clean).flatten() * root_mean_square(clean)
