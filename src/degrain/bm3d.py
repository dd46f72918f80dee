"""Measure BM3D on the fixed test set, for the table: python -m degrain.bm3d.

The package bm3d is free for non-commercial use only, so nothing else here needs it or installs it.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from degrain.data.noisy import NoisySet
from degrain.errors import DegrainError
from degrain.evaluation.measure import measure
from degrain.evaluation.report import identify_test_set
from degrain.evaluation.tables import speeds, summarise
from degrain.files import write_json

Image = NDArray[np.float32]
Method = Callable[[Image, float], Image]

LICENCE = "The package bm3d is free for non-commercial use only; see its own licence."


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, write the report, and say where it is."""
    output = _parse(arguments)
    try:
        report = measure_bm3d(load_bm3d())
    except DegrainError as error:
        sys.exit(str(error))
    write_json(output, report)
    print(f"wrote {output}")


def measure_bm3d(
    method: Method, *, noisy: Path = Path("data/noisy"), raw: Path = Path("data/raw")
) -> dict[str, object]:
    """Restore the whole test set with `method`, (noisy (H, W, C), sigma) -> restored.

    Returns
    -------
    methods.bm3d.<level>.psnr (dB) and ssim, means over the images by the protocol of evaluation;
    mpx_per_s.bm3d; test_sha256, which tells the test set that was measured.
    """
    if not (noisy / "manifest.csv").is_file():
        msg = f"{noisy / 'manifest.csv'}: not found; make the test set first: dvc repro synthesize"
        raise DegrainError(msg)
    pairs = NoisySet("test", noisy=noisy, raw=raw)
    with tempfile.TemporaryDirectory() as folder:
        results = measure(pairs, {level: {"bm3d": method} for level in pairs.levels}, Path(folder))
    return {
        "methods": summarise(results),
        "mpx_per_s": speeds(results),
        "test_sha256": identify_test_set(pairs.rows),
    }


def load_bm3d() -> Method:
    """BM3D as (noisy (H, W, C), sigma) -> restored, of the same shape; C is 1 or 3.

    Raises
    ------
    DegrainError : if the package is missing, with what to install and its licence.

    Source: Dabov et al., "Image denoising by sparse 3-D transform-domain collaborative filtering",
    2007.
    """
    try:
        package = importlib.import_module("bm3d")
    except ModuleNotFoundError as error:
        msg = f"{error}; install it with make bm3d, or pip install bm3d. {LICENCE}"
        raise DegrainError(msg) from error

    def restore(noisy: Image, sigma: float) -> Image:
        if noisy.shape[-1] == 1:
            return np.asarray(package.bm3d(noisy[..., 0], sigma_psd=sigma), np.float32)[..., None]
        return np.asarray(package.bm3d_rgb(noisy, sigma_psd=sigma), np.float32)

    return restore


def _parse(arguments: Sequence[str] | None) -> Path:
    parser = argparse.ArgumentParser(
        prog="python -m degrain.bm3d",
        description=f"Measure BM3D on the test set of data/noisy. {LICENCE}",
    )
    parser.add_argument("--output", type=Path, default=Path("reports/bm3d.json"), help="default: %(default)s")
    output: Path = parser.parse_args(arguments).output
    return output


if __name__ == "__main__":
    main()
