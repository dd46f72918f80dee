"""How fast and in how much memory large images are restored.

    python benchmarks/inference.py                   # after `dvc repro`; writes reports/inference.json
    python benchmarks/inference.py --megapixels 9    # a trial

The speed is that of `Restorer.restore_stored`: 8-bit pixels in, 8-bit pixels out, the noise level included.
Machines are shared and noisy, for minutes at a time, and a large image takes minutes: so the small one is
timed in breaks of the large one, after every few tiles. The memory is the peak of `degrain denoise` as a
process of its own, from reading the PNG to writing it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
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
from degrain.restore import Image, Restorer
from degrain.tiles import Window

SMALL_MPX = 1.0
SIGMA_255 = 25
TILES = 9  # restored between two breaks
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


class Interrupted(Restorer):
    """Restores an image with breaks after every few tiles, in which it does something else."""

    in_breaks: Callable[[], object]

    def parts(
        self, noisy: NDArray[Any], sigma: float | None, *, count: int = 1
    ) -> Iterator[tuple[Window, list[Image]]]:
        """As `Restorer.parts`, with the breaks."""
        for number, part in enumerate(super().parts(noisy, sigma, count=count), start=1):
            yield part
            if number % TILES == 1:
                self.in_breaks()


def seconds(restore: Restorer, image: NDArray[Any]) -> float:
    """Of one restoration."""
    start = time.perf_counter()
    restore.restore_stored(image)
    return time.perf_counter() - start


def speeds(model: Path, precision: str, megapixels: float) -> dict[str, object]:
    """Mpx/s at both sizes, and their ratio."""
    compute = Compute(device="auto", precision=precision, threads=available_threads())
    engine = start_engine(compute)
    plain, interrupted = Restorer.load(model, engine), Interrupted.load(model, engine)
    small, large = noisy_image(SMALL_MPX), noisy_image(megapixels)
    breaks: list[float] = []
    interrupted.in_breaks = lambda: breaks.append(seconds(plain, small))
    seconds(plain, small)  # what only the first call costs
    large_s = seconds(interrupted, large) - sum(breaks)
    at_small, at_large = SMALL_MPX * len(breaks) / sum(breaks), megapixels / large_s
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
    parser.add_argument("--output", type=Path, default=Path("reports/inference.json"))
    options = parser.parse_args()
    what = options.model, options.precision, options.megapixels
    report = {"peak_memory_mb": peak_memory_mb(*what), **speeds(*what)}
    write_json(options.output, report)
    print(report)


if __name__ == "__main__":
    main()
