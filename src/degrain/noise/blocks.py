"""Noise from noisy images alone: blocks where the image is smooth, so that what varies is the noise.

Source: Chen et al., "Image Blind Denoising With Generative Adversarial Network Based Noise Modeling", CVPR
2018, section 3.2. Three things are added, all measured (docs/decisions/0019-learned-noise.md): bounds on the
variance and on how directed a block is, for the source takes even texture for noise, and shading is
subtracted, not the mean alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Blocks = NDArray[np.float32]
Places = NDArray[np.intp]

# The block at this rank by variance, of all in the image, stands for those without any structure.
FLAT_QUANTILE = 0.05
# Share of an image's values at black or white above which a block's noise has been clipped.
MOST_CLIPPED = 0.01
# An image shows its noise if so large a share of its blocks is smooth, for fewer are so by chance, and so
# large a share of them has no direction: where most have one, the others have structure, too.
LEAST_SMOOTH, LEAST_UNDIRECTED = 0.01, 0.5


@dataclass(frozen=True)
class SmoothRule:
    """When a block is smooth.

    Parameters
    ----------
    side_px : of the blocks, a multiple of `cell_px`.
    cell_px : side of the cells that a block is compared with; blocks lie on the grid of the cells.
    mean_tolerance : of a cell's mean, as a share of the block's (mu in the source).
    variance_tolerance : of a cell's variance, as a share of the block's (gamma in the source). The source's
        0.25 is for white noise; the variance of correlated noise differs more from cell to cell.
    most_variance : largest variance of a block, as a multiple of the flattest blocks' in its image.
    most_coherence : largest coherence of a block; see `coherence`.
    """

    side_px: int
    cell_px: int
    mean_tolerance: float
    variance_tolerance: float
    most_variance: float
    most_coherence: float


@dataclass(frozen=True)
class NoiseBlocks:
    """Blocks of noise and what is known of where they were.

    noise : (N, C, S, S) float32, on the scale of the images, its mean and shading subtracted.
    brightness : (N, C) mean of the block in each channel.
    level_255 : (N,) root mean square over all blocks of the same image, in units of 255.
    """

    noise: Blocks
    brightness: Blocks
    level_255: Blocks

    def __len__(self) -> int:
        return len(self.noise)

    def spread(self, most: int) -> NoiseBlocks:
        """At most `most` of them, evenly spread over all."""
        chosen = _spread(len(self), most)
        return NoiseBlocks(self.noise[chosen], self.brightness[chosen], self.level_255[chosen])


def noise_blocks(noisy: Image, rule: SmoothRule, *, most: int) -> NoiseBlocks:
    """At most `most` blocks of an image (H, W, C), spread evenly over those that are smooth; perhaps none.

    None where the image has structure all over.
    """
    smooth, _ = _smooth(noisy, rule)
    places = np.argwhere(smooth)
    blocks = _cut(noisy, places[_spread(len(places), most)], rule)
    blocks = blocks[_clipped_share(blocks) <= MOST_CLIPPED]
    noise = without_shading(blocks)
    undirected = coherence(noise) <= rule.most_coherence
    share = undirected.sum() / max(len(blocks), 1)
    if share < LEAST_UNDIRECTED or share * smooth.mean() < LEAST_SMOOTH:
        undirected[:] = False
    blocks, noise = blocks[undirected], noise[undirected]
    level = np.full(len(noise), _rms_255(noise), np.float32)
    return NoiseBlocks(noise, blocks.mean((2, 3)), level)


def joined(parts: list[NoiseBlocks]) -> NoiseBlocks:
    """The blocks of several images, in order."""
    columns = zip(*((part.noise, part.brightness, part.level_255) for part in parts), strict=True)
    return NoiseBlocks(*(np.concatenate(column) for column in columns))


def smooth_level(noisy: Image, rule: SmoothRule) -> float:
    """Root mean square of the noise in the smooth blocks of an image (H, W, C), on its scale.

    Unlike `noise_level` it does not take the noise for white. Where no block shows it, by the flattest ones:
    too much if they have texture, too little if they have none. 0 for an image smaller than a block.
    """
    blocks = noise_blocks(noisy, rule, most=400)
    if len(blocks):
        return float(blocks.level_255[0]) / 255
    _, variance = _smooth(noisy, rule)
    varied = variance[variance > 0]
    return float(np.sqrt(np.quantile(varied, FLAT_QUANTILE))) if varied.size else 0.0


def without_shading(blocks: Blocks) -> Blocks:
    """Blocks (N, C, S, S) less the plane that fits each best: its mean and its shading."""
    side = blocks.shape[-1]
    ramp = np.arange(side, dtype=np.float32) - (side - 1) / 2
    ramp /= np.sqrt(np.square(ramp).sum() * side)
    level = blocks - blocks.mean((2, 3), keepdims=True)
    right = (level * ramp).sum((2, 3), keepdims=True) * ramp
    down = (level * ramp[:, None]).sum((2, 3), keepdims=True) * ramp[:, None]
    return np.asarray(level - right - down, np.float32)


def coherence(blocks: Blocks) -> Blocks:
    """How much the slopes of blocks (N, C, S, S) share a direction: (N,), from 0 (none) to 1 (all do).

    Stripes and edges have 0.3 and more; so has noise that is wider one way than the other. Noise that goes
    every way has less than 0.2: nearly always in blocks of 32 px of three channels, less often in smaller
    ones, in one channel, or where its grain is wide.

    Source: the structure tensor's, of Bigun and Granlund, "Optimal Orientation Detection of Linear
    Symmetry", 1987, over the whole block and all channels.
    """
    right = blocks[..., 1:-1, 2:] - blocks[..., 1:-1, :-2]
    down = blocks[..., 2:, 1:-1] - blocks[..., :-2, 1:-1]
    products = (right * right, down * down, right * down)
    xx, yy, xy = (product.sum((1, 2, 3)) for product in products)
    total = np.maximum(xx + yy, np.finfo(np.float32).tiny)
    return np.asarray(np.hypot(xx - yy, 2 * xy) / total, np.float32)


def _smooth(noisy: Image, rule: SmoothRule) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which blocks of the grid are smooth, and the variance of each, the mean over its channels."""
    count = rule.side_px // rule.cell_px
    means, variances = _cells(noisy, rule.cell_px)
    if min(means.shape[:2]) < count:
        return np.zeros((0, 0), np.bool_), np.zeros((0, 0))
    means, variances = (_windows(cells, count) for cells in (means, variances))
    mean = means.mean((3, 4), keepdims=True)
    variance = (variances.mean((3, 4)) + means.var((3, 4)))[..., None, None]
    alike = (np.abs(means - mean) <= rule.mean_tolerance * mean) & (
        np.abs(variances - variance) <= rule.variance_tolerance * variance
    )
    total = variance[..., 0, 0].mean(2)
    return alike.all((2, 3, 4)) & (total > 0) & (total <= rule.most_variance * _flattest(total)), total


def _flattest(variance: NDArray[np.float64]) -> float:
    varied = variance[variance > 0]
    return float(np.quantile(varied, FLAT_QUANTILE)) if varied.size else 0.0


def _cells(image: Image, side: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance of each cell of the grid: (rows, columns, C)."""
    rows, columns = (length // side for length in image.shape[:2])
    cells = image[: rows * side, : columns * side].reshape(rows, side, columns, side, image.shape[2])
    return cells.mean((1, 3), dtype=np.float64), cells.var((1, 3), dtype=np.float64)


def _windows(cells: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    return np.lib.stride_tricks.sliding_window_view(cells, (count, count), axis=(0, 1))


def _cut(image: Image, places: Places, rule: SmoothRule) -> Blocks:
    """(N, C, S, S) at places (N, 2) of the grid."""
    side, blocks = (
        rule.side_px,
        np.empty((len(places), image.shape[2], rule.side_px, rule.side_px), np.float32),
    )
    for block, (row, column) in zip(blocks, places * rule.cell_px, strict=True):
        block[:] = image[row : row + side, column : column + side].transpose(2, 0, 1)
    return blocks


def _spread(count: int, most: int) -> Places:
    """Numbers of at most `most` of `count` things, evenly spread."""
    return np.linspace(0, max(count - 1, 0), min(most, count)).round().astype(np.intp)


def _clipped_share(blocks: Blocks) -> Blocks:
    """(N,)."""
    return np.asarray(((blocks <= 0) | (blocks >= 1)).mean((1, 2, 3)), np.float32)


def _rms_255(noise: Blocks) -> float:
    return float(np.sqrt(np.square(noise).mean())) * 255 if len(noise) else 0.0
