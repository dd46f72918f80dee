"""Clean images made noisy as the params say."""

from __future__ import annotations

import torch
from torch import Tensor

from degrain.build.noise import build_noise, draw_levels, level_key
from degrain.noise import quantize
from degrain.noise_params import NoiseSection


class Degrader:
    """The noise model in use, at levels drawn for training or given for testing."""

    def __init__(self, section: NoiseSection) -> None:
        self.model = build_noise(section)
        self.settings = section.settings(section.synthetic_kind)
        self.finish = quantize if section.quantize else torch.Tensor.contiguous

    def test_levels(self) -> list[tuple[str, float]]:
        """(key, value) of every test level, like ("sigma_25", 25.0)."""
        return [(level_key(self.model, level), level) for level in self.settings.test]

    def __call__(self, clean: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """clean (B, C, H, W) to (noisy, sigma (B,)), at levels from the training range."""
        levels = draw_levels(self.settings, len(clean), generator=generator)
        return self._degrade(clean, levels, generator)

    def at(self, clean: Tensor, level: float, *, generator: torch.Generator) -> tuple[Tensor, float]:
        """clean (1, C, H, W) to (noisy, sigma), at one level."""
        noisy, sigma = self._degrade(clean, torch.tensor([level]), generator)
        return noisy, float(sigma)

    def _degrade(self, clean: Tensor, levels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        noisy = self.model(clean, levels, generator=generator)
        return self.finish(noisy), self.model.sigma(clean, levels)
