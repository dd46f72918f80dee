"""Clean images made noisy as the params say."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from degrain.build.learned_noise import load_block_noise
from degrain.build.noise import build_noise, draw_levels, level_key
from degrain.noise import quantize
from degrain.noise.blocks import smooth_level
from degrain.noise_level import noise_level
from degrain.noise_params import NoiseSection

Estimate = Callable[[NDArray[np.float32]], float]


def level_estimate(section: NoiseSection) -> Estimate:
    """What tells a generator the level of a real noisy image (H, W, C), on its scale.

    With learned noise it is measured as in its training, and so noise which is not white is found, too.
    """
    if section.kind != "learned":
        return noise_level
    _, rule = load_block_noise(Path(section.learned.generator))
    return partial(smooth_level, rule=rule)


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
