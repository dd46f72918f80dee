"""How the detail of a restored image is spread over scales, compared with the clean one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RINGS = 16


def spectrum_distance(
    restored: NDArray[np.floating], clean: NDArray[np.floating], *, data_range: float
) -> float:
    """Distance between radial power spectra: what blur takes away and noise adds.

    Root mean square, over rings of equal width from no frequency to the highest, of the difference of
    mean power in decibels. It takes no notice of where the detail lies, only of how much there is.

    Parameters
    ----------
    restored, clean : (H, W, C) on the same scale.
    data_range : white minus black on that scale.

    Returns
    -------
    decibels, at least 0; 0 for the same spectra.

    Source: azimuthal averages as in Durall et al., "Watch your Up-Convolution: CNN Based Generative Deep
    Neural Networks are Failing to Reproduce Spectral Distributions", 2020.
    """
    if restored.shape != clean.shape or clean.ndim != 3:
        msg = f"restored {restored.shape}, clean {clean.shape}; expected the same (H, W, C)"
        raise ValueError(msg)
    mine, theirs = (_ring_powers_db(image / data_range) for image in (restored, clean))
    return float(np.sqrt(np.mean((mine - theirs) ** 2)))


def _ring_powers_db(image: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean power in each ring of frequencies that the image has, over all channels."""
    height, width = image.shape[:2]
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])[..., None]
    flat = image.astype(np.float64) - image.mean(axis=(0, 1), keepdims=True, dtype=np.float64)
    power = (np.abs(np.fft.fft2(flat * window, axes=(0, 1))) ** 2).mean(2) / (window**2).sum()
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    ring = np.minimum((radius * 2 * RINGS).astype(int), RINGS)  # the last one: beyond half a cycle a pixel
    counts = np.bincount(ring.ravel(), minlength=RINGS + 1)
    sums = np.bincount(ring.ravel(), power.ravel(), minlength=RINGS + 1)
    steps_of_8_bit = 1 / (12 * 255**2)  # what rounding adds; less is not seen
    powers: NDArray[np.float64] = sums[counts > 0] / counts[counts > 0] + steps_of_8_bit
    return 10 * np.log10(powers)
