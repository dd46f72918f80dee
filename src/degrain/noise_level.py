"""The level of the noise in an image, for when nobody states it.

Two ways, of which `noise_level` takes what suits the image; docs/log.md has their errors beside
those of others.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from degrain.files import to_float

Patches = NDArray[np.float32]

# Of an image with more places, a regular grid of at most so many patches is looked at: memory and time stay.
MOST_PATCHES = 30_000

FLAT_SIDE_PX, JOINT_SIDE_PX = 8, 5
# From which share of the highest frequency on a coefficient counts as high: 11 / 14 in patches of 8x8.
HIGH = 11 / 14
SHADES, FLAT_SHARE, FEWEST_IN_SHADE = 8, 0.1, 200
# Patches for each number in them, below which their eigenvalues spread too far.
PATCHES_PER_DIMENSION = 10
LEAST_AGREEMENT = 0.5


def noise_level(noisy: NDArray[Any]) -> float:
    """Root mean square of white noise in an image, which may depend on the brightness, as clipped noise does.

    In colour images by what the channels do not share (`joint_level`), if their noise is
    independent. Where that gives less than half of what flat patches show, as for grey images
    stored as colour and for JPEGs with reduced colour, and in grey images, by those (`flat_level`).

    Parameters
    ----------
    noisy : (H, W, C) of any size from 1x1 on, floats or the integers of a file. Channels that are
        constant are left out: they tell nothing.

    Returns
    -------
    On the image's scale; 0 for a constant image and for one too small to tell.
    """
    patches = grid_patches(noisy, FLAT_SIDE_PX)
    varied = np.ptp(patches, axis=(0, 2, 3)) > 0
    if not varied.any():
        return 0.0
    flat = flat_level(patches[:, varied])
    if varied.sum() == 1:
        return flat
    joint = joint_level(grid_patches(noisy, JOINT_SIDE_PX)[:, varied])
    return joint if joint >= LEAST_AGREEMENT * flat else flat


def flat_level(patches: Patches) -> float:
    """Root mean square of the noise by the high frequencies of the patches with the least low ones.

    In white noise they are independent of each other, so choosing by the ones leaves the others as they
    are. The choice is made among patches of each of eight equally frequent shades, so that noise which
    differs between dark and bright counts as often as it occurs.

    Parameters
    ----------
    patches : (N, C, height, width).

    Source: Ponomarenko et al., "An automatic approach to lossy compression of AVIRIS images", 2007; by
    shades: Colom and Buades, "Analysis and extension of the Ponomarenko et al. method, estimating a
    noise curve from a single image", IPOL 2013.
    """
    high_frequencies = _high_frequencies(*patches.shape[2:])
    if not high_frequencies.size:
        return 0.0
    variances = []
    for channel in range(patches.shape[1]):
        values = patches[:, channel].reshape(len(patches), -1)
        shade = values.mean(1)
        values = values - shade[:, None]
        high = (values @ high_frequencies) ** 2
        low = np.einsum("ij,ij->i", values, values) - high.sum(1)
        shades = min(SHADES, max(1, len(values) // FEWEST_IN_SHADE))
        for group in np.array_split(np.argsort(shade, kind="stable"), shades):
            flattest = group[np.argsort(low[group], kind="stable")[: math.ceil(FLAT_SHARE * len(group))]]
            variances.append(np.median(high[flattest].mean(0)))
    return float(np.sqrt(np.mean(variances)))


def joint_level(patches: Patches) -> float:
    """Standard deviation of noise independent between pixels and channels; 0 if there are too few patches.

    What patches of clean images have in common spans few dimensions; along the others there is only
    noise, so the eigenvalues of the covariance scatter around its variance: they are those whose mean
    is not above their median.

    Parameters
    ----------
    patches : (N, C, height, width).

    Source: Chen, Zhu and Heng, "An efficient statistical method for image noise level estimation", ICCV
    2015, with patches of all channels together.
    """
    values = patches.reshape(len(patches), -1)
    if len(values) < PATCHES_PER_DIMENSION * values.shape[1]:
        return 0.0
    values = values.astype(np.float64) - values.mean(0, dtype=np.float64)
    eigenvalues = np.linalg.eigvalsh(values.T @ values / len(values)).clip(0)
    counts = range(len(eigenvalues), 1, -1)
    noise = (eigenvalues[:n] for n in counts if eigenvalues[:n].mean() <= np.median(eigenvalues[:n]))
    return float(np.sqrt(next(noise, eigenvalues[:1]).mean()))


def grid_patches(image: NDArray[Any], side_px: int) -> Patches:
    """Overlapping patches of an image, for statistics.

    Parameters
    ----------
    image : (H, W, C), floats or the integers of a file.
    side_px : of a patch; less where the image is smaller.

    Returns
    -------
    (N, C, height, width) in [0, 1]: N is at most MOST_PATCHES, on a regular grid.
    """
    height, width = (min(side_px, side) for side in image.shape[:2])
    windows = np.lib.stride_tricks.sliding_window_view(image, (height, width), axis=(0, 1))
    rows, columns = windows.shape[:2]
    down = math.ceil(math.sqrt(rows * columns / MOST_PATCHES))
    right = math.ceil(math.ceil(rows / down) * columns / MOST_PATCHES)
    chosen = windows[::down, ::right]
    return to_float(chosen.reshape(-1, *chosen.shape[2:]))


def _high_frequencies(height: int, width: int) -> NDArray[np.float32]:
    """(height * width, count): the orthonormal cosines of highest frequency on a patch."""
    rows, columns = (dct(np.eye(side), axis=0, norm="ortho") for side in (height, width))
    frequency = np.add.outer(np.arange(height), np.arange(width)).ravel()
    high = (frequency > 0) & (frequency >= HIGH * (height + width - 2))
    return np.kron(rows, columns)[high].T.astype(np.float32)
