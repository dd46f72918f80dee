"""Several plausible restorations of a file, their mean, and how much they differ at each pixel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from degrain.codecs.png import encode_png
from degrain.errors import DegrainError
from degrain.files import from_float, to_float, upright, write_bytes
from degrain.pictures import Picture, write_picture
from degrain.restore import Restorer
from degrain.restorers import Released

# The standard deviation, with white at 1, that is white in the map: 64 steps of 8 bits.
WHITEST_DEVIATION = 0.25


def sampling(restore: object) -> Restorer | Released:
    """The same restorer, if it can draw samples.

    Raises
    ------
    DegrainError : its generator takes no z, or it averages what each z gives.
    """
    if not (isinstance(restore, Restorer | Released) and restore.stochastic):
        msg = (
            "samples: expected a generator that takes noise z, and this one takes none; leave --model and "
            "--dial out, for those that come with degrain, or train one with model.stochastic: true in "
            "params.yaml, and name it: --model models/train/generator.safetensors"
        )
        raise DegrainError(msg)
    if restore.ensemble:
        msg = "samples and ensemble: expected one of them, for an ensemble takes the mean of eight samples"
        raise DegrainError(msg)
    return restore


@dataclass(frozen=True)
class Sampled:
    """What is drawn of one image.

    samples, mean : (H, W, C) of the type of its pixels.
    deviation : (H, W, C) of 16 bits, in units of `WHITEST_DEVIATION` / 65535, and cut off there.
    """

    samples: list[NDArray[Any]]
    mean: NDArray[Any]
    deviation: NDArray[np.uint16]


def draw_samples(
    restorer: Restorer | Released, pixels: NDArray[Any], sigma: float | None, strength: float, *, count: int
) -> Sampled:
    """Restore the pixels of a file several times, tile by tile, so that no image exists in float32.

    Parameters
    ----------
    pixels, sigma, strength : see `Restorer.restore_stored`.
    count : of the restorations, at least 2.
    """
    kind = pixels.dtype
    samples = [np.empty_like(pixels) for _ in range(count)]
    mean, deviation = np.empty_like(pixels), np.empty(pixels.shape, np.uint16)
    for place, parts in restorer.parts(pixels, sigma, count=count):
        noisy = to_float(pixels[place])
        drawn = np.clip(noisy + strength * (np.stack(parts) - noisy), 0, 1)
        for sample, part in zip(samples, drawn, strict=True):
            sample[place] = from_float(part, kind)
        mean[place] = from_float(drawn.mean(0), kind)
        deviation[place] = from_float(drawn.std(0, ddof=1) / WHITEST_DEVIATION, deviation.dtype)
    return Sampled(samples, mean, deviation)


def sample_paths(target: Path, count: int) -> list[Path]:
    """The files for what is drawn of one image: every sample, the mean, the deviation."""
    names = [*(f"sample-{number:02}" for number in range(1, count + 1)), "mean"]
    paths = [target.with_stem(f"{target.stem}.{name}") for name in names]
    return [*paths, target.with_name(f"{target.stem}.std.png")]


def write_samples(target: Path, picture: Picture, drawn: Sampled) -> None:
    """Write them: images as the picture's file is, but the deviation as a PNG of 16 bits."""
    *images, deviation = sample_paths(target, len(drawn.samples))
    for path, pixels in zip(images, [*drawn.samples, drawn.mean], strict=True):
        write_picture(path, picture, pixels)
    write_bytes(deviation, encode_png(upright(drawn.deviation, picture.stored.orientation)))
