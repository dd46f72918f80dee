"""How differently a restored image is structured: the deviation of gradient magnitude similarity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from degrain.files import LUMA

_STABILITY_255 = 170.0  # c of the paper, for images from 0 to 255
_SMALLEST_PX = 6
_PREWITT = np.array([[1.0, 0.0, -1.0]] * 3) / 3


def gmsd(restored: NDArray[np.floating], clean: NDArray[np.floating], *, data_range: float) -> float:
    """Gradient magnitude similarity deviation of the luma at half size: a perceptual distance.

    Parameters
    ----------
    restored, clean : (H, W, C) on the same scale, C 1 or 3, at least 6 pixels high and wide.
    data_range : white minus black on that scale.

    Returns
    -------
    0 for identical images; more is worse, at most about 0.5.

    Raises
    ------
    ValueError : the shapes differ, or the images are too small.

    Source: Xue et al., "Gradient magnitude similarity deviation: a highly efficient perceptual
    image quality index", 2014.
    """
    _check(restored, clean)
    stability = _STABILITY_255 * (data_range / 255) ** 2
    ours, theirs = (_gradient_magnitude(_half_size(_luma(image))) for image in (restored, clean))
    similarity = (2 * ours * theirs + stability) / (ours**2 + theirs**2 + stability)  # eq. 4
    return float(similarity.std())  # eq. 6


def _luma(image: NDArray[np.floating]) -> NDArray[np.float64]:
    """(H, W, C) to (H, W)."""
    double = image.astype(np.float64)
    return double[..., 0] if image.shape[2] == 1 else np.asarray(double @ np.array(LUMA))


def _half_size(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of 2 x 2 pixels; an odd last row or column is left out."""
    height, width = (side // 2 * 2 for side in plane.shape)
    means: NDArray[np.float64] = (
        plane[:height, :width].reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
    )
    return means


def _gradient_magnitude(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    across, down = (ndimage.convolve(plane, kernel, mode="nearest") for kernel in (_PREWITT, _PREWITT.T))
    return np.asarray(np.hypot(across, down))


def _check(restored: NDArray[np.floating], clean: NDArray[np.floating]) -> None:
    if restored.shape != clean.shape or clean.ndim != 3 or clean.shape[2] not in (1, 3):
        msg = f"restored {restored.shape}, clean {clean.shape}; expected the same (H, W, 1 or 3)"
        raise ValueError(msg)
    height, width, _ = clean.shape
    if min(height, width) < _SMALLEST_PX:
        msg = f"image of {width} x {height} pixels; GMSD needs at least {_SMALLEST_PX} x {_SMALLEST_PX}"
        raise ValueError(msg)
