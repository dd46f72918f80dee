"""Several noise models in a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from degrain.noise.model import NoiseModel, root_mean_square
from degrain.seeding import seeded_generator


@dataclass(frozen=True)
class Link:
    """One model of a chain, and the levels at the chain's strength 0 and 1."""

    model: NoiseModel
    weakest: float
    strongest: float

    def level(self, strength: Tensor) -> Tensor:
        """(B,) strengths in [0, 1] -> (B,) levels of the model, linearly."""
        return self.weakest + strength * (self.strongest - self.weakest)


@dataclass(frozen=True)
class Chain:
    """Noise models applied one after the other, each to what the one before left.

    Level: strength, from 0 (every link at its weakest) to 1 (every link at its strongest).
    Counting models take values below 0 as no light and JPEG clips; nothing else clips between.
    """

    links: tuple[Link, ...]
    level_name: ClassVar[str] = "strength"

    def __call__(self, clean: Tensor, level: Tensor, *, generator: torch.Generator) -> Tensor:
        """Draw a noisy copy; see `NoiseModel`."""
        noisy = clean
        for link in self.links:
            noisy = link.model(noisy, link.level(level), generator=generator)
        return noisy

    def sigma(self, clean: Tensor, level: Tensor) -> Tensor:
        """(B,) root mean square of the noise, measured on a draw of its own that never changes.

        The links' values can't be summed: JPEG removes part of the noise that it is given.
        """
        generator = seeded_generator("sigma of a chain", device=clean.device)
        return root_mean_square(self(clean, level, generator=generator) - clean)
