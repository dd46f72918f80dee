"""Whether learned noise is like the real noise it was learned from: figures and a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp, kurtosis, skew

from degrain.sheet import draw, save_sheet, sheet

Blocks = NDArray[np.float32]

SHADES = 4


def compare(real: Blocks, made: Blocks, brightness: NDArray[np.float32]) -> dict[str, Any]:
    """Figures of both, and whether two-sample tests tell them apart.

    Parameters
    ----------
    real, made : (N, C, S, S) blocks of noise, each pair at the same brightness and level.
    brightness : (N,) mean brightness of the blocks, in [0, 1].

    Returns
    -------
    figures.real and figures.made; see `figures`.
    by_brightness : root mean square of both, in units of 255, of as many blocks each.
    spectrum_distance_db : root mean square difference of the radial power spectra, in dB.
    two_sample : Kolmogorov and Smirnov's statistic, and p-value, of single pixels (one a block, so that
        they are independent), of the blocks' strengths, and of how alike neighbours are in a block. Large
        samples tell apart what no use of the noise would: the statistic, from 0 (alike) to 1, says how far.
    """
    sides = {"real": real, "made": made}
    spectra = [radial_spectrum(blocks) for blocks in sides.values()]
    difference = np.log10(spectra[1]) - np.log10(spectra[0])
    return {
        "blocks": len(real),
        "figures": {name: figures(blocks) for name, blocks in sides.items()},
        "by_brightness": _by_brightness(sides, brightness),
        "spectrum_distance_db": _rounded(10 * np.sqrt(np.square(difference).mean())),
        "two_sample": {name: _two_sample(of(real), of(made)) for name, of in SAMPLES.items()},
    }


def figures(blocks: Blocks) -> dict[str, Any]:
    """Moments, correlations and the radial power spectrum of blocks (N, C, S, S).

    The spectrum runs from the lowest frequency to the highest along an axis, in units of the variance.
    """
    values = blocks.astype(np.float64)
    return {
        "mean_255": _rounded(values.mean() * 255),
        "rms_255": _rounded(np.sqrt(np.square(values).mean()) * 255),
        "skewness": _rounded(skew(values, axis=None)),
        "kurtosis": _rounded(kurtosis(values, axis=None, fisher=False)),
        "neighbours": {
            f"{step} px {name}": _rounded(correlation(values, axis, step))
            for name, axis in (("right", -1), ("down", -2))
            for step in (1, 2, 4)
        },
        "channels": {
            f"{one} {other}": _rounded(_cosine(values[:, one], values[:, other]))
            for one, other in combinations(range(values.shape[1]), 2)
        },
        "spectrum": [_rounded(power) for power in radial_spectrum(blocks)],
    }


def correlation(values: NDArray[Any], axis: int, step: int) -> float:
    """Of values (N, C, S, S) with those `step` pixels on along an axis."""
    length = values.shape[axis]
    here, there = (values.take(range(start, start + length - step), axis) for start in (0, step))
    return _cosine(here, there)


def radial_spectrum(blocks: Blocks) -> NDArray[np.float64]:
    """Mean power of blocks (N, C, S, S) at 1, 2, ... S / 2 cycles a block, relative to all: (S / 2,)."""
    side = blocks.shape[-1]
    power = np.square(np.abs(np.fft.fft2(blocks.astype(np.float64)))).mean((0, 1))
    frequency = np.fft.fftfreq(side) * side
    radius = np.rint(np.hypot(frequency[:, None], frequency)).astype(int)
    rings = np.array([power[radius == ring].mean() for ring in range(1, side // 2 + 1)])
    return np.asarray(rings / power.mean())


def draw_blocks(real: Blocks, made: Blocks, path: Path, *, rows: int = 6, columns: int = 6) -> None:
    """Draw real blocks (N, C, S, S) on the left, made ones on the right; white is four deviations away."""
    gain = 1 / (8 * np.sqrt(np.square(real).mean()))
    pictures = [_tiled(blocks, rows, columns) * gain + 0.5 for blocks in (real, made)]
    figure, axes = sheet(2, [rows / columns], width_in=8)
    for axis, picture, title in zip(axes[0], pictures, ("real noise", "learned noise"), strict=True):
        draw(axis, picture.astype(np.float32), title)
    save_sheet(figure, path)


def _tiled(blocks: Blocks, rows: int, columns: int) -> NDArray[np.float32]:
    """(rows * S, columns * S, C), of blocks spread over all."""
    chosen = blocks[np.linspace(0, len(blocks) - 1, rows * columns).round().astype(int)]
    count, channels, side, _ = chosen.shape
    grid = chosen.reshape(rows, count // rows, channels, side, side).transpose(0, 3, 1, 4, 2)
    return np.asarray(grid.reshape(rows * side, columns * side, channels), np.float32)


def _by_brightness(sides: Mapping[str, Blocks], brightness: NDArray[np.float32]) -> list[dict[str, float]]:
    groups = np.array_split(np.argsort(brightness, kind="stable"), SHADES)
    return [
        {
            "brightness": _rounded(brightness[group].mean()),
            **{
                name: _rounded(np.sqrt(np.square(blocks[group]).mean()) * 255)
                for name, blocks in sides.items()
            },
        }
        for group in groups
        if len(group)
    ]


def _strengths(blocks: Blocks) -> NDArray[Any]:
    return np.asarray(np.sqrt(np.square(blocks).mean((1, 2, 3))))


SAMPLES: dict[str, Callable[[Blocks], NDArray[Any]]] = {
    "pixels": lambda blocks: blocks[:, 0, blocks.shape[2] // 2, blocks.shape[3] // 2],
    "strengths": _strengths,
    "neighbours": lambda blocks: (
        (blocks[..., 1:] * blocks[..., :-1]).mean((1, 2, 3)) / np.square(blocks).mean((1, 2, 3))
    ),
}


def _two_sample(real: NDArray[Any], made: NDArray[Any]) -> dict[str, float]:
    result = ks_2samp(real, made)
    return {"statistic": _rounded(result.statistic), "p_value": _rounded(result.pvalue)}


def _cosine(one: NDArray[Any], other: NDArray[Any]) -> float:
    return float((one * other).sum() / np.sqrt(np.square(one).sum() * np.square(other).sum()))


def _rounded(value: Any) -> float:
    return float(f"{float(value):.4g}")
