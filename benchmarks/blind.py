"""What it costs to estimate the noise level instead of knowing it, on the grey and the colour benchmark.

    DEGRAIN_MIRROR=/path/to/mirror python benchmarks/blind.py GENERATOR...

Grey generators are measured on BSD68, colour ones on CBSD68. The mirror holds public repositories as
OWNER/REPO/COMMIT/PATH. Noise is added in [0, 1], neither clipped nor rounded; the restored image is, before
its PSNR is taken. Writes reports/benchmark/blind.csv: set, sigma (in units of 255), mean PSNR in dB at the
true and at the estimated level, what the estimate costs in dB, and the mean estimate.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from degrain.compute import available_threads, start_engine
from degrain.errors import DataError
from degrain.files import find_images, read_image, to_channels, write_rows
from degrain.metrics import psnr, to_8_bit
from degrain.noise_level import noise_level
from degrain.params import Compute
from degrain.restore import Restorer

Image = NDArray[np.float32]

TESTSETS = "cszn/FFDNet/e787f46df2f374ff3591186706229cb9a0591fea/testsets"
SETS = {"bsd68": (f"{TESTSETS}/BSD68", 1), "cbsd68": (f"{TESTSETS}/CBSD68", 3)}
SIGMAS_255 = (5, 10, 15, 25, 50, 75)
COLUMNS = ("set", "sigma", "psnr_true", "psnr_estimated", "cost_db", "mean_estimate")


def load_set(mirror: Path, name: str) -> list[Image]:
    """The clean images of a set, (H, W, C) with the channels of the set."""
    folder, channels = SETS[name]
    found = find_images(mirror / folder)
    if not found:
        msg = f"{mirror / folder}: no images; set DEGRAIN_MIRROR to a folder laid out OWNER/REPO/COMMIT/PATH"
        raise DataError(msg)
    return [to_channels(read_image(path), channels) for path in found]


def add_noise(clean: Image, sigma_255: float, number: int) -> Image:
    """White noise with a seed of its own for each image."""
    noise = np.random.default_rng([number, 0]).standard_normal(clean.shape, dtype=np.float32)
    return clean + np.float32(sigma_255 / 255) * noise


def measure(restorer: Restorer, name: str, images: list[Image]) -> Iterator[dict[str, object]]:
    """One row for each level."""
    for sigma_255 in SIGMAS_255:
        true, estimated, levels = [], [], []
        for number, clean in enumerate(tqdm(images, desc=f"{name}, sigma {sigma_255}", delay=3)):
            noisy = add_noise(clean, sigma_255, number)
            levels.append(noise_level(noisy) * 255)
            true.append(psnr(to_8_bit(restorer(noisy, sigma_255 / 255)), clean, data_range=1))
            estimated.append(psnr(to_8_bit(restorer(noisy, levels[-1] / 255)), clean, data_range=1))
        means = [statistics.fmean(values) for values in (true, estimated, levels)]
        row = (means[0], means[1], means[0] - means[1], means[2])
        yield dict(zip(COLUMNS, (name, sigma_255, *(f"{value:.3f}" for value in row)), strict=True))


def main() -> None:
    """Measure every generator on the set with as many channels; print and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("generators", nargs="+", type=Path, help=".safetensors files that degrain wrote")
    mirror = Path(os.environ.get("DEGRAIN_MIRROR", "."))
    engine = start_engine(Compute(device="auto", precision="auto", threads=available_threads()))
    rows = []
    for path in parser.parse_args().generators:
        restorer = Restorer.load(path, engine)
        (name,) = (name for name, (_, channels) in SETS.items() if channels == restorer.channels)
        for row in measure(restorer, name, load_set(mirror, name)):
            print(row)
            rows.append(row)
    write_rows(Path("reports/benchmark/blind.csv"), COLUMNS, rows)


if __name__ == "__main__":
    main()
