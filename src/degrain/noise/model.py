"""What every noise model offers, and what they share."""

from __future__ import annotations

from typing import ClassVar, Protocol

import torch
from torch import Tensor


class NoiseModel(Protocol):
    """Turns clean images into noisy ones; its strength is one level for each image."""

    level_name: ClassVar[str]

    def __call__(self, clean: Tensor, level: Tensor, *, generator: torch.Generator) -> Tensor:
        """Draw a noisy copy of `clean`.

        Parameters
        ----------
        clean : (B, C, H, W) in [0, 1].
        level : (B,) in the unit that the model names.
        generator : of all random numbers, on the device of `clean`.

        Returns
        -------
        (B, C, H, W) of the same type on the same device, not clipped.
        """
        ...

    def sigma(self, clean: Tensor, level: Tensor) -> Tensor:
        """(B,) expected root mean square of noisy - clean, on the scale of the image."""
        ...


def per_image(level: Tensor, clean: Tensor) -> Tensor:
    """`level` (B,) as (B, 1, 1, 1), of the type and on the device of `clean` (B, C, H, W).

    Raises
    ------
    ValueError : if there is not one level for each image.
    """
    if clean.ndim != 4 or level.shape != clean.shape[:1]:
        msg = (
            f"clean {tuple(clean.shape)}, level {tuple(level.shape)}; "
            "expected clean (B, C, H, W) and level (B,)"
        )
        raise ValueError(msg)
    return level.to(clean).view(-1, 1, 1, 1)


def white(clean: Tensor, generator: torch.Generator, *, margin_px: int = 0) -> Tensor:
    """Draw standard normal noise for `clean` (B, C, H, W), wider by `margin_px` on every side."""
    *outer, height, width = clean.shape
    size = (*outer, height + 2 * margin_px, width + 2 * margin_px)
    return torch.randn(size, generator=generator, device=clean.device, dtype=clean.dtype)


def mean_of_image(values: Tensor) -> Tensor:
    """(B, C, H, W) -> (B,)."""
    return values.flatten(1).mean(1)


def root_mean_square(values: Tensor) -> Tensor:
    """(B, C, H, W) -> (B,)."""
    return mean_of_image(values.square()).sqrt()
