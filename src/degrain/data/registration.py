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
from skimage.transform import downscale_local_mean

Pixels = NDArray[np.uint8]
Grey = NDArray[np.floating]
Image = Grey | Pixels
Kind = TypeVar("Kind", Grey, Pixels)
Shift = tuple[float, float]

# In smaller images nobody can tell the scene from the noise.
SMALLEST_PX = 32
# Side of the middle that all is measured in.
MIDDLE_PX = 1024
# Shifts are found to this part of a pixel.
PARTS = 50
# The taper hides what moves out of the image, and so each pass stops a little short of the shift.
PASSES = 3
# A shift must explain so many times the variance that noise has in one pixel: white noise is explained by
# some 20 by chance, grain of several pixels by some hundred.
SIGNIFICANT = 1000
# A clean image is moved by at most this part of its shorter side.
LARGEST_SHIFT = 1 / 8
# Of the spline that tells the clean image between its pixels; lower ones blur.
SPLINE_ORDER = 3
# What is compared for brightness: noise that is clipped brightens black and darkens white.
MIDTONES_255 = (64, 191)
# Side of the blocks whose means tell whether two images show the same, and what contrast of them it takes.
BLOCK_PX = 8
LEAST_CONTRAST_255 = 10


def find_shift(clean: Pixels, noisy: Pixels) -> Shift:
    """By how many pixels the noisy photograph lies below and to the right of its clean one.

    The middle of large images tells. (0, 0) where no shift explains more of the difference than it would by
    chance, as in images that show nothing.

    Parameters
    ----------
    clean, noisy : (H, W, C), uint8, of the same scene.

    Source: Guizar-Sicairos, Thurman and Fienup, "Efficient subpixel image registration algorithms", 2008;
    without a normalisation of the spectrum, by which noise would outvote the scene.
    """
    scene, photograph = (_middle(image).mean(-1) for image in (clean, noisy))
    if min(scene.shape) < SMALLEST_PX or not (np.ptp(scene) and np.ptp(photograph)):
        return 0.0, 0.0
    shift = 0.0, 0.0
    for _ in range(PASSES):
        down, right = _further_shift(_moved(scene, shift), photograph)
        shift = shift[0] + down, shift[1] + right
    if any(abs(by) >= side / 2 for by, side in zip(shift, scene.shape, strict=True)):
        return 0.0, 0.0
    moved, shown = _aligned(scene, photograph, shift)
    still, _ = _aligned(scene, photograph, shift, move=False)
    left = np.var(shown - moved)
    explained = shown.size * (np.var(shown - still) - left)
    return shift if explained > SIGNIFICANT * left else (0.0, 0.0)


def register(clean: Pixels, noisy: Pixels) -> tuple[Pixels, Pixels]:
    """The clean image moved and brightened to the noisy photograph, and that photograph: what both show.

    Each channel gets the brightness that its midtones have in the photograph, whose pixels stay as they are.
    Images further apart than an eighth of the shorter side, or smaller than 32 pixels, stay as they are.

    Parameters
    ----------
    clean, noisy : (H, W, C), uint8, of the same scene.
    """
    shift, shorter = find_shift(clean, noisy), min(clean.shape[:2])
    if shorter < SMALLEST_PX or max(map(abs, shift)) > LARGEST_SHIFT * shorter:
        return clean, noisy
    moved, photograph = _aligned(clean, noisy, shift)
    brighter = _brighter(_middle(moved), _middle(photograph))
    return np.clip(np.rint(moved + brighter), 0, 255).astype(np.uint8), photograph


def measure_pair(clean: Pixels, noisy: Pixels) -> dict[str, float]:
    """What differs between a noisy photograph and its clean image without being noise.

    Parameters
    ----------
    clean, noisy : (H, W, C), uint8.

    Returns
    -------
    pair_shift_px : how far one lies beside the other.
    pair_brightness_255 : by how much the midtones of a channel differ, in the channel where they do most.
    pair_unlike : 1 - the correlation of their means over blocks of 8x8 once they are aligned: 0 for the same
        scene, 1 for two that have nothing in common; 0 where there is too little contrast to tell.
    """
    shift = find_shift(clean, noisy)
    moved, photograph = _aligned(_middle(clean), _middle(noisy), shift)
    return {
        "pair_shift_px": round(math.hypot(*shift), 2),
        "pair_brightness_255": round(float(np.abs(_brighter(moved, photograph)).max()), 1),
        "pair_unlike": round(max(0.0, _unlike(moved.mean(-1), photograph.mean(-1))), 2),
    }


def _brighter(clean: Image, noisy: Image) -> NDArray[np.float64]:
    """(C,) by how much the midtones of noisy (H, W, C) are brighter, on its scale; 0 where there are none."""
    darkest, brightest = MIDTONES_255
    middle = (clean >= darkest) & (clean <= brightest)
    more = np.where(middle, noisy - clean.astype(np.float64), 0)
    mean: NDArray[np.float64] = more.sum((0, 1)) / np.maximum(middle.sum((0, 1)), 1)
    return mean


def _unlike(clean: Grey, noisy: Grey) -> float:
    one, other = (downscale_local_mean(grey, (BLOCK_PX, BLOCK_PX)) for grey in (clean, noisy))
    if min(clean.shape) < SMALLEST_PX or one.std() < LEAST_CONTRAST_255:
        return 0.0
    covariance = ((one - one.mean()) * (other - other.mean())).mean()
    return float(1 - covariance / (one.std() * max(other.std(), LEAST_CONTRAST_255)))


def _middle(image: Kind) -> Kind:
    left_out = (max(0, side - MIDDLE_PX) // 2 for side in image.shape[:2])
    rows, columns = (slice(each, -each or None) for each in left_out)
    return image[rows, columns]


def _further_shift(scene: Grey, photograph: Grey) -> Shift:
    taper = window("hann", scene.shape)
    one, other = (taper * (grey - grey.mean()) for grey in (photograph, scene))
    down, right = phase_cross_correlation(one, other, upsample_factor=PARTS, normalization=None)[0]
    return float(down), float(right)


def _aligned(clean: Image, noisy: Kind, shift: Shift, *, move: bool = True) -> tuple[Grey, Kind]:
    """Both, cut to what both show once the clean one was moved; it is moved itself, if it shall."""
    down, right = (slice(math.ceil(by), None) if by > 0 else slice(math.floor(by) or None) for by in shift)
    there = _moved(clean, shift) if move else clean.astype(np.float32)
    return there[down, right], noisy[down, right]


def _moved(image: Image, shift: Shift) -> Grey:
    """An image (H, W) or (H, W, C), moved down and to the right; mirrored at its borders."""
    moved = image.astype(np.float32)
    if shift != (0, 0):
        planes = moved.reshape(*moved.shape[:2], -1)
        for index in range(planes.shape[2]):
            planes[..., index] = ndimage.shift(planes[..., index], shift, order=SPLINE_ORDER, mode="mirror")
    return moved
