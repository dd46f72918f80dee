"""How close a restored image is to the clean one: PSNR and SSIM, through scikit-image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

_WINDOW_PX = 11
MOST_DB = 100.0


def psnr(restored: NDArray[np.floating], clean: NDArray[np.floating], *, data_range: float) -> float:
    """Peak signal-to-noise ratio over all values of all channels.

    Parameters
    ----------
    restored, clean : (H, W, C) on the same scale.
    data_range : white minus black on that scale.

    Returns
    -------
    decibels, at most 100: so the mean stays finite where one of many images is restored exactly.
    """
    check_shapes(restored, clean)
    with np.errstate(divide="ignore"):
        ratio = peak_signal_noise_ratio(_double(clean), _double(restored), data_range=data_range)
    return min(float(ratio), MOST_DB)


def ssim(restored: NDArray[np.floating], clean: NDArray[np.floating], *, data_range: float) -> float:
    """Structural similarity: Gaussian window 11x11, sigma 1.5, population covariance, mean of channels.

    Parameters
    ----------
    restored, clean : (H, W, C) on the same scale, at least 11 pixels high and wide.
    data_range : white minus black on that scale.

    Returns
    -------
    -1 to 1; 1 for identical images.

    Source: Wang et al., "Image quality assessment: from error visibility to structural
    similarity", 2004.
    """
    check_shapes(restored, clean)
    height, width, _ = clean.shape
    if min(height, width) < _WINDOW_PX:
        msg = f"image of {width} x {height} pixels; SSIM needs at least {_WINDOW_PX} x {_WINDOW_PX}"
        raise ValueError(msg)
    similarity = structural_similarity(
        _double(clean),
        _double(restored),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=-1,
        data_range=data_range,
    )
    return float(similarity)


def to_8_bit(image: NDArray[np.floating]) -> NDArray[np.float32]:
    """Clamp to [0, 1] and round to multiples of 1 / 255: what a saved image holds."""
    steps = np.rint(np.clip(_double(image), 0, 1) * 255)
    return (steps / 255).astype(np.float32)


def _double(image: NDArray[np.floating]) -> NDArray[np.float64]:
    """SSIM subtracts squares that are nearly equal: float32 would lose digits."""
    return image.astype(np.float64)


def check_shapes(restored: NDArray[np.floating], clean: NDArray[np.floating]) -> None:
    """Refuse images that are not of one shape (H, W, C)."""
    if restored.shape != clean.shape or clean.ndim != 3:
        msg = f"restored {restored.shape}, clean {clean.shape}; expected the same (H, W, C)"
        raise ValueError(msg)
