"""What is compared of a noisy image: a few numbers about its noise, its light and its size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from degrain.noise_level import grid_patches, noise_level

Pixels = NDArray[np.uint8]
Energies = NDArray[np.float32]

SIDE_PX = 8
# Sums of the two indices of a patch's cosines: from 0, the mean, to 14.
LOW, HIGH = 4, 11
SHADES, FEWEST_IN_SHADE, FLAT_SHARE = 8, 100, 0.1
# Shades nearer to black and white hold clipped noise.
CLIPPED = 0.03
# Below so many shades, or so small a range of them, no slope can be told.
FEWEST_SHADES, LEAST_RANGE = 3, 0.05
# Variance of rounding to 8 bits.
ROUNDING = 1 / 12 / 255**2
NOTHING = 1e-12


@dataclass(frozen=True)
class Feature:
    """A number that is compared.

    title, meaning : for people; unit : of the number, empty if it has none; of_noise : whether it tells
    of the noise rather than of what the image shows.
    """

    title: str
    meaning: str
    unit: str
    of_noise: bool


FEATURES: Mapping[str, Feature] = {
    "noise_255": Feature("noise level", "standard deviation", "of 255", True),
    "gain": Feature("noise gain", "growth of the variance with brightness", "per mille", True),
    "correlation": Feature("noise correlation", "of neighbouring pixels; white: 0", "", True),
    "spectrum_db": Feature("noise spectrum", "high over middle frequencies; white: 0", "dB", True),
    "brightness_255": Feature("brightness", "mean", "of 255", False),
    "contrast_255": Feature("contrast", "standard deviation, less noise", "of 255", False),
    "megapixels": Feature("size", "width times height", "megapixels", False),
}


def image_features(pixels: Pixels) -> dict[str, float]:
    """The features of a noisy image.

    The noise is read off the tenth of its patches, of each shade, that show the least besides noise.

    Parameters
    ----------
    pixels : (H, W, C), uint8; from about 32x32 on they tell something.

    Returns
    -------
    noise_255 : see `noise_level`, in units of 255.
    gain : slope of the noise's variance against brightness, both on the scale [0, 1], in thousandths;
        0 for noise that does not depend on brightness, 1000 over the photons at white for shot noise.
    correlation : of the noise of pixels beside each other; 0 for white noise, more for noise that was
        smoothed (low frequencies do not count, for they hold the picture).
    spectrum_db : power of the highest frequencies over that of the middle ones; 0 for white noise.
    brightness_255, contrast_255 : mean, and standard deviation of the means of 8x8 blocks, which
        noise hardly moves.
    megapixels : size.
    """
    patches = grid_patches(_large_enough(pixels), SIDE_PX)
    flat = [_flattest(patches[:, channel]) for channel in range(patches.shape[1])]
    shades = np.concatenate([shade for shade, _ in flat])
    spectra = np.concatenate([spectrum for _, spectrum in flat])
    return {
        "noise_255": noise_level(pixels) * 255,
        "gain": 1000 * _gain(shades, spectra[:, _ORDER >= HIGH].mean(1)),
        "correlation": _correlation(spectra),
        "spectrum_db": _spectrum_db(spectra),
        "brightness_255": float(pixels.mean()),
        "contrast_255": float(patches.mean((2, 3)).std(0).mean()) * 255,
        "megapixels": pixels.shape[0] * pixels.shape[1] / 1e6,
    }


def _large_enough(pixels: Pixels) -> Pixels:
    """Mirrored at the edges until a patch fits in."""
    missing = [(0, max(0, SIDE_PX - side)) for side in pixels.shape[:2]]
    return np.pad(pixels, [*missing, (0, 0)], mode="symmetric")


def _flattest(patches: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Of one channel's patches (N, 8, 8): brightness (S,) and power at 64 frequencies (S, 64) by shades."""
    energies = (patches.reshape(len(patches), -1) @ _COSINES) ** 2
    shade = patches.mean((1, 2))
    low = energies[:, (_ORDER > 0) & (_ORDER <= LOW)].sum(1)
    groups = np.array_split(np.argsort(shade, kind="stable"), _count_shades(len(patches)))
    flattest = [
        group[np.argsort(low[group], kind="stable")[: math.ceil(FLAT_SHARE * len(group))]] for group in groups
    ]
    return (
        np.array([shade[group].mean() for group in flattest]),
        np.array([energies[group].mean(0) for group in flattest]),
    )


def _count_shades(patches: int) -> int:
    return min(SHADES, max(1, patches // FEWEST_IN_SHADE))


def _gain(shades: NDArray[Any], variances: NDArray[Any]) -> float:
    """Slope of a line through the variances, each as exact as it is small; not-a-number if all are alike."""
    inside = (shades > CLIPPED) & (shades < 1 - CLIPPED)
    if inside.sum() < FEWEST_SHADES or np.ptp(shades[inside]) < LEAST_RANGE:
        return math.nan
    weights = 1 / (variances[inside] + ROUNDING)
    return float(np.polynomial.polynomial.polyfit(shades[inside], variances[inside], 1, w=weights)[1])


def _correlation(spectra: NDArray[Any]) -> float:
    """Correlation of neighbours, by the power above the low frequencies, less that of white noise."""
    power = spectra[:, _ORDER > LOW].sum(0)
    return float(power @ _COHERENCE / max(power.sum(), NOTHING) - _COHERENCE.mean())


def _spectrum_db(spectra: NDArray[Any]) -> float:
    high, middle = spectra[:, _ORDER >= HIGH].mean(), spectra[:, (_ORDER > LOW) & (_ORDER < HIGH)].mean()
    return float(10 * np.log10((high + NOTHING) / (middle + NOTHING)))


def _make_cosines() -> tuple[NDArray[np.float32], NDArray[Any], NDArray[Any]]:
    """The orthonormal cosines of a patch (64, 64), the order of each, and how it correlates neighbours."""
    rows = dct(np.eye(SIDE_PX), axis=0, norm="ortho")
    index = np.arange(SIDE_PX)
    step = np.cos(np.pi * index / SIDE_PX)
    order = np.add.outer(index, index).ravel()
    coherence = np.add.outer(step, step).ravel() / 2
    return np.kron(rows, rows).T.astype(np.float32), order, coherence[order > LOW]


_COSINES, _ORDER, _COHERENCE = _make_cosines()
