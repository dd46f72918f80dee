"""What a model shows on the test set, for the gate."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from degrain.baselines import BASELINES
from degrain.compute import Engine
from degrain.data.noisy import NoisySet, Pair
from degrain.errors import DataError
from degrain.evaluation.report import identify_test_set
from degrain.evaluation.tables import Summary
from degrain.files import sha256_file
from degrain.metrics import psnr, ssim, to_8_bit
from degrain.metrics.gradient import gmsd
from degrain.promotion import BLOCK_PX, Measures, References
from degrain.restore import Restorer

Image = NDArray[np.float32]


def check_files(test: NoisySet) -> None:
    """Compare every test file with the hashes of the manifests.

    Raises
    ------
    DataError : naming the first that differs.
    """
    manifest = pd.read_csv(test.raw / "manifest.csv", dtype={"name": str}, keep_default_na=False)
    clean = manifest[manifest["split"] == test.split]
    files = {test.raw / test.split / f"{row.name!s}.png": str(row.sha256) for row in clean.itertuples()}
    for row in test.rows.itertuples():
        files[test.noisy / test.split / str(row.level) / f"{row.name!s}.npy"] = str(row.sha256)
    for path, expected in files.items():
        found = sha256_file(path)
        if found != expected:
            msg = f"{path}: SHA-256 {found}; expected {expected}, as in the manifest: run `dvc checkout`"
            raise DataError(msg)


def measure_candidate(weights: Path, test: NoisySet, engine: Engine, name: str) -> Measures:
    """Restore every test image at every level by the generator of a file.

    Parameters
    ----------
    name : shown on the progress bar.
    """
    restore = Restorer.load(weights, engine)
    first = next(iter(test))
    restore(first.noisy, first.sigma)  # so that what only the first call costs is not measured
    images, blocks, timed = [], [], []
    for pair in tqdm(test, desc=name, unit="image", total=len(test)):
        start = time.perf_counter()
        restored = restore(pair.noisy, pair.sigma)
        timed.append((pair.name, time.perf_counter() - start, pair.noisy.shape[0] * pair.noisy.shape[1]))
        images.append(_row(pair, to_8_bit(restored)))
        blocks += _block_rows(pair, to_8_bit(restored))
    return Measures(
        sha256=sha256_file(weights),
        test_sha256=identify_test_set(test.rows),
        images=pd.DataFrame(images, columns=["name", "level", "psnr", "ssim", "gmsd"]),
        blocks=pd.DataFrame(blocks, columns=["name", "level", "block", "psnr"]),
        ms_per_mpx=_ms_per_mpx(timed),
        size_mb=weights.stat().st_size / 1e6,
    )


def references(summary: Summary) -> References:
    """What an evaluation's summary says of the noisy images and of the best filter at each level."""
    noisy = {level: measures["psnr"] for level, measures in summary["noisy"].items()}
    best = {
        level: max(summary[name][level]["psnr"] for name in BASELINES if name in summary) for level in noisy
    }
    return References(noisy, best)


def _ms_per_mpx(timed: list[tuple[str, float, int]]) -> float:
    """From (name, seconds, pixels): the fastest time of each image, for others may be at work as well."""
    fastest = pd.DataFrame(timed, columns=["name", "seconds", "pixels"]).groupby("name").min()
    return float(1e9 * fastest["seconds"].sum() / fastest["pixels"].sum())


def _row(pair: Pair, restored: Image) -> tuple[object, ...]:
    quality = [measure(restored, pair.clean, data_range=1.0) for measure in (psnr, ssim, gmsd)]
    return (pair.name, pair.level, *quality)


def _block_rows(pair: Pair, restored: Image) -> list[tuple[object, ...]]:
    return [
        (pair.name, pair.level, block, psnr(restored[place], pair.clean[place], data_range=1.0))
        for block, place in enumerate(_blocks(*pair.clean.shape[:2]))
    ]


def _blocks(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """An image cut into parts of about 128 pixels a side, none much smaller."""
    rows, columns = (
        np.linspace(0, side, max(1, round(side / BLOCK_PX)) + 1).astype(int) for side in (height, width)
    )
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            yield slice(top, bottom), slice(left, right)
