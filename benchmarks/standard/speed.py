"""Megapixels a second of every method on the same images, in turns within one run.

The rate is that of the fastest pass: others at work on a machine only ever add to a time. They don't add to
all alike, though: what shares a core with us may leave the matrix unit a third of its rate, and float32
most of its own. So the median, which says how busy the machine was as well, stands beside it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pandas as pd
from tqdm import tqdm

from benchmarks.standard.methods import Image, Method
from benchmarks.standard.quality import add_noise, load_set
from degrain.compute import Engine

ROUNDS, SIGMA = 5, 25
ROUND_S = 2.0  # of each method in every round, if one pass takes less
WARM_PX = 256  # side of what is restored before the clock starts
IMAGES = {1: ("bsd68", 2), 3: ("cbsd68", 1)}  # of the set, so many; BM3D takes seconds for each


def measure_speeds(known: dict[int, list[Method]], engine: Engine, *, threads: int) -> pd.DataFrame:
    """A row for each method and number of channels: Mpx/s of the fastest pass and of the median one."""
    rows = [row for channels, methods in known.items() for row in _measure(channels, methods)]
    return pd.DataFrame(rows).assign(engine=str(engine), threads=threads)


def _measure(channels: int, methods: list[Method]) -> list[dict[str, object]]:
    name, count = IMAGES[channels]
    noisy = [add_noise(stem, clean, SIGMA) for stem, clean in load_set(name)[:count]]
    restorers = {method.name: method.at(SIGMA / 255) for method in methods if method.name != "noisy"}
    for restore in restorers.values():
        restore(noisy[0], SIGMA / 255)  # what only the first call costs
    seconds: dict[str, list[float]] = {method: [] for method in restorers}
    for _ in tqdm(range(ROUNDS), f"speed, {channels} channels", delay=3):
        for method, restore in restorers.items():
            restore(noisy[0][:WARM_PX, :WARM_PX], SIGMA / 255)  # BM3D, just before, leaves caches cold
            seconds[method] += _passes(restore, noisy)
    megapixels = sum(image.shape[0] * image.shape[1] for image in noisy) / 1e6
    return [
        {
            "channels": channels,
            "method": method,
            "mpx_per_s": float(f"{megapixels / min(times):.3g}"),
            "median_mpx_per_s": float(f"{megapixels / statistics.median(times):.3g}"),
        }
        for method, times in seconds.items()
    ]


def _passes(restore: Callable[[Image, float], Image], noisy: list[Image]) -> list[float]:
    """Seconds of each pass over the images, for at least ROUND_S."""
    passes: list[float] = []
    while sum(passes) < ROUND_S:
        start = time.perf_counter()
        for image in noisy:
            restore(image, SIGMA / 255)
        passes.append(time.perf_counter() - start)
    return passes
