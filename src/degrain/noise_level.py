"""How noisy an image is, from the image alone."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from skimage.restoration import estimate_sigma

Image = NDArray[np.float32]


def noise_level(noisy: Image) -> float:
    """Standard deviation of white noise in an image (H, W, C), on its scale.

    From the median of the finest wavelet coefficients, which images hardly reach. Source: Donoho
    and Johnstone, "Ideal spatial adaptation by wavelet shrinkage", 1994, as in scikit-image.
    """
    # The wavelet needs more pixels than the smallest images have.
    padding = [(0, max(0, 16 - side)) for side in noisy.shape[:2]]
    mirrored = np.pad(noisy, [*padding, (0, 0)], mode="symmetric")
    with warnings.catch_warnings():
        # A channel with no detail at all, such as a black one, has no median: it tells nothing.
        warnings.simplefilter("ignore", RuntimeWarning)
        found = np.asarray(estimate_sigma(mirrored, channel_axis=-1))
    found = found[np.isfinite(found)]
    return float(found.mean()) if found.size else 0.0
