"""Noise of counting photons, alone and with the read noise of a sensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from degrain.noise.model import mean_of_image, per_image, white

# Below this gain the shot noise of a white pixel is a ten-thousandth of an 8-bit step, and the
# counts would soon leave the range of integers.
_SMALLEST_GAIN = 1e-13


@dataclass(frozen=True)
class Poisson:
    """Shot noise. Level: peak, the expected count of photons at white; fewer are noisier.

    Values below 0, which other noise may leave, count as no light.
    """

    level_name: ClassVar[str] = "peak"

    def __call__(self, clean: Tensor, level: Tensor, *, generator: torch.Generator) -> Tensor:
        """Draw a noisy copy; see `NoiseModel`. Levels must be above 0."""
        peak = per_image(level, clean)
        if not bool((peak > 0).all()):
            msg = f"peak = {level.min().item():g}; expected levels above 0"
            raise ValueError(msg)
        return _shot(clean, peak.reciprocal(), generator)

    def sigma(self, clean: Tensor, level: Tensor) -> Tensor:
        """(B,) expected root mean square of the noise: sqrt(mean / peak)."""
        return (mean_of_image(clean.clamp(min=0)) / per_image(level, clean).flatten()).sqrt()


@dataclass(frozen=True)
class PoissonGaussian:
    """Shot noise and read noise: the raw values of a camera.

    Level: gain, 1 / photons at white; the variance is gain * signal + read noise squared. Gain 0
    leaves the read noise alone. Values below 0 count as no light.

    Parameters
    ----------
    read_noise_255 : standard deviation of the read noise, in units of 255.

    Source: Foi et al., "Practical Poissonian-Gaussian noise modeling and fitting for single-image
    raw-data", 2008.
    """

    read_noise_255: float
    level_name: ClassVar[str] = "gain"

    def __call__(self, clean: Tensor, level: Tensor, *, generator: torch.Generator) -> Tensor:
        """Draw a noisy copy; see `NoiseModel`."""
        gain = per_image(level, clean)
        if not bool((gain >= 0).all()):
            msg = f"gain = {level.min().item():g}; expected levels of 0 or more"
            raise ValueError(msg)
        light = _shot(clean, gain.clamp(min=_SMALLEST_GAIN), generator)
        return light + self.read_noise_255 / 255 * white(clean, generator)

    def sigma(self, clean: Tensor, level: Tensor) -> Tensor:
        """(B,) expected root mean square of the noise: sqrt(gain * mean + read noise squared)."""
        shot = per_image(level, clean).flatten() * mean_of_image(clean.clamp(min=0))
        return (shot + (self.read_noise_255 / 255) ** 2).sqrt()


def _shot(clean: Tensor, gain: Tensor, generator: torch.Generator) -> Tensor:
    """Count photons, `gain` (B, 1, 1, 1) of the image's scale each."""
    return gain * torch.poisson(clean.clamp(min=0) / gain, generator=generator)
