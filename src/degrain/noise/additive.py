"""Gaussian noise that does not depend on the image: white, and low-pass filtered."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from degrain.noise.model import per_image, white


@dataclass(frozen=True)
class Gaussian:
    """White Gaussian noise. Level: sigma, its standard deviation in units of 255."""

    level_name: ClassVar[str] = "sigma"

    def __call__(self, clean: Tensor, level: Tensor, *, generator: torch.Generator) -> Tensor:
        """Draw a noisy copy; see `NoiseModel`."""
        return clean + per_image(level, clean) / 255 * white(clean, generator)

    def sigma(self, clean: Tensor, level: Tensor) -> Tensor:
        """(B,) expected root mean square of the noise: sigma / 255."""
        return per_image(level, clean).flatten() / 255


@dataclass(frozen=True)
class Correlated:
    """White Gaussian noise after a Gaussian low-pass filter: grain wider than a pixel.

    Level: sigma, the standard deviation after the filter in units of 255. A field wider than the
    image is filtered and cut, so that it is the same up to the border.

    Parameters
    ----------
    blur_px : standard deviation of the filter, in pixels, above 0.
    """

    blur_px: float
    level_name: ClassVar[str] = "sigma"

    def __call__(self, clean: Tensor, level: Tensor, *, generator: torch.Generator) -> Tensor:
        """Draw a noisy copy; see `NoiseModel`."""
        taps = _unit_energy_taps(self.blur_px)
        field = white(clean, generator, margin_px=len(taps) // 2)
        for axis in (-2, -1):
            field = _filter_valid(field, taps, axis)
        return clean + per_image(level, clean) / 255 * field

    def sigma(self, clean: Tensor, level: Tensor) -> Tensor:
        """(B,) expected root mean square of the noise: sigma / 255."""
        return per_image(level, clean).flatten() / 255


def _unit_energy_taps(blur_px: float) -> list[float]:
    """Gaussian taps whose squares sum to 1: white noise of variance 1 keeps it."""
    radius = math.ceil(4 * blur_px)
    taps = [math.exp(-0.5 * (offset / blur_px) ** 2) for offset in range(-radius, radius + 1)]
    energy = math.sqrt(math.fsum(tap * tap for tap in taps))
    return [tap / energy for tap in taps]


def _filter_valid(field: Tensor, taps: list[float], axis: int) -> Tensor:
    """Correlate along `axis`; the result is shorter by len(taps) - 1.

    A sum of slices rather than a convolution: autocast leaves it in full precision.
    """
    length = field.shape[axis] - len(taps) + 1
    result = taps[0] * field.narrow(axis, 0, length)
    for start, tap in enumerate(taps[1:], start=1):
        result.add_(field.narrow(axis, start, length), alpha=tap)
    return result
