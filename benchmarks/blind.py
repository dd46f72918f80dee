"""What it costs to estimate the noise level instead of knowing it, on BSD68 and CBSD68.

    python -m benchmarks.blind      # DEGRAIN_MIRROR=FOLDER where the sets are at hand

The released generators, by the protocol of `make benchmark`. Writes reports/benchmark/blind.csv: set,
sigma (in units of 255), mean PSNR in dB at the true and at the estimated level, what the estimate
costs in dB, the mean estimate.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from benchmarks.standard.quality import add_noise, load_set
from degrain.build.released import released_path
from degrain.compute import available_threads, start_engine
from degrain.files import write_rows
from degrain.metrics import psnr, to_8_bit
from degrain.noise_level import noise_level
from degrain.params import Compute
from degrain.restore import Restorer

SETS = {"bsd68": 1, "cbsd68": 3}
SIGMAS_255 = (5, 10, 15, 25, 50, 75)
COLUMNS = ("set", "sigma", "psnr_true", "psnr_estimated", "cost_db", "mean_estimate")


def measure(restorer: Restorer, name: str) -> Iterator[dict[str, object]]:
    """One row for each level."""
    for sigma_255 in SIGMAS_255:
        figures = []
        for image, clean in tqdm(load_set(name), f"{name}, sigma {sigma_255}", delay=3):
            noisy = add_noise(image, clean, sigma_255)
            level = noise_level(noisy)
            restored = (to_8_bit(restorer(noisy, sigma)) for sigma in (sigma_255 / 255, level))
            figures.append([*(psnr(one, clean, data_range=1) for one in restored), level * 255])
        true, estimated, mean_level = np.mean(figures, axis=0)
        row = (true, estimated, true - estimated, mean_level)
        yield dict(zip(COLUMNS, (name, sigma_255, *(f"{value:.3f}" for value in row)), strict=True))


def main() -> None:
    """Measure, print and write the report."""
    engine = start_engine(Compute(device="auto", precision="auto", threads=available_threads()))
    rows: list[dict[str, object]] = []
    for name, channels in SETS.items():
        restorer = Restorer.load(released_path("faithful", channels), engine)
        for row in measure(restorer, name):
            print(row)
            rows.append(row)
    write_rows(Path("reports/benchmark/blind.csv"), COLUMNS, rows)


if __name__ == "__main__":
    main()
