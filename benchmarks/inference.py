"""How fast and in how much memory large images are restored.

    python benchmarks/inference.py                   # after `dvc repro`; writes reports/inference.json
    python benchmarks/inference.py --megapixels 9    # a trial

The speed is that of `Restorer.restore_stored`: 8-bit pixels in, 8-bit pixels out, the noise level included.
The small and the large image are timed in turn, because machines are shared and noisy. The memory is the
peak of `degrain denoise` as a process of its own, from reading the PNG to writing it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.data import astronaut

from degrain.codecs.png import encode_png
from degrain.compute import available_threads, start_engine
from degrain.files import write_bytes, write_json
from degrain.params import Compute
from degrain.restore import Restorer

SMALL_MPX = 1.0
SIGMA_255 = 25
SMALL_ROUNDS = 5
COMMAND = "import sys; from degrain.cli import main; sys.exit(main())"


def noisy_image(megapixels: float) -> NDArray[np.uint8]:
    """A square of so many megapixels: a photograph, repeated, with noise of its own everywhere."""
    side = round((megapixels * 1e6) ** 0.5)
    photo = astronaut()
    random = np.random.default_rng(0)
    image = np.empty((side, side, 3), np.uint8)
    for start in range(0, side, len(photo)):
        rows = np.tile(photo, (1, -(-side // photo.shape[1]), 1))[: side - start, :side]
        noise = random.standard_normal(rows.shape, np.float32) * SIGMA_255
        image[start : start + len(photo)] = np.rint(rows + noise).clip(0, 255)
    return image


def mpx_per_s(restore: Restorer, image: NDArray[Any]) -> float:
    """Megapixels a second of one restoration."""
    start = time.perf_counter()
    restore.restore_stored(image)
    return image.shape[0] * image.shape[1] / 1e6 / (time.perf_counter() - start)


def speeds(model: Path, precision: str, megapixels: float, rounds: int) -> dict[str, object]:
    """Mpx/s at both sizes, as medians, and their ratio."""
    compute = Compute(device="auto", precision=precision, threads=available_threads())
    engine = start_engine(compute)
    restore = Restorer.load(model, engine)
    small, large = noisy_image(SMALL_MPX), noisy_image(megapixels)
    mpx_per_s(restore, small)  # what only the first call costs
    rates: dict[str, list[float]] = {"small": [], "large": []}
    for _ in range(rounds):
        rates["small"] += [mpx_per_s(restore, small) for _ in range(SMALL_ROUNDS)]
        rates["large"].append(mpx_per_s(restore, large))
    at_small, at_large = (statistics.median(rates[size]) for size in ("small", "large"))
    return {
        "engine": str(engine),
        "threads": compute.threads,
        f"mpx_per_s_at_{SMALL_MPX:g}_mpx": round(at_small, 4),
        f"mpx_per_s_at_{megapixels:g}_mpx": round(at_large, 4),
        "ratio": round(at_large / at_small, 3),
    }


def write_noisy(path: Path, megapixels: float) -> None:
    """Write `noisy_image` as a PNG."""
    write_bytes(path, encode_png(noisy_image(megapixels)))


def peak_memory_mb(model: Path, precision: str, megapixels: float) -> float:
    """Peak resident memory of `degrain denoise` on a PNG, in 10^6 bytes.

    A child's peak begins with what its parent has ever taken, so this comes first, and the image is made
    in a process of its own.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "noisy.png"
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            pool.submit(write_noisy, source, megapixels).result()
        arguments = ["denoise", str(source), "-o", f"{folder}/restored.png", "--model", str(model)]
        process = subprocess.Popen([sys.executable, "-c", COMMAND, *arguments, "--precision", precision])
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            msg = f"degrain denoise ended with {os.waitstatus_to_exitcode(status)}"
            raise RuntimeError(msg)
    return round(usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--megapixels", type=float, default=100.0)
    parser.add_argument("--model", type=Path, default=Path("models/train/generator.safetensors"))
    parser.add_argument("--precision", choices=["auto", "bfloat16", "float32"], default="auto")
    parser.add_argument("--rounds", type=int, default=3, help="times that the large image is restored")
    parser.add_argument("--output", type=Path, default=Path("reports/inference.json"))
    options = parser.parse_args()
    what = options.model, options.precision, options.megapixels
    report = {"peak_memory_mb": peak_memory_mb(*what), **speeds(*what, options.rounds)}
    write_json(options.output, report)
    print(report)


if __name__ == "__main__":
    main()
