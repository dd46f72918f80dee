"""Every method on every test image: PSNR, SSIM and time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from degrain.data.noisy import NoisySet, Pair
from degrain.files import write_image
from degrain.metrics import psnr, ssim, to_8_bit

Image = NDArray[np.float32]
Method = Callable[[Image, float], Image]
COLUMNS = ["name", "level", "method", "psnr", "ssim", "seconds", "pixels"]


def measure(pairs: NoisySet, methods: Mapping[str, Mapping[str, Method]], keep: Path) -> pd.DataFrame:
    """Restore every pair by every method of its level.

    Parameters
    ----------
    methods : method by level, then by name.
    keep : folder that the restored images go to, as <level>/<method>/<name>.png.

    Returns
    -------
    A row for each pair and method: name, level, method, psnr (dB), ssim, seconds, pixels.
    """
    rows = []
    with tqdm(
        total=sum(len(methods[level]) for level in pairs.rows["level"]), desc="evaluate", unit="image"
    ) as bar:
        for pair in pairs:
            for name, method in methods[pair.level].items():
                bar.set_postfix_str(f"{pair.level} {name}", refresh=False)
                restored, seconds = _timed(method, pair)
                write_image(_made(keep / pair.level / name) / f"{pair.name}.png", restored)
                rows.append(_row(pair, name, restored, seconds))
                bar.update()
    return pd.DataFrame(rows, columns=COLUMNS)


def warm_up(methods: Iterable[Method], pairs: NoisySet) -> None:
    """Run each method once, so that what only the first call costs is not measured."""
    pair = next(iter(pairs))
    for method in methods:
        method(pair.noisy, pair.sigma)


def _timed(method: Method, pair: Pair) -> tuple[Image, float]:
    start = time.perf_counter()
    restored = method(pair.noisy, pair.sigma)
    return to_8_bit(restored), time.perf_counter() - start


def _row(pair: Pair, method: str, restored: Image, seconds: float) -> tuple[object, ...]:
    quality = (psnr(restored, pair.clean, data_range=1.0), ssim(restored, pair.clean, data_range=1.0))
    return (pair.name, pair.level, method, *quality, seconds, pair.clean.shape[0] * pair.clean.shape[1])


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
