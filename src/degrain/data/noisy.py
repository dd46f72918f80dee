"""The fixed noisy copies of the validation and test images, one set per level."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from degrain.files import atomic_write, read_image, sha256_file, to_array, to_tensor
from degrain.seeding import seeded_generator

Image = NDArray[np.float32]
COLUMNS = ["name", "split", "level", "value", "sigma", "sha256"]


class DegradeAt(Protocol):
    """Noise at a given level: clean (1, C, H, W) to (noisy, sigma)."""

    def __call__(self, clean: Tensor, level: float, *, generator: torch.Generator) -> tuple[Tensor, float]:
        """Draw the noise from `generator`; sigma is its expected root mean square."""
        ...


@dataclass(frozen=True)
class Pair:
    """One noisy image, the clean one, and what is known of the noise.

    clean, noisy : (H, W, C) float32, clean in [0, 1].
    level : like sigma_25; sigma : root mean square of the noise, on the images' scale, estimated
        where the noise is real.
    """

    name: str
    level: str
    sigma: float
    clean: Image
    noisy: Image


def write_noisy(
    image: Path,
    split: str,
    levels: Sequence[tuple[str, float]],
    degrade: DegradeAt,
    folder: Path,
    *,
    seed: int,
) -> Iterator[dict[str, object]]:
    """Write one image at every level below `folder`; yields the rows of the manifest.

    The noise is seeded by (seed, name, level): any order or partition of the images gives the
    same bytes.
    """
    clean = to_tensor(read_image(image))
    for key, value in levels:
        generator = seeded_generator(seed, image.stem, key)
        noisy, sigma = degrade(clean, value, generator=generator)
        path = save_noisy(to_array(noisy), folder / split / key, image.stem)
        yield dict(zip(COLUMNS, (image.stem, split, key, value, sigma, sha256_file(path)), strict=True))


def save_noisy(noisy: Image, folder: Path, name: str) -> Path:
    """Write an image (H, W, C) as it is, in float32; returns the file."""
    path = folder / f"{name}.npy"
    with atomic_write(path) as aside, aside.open("wb") as file:
        np.save(file, noisy, allow_pickle=False)
    return path


class NoisySet:
    """The fixed pairs of one split, in the order of the manifest: by level, then by name."""

    def __init__(self, split: str, *, noisy: Path = Path("data/noisy"), raw: Path = Path("data/raw")) -> None:
        # Without the default, an image called NA would be a missing value.
        manifest = pd.read_csv(noisy / "manifest.csv", dtype={"name": str}, keep_default_na=False)
        self.rows = manifest[manifest["split"] == split]
        self.split, self.noisy, self.raw = split, noisy, raw

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def levels(self) -> list[str]:
        """The levels, weakest first as the params list them."""
        return list(self.rows["level"].unique())

    def __iter__(self) -> Iterator[Pair]:
        for row in self.rows.itertuples():
            name, level = str(row.name), str(row.level)
            noisy = np.load(self.noisy / self.split / level / f"{name}.npy", allow_pickle=False)
            clean = read_image(self.raw / self.split / f"{name}.png")
            yield Pair(name, level, float(str(row.sigma)), clean, noisy)
