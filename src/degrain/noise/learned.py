"""Noise as a network has learned it from noisy images: blocks of it laid over each other without seams."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from degrain.errors import DegrainError
from degrain.noise.model import per_image

# Blocks drawn at once: bounds the memory on large images.
MOST_BLOCKS = 1024


class DrawsBlocks(Protocol):
    """What draws the blocks; see `degrain.models.block_noise.BlockNoise`."""

    channels: int
    side_px: int
    numbers: int

    def to(self, device: torch.device) -> DrawsBlocks:
        """The same on a device."""
        ...

    def __call__(self, z: Tensor, brightness: Tensor, level_255: Tensor) -> Tensor:
        """z (N, numbers), brightness (N, C), level (N,) to noise (N, C, side_px, side_px)."""
        ...


@dataclass(frozen=True)
class Learned:
    """Noise from a generator of blocks, which know how bright the image is under them.

    Each pixel is in four blocks, all of independent noise, weighted by windows whose squares add up to 1:
    the variance is that of a block everywhere, there are no seams, and grain a few pixels wide stays as it
    is. The grid of the blocks is shifted at random for each call, so that a network cannot learn where they
    lie.

    Level: sigma, the root mean square of the noise in smooth parts of the image, in units of 255. Where the
    image is dark or bright the noise may be weaker or stronger.

    Parameters
    ----------
    blocks : the generator, not in training.
    """

    blocks: DrawsBlocks
    level_name: ClassVar[str] = "sigma"

    @torch.no_grad()
    def __call__(self, clean: Tensor, level: Tensor, *, generator: torch.Generator) -> Tensor:
        """Draw a noisy copy; see `NoiseModel`."""
        channels = self.blocks.channels
        if clean.shape[1] != channels:
            msg = (
                f"images of {clean.shape[1]} channels; noise.learned.generator was learned from images of "
                f"{channels}: set data.channels to {channels}, or learn it from others"
            )
            raise DegrainError(msg)
        per_image(level, clean)
        return clean + self._field(clean, level.to(clean), generator)

    def sigma(self, clean: Tensor, level: Tensor) -> Tensor:
        """(B,) root mean square of the noise in smooth parts of the image: sigma / 255."""
        return per_image(level, clean).flatten() / 255

    def _field(self, clean: Tensor, level: Tensor, generator: torch.Generator) -> Tensor:
        """Noise for clean (B, C, H, W)."""
        batch, channels, height, width = clean.shape
        side, step = self.blocks.side_px, self.blocks.side_px // 2
        shift = torch.randint(step, (2,), generator=generator, device=clean.device).tolist()
        # The first and the last half block of a row of blocks lie under one of them only: outside the image.
        rows, columns = (math.ceil((length + step) / step) + 1 for length in (height, width))
        brightness = _means_under_blocks(clean, (rows, columns), shift, side)
        noise = self._draw(brightness.flatten(0, 1), level.repeat_interleave(rows * columns), generator)
        weighted = (noise * _window(side, clean)).reshape(batch, rows * columns, channels * side * side)
        size = ((rows + 1) * step, (columns + 1) * step)
        field = F.fold(weighted.transpose(1, 2), size, kernel_size=side, stride=step)
        top, left = (step + offset for offset in shift)
        return field[:, :, top : top + height, left : left + width]

    def _draw(self, brightness: Tensor, level: Tensor, generator: torch.Generator) -> Tensor:
        shape = (len(level), self.blocks.numbers)
        z = torch.randn(shape, generator=generator, device=brightness.device, dtype=brightness.dtype)
        starts = range(0, len(level), MOST_BLOCKS)
        parts = (slice(start, start + MOST_BLOCKS) for start in starts)
        blocks = self.blocks.to(z.device)
        return torch.cat([blocks(z[part], brightness[part], level[part]) for part in parts])


def _means_under_blocks(clean: Tensor, grid: tuple[int, int], shift: list[int], side: int) -> Tensor:
    """Mean of clean (B, C, H, W) under each block of the grid, its border repeated outside: (B, N, C)."""
    step = side // 2
    before = [step + offset for offset in shift]
    after = [
        (count + 1) * step - length - first
        for count, length, first in zip(grid, clean.shape[2:], before, strict=True)
    ]
    padded = F.pad(clean, (before[1], after[1], before[0], after[0]), mode="replicate")
    return F.avg_pool2d(padded, side, stride=step).flatten(2).transpose(1, 2)


def _window(side: int, like: Tensor) -> Tensor:
    """(side, side), the squares of which add up to 1 where the blocks overlap by half."""
    across = torch.sin(math.pi * (torch.arange(side, device=like.device, dtype=like.dtype) + 0.5) / side)
    return across[:, None] * across
