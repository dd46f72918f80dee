"""How far the power spectra of two images are apart: what was smoothed away, what was left or invented."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from degrain.metrics.fidelity import check_shapes


def spectrum_distance(
    restored: NDArray[np.floating], clean: NDArray[np.floating], *, data_range: float
) -> float:
    """Mean absolute difference of the radial power spectra, every spatial frequency counting the same.

    Power below what rounding to 8 bits adds is not told apart.

    Parameters
    ----------
    restored, clean : (H, W, C) on the same scale, at least 4 pixels high and wide.
    data_range : white minus black on that scale.

    Returns
    -------
    decibels; 0 for identical spectra, whatever the phases.

    Source: azimuthal averages as in Durall et al., "Watch your Up-Convolution: CNN Based Generative Deep
    Neural Networks are Failing to Reproduce Spectral Distributions", 2020.
    """
    check_shapes(restored, clean)
    if min(clean.shape[:2]) < 4:
        msg = f"image of {clean.shape[1]} x {clean.shape[0]} pixels; spectra need at least 4 x 4"
        raise ValueError(msg)
    rounding = (data_range / 255) ** 2 / 12
    one, other = (radial_power(image) + rounding for image in (restored, clean))
    return float(np.abs(10 * np.log10(one / other)).mean())


def radial_power(image: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean power at each spatial frequency, in the image's units squared, over directions and channels.

    Parameters
    ----------
    image : (H, W, C). A Hann window keeps its borders from looking like edges.

    Returns
    -------
    (min(H, W) // 2,): at 1, 2, ... waves along the shorter side, up to the finest. White noise of variance v
    has v everywhere.
    """
    height, width, _ = image.shape
    window = np.outer(_hann(height), _hann(width))[..., None]
    double = image.astype(np.float64)
    centred = double - np.average(double, axis=(0, 1), weights=window[..., 0])
    spectrum = np.fft.fft2(centred * window, axes=(0, 1))
    power = (np.abs(spectrum) ** 2).mean(axis=2) / (window**2).sum()
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    waves = np.rint(frequency * min(height, width)).astype(int).ravel()
    most = min(height, width) // 2
    sums = np.bincount(waves, weights=power.ravel())[1 : most + 1]
    means: NDArray[np.float64] = sums / np.bincount(waves)[1 : most + 1]
    return means


def _hann(length: int) -> NDArray[np.float64]:
    """A window of one period that has no zeros."""
    return np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2
