"""Megapixels a second of every method on the same images, in turns within one run."""

from __future__ import annotations

import statistics
import time

import pandas as pd
from tqdm import tqdm

from benchmarks.standard.methods import Method
from benchmarks.standard.quality import add_noise, load_set
from degrain.compute import Engine

ROUNDS, SIGMA = 5, 25
WARM_PX = 256  # side of what is restored before the clock starts
IMAGES = {1: ("bsd68", 2), 3: ("cbsd68", 1)}  # of the set, so many; BM3D takes seconds for each


def measure_speeds(known: dict[int, list[Method]], engine: Engine, *, threads: int) -> pd.DataFrame:
    """A row for each method and number of channels: the median of the rounds, in Mpx/s."""
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
            start = time.perf_counter()
            for image in noisy:
                restore(image, SIGMA / 255)
            seconds[method].append(time.perf_counter() - start)
    megapixels = sum(image.shape[0] * image.shape[1] for image in noisy) / 1e6
    return [
        {
            "channels": channels,
            "method": method,
            "mpx_per_s": float(f"{megapixels / statistics.median(times):.3g}"),
        }
        for method, times in seconds.items()
    ]
