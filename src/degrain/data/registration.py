"""How far a noisy photograph lies beside its clean one, and the clean one moved to it.

A tripod gives way, a stage drifts, the light changes. What differs by that is no noise, and no denoiser can
foretell it.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import window
from skimage.registration import phase_cross_correlation

Pixels = NDArray[np.uint8]
Grey = NDArray[np.floating]
Image = Grey | Pixels
Kind = TypeVar("Kind", Grey, Pixels)
Shift = tuple[float, float]

# Side of the middle that a shift is found in.
MIDDLE_PX = 1024
# Shifts are found to this part of a pixel.
PARTS = 50
# The taper hides what moves out of the image, and so each pass stops a little short of the shift.
PASSES = 3
LARGEST_SHIFT = 1 / 8
# Of the spline that tells the clean image between its pixels; lower ones blur.
SPLINE_ORDER = 3


def find_shift(clean: Pixels, noisy: Pixels) -> Shift:
    """By how many pixels the noisy photograph lies below and to the right of its clean one.

    The middle of large images tells. At most an eighth of its shorter side; (0, 0) where no shift brings the
    two nearer, as in empty images.

    Parameters
    ----------
    clean, noisy : (H, W, C), uint8, of the same scene.

    Source: Guizar-Sicairos, Thurman and Fienup, "Efficient subpixel image registration algorithms", 2008;
    without a normalisation of the spectrum, by which noise would outvote the scene.
    """
    scene, photograph = (_middle(image).mean(-1) for image in (clean, noisy))
    if not (np.ptp(scene) and np.ptp(photograph)):
        return 0.0, 0.0
    shift = 0.0, 0.0
    for _ in range(PASSES):
        down, right = _further_shift(_moved(scene, shift), photograph)
        shift = shift[0] + down, shift[1] + right
    if max(map(abs, shift)) > LARGEST_SHIFT * min(scene.shape):
        return 0.0, 0.0
    moved, shown = _aligned(scene, photograph, shift)
    still, _ = _aligned(scene, photograph, shift, move=False)
    return shift if np.var(shown - moved) < np.var(shown - still) else (0.0, 0.0)


def register(clean: Pixels, noisy: Pixels) -> tuple[Pixels, Pixels]:
    """The clean image moved and brightened to the noisy photograph, and that photograph: what both show.

    Each channel gets the mean brightness that it has in the photograph, whose pixels stay as they are.

    Parameters
    ----------
    clean, noisy : (H, W, C), uint8, of the same scene.
    """
    moved, photograph = _aligned(clean, noisy, find_shift(clean, noisy))
    brighter = photograph.mean((0, 1)) - moved.mean((0, 1))
    return np.clip(np.rint(moved + brighter), 0, 255).astype(np.uint8), photograph


def measure_pair(clean: Pixels, noisy: Pixels) -> dict[str, float]:
    """What differs between a noisy photograph and its clean image without being noise.

    Parameters
    ----------
    clean, noisy : (H, W, C), uint8.

    Returns
    -------
    pair_shift_px : how far one lies beside the other.
    pair_brightness_255 : by how much the mean of a channel differs, in the channel where it does most.
    """
    shift = find_shift(clean, noisy)
    moved, photograph = _aligned(clean, noisy, shift)
    brighter = photograph.mean((0, 1)) - moved.mean((0, 1))
    return {
        "pair_shift_px": round(math.hypot(*shift), 2),
        "pair_brightness_255": round(float(np.abs(brighter).max()), 1),
    }


def _middle(image: Pixels) -> Pixels:
    left_out = (max(0, side - MIDDLE_PX) // 2 for side in image.shape[:2])
    rows, columns = (slice(each, -each or None) for each in left_out)
    return image[rows, columns]


def _further_shift(scene: Grey, photograph: Grey) -> Shift:
    taper = window("hann", scene.shape)
    one, other = (taper * (grey - grey.mean()) for grey in (photograph, scene))
    down, right = phase_cross_correlation(one, other, upsample_factor=PARTS, normalization=None)[0]
    return float(down), float(right)


def _aligned(clean: Image, noisy: Kind, shift: Shift, *, move: bool = True) -> tuple[Image, Kind]:
    """Both, cut to what both show once the clean one was moved; it is moved itself, if it shall."""
    down, right = (slice(math.ceil(by), None) if by > 0 else slice(math.floor(by) or None) for by in shift)
    return (_moved(clean, shift) if move else clean)[down, right], noisy[down, right]


def _moved(image: Image, shift: Shift) -> Grey:
    """An image (H, W) or (H, W, C), moved down and to the right; mirrored at its borders."""
    by = (*shift, 0)[: image.ndim]
    moved: Grey = ndimage.shift(image, by, output=np.float32, order=SPLINE_ORDER, mode="mirror")
    return moved
