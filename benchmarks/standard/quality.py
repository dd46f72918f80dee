"""PSNR and SSIM of a method on a standard set at one level of noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.standard.methods import Image, Method, Pairs
from degrain.data.fetch import fetch, find_mirror
from degrain.data.registry import members
from degrain.files import read_image, to_array, to_channels, to_tensor
from degrain.metrics import psnr, ssim, to_8_bit
from degrain.noise import Gaussian
from degrain.seeding import seeded_generator

# Set to channels.
SETS = {"set12": 1, "bsd68": 1, "cbsd68": 3}
SIGMAS = (15, 25, 50)
SEED = 0  # as in params.yaml, so that the pipeline measures on the very same images
VALIDATION = 6  # images of bsds500's validation part that choose the sizes of filters


@cache
def load_set(name: str, split: str = "test", channels: int | None = None) -> list[tuple[str, Image]]:
    """(name, clean (H, W, C)) of every image of a standard set, fetched where it is not at hand."""
    found = list(members(name, split))
    files = fetch([member.file for member in found], mirror=find_mirror(None))
    images = [read_image(files[member.file.path]) for member in found]
    wanted = SETS[name] if channels is None else channels
    names = [Path(member.name).name for member in found]
    return [(stem, to_channels(image, wanted)) for stem, image in zip(names, images, strict=True)]


def add_noise(name: str, clean: Image, sigma: int) -> Image:
    """The image with the noise that it always gets at this level; neither clipped nor rounded."""
    import torch

    generator = seeded_generator(SEED, name, f"sigma_{sigma}")
    return to_array(Gaussian()(to_tensor(clean), torch.tensor([float(sigma)]), generator=generator))


def validation_pairs(channels: int, sigma: float) -> Pairs:
    """(noisy, clean) images that no test set has, to choose sizes by."""
    images = load_set("bsds500", "val", channels)[:VALIDATION]
    return [(add_noise(name, clean, round(sigma * 255)), clean) for name, clean in images]


def measure_quality(
    method: Method, name: str, images: list[tuple[str, Image]], sigma: int, *, workers: int
) -> dict[str, object]:
    """Mean PSNR (dB) and SSIM over a set, as a row of quality.csv."""
    restore = method.at(sigma / 255)
    bar = f"{name} sigma {sigma} {method.name}"
    jobs = [(restore, stem, clean, sigma) for stem, clean in images]
    figures = np.mean(list(_progress(_run(jobs, workers if method.processes else 1), len(jobs), bar)), axis=0)
    values = {"set": name, "sigma": sigma, "method": method.name, "images": len(images)}
    return values | {
        "psnr": round(float(figures[0]), 4),
        "ssim": round(float(figures[1]), 4),
        "identity": method.identity,
    }


Job = tuple[Callable[[Image, float], Image], str, Image, int]


def _run(jobs: list[Job], workers: int) -> Iterator[tuple[float, float]]:
    if workers == 1:
        yield from map(_score, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_score, jobs)


def _score(job: Job) -> tuple[float, float]:
    restore, name, clean, sigma = job
    restored = to_8_bit(restore(add_noise(name, clean, sigma), sigma / 255))
    return psnr(restored, clean, data_range=1.0), ssim(restored, clean, data_range=1.0)


def _progress(scores: Iterable[tuple[float, float]], total: int, name: str) -> Iterable[tuple[float, float]]:
    return tqdm(scores, name, total, delay=3, leave=False)
