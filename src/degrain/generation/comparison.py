"""How far generated images are from real ones, beside images of which it is known how far they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn
from tqdm import tqdm

from degrain.compute import Engine
from degrain.generation.classifier import recognise
from degrain.generation.labelled import Real
from degrain.generation_params import EvaluateSection
from degrain.metrics.frechet import Gaussian, Moments, gaussian_frechet

FLOOR, LEARNED, GENERATED = "real, not learned", "real, learned", "generated"


def as_many(real: Real, most: int) -> int:
    """How many images can be compared: `most`, if there are as many of every kind."""
    return min(most, *map(len, real))


def frechet_table(
    judge: nn.Module, real: Real, generated: Tensor, settings: EvaluateSection, engine: Engine, *, seed: int
) -> pd.DataFrame:
    """Frechet distance of each kind of images from the test images, as many of every kind.

    Columns: images (what they are), frechet_distance (in units of the features, squared), times_floor (as a
    multiple of that of real images which the classifier has not seen, and which is not 0 only because the
    numbers are finite).

    Parameters
    ----------
    judge : the classifier in whose features the distance is taken.
    generated : bytes (N, C, S, S); the others are as many.
    """
    wanted = _moments(judge, real.test.images[: len(generated)], engine)
    kinds = list(compared(real, generated, settings, seed=seed))
    rows = [
        {"images": name, "frechet_distance": _distance(_moments(judge, images, engine), wanted)}
        for name, images in tqdm(kinds, desc="Frechet distances", unit="set")
    ]
    table = pd.DataFrame(rows)
    floor = float(table["frechet_distance"].iloc[0])
    times = [_rounded(distance / floor) if floor else np.nan for distance in table["frechet_distance"]]
    return table.assign(times_floor=times)


def compared(
    real: Real, generated: Tensor, settings: EvaluateSection, *, seed: int
) -> Iterator[tuple[str, Tensor]]:
    """What is compared with the test images, bytes (N, C, S, S) by name: the floor first."""
    unseen = real.unseen.images[: len(generated)]
    yield FLOOR, unseen
    yield LEARNED, real.seen.images[: len(generated)]
    yield GENERATED, generated
    for sigma in settings.blur_px:
        yield f"real, blurred by {sigma:g} px", blurred(unseen, sigma)
    for sigma in settings.noise_255:
        yield f"real, noise of {sigma:g} / 255", noisy(unseen, sigma, seed=seed)


def blurred(images: Tensor, sigma_px: float) -> Tensor:
    """Bytes (N, C, S, S) after a Gaussian low-pass filter."""
    pixels = gaussian_filter(images.numpy().astype(np.float32), (0, 0, sigma_px, sigma_px), mode="nearest")
    return _bytes(pixels)


def noisy(images: Tensor, sigma_255: float, *, seed: int) -> Tensor:
    """Bytes (N, C, S, S) with white noise."""
    noise = np.random.default_rng(seed).normal(0, sigma_255, tuple(images.shape))
    return _bytes(images.numpy() + noise)


def class_shares(judge: nn.Module, images: Tensor, classes: int, engine: Engine) -> list[float]:
    """Share of the images, bytes (N, C, S, S), that a classifier takes for each class."""
    _, found = recognise(judge, images, engine)
    return [round(float((found == label).float().mean()), 4) for label in range(classes)]


def summary(table: pd.DataFrame, shares: dict[str, list[float]], count: int) -> dict[str, Any]:
    """The figures of `reports/dcgan.json`.

    Parameters
    ----------
    shares : of the classes, among the test images and among the generated ones, as the classifier sees them.
    """
    distances = table.set_index("images")["frechet_distance"]
    generated, floor = distances[GENERATED], distances[FLOOR]
    return {
        "images": count,
        "frechet_distance": {"generated": float(generated), "floor": float(floor)},
        "rarest_class": {name: min(each) for name, each in shares.items()},
        "class_shares": shares,
    }


def _moments(judge: nn.Module, images: Tensor, engine: Engine) -> Gaussian:
    features, _ = recognise(judge, images, engine)
    moments = Moments()
    moments.add(features.numpy())
    return moments.gaussian()


def _distance(one: Gaussian, other: Gaussian) -> float:
    return _rounded(gaussian_frechet(one, other))


def _bytes(pixels: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.rint(pixels.clip(0, 255)).astype(np.uint8))


def _rounded(value: Any) -> float:
    return float(f"{float(value):.4g}")
