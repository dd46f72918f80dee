"""What a row's generator is worth on the test images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from degrain.compute import Engine
from degrain.data.noisy import NoisySet, Pair
from degrain.evaluation.realism import measure_realism
from degrain.features import Backbone
from degrain.metrics import psnr, ssim, to_8_bit
from degrain.metrics.deep import deep_distances
from degrain.restore import Restorer
from experiments.adversarial.trainings import load

Image = NDArray[np.float32]
Figures = dict[str, float]


def chosen_pairs(images: int) -> list[Pair]:
    """So many images of the test set, spread over it, at all its levels."""
    pairs = NoisySet("test")
    names = list(pairs.rows["name"].unique())
    places = np.linspace(0, len(names) - 1, min(images, len(names))).round().astype(int)
    chosen = {names[place] for place in places}
    return [pair for pair in pairs if pair.name in chosen]


def restored_by(weights: Path, pairs: list[Pair], engine: Engine) -> list[Image]:
    """Each pair's noisy image through a generator, 8 bits."""
    restore = Restorer(*load(weights), engine)
    return [to_8_bit(restore(pair.noisy, pair.sigma)) for pair in pairs]


def measure(restored: list[Image], pairs: list[Pair], judge: Backbone | None) -> Figures:
    """PSNR, SSIM and all that `measure_realism` knows; without a judge there are no deep distances."""
    clean = [pair.clean for pair in pairs]
    return measure_realism(restored, clean, judge=judge) | fidelity(restored, clean)


def measure_quickly(restored: list[Image], pairs: list[Pair], judge: Backbone) -> Figures:
    """PSNR and the Frechet distance alone."""
    clean = [pair.clean for pair in pairs]
    deep = deep_distances(restored, clean, data_range=1.0, judge=judge)
    return {"frechet_distance": float(f"{deep.frechet_distance:.4g}")} | fidelity(restored, clean)


def fidelity(restored: list[Image], clean: list[Image]) -> Figures:
    """Means over the images: psnr in dB, ssim; 4 digits after the point."""
    both = list(zip(restored, clean, strict=True))
    return {
        one.__name__: round(float(np.mean([one(*pair, data_range=1.0) for pair in both])), 4)
        for one in (psnr, ssim)
    }
