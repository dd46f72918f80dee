"""The synthesize stage: shards of training patches, fixed noisy sets, a sheet to look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from tqdm import tqdm

from degrain.data.noisy import COLUMNS, DegradeAt, Image, NoisySet, write_noisy
from degrain.data.patches import Bytes, cut_patches, write_shards
from degrain.errors import DataError
from degrain.files import read_image, write_csv
from degrain.params import Patches
from degrain.sheet import draw, save_sheet, sheet

Levels = Sequence[tuple[str, float]]
Item = TypeVar("Item")


def make_patches(raw: Path, folder: Path, patches: Patches) -> int:
    """Cut the training images into shards; returns how many patches."""
    images = sorted((raw / "train").glob("*.png"))
    if not images:
        msg = f"{raw / 'train'}: no images; `dvc repro` collects them first"
        raise DataError(msg)
    return write_shards(
        (cut_patches(read_pixels(path), patches) for path in progress(images, "patches")), folder
    )


def make_noisy_sets(raw: Path, folder: Path, levels: Levels, degrade: DegradeAt, *, seed: int) -> None:
    """Write noisy copies of the validation and test images at every level, and their manifest."""
    rows: list[dict[str, object]] = []
    for split in ("val", "test"):
        for path in progress(sorted((raw / split).glob("*.png")), f"noisy {split}"):
            rows += write_noisy(path, split, levels, degrade, folder, seed=seed)
    write_manifest(folder, rows, [key for key, _ in levels])


def write_manifest(folder: Path, rows: Sequence[dict[str, object]], levels: Sequence[str]) -> None:
    """Write the table of all noisy images, by split, by level in the order given, and by name."""
    table = pd.DataFrame(rows, columns=COLUMNS)
    table = table.sort_values(
        ["split", "level", "name"], key=lambda s: s.map(levels.index) if s.name == "level" else s
    )
    write_csv(folder / "manifest.csv", table)


def draw_contact_sheet(raw: Path, noisy: Path, path: Path, *, crop: int = 192, most: int = 6) -> None:
    """A row for each of the first val and test images, a column for clean and for each level."""
    rows = [row for split in ("val", "test") for row in _rows(NoisySet(split, noisy=noisy, raw=raw), crop)][
        :most
    ]
    figure, axes = sheet(len(rows[0]), [1.0] * len(rows), width_in=2.2 * len(rows[0]))
    for axes_row, row in zip(axes, rows, strict=True):
        for axis, (title, image) in zip(axes_row, row, strict=True):
            draw(axis, image, title)
    save_sheet(figure, path)


def _rows(pairs: NoisySet, crop: int) -> Iterator[list[tuple[str, Image]]]:
    by_name: dict[str, list[tuple[str, Image]]] = {}
    for pair in pairs:
        row = by_name.setdefault(pair.name, [(pair.name, _centre(pair.clean, crop))])
        row.append((pair.level.replace("_", " "), _centre(pair.noisy, crop)))
    yield from by_name.values()


def _centre(image: Image, side: int) -> Image:
    y, x = (max(0, (length - side) // 2) for length in image.shape[:2])
    return image[y : y + side, x : x + side]


def read_pixels(path: Path) -> Bytes:
    """The pixels of an image, (H, W, C) uint8."""
    return np.rint(read_image(path) * 255).astype(np.uint8)


def progress(items: Sequence[Item], name: str) -> Iterator[Item]:
    """The items, an image each, and a bar if it takes long."""
    yield from tqdm(items, desc=name, unit="image", delay=3)
