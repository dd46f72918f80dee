"""How strong the noise in an image is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pywt
from numpy.typing import NDArray

from degrain.files import Image, to_float

# More pixels than this are not looked at whole, but in a grid of blocks.
WHOLE_PX = 2**22
BLOCKS, BLOCK_PX = 8, 256

# The median of |x| for x of a standard normal distribution.
NORMAL_MEDIAN = 0.6744897501960817


def noise_level(noisy: NDArray[Any]) -> float:
    """Standard deviation of white noise in an image (H, W, C), with white at 1.

    From the median of the finest wavelet coefficients, which images hardly reach; a mean over the
    channels. A large image is judged by 8x8 blocks spread over it, always the same ones, so that
    neither its time nor its memory grows with it.

    Parameters
    ----------
    noisy : floats, or the integers of a file.

    Source: Donoho and Johnstone, "Ideal spatial adaptation by wavelet shrinkage", 1994.
    """
    blocks = list(_blocks(noisy))
    found = [_deviation([_details(block[:, :, c]) for block in blocks]) for c in range(noisy.shape[2])]
    known = [level for level in found if level is not None]
    return float(np.mean(known)) if known else 0.0


def _blocks(noisy: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The whole image, or blocks of a large one."""
    if noisy.shape[0] * noisy.shape[1] <= WHOLE_PX:
        yield noisy
        return
    rows, columns = (_starts(length) for length in noisy.shape[:2])
    for row in rows:
        for column in columns:
            yield noisy[row : row + BLOCK_PX, column : column + BLOCK_PX]


def _starts(length: int) -> list[int]:
    """Where blocks begin along a side: evenly from end to end."""
    count = min(BLOCKS, -(-length // BLOCK_PX))
    return [int(at) for at in np.linspace(0, max(0, length - BLOCK_PX), count)]


def _details(plane: NDArray[Any]) -> Image:
    """The finest diagonal wavelet coefficients of (H, W), less those that are exactly zero."""
    # The wavelet needs more pixels than the smallest images have.
    padding = [(0, max(0, 16 - side)) for side in plane.shape]
    coefficients: Image = pywt.dwtn(np.pad(to_float(plane), padding, mode="symmetric"), "db2")["dd"]
    found: Image = coefficients[coefficients != 0]
    return found


def _deviation(details: list[Image]) -> float | None:
    """None for a channel with no detail at all, such as a black one: it tells nothing."""
    pooled = np.concatenate(details)
    return float(np.median(np.abs(pooled))) / NORMAL_MEDIAN if pooled.size else None
